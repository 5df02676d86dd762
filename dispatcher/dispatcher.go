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
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
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
type Options struct {
	Workers     int               // most sends in flight; below 1 counts as 1
	Limiter     ratelimit.Limiter // asked before each send; nil: none
	Throttle    time.Duration     // how long a worker rests after a send; 0: not at all
	MaxFailures int               // failed jobs after which nothing more starts; 0: no limit
	Abort       context.Context   // when it ends, sends in flight are cut; nil: they end by themselves
	Observers   []Observer        // told of every event, in this order
}

// ErrMaxFailures stops a run in which too many jobs failed.
var ErrMaxFailures = errors.New("too many failures")

// errNoWorkers says why jobs are left although nothing stopped the run: sends ended their goroutines.
var errNoWorkers = errors.New("no worker is left")

// Run sends jobs in order, at most o.Workers at a time, and returns when every send it started has ended. When
// ctx ends nothing more starts and its cause is the report's StoppedBy; what is in flight goes on until it ends
// or o.Abort does. Run cannot fail: the report tells all.
func Run[J Job](ctx context.Context, jobs []J, send SendFunc[J], o Options) *Report {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run[J]{
		jobs: jobs, send: send, options: o, stop: stop,
		admission: make(chan struct{}, 1),
		report:    &Report{Started: time.Now(), Results: make([]Result, len(jobs))},
	}
	for i, job := range jobs {
		r.report.Results[i] = Result{Job: job, Verdict: Verdict{Outcome: NotAttempted}}
	}

	// Sends in flight outlive the stop: cutting one makes it ambiguous.
	inFlight, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	if o.Abort != nil {
		defer context.AfterFunc(o.Abort, func() { cut(context.Cause(o.Abort)) })()
	}

	// Not errgroup.WithContext: its first error would cut the sends of all others. Workers return no error.
	var pool errgroup.Group
	for worker := 1; worker <= min(max(o.Workers, 1), len(jobs)); worker++ {
		pool.Go(func() error {
			r.work(ctx, inFlight, worker)
			return nil
		})
	}
	_ = pool.Wait()
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
	next      atomic.Int64 // the first job nobody has taken; moved by who holds the admission

	mu       sync.Mutex // for all below, and held while the observers are told
	report   *Report
	failures int
	ended    bool // a verdict stopped the run, or a send was cut
}

// work sends one job after the other until none is left or the run is stopped.
func (r *run[J]) work(ctx, inFlight context.Context, worker int) {
	for r.one(ctx, inFlight, worker) && r.rest(ctx) {
	}
}

// one sends the next job. It reports false when there is none, or when the run was stopped.
func (r *run[J]) one(ctx, inFlight context.Context, worker int) bool {
	i, permit, ok := r.admit(ctx, worker)
	if !ok {
		return false
	}
	var feedback ratelimit.Feedback
	defer func() { permit(feedback) }() // deferred: a send may end its goroutine
	feedback.Took = r.try(inFlight, i)
	return true
}

// admit waits until one more send may start, takes the next job for it, and records its start. It reports false
// when there is none, or when the run was stopped: the stop is looked at after every wait.
func (r *run[J]) admit(ctx context.Context, worker int) (job int, permit ratelimit.Permit, ok bool) {
	select {
	case r.admission <- struct{}{}:
		defer func() { <-r.admission }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil || r.left() == 0 {
		return 0, nil, false
	}
	permit = func(ratelimit.Feedback) {}
	if r.options.Limiter != nil {
		p, err := r.options.Limiter.Acquire(ctx)
		if err != nil {
			r.stop(fmt.Errorf("rate limit: %w", err)) // changes nothing where ctx had ended already
			return 0, nil, false
		}
		permit = p
	}
	if ctx.Err() != nil {
		permit(ratelimit.Feedback{})
		return 0, nil, false
	}
	job = int(r.next.Add(1)) - 1
	// Ambiguous until more is known.
	r.record(Started, job, Result{Job: r.jobs[job], Attempts: 1, Worker: worker, Start: time.Now()})
	return job, permit, true
}

// left counts the jobs that nobody has taken.
func (r *run[J]) left() int { return len(r.jobs) - int(r.next.Load()) }

// try sends job number i, whose start is on record, once, records what came of it, and reports how long that took.
func (r *run[J]) try(inFlight context.Context, i int) time.Duration {
	result := r.report.Results[i] // nobody else touches it until the send has ended
	result.Verdict = judge(inFlight, r.send, r.jobs[i])
	result.Took = time.Since(result.Start)
	r.record(Finished, i, result)

	switch failed := result.Failed(); {
	case result.Stop != nil:
		r.end(result.Stop)
	case failed && inFlight.Err() != nil:
		r.end(context.Cause(inFlight))
	}
	return result.Took
}

// judge sends one job. A panic is that job's outcome: the night goes on.
func judge[J Job](ctx context.Context, send SendFunc[J], job J) (v Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = Verdict{Outcome: Ambiguous, Reason: "panic while sending", Err: &PanicError{p, debug.Stack()}}
		}
	}()
	return send(ctx, job)
}

// record keeps what is known of a job and tells the observers.
func (r *run[J]) record(kind Kind, i int, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Results[i] = result
	for _, o := range r.options.Observers {
		o.Observe(Event{Kind: kind, Result: result})
	}
	if kind == Finished && result.Failed() {
		r.failures++
		if r.failures == r.options.MaxFailures {
			r.stop(ErrMaxFailures)
		}
	}
}

// end stops the run for a cause that counts even where no job was left to start.
func (r *run[J]) end(cause error) {
	r.stop(cause)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// rest keeps a worker idle for the throttle's time, unless nothing is left that it could send then. It reports
// false when the run was stopped meanwhile.
func (r *run[J]) rest(ctx context.Context) bool {
	if r.options.Throttle <= 0 || r.left() == 0 {
		return true
	}
	timer := time.NewTimer(r.options.Throttle)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// finish completes the report once all workers have ended.
func (r *run[J]) finish(ctx context.Context) {
	r.report.Finished = time.Now()
	if r.ended || r.left() > 0 {
		r.report.StoppedBy = cmp.Or(context.Cause(ctx), errNoWorkers)
	}
	for i := int(r.next.Load()); i < len(r.jobs); i++ {
		r.report.Results[i].Reason = r.report.StoppedBy.Error()
	}
}
