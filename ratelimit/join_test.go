package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

const down, up = ratelimit.Down, ratelimit.Up

// A send that waits for its token has asked all others already. What they learn meanwhile still holds it.
func TestAPauseHoldsASendThatAlreadyWaitsForItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		joined := ratelimit.Join(ratelimit.NewPause(0, nil), ratelimit.NewBucket(ratelimit.Rate(0.1), 1))
		begin := time.Now()
		permit, err := joined.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan time.Duration)
		go func() {
			if _, err := joined.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
			started <- time.Since(begin)
		}()
		time.Sleep(4 * time.Second)
		permit(ratelimit.Feedback{Sent: true, Pause: time.Minute})
		if got := <-started; got != 64*time.Second {
			t.Errorf("started after %v, want 1m4s, the end of the pause", got)
		}
	})
}

func TestABreakerHoldsASendThatAlreadyWaitsForItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := ratelimit.NewBreaker(0, nil)
		joined := ratelimit.Join(breaker, ratelimit.NewBucket(1, 5))
		var permits []ratelimit.Permit
		for range 5 {
			permit, err := joined.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			permits = append(permits, permit)
		}
		started := make(chan struct{})
		go func() {
			defer close(started)
			acquire(t, joined)
		}()
		time.Sleep(500 * time.Millisecond)
		begin := time.Now()
		for _, permit := range permits {
			permit(ratelimit.Feedback{Sent: true, Health: down})
		}
		<-started
		if waited := time.Since(begin); waited != 5*time.Second {
			t.Errorf("started %v after the breaker opened, want 5s, as the first probe", waited)
		}
	})
}

func TestJoinedLimitersTakeNoTokenForASendThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause, bucket := ratelimit.NewPause(0, nil), ratelimit.NewBucket(ratelimit.Rate(1.0/3600), 2)
		joined := ratelimit.Join(pause, bucket)
		try(t, joined, ratelimit.Feedback{Pause: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := joined.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		begin := time.Now()
		acquire(t, bucket)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the second token came after %v, want at once", waited)
		}
	})
}

func TestJoinedLimitersGiveBackAProbeThatWaitsForItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := ratelimit.NewBreaker(0, nil)
		bucket := ratelimit.NewBucket(ratelimit.Rate(1.0/3600), 1)
		acquire(t, bucket) // the next token comes in an hour
		for range 5 {
			try(t, breaker, ratelimit.Feedback{Health: down})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := ratelimit.Join(breaker, bucket).Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		begin := time.Now()
		try(t, breaker, ratelimit.Feedback{Health: up})
		if waited := time.Since(begin); waited != 0 || breaker.Down() != up {
			t.Errorf("the probe left after %v, open %t, want at once, and closed", waited, breaker.Down() != up)
		}
	})
}

// Whatever pauses and outages come: no window sees too many starts, and no send starts in a pause.
func TestJoinedLimitersKeepEachOnesPromise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.Float64Range(0.05, 50).Draw(rt, "rate")
		burst := rapid.IntRange(1, 5).Draw(rt, "burst")
		sends := rapid.SliceOfN(rapid.IntRange(0, 20), 5, 60).Draw(rt, "sends")
		synctest.Test(t, func(t *testing.T) {
			joined := ratelimit.Join(ratelimit.NewPause(0, nil), ratelimit.NewBreaker(0, nil), ratelimit.NewBucket(ratelimit.Rate(r), burst))
			var starts []time.Time
			var held time.Time
			for _, kind := range sends {
				permit, err := joined.Acquire(t.Context())
				if err != nil {
					rt.Fatal(err)
				}
				now := time.Now()
				if now.Before(held) {
					rt.Fatalf("a send started %v before the end of a pause", held.Sub(now))
				}
				starts = append(starts, now)
				f := ratelimit.Feedback{Sent: true, Health: up}
				switch {
				case kind < 3:
					f.Pause = time.Duration(kind+1) * 7 * time.Second
					if until := now.Add(f.Pause); until.After(held) {
						held = until
					}
				case kind < 12:
					f.Health = down
				case kind < 14:
					f = ratelimit.Feedback{}
				case kind < 16:
					time.Sleep(time.Duration(kind) * time.Second)
				}
				permit(f)
			}
			checkWindows(rt, starts, r, burst)
		})
	})
}
