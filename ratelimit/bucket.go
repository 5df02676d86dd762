package ratelimit

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Slack is the lateness of one start that the bucket makes up for, at most. On an idle Linux machine a timer of Go's is late
// by up to a millisecond, on a busy one by a time slice of the scheduler more.
const Slack = 5 * time.Millisecond

// Bucket is a token bucket: it starts full, each send takes a token, and tokens come back at a steady rate. At most
// burst sends start at once after a lull.
//
// The system's timer ends a wait for a token late, and a bucket that is full meanwhile would lose the tokens that come: at
// 2,000 sends a second and a burst of 1, more than half of them. So where the bucket has been full for at most Slack, a
// token counts as taken at the time at which it became full, and the next tokens come sooner. In any window of length T
// at most rate·(T + Slack) + burst sends start.
type Bucket struct {
	Base
	mu     sync.Mutex
	tokens *rate.Limiter
	taken  time.Time // the time at which the last token counts as taken; zero: none was
	holds  bool      // who asked last found no token
	// changed is closed when the rate changes.
	changed signal
}

// NewBucket makes a bucket that lets r sends start per second, and at most burst of them at once after a lull.
// A rate of 0 means no limit. A burst below 1 counts as 1: a bucket that holds no token would never let go.
func NewBucket(r Rate, burst int) *Bucket {
	return &Bucket{tokens: rate.NewLimiter(limitOf(r), max(burst, 1)), changed: make(signal)}
}

func limitOf(r Rate) rate.Limit {
	if r == 0 {
		return rate.Inf // to x/time/rate, a limit of 0 blocks for ever
	}
	return rate.Limit(r)
}

// SetRate changes the rate for all starts from now on, also for a send that waits. The tokens that there are stay.
func (b *Bucket) SetRate(r Rate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens.SetLimit(limitOf(r))
	b.taken = time.Time{} // it is made up for no lateness at another rate
	b.changed.wake()
}

// Rate is how many sends may start a second; 0: no limit.
func (b *Bucket) Rate() Rate {
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit := b.tokens.Limit(); limit != rate.Inf {
		return Rate(limit)
	}
	return 0
}

// Acquire waits for a token. The token is taken when the wait is over, not when it begins: where a busy machine
// ends a wait late, the tokens that came meanwhile are no more than the bucket holds and Slack makes up for, and no
// window sees too many starts. Of several that wait at once, any may be next.
func (b *Bucket) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, b.ask) }

// Holds tells whether a send waits for a token.
func (b *Bucket) Holds() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds
}

func (b *Bucket) ask() (Permit, hold, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Not tokens.Wait: it takes the token when the wait begins, and with a deadline in ctx refuses at once
	// what it could not finish in time, with an error that is not the context's.
	now := time.Now()
	at := b.takenAt(now)
	b.holds = !b.tokens.AllowN(at, 1)
	if !b.holds {
		b.taken = at
		return func(Feedback) {}, hold{}, nil
	}
	return nil, hold{b.until(1, now), b.changed}, nil
}

// takenAt is the time at which a token counts as taken by a send that starts now. If the bucket has been full for at most
// Slack, that is when it became full. If it has been full for longer and a send waited, the timer was very late, and
// Slack of that is made up for. If it has been full for longer and no send waited, there was a lull, and nothing to make up.
func (b *Bucket) takenAt(now time.Time) time.Time {
	if b.tokens.Limit() == rate.Inf || b.taken.IsZero() {
		return now
	}
	full := now.Sub(b.taken) - b.until(float64(b.tokens.Burst()), b.taken) // for so long; negative: it is not
	if full <= 0 || full > Slack && !b.holds {
		return now
	}
	return now.Add(-min(full, Slack))
}

// until is how long it takes, from a time at or after the last token was taken, until there are so many tokens.
func (b *Bucket) until(tokens float64, from time.Time) time.Duration {
	missing := tokens - b.tokens.TokensAt(from)
	return time.Duration(math.Ceil(missing / float64(b.tokens.Limit()) * float64(time.Second)))
}
