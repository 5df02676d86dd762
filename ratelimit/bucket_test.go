package ratelimit_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

func acquire(t *testing.T, l ratelimit.Limiter) {
	t.Helper()
	permit, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	permit(ratelimit.Feedback{})
}

func TestBucketSpacesSendsEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := ratelimit.NewBucket(4, 1)
		begin := time.Now()
		for range 9 {
			acquire(t, bucket)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("nine sends at 4/s took %v, want 2s: the first starts at once", took)
		}
	})
}

func TestBucketLetsABurstStartAtOnceAfterALull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := ratelimit.NewBucket(1, 3)
		for _, lull := range []time.Duration{0, time.Hour} {
			time.Sleep(lull)
			begin := time.Now()
			for range 3 {
				acquire(t, bucket)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("a burst of 3 took %v after a lull of %v", took, lull)
			}
			acquire(t, bucket)
			if took := time.Since(begin); took != time.Second {
				t.Errorf("the send after the burst started after %v, want 1s", took)
			}
		}
	})
}

func TestBucketWithoutARateNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := ratelimit.NewBucket(0, 0)
		begin := time.Now()
		for range 10_000 {
			acquire(t, bucket)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestBucketWaitEndsWithTheContextAndTakesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := ratelimit.NewBucket(ratelimit.Rate(1.0/3600), 1)
		acquire(t, bucket)
		begin := time.Now()
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, why)
		defer cancel()
		if _, err := bucket.Acquire(ctx); !errors.Is(err, why) {
			t.Errorf("got %v, want the context's cause", err)
		}
		if waited := time.Since(begin); waited != 10*time.Minute {
			t.Errorf("the wait ended after %v, want the context's 10m: not at once, not later", waited)
		}
		acquire(t, bucket)
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("the next send started after %v, want 1h: the abandoned wait took a token", waited)
		}
	})
}

// A machine under load ends a wait late. The sends that follow must not make up for it beyond the burst.
func TestBucketCountsATokenWhenTheSendStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 4
		bucket := ratelimit.NewBucket(50, burst)
		for range burst {
			acquire(t, bucket)
		}
		stalled := stall{Context: t.Context()}
		if _, err := bucket.Acquire(stalled); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range burst {
			acquire(t, bucket)
		}
		if took := time.Since(begin); took != 20*time.Millisecond {
			t.Errorf("the %d sends after the late one took %v, want 20ms: it was one of the burst", burst, took)
		}
	})
}

// A stall is a context whose Done holds up whoever waits for it, as a machine under load would.
type stall struct{ context.Context }

func (s stall) Done() <-chan struct{} {
	time.Sleep(time.Second)
	return s.Context.Done()
}

func TestBucketRefusesAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ratelimit.NewBucket(0, 1).Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The promise of a token bucket, in fake time, for any rate, burst and pattern of demand.
func TestNoWindowSeesMoreStartsThanRateTimesLengthPlusBurst(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.Float64Range(0.01, 200).Draw(rt, "rate")
		burst := rapid.IntRange(1, 8).Draw(rt, "burst")
		lulls := rapid.SliceOfN(rapid.IntRange(0, 3000), 5, 60).Draw(rt, "lulls in ms")
		var starts []time.Time
		synctest.Test(t, func(t *testing.T) {
			bucket := ratelimit.NewBucket(ratelimit.Rate(r), burst)
			for _, lull := range lulls {
				if lull%2 == 0 { // half of the demand comes at once
					time.Sleep(time.Duration(lull) * time.Millisecond)
				}
				acquire(t, bucket)
				starts = append(starts, time.Now())
			}
		})
		for i := range starts {
			for j := i; j < len(starts); j++ {
				window := starts[j].Sub(starts[i])
				// A microsecond for what the bucket's floating-point tokens round.
				most := int(math.Floor(r*(window+time.Microsecond).Seconds())) + burst
				if n := j - i + 1; n > most {
					rt.Fatalf("%d starts in %v at %v/s, burst %d: at most %d", n, window, r, burst, most)
				}
			}
		}
		if !slices.IsSortedFunc(starts, time.Time.Compare) {
			rt.Fatal("starts out of order")
		}
	})
}

func TestBucketTellsWhetherASendWaitsForAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := ratelimit.NewBucket(1, 1)
		holds := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := bucket.Holds(); got != want {
				t.Errorf("%s: got %t, want %t", when, got, want)
			}
		}
		holds("before the first send", false)
		acquire(t, bucket)
		holds("with a token for the only send", false)
		done := make(chan struct{})
		go func() { defer close(done); acquire(t, bucket) }()
		holds("while a second one waits", true)
		<-done
		holds("when it has its token", false)
	})
}
