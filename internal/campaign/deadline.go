package campaign

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// DeadlineError stops a run whose time is over.
type DeadlineError struct {
	At     time.Time
	Option string // what set it: "--deadline 05:30"
}

func (e *DeadlineError) Error() string { return fmt.Sprintf("time was over (%s)", e.Option) }

// A deadline ends a run's context when its time is over: by the clock or by its length, whichever is sooner.
type deadline struct {
	run  *run
	stop context.CancelCauseFunc

	mu             sync.Mutex
	clock, longest *DeadlineError // nil: none
	timer          *time.Timer    // nil: none
}

// keepDeadline makes a context that ends by the time of day of Settings.Deadline. That counts from the beginning, also while
// the lock is waited for.
func (r *run) keepDeadline(ctx context.Context) (context.Context, *deadline) {
	ctx, stop := context.WithCancelCause(ctx)
	d := &deadline{run: r, stop: stop}
	r.timeLimit = d
	if r.Deadline != nil {
		d.clock = &DeadlineError{At: r.Deadline.Next(time.Now()), Option: "--deadline " + r.Deadline.String()}
		d.set()
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

// sooner lets nothing more start after the run's greatest length; nil is none.
func (d *deadline) sooner(longest *DeadlineError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.longest = longest
	d.set()
}

// move lets nothing more start from the next such time of day on; nil: there is none.
func (d *deadline) move(clock *Clock) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = nil
	if clock != nil {
		d.clock = &DeadlineError{At: clock.Next(time.Now()), Option: "control deadline " + clock.String()}
	}
	d.set()
}

// clockText is the time of day from which on nothing starts, or none.
func (d *deadline) clockText() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clock == nil {
		return "none"
	}
	return timeOfDay(d.clock.At)
}

// timeOfDay is a time of day with its zone: a report's other times are in UTC. It has the date where that is not today's.
func timeOfDay(at time.Time) string {
	at = at.Local()
	if y, m, d := time.Now().Date(); at.Year() == y && at.Month() == m && at.Day() == d {
		return at.Format("15:04 MST")
	}
	return at.Format("2006-01-02 15:04 MST")
}

// text is what ends the run: a time of day or none, and --max-duration where that does sooner.
func (d *deadline) text() string {
	text := d.clockText()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.longest == nil || d.clock != nil && !d.longest.At.Before(d.clock.At) {
		return text
	}
	return text + "; --max-duration ends it at " + d.longest.At.Local().Format("15:04 MST") // no more: a journal takes 64 bytes
}

// set keeps the sooner of both.
func (d *deadline) set() {
	e := d.clock
	if e == nil || d.longest != nil && d.longest.At.Before(e.At) {
		e = d.longest
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.run.ends.Store(e)
	if e != nil {
		d.timer = time.AfterFunc(time.Until(e.At), func() { d.stop(e) })
	}
}

// over ends the context.
func (d *deadline) over() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.stop(nil)
}
