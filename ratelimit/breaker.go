package ratelimit

import (
	"context"
	"sync"
	"time"
)

// The breaker opens when most of the last answers say that the service is down, and enough have come to tell; or when
// so many different sends failed in a row that they cannot all have failed by themselves, see streak.
const (
	breakerWindow  = 10 // answers that are looked at
	breakerMinimum = 5  // fewer prove nothing
	breakerShare   = 0.8

	firstProbe = 5 * time.Second // from the opening to the first probe; doubles with each that finds nobody
	lastProbe  = time.Minute     // up to this
)

// A Breaker starts nothing while the service is down, but for one send now and then to see whether it is back.
// Without one, an outage of minutes would fail every job of a run in seconds.
//
// Closed, it lets every send start. It opens when at least breakerShare of the last breakerWindow answers are [Down], or
// on a streak of [Failing] ones: nothing starts until the time of a probe, then one send does. Its answer closes the
// breaker if it is [Up] or [Crowded], and leaves it open until the next probe otherwise. Where the service answers, if only
// that it failed, a probe costs it little, and the next one comes after firstProbe again.
//
// An answer to a send that was still under way when the breaker opened does neither, with one exception: what succeeds
// although it began after the first failure of a streak shows that the service works.
type Breaker struct {
	Base
	giveUpAfter time.Duration
	notify      func(BreakerState)

	mu      sync.Mutex
	recent  []Health  // the last answers, oldest first; only Up and Down
	since   time.Time // of the first Down after the last Up, or of that Up if the breaker was open; zero: there was no Down
	streak  streak
	open    bool
	failing bool          // a streak opened the breaker, and the service still answers
	pause   time.Duration // from one probe to the next
	probeAt time.Time
	probing bool // a probe is under way
	changed signal
}

// BreakerState is what a breaker reports when it opens, when a probe fails, and when it closes.
type BreakerState struct {
	Open    bool
	Failing bool      // the service answers, but fails every send
	Since   time.Time // the service has not answered, or has failed every send, since then
	Probe   time.Time // when the next probe may leave
}

// NewBreaker makes a closed breaker. When it is open and the service has been away for giveUpAfter, Acquire fails
// with a [*DownError]; 0 is never. notify is told of each change, one at a time, and must be quick; nil: nobody is.
func NewBreaker(giveUpAfter time.Duration, notify func(BreakerState)) *Breaker {
	if notify == nil {
		notify = func(BreakerState) {}
	}
	return &Breaker{giveUpAfter: giveUpAfter, notify: notify, changed: make(signal)}
}

// Down is the health of the service: Up while the breaker is closed, and Down or Failing while only probes start.
func (b *Breaker) Down() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return Up
	case b.failing:
		return Failing
	}
	return Down
}

// Postpone leaves out of the time for which the service has been away the last d of it, in which nobody was to send. The next
// probe may leave when it was due.
func (b *Breaker) Postpone(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, at := range []*time.Time{&b.since, &b.streak.since} {
		switch later := at.Add(d); {
		case at.IsZero():
		case later.After(now): // it went away meanwhile: a send was still in flight
			*at = now
		default:
			*at = later
		}
	}
}

// Acquire waits while the service is down.
func (b *Breaker) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, b.ask) }

func (b *Breaker) ask() (Permit, hold, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return b.hear, hold{}, nil
	}
	now := time.Now()
	giveUp := b.since.Add(b.giveUpAfter)
	over := b.giveUpAfter > 0 && !now.Before(giveUp)
	// A probe that was due before then is made first: perhaps nothing was to be sent, so that nobody asked the service.
	if !b.probing && !now.Before(b.probeAt) && (!over || b.probeAt.Before(giveUp)) {
		b.probing = true
		return b.hearProbe, hold{}, nil
	}
	if over {
		return nil, hold{}, &DownError{For: now.Sub(b.since), Failing: b.failing}
	}
	wait := b.probeAt.Sub(now)
	if b.probing {
		wait = lastProbe // at most: the probe's answer ends the wait
	}
	if b.giveUpAfter > 0 {
		wait = min(wait, giveUp.Sub(now))
	}
	return nil, hold{wait, b.changed}, nil
}

// hear takes the answer to a send that started while the breaker was closed.
func (b *Breaker) hear(f Feedback) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fails, works := b.learn(f)
	switch {
	case !b.open && fails:
		b.since = b.streak.since
		b.trip(true)
	case !b.open:
		b.note(f.Health)
	case b.failing && works:
		b.close()
	case f.Health == Up: // a late answer; whether the service still lets a send in is for the probe to find out
		b.since = time.Now()
	}
}

// hearProbe takes the answer to a probe. One that tells nothing of the service was no proof that it is back.
func (b *Breaker) hearProbe(f Feedback) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	b.learn(f)
	switch {
	case !f.Sent:
		b.changed.wake() // another may be the probe
	case f.Health == Up, f.Health == Crowded:
		b.close()
		b.note(Up)
	default:
		b.failing = f.Health == Failing
		b.pause = min(2*b.pause, lastProbe)
		if b.failing {
			b.pause = firstProbe
		}
		b.holdUntilProbe()
	}
}

// learn keeps the account of sends that fail by themselves. It reports whether an answer shows that the service fails
// every send, and whether it shows that the service works.
func (b *Breaker) learn(f Feedback) (fails, works bool) {
	now := time.Now()
	switch f.Health {
	case Failing:
		fails = b.streak.failed(now, f.Again)
	case Up:
		works = b.streak.succeeded(now.Add(-f.Took), f.Again)
	}
	return fails, works
}

// note remembers an answer, and opens the breaker if most of the last ones say that the service is down.
func (b *Breaker) note(h Health) {
	switch {
	case h != Up && h != Down:
		return
	case h == Up:
		b.since = time.Time{}
	case b.since.IsZero():
		b.since = time.Now()
	}
	b.recent = last(breakerWindow, b.recent, h)
	down := 0
	for _, answer := range b.recent {
		if answer == Down {
			down++
		}
	}
	// Not on an answer that says up, whatever came before it.
	if h == Down && len(b.recent) >= breakerMinimum && float64(down) >= breakerShare*float64(len(b.recent)) {
		b.trip(false)
	}
}

// trip opens the breaker.
func (b *Breaker) trip(failing bool) {
	b.open, b.failing, b.pause = true, failing, firstProbe
	b.holdUntilProbe()
}

// close closes it: the service works.
func (b *Breaker) close() {
	b.open, b.failing, b.recent, b.since = false, false, nil, time.Time{}
	b.streak.end()
	b.changed.wake()
	b.notify(BreakerState{})
}

// holdUntilProbe sets the time of the next probe and tells of it.
func (b *Breaker) holdUntilProbe() {
	b.probeAt = time.Now().Add(b.pause)
	b.changed.wake()
	b.notify(BreakerState{Open: true, Failing: b.failing, Since: b.since, Probe: b.probeAt})
}
