package ratelimit

import (
	"context"
	"sync"
	"time"
)

// An Adaptive limiter grants as many permits at once as its [Controller] finds the service bears. A lowered limit is met
// by withholding permits as sends end; nothing in flight is touched.
type Adaptive struct {
	notify func(limit int, why string)

	mu      sync.Mutex
	control *Controller
	busy    int
	changed chan struct{} // closed, and made anew, when a wait may have ended
}

// NewAdaptive makes a limiter that starts at one permit and grants ceiling at most; a ceiling below 1 counts as 1.
// notify is told of each change of the limit, one at a time, and must be quick; nil: nobody is.
func NewAdaptive(ceiling int, notify func(limit int, why string)) *Adaptive {
	if notify == nil {
		notify = func(int, string) {}
	}
	return &Adaptive{notify: notify, control: NewController(ceiling), changed: make(chan struct{})}
}

// Baseline tells what the light page takes while nothing is sent, see [Controller.Baseline].
func (a *Adaptive) Baseline(page time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.control.Baseline(page)
}

// Canary tells what the light page took that has just come, or has not, see [Controller.Canary].
func (a *Adaptive) Canary(took time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.learn(func() { a.control.Canary(time.Now(), took, ok, a.busy) })
}

// Limit is how many sends may be in flight now, and Why says for what reason.
func (a *Adaptive) Limit() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.control.Limit()
}

// Why says in a line why the limit is what it is.
func (a *Adaptive) Why() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.control.Why()
}

// Acquire waits until fewer sends are in flight than the limit.
func (a *Adaptive) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, a.ask) }

func (a *Adaptive) ask() (Permit, hold, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy >= a.control.Limit() {
		return nil, hold{idle, a.changed}, nil
	}
	a.busy++
	return a.hear, hold{}, nil
}

// idle is how long a wait lasts that only a change ends; it is asked again for nothing.
const idle = time.Hour

// hear takes the answer to a send, and its place back.
func (a *Adaptive) hear(f Feedback) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.learn(func() {
		if f.Sent {
			a.control.Send(time.Now(), f.Took, f.Usual, f.Done, a.busy)
		}
		a.busy--
	})
	a.wake()
}

// learn tells the controller something, and of what it makes of it those who wait.
func (a *Adaptive) learn(tell func()) {
	before := a.control.Limit()
	tell()
	if now := a.control.Limit(); now != before {
		a.notify(now, a.control.Why())
		if now > before {
			a.wake()
		}
	}
}

func (a *Adaptive) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}
