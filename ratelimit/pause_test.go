package ratelimit_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// try makes a send that takes no time, and tells how it went.
func try(t *testing.T, l ratelimit.Limiter, f ratelimit.Feedback) {
	t.Helper()
	permit, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Sent = true
	permit(f)
}

// gone is how a limiter refuses to let anything start any more.
func gone(t *testing.T, l ratelimit.Limiter) *ratelimit.DownError {
	t.Helper()
	permit, err := l.Acquire(t.Context())
	e, ok := errors.AsType[*ratelimit.DownError](err)
	if !ok || permit != nil {
		t.Fatalf("got %v, want a DownError and no permit", err)
	}
	return e
}

func TestAPauseHoldsEverySendUntilItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := ratelimit.NewPause(0, nil)
		begin := time.Now()
		acquire(t, pause)
		try(t, pause, ratelimit.Feedback{Pause: 90 * time.Second})
		for range 3 {
			acquire(t, pause)
			if waited := time.Since(begin); waited != 90*time.Second {
				t.Errorf("a send started after %v, want 1m30s", waited)
			}
		}
	})
}

func TestTheLongestOfSeveralPausesCountsAndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		pause := ratelimit.NewPause(0, func(d time.Duration) { told = append(told, d) })
		begin := time.Now()
		var permits []ratelimit.Permit
		for range 3 {
			permit, err := pause.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			permits = append(permits, permit)
		}
		for i, d := range []time.Duration{20 * time.Second, 30 * time.Second, 10 * time.Second} {
			permits[i](ratelimit.Feedback{Sent: true, Pause: d})
		}
		acquire(t, pause)
		if waited := time.Since(begin); waited != 30*time.Second {
			t.Errorf("the next send started after %v, want 30s", waited)
		}
		try(t, pause, ratelimit.Feedback{Pause: time.Second})
		if want := []time.Duration{20 * time.Second, time.Second}; !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
	})
}

func TestAPauseThatIsLongerThanAllowedEndsAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := ratelimit.NewPause(15*time.Minute, func(d time.Duration) { t.Errorf("told of %v", d) })
		begin := time.Now()
		try(t, pause, ratelimit.Feedback{Pause: 24 * time.Hour})
		for range 2 {
			if got, want := gone(t, pause).Error(), "the site asked for a pause of 24h0m0s"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
	})
}

func TestAPauseAsLongAsAllowedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := ratelimit.NewPause(15*time.Minute, nil)
		begin := time.Now()
		try(t, pause, ratelimit.Feedback{Pause: 15 * time.Minute})
		acquire(t, pause)
		if waited := time.Since(begin); waited != 15*time.Minute {
			t.Errorf("waited for %v, want 15m", waited)
		}
	})
}

func TestAPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := ratelimit.NewPause(0, nil)
		try(t, pause, ratelimit.Feedback{Pause: time.Hour})
		begin, why := time.Now(), errors.New("deadline")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		if _, err := pause.Acquire(ctx); !errors.Is(err, why) || time.Since(begin) != time.Minute {
			t.Errorf("got %v after %v, want %v after 1m", err, time.Since(begin), why)
		}
	})
}
