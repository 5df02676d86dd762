package ratelimit

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bucket is a token bucket: it starts full, each send takes a token, and tokens come back at a steady rate. In
// any window of length T at most rate·T + burst sends start.
type Bucket struct {
	tokens *rate.Limiter
	holds  atomic.Bool // who asked last found no token
}

// NewBucket makes a bucket that lets r sends start per second, and at most burst of them at once after a lull.
// A rate of 0 means no limit. A burst below 1 counts as 1: a bucket that holds no token would never let go.
func NewBucket(r Rate, burst int) *Bucket {
	limit := rate.Limit(r)
	if r == 0 {
		limit = rate.Inf // to x/time/rate, a limit of 0 blocks for ever
	}
	return &Bucket{tokens: rate.NewLimiter(limit, max(burst, 1))}
}

// Acquire waits for a token. The token is taken when the wait is over, not when it begins: where a busy machine
// ends a wait late, the tokens that came meanwhile are no more than the bucket holds, and no window sees too many
// starts. Of several that wait at once, any may be next.
func (b *Bucket) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, b.ask) }

// Holds tells whether a send waits for a token.
func (b *Bucket) Holds() bool { return b.holds.Load() }

func (b *Bucket) ask() (Permit, hold, error) {
	// Not tokens.Wait: it takes the token when the wait begins, and with a deadline in ctx refuses at once
	// what it could not finish in time, with an error that is not the context's.
	now := time.Now()
	holds := !b.tokens.AllowN(now, 1)
	b.holds.Store(holds)
	if !holds {
		return func(Feedback) {}, hold{}, nil
	}
	missing := 1 - b.tokens.TokensAt(now)
	return nil, hold{wait: time.Duration(math.Ceil(missing / float64(b.tokens.Limit()) * float64(time.Second)))}, nil
}
