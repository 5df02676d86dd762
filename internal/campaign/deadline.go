package campaign

import (
	"context"
	"fmt"
	"time"
)

// DeadlineError stops a run whose time is over.
type DeadlineError struct {
	At     time.Time
	Option string // what set it: "--deadline 05:30"
}

func (e *DeadlineError) Error() string { return fmt.Sprintf("time was over (%s)", e.Option) }

// A deadline ends a run's context when its time is over.
type deadline struct {
	run   *run
	stop  context.CancelCauseFunc
	timer *time.Timer // nil: none
}

// keepDeadline makes a context that ends by the time of day of Settings.Deadline. That counts from the beginning, also while
// the lock is waited for.
func (r *run) keepDeadline(ctx context.Context) (context.Context, *deadline) {
	ctx, stop := context.WithCancelCause(ctx)
	d := &deadline{run: r, stop: stop}
	if r.Deadline != nil {
		d.sooner(&DeadlineError{At: r.Deadline.Next(time.Now()), Option: "--deadline " + r.Deadline.String()})
	}
	return ctx, d
}

// maxDuration is when a run is over by its length, since it had the lock; nil: never.
func (r *run) maxDuration() *DeadlineError {
	if r.MaxDuration <= 0 {
		return nil
	}
	return &DeadlineError{At: r.started.Add(r.MaxDuration), Option: fmt.Sprintf("--max-duration %v", r.MaxDuration)}
}

// sooner lets nothing more start from a time on. Of several times the earliest counts; nil is none.
func (d *deadline) sooner(e *DeadlineError) {
	if e == nil || d.run.ends != nil && !e.At.Before(d.run.ends.At) {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.run.ends, d.timer = e, time.AfterFunc(time.Until(e.At), func() { d.stop(e) })
}

// over ends the context.
func (d *deadline) over() {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.stop(nil)
}
