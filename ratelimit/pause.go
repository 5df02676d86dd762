package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Pause holds the whole run when the service asks for it (HTTP's Retry-After), not only the send that was told.
type Pause struct {
	Base
	longest time.Duration
	notify  func(time.Duration)

	mu    sync.Mutex
	until time.Time
	gone  error // the service asked for too long a pause
}

// NewPause makes a limiter that holds nothing until a pause is asked for. Asked for a longer one than longest,
// Acquire fails with a [*DownError]; 0 is any length. notify is told when a pause begins, and how long it is to
// be, one at a time, and must be quick; nil: nobody is. A pause that is asked for while another lasts may make that
// one longer, and is not told.
func NewPause(longest time.Duration, notify func(time.Duration)) *Pause {
	if notify == nil {
		notify = func(time.Duration) {}
	}
	return &Pause{longest: longest, notify: notify}
}

// Acquire waits until no pause is asked for.
func (p *Pause) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, p.ask) }

func (p *Pause) ask() (Permit, hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Until(p.until)
	switch {
	case p.gone != nil:
		return nil, hold{}, p.gone
	case wait > 0:
		return nil, hold{wait: wait}, nil
	}
	return p.heed, hold{}, nil
}

func (p *Pause) heed(f Feedback) {
	if f.Pause <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.longest > 0 && f.Pause > p.longest {
		p.gone = &DownError{For: f.Pause, Asked: true}
		return
	}
	now := time.Now()
	if !p.until.After(now) {
		p.notify(f.Pause)
	}
	if until := now.Add(f.Pause); until.After(p.until) {
		p.until = until
	}
}

// A DownError ends a run whose service stays away for too long.
type DownError struct {
	For     time.Duration // how long it has been away; or is to be, if it asked for that
	Asked   bool
	Failing bool // it answered, but failed every send
}

func (e *DownError) Error() string {
	switch {
	case e.Asked:
		return fmt.Sprintf("the site asked for a pause of %v", e.For)
	case e.Failing:
		return fmt.Sprintf("the site has answered every send with an error for %v", e.For.Round(time.Second))
	}
	return fmt.Sprintf("the site has not answered for %v", e.For.Round(time.Second))
}
