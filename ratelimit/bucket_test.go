package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
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

// A machine under load ends a wait late. The sends that follow must not make up for it beyond the burst and the slack.
func TestBucketCountsATokenWhenTheSendStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 4
		bucket := ratelimit.NewBucket(50, burst)
		for range burst {
			acquire(t, bucket)
		}
		acquireLate(t, bucket, time.Second)
		begin := time.Now()
		for range burst {
			acquire(t, bucket)
		}
		if took := time.Since(begin); took != 20*time.Millisecond-ratelimit.Slack {
			t.Errorf("the %d sends after the late one took %v, want 15ms: it was one of the burst, and 5ms are made up for", burst, took)
		}
	})
}

// acquireLate takes a token whose waits, if there are any, last so long at least, as a late timer would have it.
func acquireLate(t *testing.T, bucket *ratelimit.Bucket, least time.Duration) {
	t.Helper()
	for {
		wait, err := bucket.Ask()
		if err != nil {
			t.Fatal(err)
		}
		if wait == 0 {
			return
		}
		time.Sleep(max(wait, least))
	}
}

func TestARateUpTo5000PerSecondIsHeldToAThousandthWhereTheTimerIsLate(t *testing.T) {
	for _, r := range []float64{3, 200, 766, 2000, 5000} {
		for _, burst := range []int{1, 2, 50} {
			for _, least := range []time.Duration{0, 60 * time.Microsecond, 1100 * time.Microsecond, ratelimit.Slack} {
				t.Run(fmt.Sprintf("%v per second, burst %d, a wait lasts %v at least", r, burst, least), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bucket := ratelimit.NewBucket(ratelimit.Rate(r), burst)
						for range burst {
							acquire(t, bucket)
						}
						n, begin := 0, time.Now()
						for time.Since(begin) < 10*time.Second {
							acquireLate(t, bucket, least)
							time.Sleep(7 * time.Microsecond) // the next send asks a little later
							n++
						}
						if off := float64(n)/time.Since(begin).Seconds()/r - 1; math.Abs(off) > 0.001 {
							t.Errorf("off by %.2f %%", 100*off)
						}
					})
				})
			}
		}
	}
}

func TestAfterALullNoMoreThanTheBurstStartAtOnceAtAnyRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const r, burst = 2000, 3
		bucket := ratelimit.NewBucket(r, burst)
		for range 100 {
			acquireLate(t, bucket, time.Millisecond)
		}
		time.Sleep(time.Minute)
		begin := time.Now()
		for range burst + 1 {
			acquire(t, bucket)
		}
		if took := time.Since(begin); took != time.Second/r {
			t.Errorf("a burst of %d and one more took %v, want %v", burst, took, time.Second/r)
		}
	})
}

func TestBucketRefusesAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ratelimit.NewBucket(0, 1).Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The promise of a token bucket, in fake time, for any rate, burst, pattern of demand, and lateness of the timer.
func TestNoWindowSeesMoreStartsThanRateTimesLengthPlusBurst(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := math.Exp(rapid.Float64Range(math.Log(0.01), math.Log(5000)).Draw(rt, "logarithm of the rate"))
		burst := rapid.IntRange(1, 8).Draw(rt, "burst")
		lulls := rapid.SliceOfN(rapid.IntRange(0, 3000), 5, 60).Draw(rt, "lulls in hundredths of a token")
		late := rapid.SliceOfN(rapid.IntRange(0, 20_000), 1, 20).Draw(rt, "least waits in µs")
		var starts []time.Time
		synctest.Test(t, func(t *testing.T) {
			bucket := ratelimit.NewBucket(ratelimit.Rate(r), burst)
			for i, lull := range lulls {
				if lull%2 == 0 { // half of the demand comes at once
					time.Sleep(time.Duration(float64(lull) / 100 / r * float64(time.Second)))
				}
				acquireLate(t, bucket, time.Duration(late[i%len(late)])*time.Microsecond)
				starts = append(starts, time.Now())
			}
		})
		checkWindows(rt, starts, r, burst)
		if !slices.IsSortedFunc(starts, time.Time.Compare) {
			rt.Fatal("starts out of order")
		}
	})
}

// checkWindows holds starts against the promise: in no window of length T more than rate·(T + Slack) + burst.
func checkWindows(rt *rapid.T, starts []time.Time, r float64, burst int) {
	rt.Helper()
	for i := range starts {
		for j := i; j < len(starts); j++ {
			window := starts[j].Sub(starts[i])
			// A microsecond for what the bucket's floating-point tokens round.
			most := int(math.Floor(r*(window+ratelimit.Slack+time.Microsecond).Seconds())) + burst
			if n := j - i + 1; n > most {
				rt.Fatalf("%d starts in %v at %v/s, burst %d: at most %d", n, window, r, burst, most)
			}
		}
	}
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
