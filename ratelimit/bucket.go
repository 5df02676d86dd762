package ratelimit

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Bucket is a token bucket: it starts full, each send takes a token, and tokens come back at a steady rate. In
// any window of length T at most rate·T + burst sends start.
type Bucket struct {
	tokens *rate.Limiter
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

// Acquire waits for a token. When ctx ends first, the token it was waiting for goes back.
func (b *Bucket) Acquire(ctx context.Context) (Permit, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// Not tokens.Wait: with a deadline in ctx it refuses at once what it could not finish in time, and its
	// error is not the context's.
	reservation := b.tokens.Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return func(Feedback) {}, nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return func(Feedback) {}, nil
	case <-ctx.Done():
		reservation.Cancel()
		return nil, context.Cause(ctx)
	}
}
