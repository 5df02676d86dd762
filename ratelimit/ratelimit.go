// Package ratelimit decides when the next send may start.
//
// A [Limiter] is asked once before each try and told afterwards how the try went. The package starts no
// goroutine and keeps no clock of its own: every wait is a timer beside a context, and ends with either.
package ratelimit

import (
	"context"
	"time"
)

// A Limiter says when one more send may start.
type Limiter interface {
	// Acquire waits until one more send may start, or until ctx ends; then it returns ctx's cause. It never
	// gives up early because a deadline is near: whoever set the deadline decides what it means.
	Acquire(ctx context.Context) (Permit, error)
}

// A Permit is the leave to start one send. It must be called exactly once, when the send has ended or when it
// turned out that none is to start.
type Permit func(Feedback)

// Feedback is what a limiter learns from a send.
type Feedback struct {
	Took time.Duration // from the start of the send to its end; 0: no send was made with this permit
}
