// Package dispatcher sends every job of a run through a bounded pool of workers, and reports what became of each.
//
// It knows nothing of HTTP, of what a job is, or of where reports go: the caller hands in a function that sends
// one job and judges the answer. A failed send is data, never an error: it ends in that job's [Result], and no
// other job notices. [Run] owns the goroutines it starts and returns when all of them have ended.
package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"golang.org/x/sync/errgroup"
)

// A Job is anything that can be sent once.
type Job interface {
	Key() string // its stable name in reports; no two jobs of a run share one
}

// A SendFunc tries once to send job and says what came of it. It must return when ctx ends. Several workers call
// it at once, each for a different job.
type SendFunc[J Job] func(ctx context.Context, job J) Verdict

// Options of a run. The zero value sends one job at a time, as fast as that goes.
//
// While Limiter reports that the service is down or failing, a try that found it so and may be made again counts neither
// against Retries nor against the run's budget, and no back-off follows it: Limiter lets few tries start and ends the run
// in time, as a [ratelimit.Breaker] does. Otherwise the jobs that happen to ask whether the service is back would fail of
// it. The tries that led to this do not count either. While it is failing, what starts is taken from all over the order:
// jobs that fail by themselves may stand together.
//
// A try that ended [ratelimit.Crowded] or [ratelimit.NoRoom] while others were in flight does not count either, and no
// back-off follows it: Limiter lets fewer be in flight, as a [ratelimit.Crowd] does. One that was alone in flight is an
// ordinary failure.
//
// An ambiguous try may have been delivered, and may still be under way. Settle decides whether its job is tried once
// more in this run, and from when on: that is harmless only where the caller knows that the first try has ended by then
// and that the service itself delivers nothing twice. It is asked once for each job, also with no Retries, and never for
// a send that was cut. While a job waits for that, or because of Earlier, Inquire is called for it, at once and then at
// intervals. The verdict that it returns ends the job, and no other try is made. A job that had an ambiguous try, in this run
// or by Earlier, ends accepted, or otherwise without a failure, or ambiguous: whatever its later tries prove, they prove
// nothing of that one.
type Options struct {
	Workers     int                            // most sends in flight; below 1 counts as 1
	Hiring      func(hire func(workers int))   // takes, before the first send, a function that raises Workers at any time; nil: nobody does
	Limiter     ratelimit.Limiter              // asked before each send, and how many may be in flight; nil: none
	Usual       func(Job) time.Duration        // what a job's send took in earlier runs, for Limiter; 0: not known. nil: none is
	Throttle    time.Duration                  // how long a worker rests after a send that the service had something to do for; 0: not at all
	Rule        Rule                           // which job goes next where the order of the jobs does not tell
	Retries     int                            // extra tries of a job whose verdicts allow them; 0: none
	Backoff     func(try int) time.Duration    // wait after a try, counted from 1, before the next; nil: FullJitter(1s, 1m)
	Settle      func(Result) (time.Time, bool) // when a job whose try was ambiguous may be tried once more, if it may; nil: none may
	Inquire     Inquire                        // asks elsewhere what became of jobs that wait since a try was ambiguous; nil: nobody does
	Earlier     func(Job) (Result, bool)       // a job that an earlier run left ambiguous: its Verdict until it is tried, and its Lost; nil: there is none
	MaxFailures int                            // failed jobs after which nothing more starts; 0: no limit
	Grace       time.Duration                  // for sends in flight once ctx has ended; then they are cut. 0: as long as they need
	Abort       context.Context                // when it ends, sends in flight are cut at once; nil: never
	Observe     func(Event)                    // called with every event, one at a time; quick, and never back into the run. nil: nobody is
}

// ErrMaxFailures stops a run in which too many jobs failed.
var ErrMaxFailures = errors.New("too many failures")

// errNoWorkers says why jobs are left although nothing stopped the run: sends ended their goroutines.
var errNoWorkers = errors.New("no worker is left")

// ErrGrace cuts sends that were still in flight when their grace was over.
var ErrGrace = errors.New("the grace after the stop was over")

// Run sends jobs in order, at most o.Workers at a time, and returns when every send it started has ended. A job
// whose verdict proves that nothing was delivered is tried again, o.Retries times at most, after a back-off in
// which its worker sends others. When ctx ends nothing more starts and its cause is the report's StoppedBy; what
// is in flight goes on until it ends, or o.Grace is over, or o.Abort ends. Run cannot fail: the report tells all.
func Run[J Job](ctx context.Context, jobs []J, send SendFunc[J], o Options) *Report {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.Workers = max(o.Workers, 1)
	if o.Limiter == nil {
		o.Limiter = ratelimit.Join()
	}
	if o.Backoff == nil {
		o.Backoff = FullJitter(time.Second, time.Minute)
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	lineup := NewLineup(len(jobs), time.Now(), o.Rule)
	o.Rule = Rule{} // it has said it all, and what it knows may be large
	r := &run[J]{
		jobs: jobs, send: send, options: o, stop: stop,
		admission: make(chan struct{}, 1), queue: newQueue(lineup),
		uncounted: map[int]int{}, crowds: map[int]int{}, last: map[int]lastTry{}, settled: map[int]struct{}{},
		together: make([]int, 1, min(o.Workers, len(jobs))+1),
		report:   &Report{Started: time.Now(), Results: make([]Result, len(jobs))},
		asked:    make(chan struct{}, 1),
	}
	for i, job := range jobs {
		result := Result{Verdict: Verdict{Outcome: NotAttempted}}
		if o.Earlier != nil {
			if earlier, ok := o.Earlier(job); ok {
				result = Result{Verdict: earlier.Verdict, Lost: earlier.Lost}
				r.askAbout(i)
			}
		}
		result.Job = job
		r.report.Results[i] = result
	}
	r.options.Earlier = nil // large, too

	// Sends in flight outlive the stop: cutting one makes it ambiguous.
	inFlight, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	var grace sync.WaitGroup
	defer grace.Wait()
	defer cut(nil)
	if o.Abort != nil {
		defer context.AfterFunc(o.Abort, func() { cut(context.Cause(o.Abort)) })()
	}
	if o.Grace > 0 {
		grace.Go(func() { cutAfter(ctx, inFlight, o.Grace, cut) })
	}

	// Not errgroup.WithContext: its first error would cut the sends of all others. Workers return no error.
	var pool errgroup.Group
	r.pool = func(worker int) {
		pool.Go(func() error {
			defer r.leave()
			r.work(ctx, inFlight, worker)
			return nil
		})
	}
	r.hire(o.Workers)
	if o.Hiring != nil {
		o.Hiring(r.hire)
	}
	inquiring, over := context.WithCancel(ctx)
	var inquirer sync.WaitGroup
	inquirer.Go(func() { r.inquire(inquiring) })
	_ = pool.Wait()
	over()
	inquirer.Wait()
	r.finish(ctx)
	return r.report
}

// run is the state that the workers of one Run share.
type run[J Job] struct {
	jobs    []J
	send    SendFunc[J]
	options Options
	stop    context.CancelCauseFunc

	// admission holds a value while a worker waits to start a send. Only one waits for the limiter at a time, so
	// sends start in dispatch order. A channel, since a wait for a mutex does not end with the context.
	admission chan struct{}
	queue     *queue
	asked     chan struct{} // holds a value when there are new questions

	mu        sync.Mutex // for all below, and held while Observe is called
	report    *Report
	begun     int              // jobs
	retries   int              // tries that were granted beyond a job's first, as far as they count
	uncounted map[int]int      // tries of a job that do not count
	crowds    map[int]int      // how many of these the service undid for others in flight
	suspects  []suspect        // tries that count unless the service turns out to be down, the latest last
	last      map[int]lastTry  // of jobs that have used up their tries in doubt
	settled   map[int]struct{} // jobs that Settle let be tried once more
	failures  int
	flying    int // sends in flight
	workers   int // that were hired
	atWork    int // of these, who has not left
	pool      func(worker int)
	questions []question // about jobs that wait since a try was ambiguous
	together  []int      // for the send of each worker, numbered from 1, the most in flight at any time of it; 0: it sends nothing
	ended     bool       // a verdict stopped the run, or a stop changed what became of a job
}

// work sends one job after the other until none is left or the run is stopped.
func (r *run[J]) work(ctx, inFlight context.Context, worker int) {
	for {
		i, permit, ok := r.admit(ctx, worker)
		if !ok {
			return
		}
		if r.try(ctx, inFlight, i, permit) {
			r.rest(ctx)
		}
	}
}

// admit waits until one more try may start, takes the next job for it, and records its start. It reports false
// when there is none, or when the run was stopped: the stop is looked at after every wait.
func (r *run[J]) admit(ctx context.Context, worker int) (job int, permit ratelimit.Permit, ok bool) {
	select {
	case r.admission <- struct{}{}:
		defer func() { <-r.admission }()
	case <-ctx.Done():
	}
	for ctx.Err() == nil && r.queue.ready(ctx) {
		permit, err := r.options.Limiter.Acquire(ctx)
		if err != nil {
			r.stop(err) // changes nothing where ctx had ended already
			return 0, nil, false
		}
		if ctx.Err() != nil {
			permit(ratelimit.Feedback{})
			return 0, nil, false
		}
		job, ok = r.queue.take(r.limit(), r.options.Limiter.Down() == ratelimit.Failing)
		if !ok || r.drop(job) {
			permit(ratelimit.Feedback{})
			continue
		}
		before := &r.report.Results[job] // nobody else touches the result of a job that is not under way
		r.record(Event{Kind: Started, Result: before.Begin(worker, time.Now())}, job, +1)
		return job, permit, true
	}
	return 0, nil, false
}

// limit is how many sends may be in flight now.
func (r *run[J]) limit() int {
	r.mu.Lock()
	workers := r.options.Workers
	r.mu.Unlock()
	if limit := r.options.Limiter.Limit(); limit > 0 {
		return min(limit, workers)
	}
	return workers
}

// hire has at least so many workers send from now on. Once the last of them has left it does nothing.
func (r *run[J]) hire(workers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers > 0 && r.atWork == 0 {
		return
	}
	r.options.Workers = max(r.options.Workers, workers)
	for r.workers < min(workers, len(r.jobs)) {
		r.workers++
		r.atWork++
		r.together = append(r.together, 0)
		r.pool(r.workers)
	}
}

// leave ends a worker.
func (r *run[J]) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atWork--
}

// rest keeps a worker idle for the throttle's time, until no job is left and none can come back, or the run is stopped.
func (r *run[J]) rest(ctx context.Context) {
	if r.options.Throttle <= 0 {
		return
	}
	select {
	case <-time.After(r.options.Throttle):
	case <-r.queue.empty:
	case <-ctx.Done():
	}
}

// cutAfter cuts what is in flight when ctx has ended and the grace is over. It returns when inFlight has ended.
func cutAfter(ctx, inFlight context.Context, grace time.Duration, cut context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-inFlight.Done():
		return
	}
	select {
	case <-time.After(grace):
		cut(ErrGrace)
	case <-inFlight.Done():
	}
}

// finish completes the report once all workers have ended.
func (r *run[J]) finish(ctx context.Context) {
	r.report.Finished = time.Now()
	left := r.queue.lineup.Rest()
	if r.ended || len(left) > 0 {
		r.report.StoppedBy = cmp.Or(context.Cause(ctx), errNoWorkers)
	}
	for _, i := range left {
		if result := &r.report.Results[i]; result.Attempts > 0 {
			r.record(Event{Kind: Finished, Result: *result}, i, 0) // with what came of its last try
		} else if result.Outcome == NotAttempted {
			result.Reason = r.report.StoppedBy.Error()
		}
	}
}
