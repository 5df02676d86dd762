// Package ratelimit decides when the next send may start.
//
// A [Limiter] is asked once before each try and told afterwards how the try went. The package starts no
// goroutine and keeps no clock of its own: every wait is a timer beside a context, and ends with either.
//
// bucket.go holds starts to a rate, valve.go all of them while a person wants that, pause.go all of them while the service
// asks for that, breaker.go while the service is down or fails every send (streak.go), crowd.go below the number at which
// sends undo each other, and adaptive.go to as many as the service bears: by the law in law.go, from what is seen of pages
// (pages.go) and sends (sends.go). join.go makes one limiter of several.
package ratelimit

import (
	"context"
	"time"
)

// A Limiter says when one more send may start.
type Limiter interface {
	// Acquire waits until one more send may start, or until ctx ends; then it returns ctx's cause. It never
	// gives up early because a deadline is near: whoever set the deadline decides what it means. Any other
	// error means that no send may start any more.
	Acquire(ctx context.Context) (Permit, error)

	// Limit is how many sends it lets be in flight now; 0: any number.
	Limit() int

	// Down is [Down] or [Failing] while the service is so and the limiter sees to that: few sends start, each of them a
	// probe, and in time none may start any more. [Up] is a service that works; [Unknown]: the limiter does not watch.
	Down() Health
}

// Base is for limiters that let any number be in flight, or do not watch the service: they embed it.
type Base struct{}

// Limit is 0: any number.
func (Base) Limit() int { return 0 }

// Down is Unknown.
func (Base) Down() Health { return Unknown }

// A Permit is the leave to start one send. It must be called exactly once, when the send has ended or when it
// turned out that none is to start.
type Permit func(Feedback)

// Feedback is what a limiter learns from a send. The zero value says that none was made.
type Feedback struct {
	Sent   bool          // a send was made with the permit
	Took   time.Duration // from its start to its end
	Usual  time.Duration // what this send took in earlier runs; 0: nobody knows
	Done   bool          // it did what it was for, so that Took tells how long that takes
	Rest   time.Duration // whoever sent rests for so long now; a limiter of what is in flight keeps its place for it
	Pause  time.Duration // the service asked for so long a pause before the next send; 0: it did not
	Health Health        // what the answer tells of the service itself
	Again  bool          // an earlier try of the same send had failed
	// InFlight is the most sends that were in flight at any time of this one, itself included; 0: nobody knows.
	InFlight int
}

// Health is what the answer to a send tells of the service as a whole.
type Health uint8

// The zero value is Unknown: an answer that tells nothing, or none.
const (
	Unknown Health = iota
	Up             // the service itself answered
	Down           // nothing answered, or only something in front of it
	Failing        // the service itself answered that it failed: of this send alone, or of all
	Crowded        // the service works, and had to undo this send for the others that were in flight with it
	NoRoom         // the service was not asked: there was no room here for this send beside the others in flight
)

// Crowding reports whether fewer sends in flight would have let this one be.
func (h Health) Crowding() bool { return h == Crowded || h == NoRoom }

// A Gate is a limiter that can be joined with others: one that answers at once. All limiters of this package are.
type Gate interface {
	Limiter
	// ask gives a permit, or says how long to wait before it is asked again, or why that is of no use.
	ask() (Permit, hold, error)
}

// A hold is how long to wait before asking again.
type hold struct {
	wait    time.Duration
	changed <-chan struct{} // closed when it is worth asking sooner; nil: that does not happen
}

// A signal is a channel that is closed, and made anew, when a wait may have ended.
type signal chan struct{}

func (s *signal) wake() {
	close(*s)
	*s = make(signal)
}

// acquire asks until there is a permit.
func acquire(ctx context.Context, ask func() (Permit, hold, error)) (Permit, error) {
	for ctx.Err() == nil {
		permit, hold, err := ask()
		if permit != nil || err != nil {
			return permit, err
		}
		timer := time.NewTimer(hold.wait)
		select {
		case <-timer.C:
		case <-hold.changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil, context.Cause(ctx)
}
