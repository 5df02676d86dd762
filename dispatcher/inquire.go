package dispatcher

import (
	"context"
	"time"
)

// An Inquire finds out elsewhere what became of a job whose last try was ambiguous, in the service's own books for one. It
// reports false where that is not known, or not yet. It must return when its context ends, and is called by one goroutine.
type Inquire func(context.Context, Result) (Verdict, bool)

// Questions about a job are asked at once, then at intervals: a service that is at work on the lost try is soon done, or
// has much to do.
const (
	soon, later = 2 * time.Second, 10 * time.Second
	soonTimes   = 5
)

// A question is a job for which Inquire is called until it returns a verdict, or the job does not wait any more.
type question struct {
	job   int
	asked int
	next  time.Time
}

// askAbout begins to ask about job i.
func (r *run[J]) askAbout(i int) {
	if r.options.Inquire == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.questions = append(r.questions, question{job: i})
	select {
	case r.asked <- struct{}{}:
	default: // who waits has not looked since the last word
	}
}

// inquire asks about jobs until ctx ends.
func (r *run[J]) inquire(ctx context.Context) {
	if r.options.Inquire == nil {
		return
	}
	for {
		next := r.askAll(ctx)
		var timer <-chan time.Time // nil: nobody is asked about
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-timer:
		case <-r.asked:
		case <-ctx.Done():
			return
		}
	}
}

// askAll asks each question that is due. It returns when the next one is; zero: there is none.
func (r *run[J]) askAll(ctx context.Context) (next time.Time) {
	r.mu.Lock()
	questions := r.questions
	r.questions = nil
	r.mu.Unlock()
	var open []question
	for _, q := range questions {
		if !q.next.After(time.Now()) {
			if !r.open(q.job) || r.answered(ctx, q.job) {
				continue
			}
			q.asked++
			q.next = time.Now().Add(soon)
			if q.asked >= soonTimes {
				q.next = time.Now().Add(later)
			}
		}
		if next.IsZero() || q.next.Before(next) {
			next = q.next
		}
		open = append(open, q)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.questions = append(r.questions, open...)
	return next
}

// open reports whether job i waits since a try was ambiguous.
func (r *run[J]) open(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Results[i].Outcome == Ambiguous && r.queue.waits(i)
}

// answered asks about job i, and ends it if there is an answer. Meanwhile its time may have come: then it is tried again.
func (r *run[J]) answered(ctx context.Context, i int) bool {
	r.mu.Lock()
	result := r.report.Results[i]
	r.mu.Unlock()
	verdict, ok := r.options.Inquire(ctx, result)
	if !ok || !r.queue.withdraw(i) {
		return false
	}
	r.record(Event{Kind: Finished, Result: result.Answered(verdict)}, i, 0)
	return true
}

// Answered is the result of a job whose last try was ambiguous, once it was found out what became of it.
func (r Result) Answered(verdict Verdict) Result {
	r.Lost = r.lost()
	r.Verdict = verdict
	return r
}
