package ratelimit

import (
	"context"
	"sync"
	"time"
)

// A limit that was lowered rises by one when there has been no [Health.Crowding] answer for firstCrowdRest. Each rise
// doubles the wait for the next, up to lastCrowdRest: mostly the service is set up so, and an attempt costs it a send's
// whole work.
const (
	firstCrowdRest = 10 * time.Minute
	lastCrowdRest  = 2 * time.Hour
)

// A Crowd keeps the number of sends in flight below the one at which the service had to undo a send for it, or there was
// no room here for one more, see [Crowded] and [NoRoom]. Until that happens it holds nothing.
type Crowd struct {
	Base
	notify func(CrowdState)

	mu      sync.Mutex
	most    int
	limit   int
	busy    int           // sends in flight
	rest    time.Duration // from the last crowding answer to the next rise; 0: there was no such answer
	here    bool          // that answer was NoRoom
	rise    time.Time     // the time of the next rise; zero: the limit is most
	changed signal
}

// CrowdState is what a crowd reports when its limit changes.
type CrowdState struct {
	Limit    int  // how many sends may be in flight now
	InFlight int  // how many were when one was undone, so that the limit fell; 0: it rises, to see whether more are borne now
	Here     bool // the limit is for what there was no room for here, and not for the service
}

// NewCrowd makes a limiter that grants most permits at once; below 1 counts as 1. notify is told of each change, one at a
// time, and must be quick; nil: nobody is.
func NewCrowd(most int, notify func(CrowdState)) *Crowd {
	if notify == nil {
		notify = func(CrowdState) {}
	}
	most = max(most, 1)
	return &Crowd{most: most, notify: notify, limit: most, changed: make(signal)}
}

// Limit is how many sends may be in flight now.
func (c *Crowd) Limit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit
}

// SetMost changes how many permits are granted at once at most; below 1 counts as 1. Nobody is notified. A limit that was
// lowered because sends were undone stays, unless most is below it.
func (c *Crowd) SetMost(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	most = max(most, 1)
	if c.rise.IsZero() || most <= c.limit {
		c.limit, c.rise = most, time.Time{}
	}
	c.most = most
	c.changed.wake()
}

// Acquire waits until fewer sends are in flight than the limit.
func (c *Crowd) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, c.ask) }

func (c *Crowd) ask() (Permit, hold, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, wait := time.Now(), idle
	if !c.rise.IsZero() && !now.Before(c.rise) {
		c.rest = min(2*c.rest, lastCrowdRest)
		c.set(c.limit+1, 0, now)
	}
	if !c.rise.IsZero() {
		wait = c.rise.Sub(now)
	}
	if c.busy >= c.limit {
		return nil, hold{wait, c.changed}, nil
	}
	c.busy++
	return c.hear, hold{}, nil
}

// hear takes the answer to a send, and takes its slot back. A worker's rest holds no slot: whoever rests commits nothing.
func (c *Crowd) hear(f Feedback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if f.Health.Crowding() && f.InFlight > 1 {
		c.here = f.Health == NoRoom
		c.rest = max(c.rest, firstCrowdRest)
		c.set(min(c.limit, f.InFlight-1), f.InFlight, time.Now())
	}
	c.changed.wake()
}

// set changes the limit at the time now, when so many sends were in flight.
func (c *Crowd) set(limit, inFlight int, now time.Time) {
	changed := limit != c.limit
	c.limit, c.rise = limit, time.Time{}
	if limit < c.most {
		c.rise = now.Add(c.rest)
	}
	if changed {
		c.notify(CrowdState{Limit: limit, InFlight: inFlight, Here: c.here})
	}
}
