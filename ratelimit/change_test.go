package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// waits is how long a permit is waited for. change is made ten seconds after the wait begins.
func waits(t *testing.T, l ratelimit.Limiter, change func()) (time.Duration, ratelimit.Permit) {
	t.Helper()
	begin, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(10 * time.Second)
		change()
	}()
	permit := take(t, l)
	waited := time.Since(begin)
	<-done
	return waited, permit
}

func TestAShutValveHoldsUntilItIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := ratelimit.NewValve()
		acquire(t, v)
		v.Set(true)
		if waited, _ := waits(t, v, func() { v.Set(false) }); waited != 10*time.Second || v.Shut() {
			t.Errorf("waited %v, shut: %v", waited, v.Shut())
		}
		v.Set(true)
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped")
		cancel(stopped)
		if _, err := v.Acquire(ctx); !errors.Is(err, stopped) {
			t.Errorf("got %v", err)
		}
	})
}

// The token comes after 60 s, and the valve is shut from 10 s to 100 s.
func TestAValveThatIsShutWhileATokenIsWaitedForHoldsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, b := ratelimit.NewValve(), ratelimit.NewBucket(1.0/60, 1)
		l := ratelimit.Join(v, b)
		acquire(t, l)
		waited, _ := waits(t, l, func() {
			v.Set(true)
			time.Sleep(90 * time.Second)
			v.Set(false)
		})
		if waited != 100*time.Second {
			t.Errorf("waited %v, want 1m40s", waited)
		}
	})
}

func TestARateThatIsChangedHoldsForASendThatWaits(t *testing.T) {
	for _, tt := range []struct {
		rate ratelimit.Rate
		want time.Duration
	}{
		{0, 10 * time.Second},
		{1, 10*time.Second + time.Second - 10*time.Second/3600}, // a part of the token is there
		{1.0 / 7200, time.Hour + 3590*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := ratelimit.NewBucket(1.0/3600, 1)
			acquire(t, b)
			waited, _ := waits(t, b, func() { b.SetRate(tt.rate) })
			if waited.Round(10*time.Millisecond) != tt.want.Round(10*time.Millisecond) || b.Rate() != tt.rate {
				t.Errorf("waited %v, want %v; the rate is %v", waited, tt.want, b.Rate())
			}
		})
	}
}

func TestACrowdThatMayBeLargerLetsWhoWaitsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ratelimit.NewCrowd(1, nil)
		permits := []ratelimit.Permit{take(t, c)}
		waited, permit := waits(t, c, func() { c.SetMost(2) })
		if permits = append(permits, permit); waited != 10*time.Second || c.Limit() != 2 {
			t.Errorf("waited %v, limit %d", waited, c.Limit())
		}
		c.SetMost(0) // is 1: one has to end before another may start
		permits[0](ratelimit.Feedback{})
		waited, _ = waits(t, c, func() { permits[1](ratelimit.Feedback{}) })
		if waited != 10*time.Second || c.Limit() != 1 {
			t.Errorf("waited %v, limit %d", waited, c.Limit())
		}
	})
}

func TestALimitThatWasLoweredByCrowdingStaysUnlessTheMostIsBelowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ratelimit.NewCrowd(4, nil)
		permits := []ratelimit.Permit{take(t, c), take(t, c), take(t, c), take(t, c)}
		for _, permit := range permits {
			permit(crowded(4))
		}
		for _, tt := range [][2]int{{8, 3}, {2, 2}, {6, 6}} {
			if c.SetMost(tt[0]); c.Limit() != tt[1] {
				t.Errorf("most %d: limit %d, want %d", tt[0], c.Limit(), tt[1])
			}
		}
	})
}

func TestAnAdaptiveLimitThatIsOffHoldsAndLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(8, func(limit int, why string) { t.Errorf("it learned: %d, %s", limit, why) })
		take(t, a) // one is what it begins with
		if limit := a.Limit(); limit != 1 || !a.Holds() || !a.Enabled() {
			t.Fatalf("limit %d, holds: %v", limit, a.Holds())
		}
		waited, permit := waits(t, a, func() { a.Enable(false) })
		if waited != 10*time.Second || a.Limit() != 0 || a.Holds() || a.Enabled() {
			t.Errorf("waited %v, limit %d", waited, a.Limit())
		}
		for range 60 {
			time.Sleep(time.Second)
			a.Canary(time.Minute, true)
			try(t, a, ratelimit.Feedback{Sent: true, Took: time.Minute, Usual: time.Second, Done: true})
		}
		permit(ratelimit.Feedback{})
		a.Enable(true)
		if a.Limit() != 1 || !a.Holds() { // it knows who started meanwhile
			t.Errorf("limit %d, holds: %v", a.Limit(), a.Holds())
		}
	})
}
