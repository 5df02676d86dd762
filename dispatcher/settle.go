package dispatcher

import "time"

// A Lost is a try that was ambiguous: its answer was lost, so that it may have been delivered.
type Lost struct {
	Reason string
	Start  time.Time // zero: unknown
}

// lost is the first ambiguous try of a job whose result so far is r, if it is tried again.
func (r *Result) lost() *Lost {
	if r.Lost == nil && r.Outcome == Ambiguous && r.Attempts > 0 {
		return &Lost{Reason: r.Reason, Start: r.Start}
	}
	return r.Lost
}

// Begin is the result of a job whose next try starts now: ambiguous, until more is known. Worker is who makes it, from 1.
func (r *Result) Begin(worker int, now time.Time) Result {
	return Result{Job: r.Job, Attempts: r.Attempts + 1, Worker: worker, Start: now, Lost: r.lost()}
}

// Doubt makes a job ambiguous that failed after an ambiguous try: that its last try delivered nothing proves nothing of the
// earlier one. Where the job did not fail there is nothing left to find out. [Run] does so with each of its results.
func (r *Result) Doubt() {
	if r.Lost == nil || !r.Failed() {
		return
	}
	r.Outcome, r.Retry, r.NotDelivered = Ambiguous, false, false
	r.Reason = r.Lost.Reason + "; sent again: " + r.Reason
}

// settle asks whether a job whose try was ambiguous is tried once more in this run, and when.
func (r *run[J]) settle(i int, result Result) (at time.Time, ok bool) {
	if r.options.Settle == nil || result.Outcome != Ambiguous || result.Stop != nil {
		return time.Time{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.settled[i]; twice {
		return time.Time{}, false
	}
	if at, ok = r.options.Settle(result); ok {
		r.settled[i] = struct{}{}
		r.uncounted[i]++
	}
	return at, ok
}
