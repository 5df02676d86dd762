package ratelimit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

// take gets a permit and keeps it.
func take(t *testing.T, l ratelimit.Limiter) ratelimit.Permit {
	t.Helper()
	permit, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return permit
}

// raise brings an adaptive limit to its ceiling, with all permits taken.
func raise(t *testing.T, a *ratelimit.Adaptive, ceiling int) (permits []ratelimit.Permit) {
	t.Helper()
	a.Baseline(page)
	for len(permits) < ceiling {
		permits = append(permits, take(t, a))
		for limit := a.Limit(); len(permits) == limit && limit < ceiling && a.Limit() == limit; {
			time.Sleep(time.Second)
			a.Canary(page, true)
		}
	}
	for range 60 { // past all trials
		time.Sleep(time.Second)
		a.Canary(page, true)
	}
	return permits
}

func TestALoweredLimitIsMetByWithholdingPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []int
		a := ratelimit.NewAdaptive(4, func(limit int, why string) {
			told = append(told, limit)
			if why == "" {
				t.Errorf("no word why the limit is %d", limit)
			}
		})
		permits := raise(t, a, 4)
		for range 3 {
			time.Sleep(2 * time.Second)
			a.Canary(time.Second, true)
		}
		if a.Limit() != 2 {
			t.Fatalf("got %d, want 2", a.Limit())
		}
		var starts int
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
			starts++
		})
		for i, want := range []int{0, 0, 1} {
			permits[i](ratelimit.Feedback{})
			synctest.Wait()
			if starts != want {
				t.Errorf("%d of 4 sends have ended: %d started, want %d", i+1, starts, want)
			}
		}
		wg.Wait()
		if want := []int{2, 3, 4, 2}; len(told) != len(want) || told[0] != 2 || told[3] != 2 {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestARaisedLimitLetsWhoWaitsStartAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(2, nil)
		a.Baseline(page)
		take(t, a)
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			take(t, a)
			if waited := time.Since(begin); waited != 8*time.Second {
				t.Errorf("waited %v, want 8s", waited)
			}
		})
		for range 8 {
			time.Sleep(time.Second)
			a.Canary(page, true)
		}
		wg.Wait()
	})
}

// A display takes its lock to hear of the limit, and holds it when it asks for the limit.
func TestTheLimitCanBeAskedForWhileAChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		display := make(chan struct{}, 1) // its lock; a mutex would stop the clock
		var told []int
		a := ratelimit.NewAdaptive(4, func(limit int, _ string) {
			display <- struct{}{}
			defer func() { <-display }()
			told = append(told, limit)
		})
		a.Baseline(page)
		take(t, a)
		display <- struct{}{}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 8 {
				time.Sleep(time.Second)
				a.Canary(page, true)
			}
		})
		time.Sleep(time.Minute) // the change is being told by now
		asked := make(chan struct{})
		wg.Go(func() {
			defer close(asked)
			if a.Limit() != 2 || a.Holds() {
				t.Errorf("got %d, holds: %v", a.Limit(), a.Holds())
			}
		})
		synctest.Wait()
		select {
		case <-asked:
		default:
			t.Error("who asks waits for who is told")
		}
		<-display
		wg.Wait()
		if len(told) != 1 || told[0] != 2 {
			t.Errorf("told %v", told)
		}
	})
}

func TestAPlaceAtRestIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(2, nil)
		begin := time.Now()
		take(t, a)(ratelimit.Feedback{Sent: true, Took: time.Second, Rest: 5 * time.Second})
		take(t, a)(ratelimit.Feedback{})
		take(t, a)
		if waited := time.Since(begin); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
	})
}

func TestAnAdaptiveLimitEndsItsWaitWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(2, nil)
		take(t, a)
		cause := errors.New("over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		if permit, err := a.Acquire(ctx); !errors.Is(err, cause) || permit != nil {
			t.Errorf("got %v, want %v", err, cause)
		}
	})
}

func TestAnAdaptiveLimitGivesBackAPlaceThatAnotherLimiterHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, bucket := ratelimit.NewAdaptive(2, nil), ratelimit.NewBucket(1, 1)
		acquire(t, bucket)
		begin := time.Now()
		try(t, ratelimit.Join(a, bucket), ratelimit.Feedback{})
		try(t, a, ratelimit.Feedback{})
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}
	})
}

// Whatever is asked for and given back: never more are out than the limit was when the last was given, and in the end
// all places are free.
func TestPermitsBalance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ceiling := rapid.IntRange(1, 8).Draw(rt, "ceiling")
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 200).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(ceiling, nil)
			a.Baseline(page)
			over, cancel := context.WithCancel(t.Context())
			cancel()
			var out []ratelimit.Permit
			for i, step := range steps {
				switch {
				case step < 5:
					ctx, stop := context.WithTimeout(t.Context(), time.Second)
					permit, err := a.Acquire(ctx)
					stop()
					if free := len(out) < a.Limit(); (err == nil) != free {
						rt.Fatalf("%d of %d out, and Acquire says %v", len(out), a.Limit(), err)
					}
					if err == nil {
						out = append(out, permit)
					}
				case step < 7 && len(out) > 0:
					out[0](ratelimit.Feedback{Sent: i%2 == 0, Took: time.Duration(i) * time.Second, Usual: time.Second, Done: i%3 > 0})
					out = out[1:]
				default:
					time.Sleep(time.Second)
					a.Canary(time.Duration(1+step%3*i)*page, step < 9)
				}
				if _, err := a.Acquire(over); err == nil {
					rt.Fatal("a permit after the end")
				}
			}
			for _, permit := range out {
				permit(ratelimit.Feedback{})
			}
			for range a.Limit() {
				take(t, a)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			if _, err := a.Acquire(ctx); err == nil {
				rt.Fatal("more permits than the limit")
			}
		})
	})
}
