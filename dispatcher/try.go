package dispatcher

import (
	"cmp"
	"context"
	"runtime/debug"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// try sends job number i, whose start is on record, once, and sees to what follows from it. It reports whether the worker
// is to rest: not after a job that the service had nothing to do for.
func (r *run[J]) try(ctx, inFlight context.Context, i int, permit ratelimit.Permit) (rests bool) {
	result := r.report.Results[i] // nobody else touches it until the try has ended
	result.Reason = "the send ended its goroutine"
	defer func() { r.conclude(ctx, inFlight, i, result, permit) }() // deferred: it may do so
	result.Verdict = Try(inFlight, r.send, r.jobs[i])
	return !result.idle()
}

// conclude ends a try: the limiter and Observe hear of it, and the job ends or waits for another try.
func (r *run[J]) conclude(ctx, inFlight context.Context, i int, result Result, permit ratelimit.Permit) {
	result.Took = time.Since(result.Start)
	feedback := ratelimit.Feedback{
		Sent: true, Took: result.Took, Done: result.Outcome == Accepted, Pause: result.Pause, Health: result.Health,
		Again: result.Attempts > 1, InFlight: r.alongside(result.Worker),
	}
	if r.options.Usual != nil {
		feedback.Usual = r.options.Usual(r.jobs[i])
	}
	if result.Health.Crowding() && feedback.InFlight == 1 {
		result.Health = alone(result.Health)
		feedback.Health = result.Health
	}
	cut := inFlight.Err() != nil
	if cut {
		feedback = ratelimit.Feedback{Sent: true, Took: result.Took} // it tells of us, not of the service
	}
	if !result.idle() {
		feedback.Rest = max(r.options.Throttle, 0)
	}
	if result.Stop != nil {
		r.end(result.Stop) // before the permit is given back, or another send might start
	}
	permit(feedback) // before the job is, or it might be tried before the limiter knows why it should not

	if result.Health == ratelimit.Up {
		r.acquit(result.Start)
	}
	wait, again := r.another(i, result)
	event := Event{Kind: Retrying, Next: time.Now().Add(wait)}
	if !again && !cut {
		event.Kind = Settling
		event.Next, again = r.settle(i, result)
	}
	result.Doubt()
	event.Result = result
	switch {
	case again && !cut && ctx.Err() == nil:
		r.record(event, i, -1)
		r.queue.again(i, event.Next)
		if event.Kind == Settling {
			r.askAbout(i)
		}
		return
	case again, cut && result.Failed():
		r.end(cmp.Or(context.Cause(ctx), context.Cause(inFlight))) // it might have ended otherwise
	}
	r.record(Event{Kind: Finished, Result: result}, i, -1)
	r.queue.done(i)
}

// another decides whether a job is tried again, and how long it waits for that: only with proof that nothing was
// delivered, and only while its tries and the run's budget last. It takes from both what it grants.
func (r *run[J]) another(i int, result Result) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	down := r.options.Limiter.Down()
	away := down == ratelimit.Down || down == ratelimit.Failing
	if away {
		r.forgive()
	}
	if r.options.Retries <= 0 || !result.Repeatable() {
		return 0, false
	}
	if r.crowded(i, result.Health) {
		return 0, true
	}
	service := result.Health == ratelimit.Down || result.Health == ratelimit.Failing // it may be to blame
	if service && away {
		r.uncounted[i]++
		return 0, true // the limiter makes it wait
	}
	counted := result.Attempts - r.uncounted[i]
	if counted > r.options.Retries {
		return 0, false
	}
	granted := r.retries < retryReserve+r.begun/retryShare
	if granted {
		r.retries++
		wait = r.options.Backoff(counted)
	}
	if service && down != ratelimit.Unknown {
		return r.doubt(i, wait, granted, counted == r.options.Retries)
	}
	return wait, granted
}

// Try sends job once. A panic is that job's outcome, and may have come after it was delivered: the night goes on.
//
// [Run] makes each of its tries so. It is for whoever gets its jobs one at a time, such as the worker of a queue that keeps
// them: such a one asks [Verdict.Repeatable] whether a job may go back into its queue.
func Try[J Job](ctx context.Context, send SendFunc[J], job J) (v Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = Verdict{Outcome: Ambiguous, Reason: "panic while sending", Err: &PanicError{p, debug.Stack()}}
		}
	}()
	return send(ctx, job)
}

// record keeps the result that an event of job number i has, and has it observed. flying is by how much the event
// changes the number of sends in flight.
func (r *run[J]) record(e Event, i, flying int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Results[i] = e.Result
	r.flying += flying
	r.report.Peak = max(r.report.Peak, r.flying)
	if e.Kind == Started {
		r.startTogether(e.Result.Worker)
		if e.Result.Attempts == 1 {
			r.begun++
		}
	}
	e.InFlight = r.flying
	r.options.Observe(e)
	if e.Kind == Finished && e.Result.Failed() {
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
