package dispatcher

import (
	"slices"
	"time"
)

// A try may fail by its job's fault or by the service's. Which of them it was shows only afterwards: the limiter finds that
// the service is down, or a send succeeds. Until then the try is a suspect. Where the service was down, the tries of the
// suspects do not count. Where the service worked, they count.

// doubtTime is how long a job waits for its last try while at least doubtJobs jobs have failed since a send last
// succeeded: it is longer than a database takes to restart.
const (
	doubtTime = 10 * time.Second
	doubtJobs = 3
)

// A suspect is a try that failed of its job or of the service.
type suspect struct {
	job     int
	failed  time.Time
	granted bool // another try was granted, and counts
}

// A lastTry is what becomes of a job in doubt for which the run's budget has nothing left.
type lastTry uint8

const (
	held   lastTry = iota + 1 // it waits for doubtTime, and is tried then
	denied                    // a send succeeded that was under way when it failed: the service worked, the job is to blame
)

// doubt keeps the failed try of job i as a suspect, and returns how long the job waits for another try, and whether there
// is one. granted means that the budget has granted one after wait; last means that it is the job's last. The caller
// holds r.mu.
func (r *run[J]) doubt(i int, wait time.Duration, granted, last bool) (time.Duration, bool) {
	if !granted {
		if r.last[i] != 0 {
			return 0, false
		}
		r.last[i] = held
		wait = doubtTime
	}
	r.suspects = append(r.suspects, suspect{i, time.Now(), granted})
	if last && r.suspected() >= doubtJobs {
		wait = max(wait, doubtTime)
	}
	return wait, true
}

// suspected returns how many different jobs are among the suspects, doubtJobs at most. The caller holds r.mu.
func (r *run[J]) suspected() int {
	jobs := map[int]struct{}{}
	for _, s := range slices.Backward(r.suspects) {
		jobs[s.job] = struct{}{}
		if len(jobs) == doubtJobs {
			break
		}
	}
	return len(jobs)
}

// forgive lets the tries of all suspects not count: the service is down, and they were the first to meet it. The caller
// holds r.mu.
func (r *run[J]) forgive() {
	for _, s := range r.suspects {
		r.uncounted[s.job]++
		delete(r.last, s.job)
		if s.granted {
			r.retries--
		}
	}
	r.suspects = nil
}

// acquit takes note that the service worked: a send that began at a time has succeeded. Tries that failed before that
// time count. Jobs that used up their tries while the send was under way are denied another.
func (r *run[J]) acquit(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspects = slices.DeleteFunc(r.suspects, func(s suspect) bool {
		if s.granted {
			return s.failed.Before(began)
		}
		if began.Before(s.failed) {
			r.last[s.job] = denied
		}
		return true
	})
}

// drop ends job i, which was taken for its last try, if that try was denied meanwhile. It reports whether it did.
func (r *run[J]) drop(i int) bool {
	r.mu.Lock()
	last := r.last[i]
	r.mu.Unlock()
	if last != denied {
		return false
	}
	r.record(Event{Kind: Finished, Result: r.report.Results[i]}, i, 0)
	r.queue.done(i)
	return true
}
