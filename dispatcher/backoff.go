package dispatcher

import (
	"math/rand/v2"
	"time"
)

// FullJitter is exponential back-off with full jitter: after try n it waits for a random time between 0 and
// first·2ⁿ⁻¹, and never longer than most. Random from 0 on spreads the tries of jobs that failed together better
// than any fixed part would (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
func FullJitter(first, most time.Duration) func(try int) time.Duration {
	return func(try int) time.Duration {
		limit := first
		for n := 1; n < try && limit < most; n++ {
			limit *= 2
		}
		return time.Duration(rand.Int64N(int64(min(limit, most)) + 1))
	}
}

// The budget of extra tries of a whole run: a reserve, and one for so many jobs begun. A service that fails
// everything is asked a fifth more often, not three times as often.
const (
	retryReserve = 10
	retryShare   = 5
)
