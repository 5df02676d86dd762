package ratelimit

import (
	"context"
	"sync"
)

// A Valve holds all starts while a person wants that. What is in flight goes on. Joined with others it comes first, so that
// a shut valve keeps a send from asking anybody else. The zero value is no valve: see [NewValve].
type Valve struct {
	Base
	mu      sync.Mutex
	shut    bool
	changed signal
}

// NewValve makes an open valve.
func NewValve() *Valve { return &Valve{changed: make(signal)} }

// Set shuts the valve, or opens it and wakes who waits.
func (v *Valve) Set(shut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut = shut; !shut {
		v.changed.wake()
	}
}

// Shut reports whether the valve is shut.
func (v *Valve) Shut() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shut
}

// Acquire waits until the valve is open.
func (v *Valve) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, v.ask) }

func (v *Valve) ask() (Permit, hold, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		return nil, hold{idle, v.changed}, nil
	}
	return func(Feedback) {}, hold{}, nil
}
