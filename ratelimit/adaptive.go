package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// An Adaptive limiter grants as many permits at once as its [Controller] finds the service bears. A lowered limit is met
// by withholding permits as sends end; nothing in flight is touched. A worker that rests keeps its place.
type Adaptive struct {
	Base
	notify func(limit int, why string)
	// telling is held while notify is told, so that it hears of one change at a time and in order. mu is not: who asks for
	// the limit may hold a lock that notify takes.
	telling sync.Mutex

	mu      sync.Mutex // taken after telling
	off     bool       // it holds nothing, and learns nothing
	control *Controller
	found   Found
	busy    int         // sends in flight
	resting []time.Time // until when places stay taken after a send
	changed signal
}

// NewAdaptive makes a limiter that starts at one permit and grants ceiling at most; a ceiling below 1 counts as 1.
// notify is told of each change of the limit, one at a time, and must be quick; it may ask what the limit is, but it is not
// to tell of pages or sends. nil: nobody is told.
func NewAdaptive(ceiling int, notify func(limit int, why string)) *Adaptive {
	if notify == nil {
		notify = func(int, string) {}
	}
	return &Adaptive{notify: notify, control: NewController(ceiling), changed: make(signal)}
}

// Expect brings what an earlier run found. [Adaptive.Baseline] begins with it.
func (a *Adaptive) Expect(f Found) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = f
}

// Found is what the run found, see [Controller.Found]; before Baseline, what it expects to find.
func (a *Adaptive) Found() Found {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.control.Found(); f.Sends > 0 {
		return f
	}
	return a.found
}

// Baseline tells what the light page takes while nothing is sent, see [Controller.Baseline] and [Controller.Begin].
func (a *Adaptive) Baseline(page time.Duration) {
	a.learn(func(now time.Time) {
		a.control.Baseline(page)
		a.control.Begin(now, a.found)
	})
}

// Canary tells what the light page took that has just come, or has not, see [Controller.Canary].
func (a *Adaptive) Canary(took time.Duration, ok bool) {
	a.learn(func(now time.Time) {
		if !a.off {
			a.control.Canary(now, took, ok, a.busy)
		}
	})
}

// AtMost changes how many permits are granted at most, see [Controller.AtMost]. Nobody is notified.
func (a *Adaptive) AtMost(ceiling int, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.AtMost(time.Now(), ceiling, why)
}

// Enable has the limiter hold sends and learn from them, or, with false, do neither. A new one does both. What it learned
// before it was off it knows when it is on again.
func (a *Adaptive) Enable(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.off = !on
	a.changed.wake()
}

// Enabled reports whether it holds sends and learns from them.
func (a *Adaptive) Enabled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.off
}

// Limit is how many sends may be in flight now; 0 while it is off.
func (a *Adaptive) Limit() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.off {
		return 0
	}
	return a.control.Limit()
}

// Holds tells whether it is the limit that keeps a send from starting, as far as there is one to start.
func (a *Adaptive) Holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.off && a.busy >= a.control.Limit()
}

// Acquire waits until fewer sends are in flight, or places at rest, than the limit.
func (a *Adaptive) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, a.ask) }

func (a *Adaptive) ask() (Permit, hold, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, wait := time.Now(), idle
	a.resting = slices.DeleteFunc(a.resting, func(end time.Time) bool { return !end.After(now) })
	for _, end := range a.resting {
		wait = min(wait, end.Sub(now))
	}
	if !a.off && a.busy+len(a.resting) >= a.control.Limit() {
		return nil, hold{wait, a.changed}, nil
	}
	a.busy++
	return a.hear, hold{}, nil
}

// idle is how long a wait lasts that only a change ends; it is asked again for nothing.
const idle = time.Hour

// hear takes the answer to a send, and its place back.
func (a *Adaptive) hear(f Feedback) {
	a.learn(func(now time.Time) {
		if f.Sent && !a.off {
			a.control.Send(now, f.Took, f.Usual, f.Done, a.busy)
		}
		a.busy--
		if f.Rest > 0 {
			a.resting = append(a.resting, now.Add(f.Rest))
		}
		a.changed.wake()
	})
}

// learn tells the controller something, and of what it makes of it those who wait.
func (a *Adaptive) learn(tell func(now time.Time)) {
	a.telling.Lock()
	defer a.telling.Unlock()
	a.mu.Lock()
	before := a.control.Limit()
	tell(time.Now())
	limit, why := a.control.Limit(), a.control.Why()
	if limit > before {
		a.changed.wake()
	}
	a.mu.Unlock()
	if limit != before {
		a.notify(limit, why)
	}
}
