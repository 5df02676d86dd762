package ratelimit_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// crowded is the answer to a send that was undone while so many were in flight.
func crowded(inFlight int) ratelimit.Feedback {
	return ratelimit.Feedback{Sent: true, Health: ratelimit.Crowded, InFlight: inFlight}
}

// free counts the permits that can be had at once, and gives them back.
func free(t *testing.T, c *ratelimit.Crowd) int {
	t.Helper()
	var got []ratelimit.Permit
	for len(got) < c.Limit() {
		got = append(got, take(t, c))
	}
	for _, permit := range got {
		permit(ratelimit.Feedback{})
	}
	return len(got)
}

func TestACrowdLetsOneFewerStartThanWereInFlightWhenOneWasUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []ratelimit.CrowdState
		c := ratelimit.NewCrowd(4, func(s ratelimit.CrowdState) { told = append(told, s) })
		permits := []ratelimit.Permit{take(t, c), take(t, c), take(t, c), take(t, c)}
		for _, permit := range permits[:3] { // three of the same four: each of them was one of four in flight
			permit(crowded(4))
		}
		permits[3](ratelimit.Feedback{Sent: true, Health: up})
		if got := free(t, c); got != 3 {
			t.Errorf("%d start at once, want 3", got)
		}
		begin := time.Now()
		for _, permit := range []ratelimit.Permit{take(t, c), take(t, c)} {
			permit(crowded(2))
		}
		if got := free(t, c); got != 1 || time.Since(begin) != 0 {
			t.Errorf("%d start at once, want 1: never below it", got)
		}
		take(t, c)(crowded(1)) // nobody was in its way
		if got := free(t, c); got != 1 {
			t.Errorf("%d start at once, want 1", got)
		}
		if want := []ratelimit.CrowdState{{Limit: 3, InFlight: 4}, {Limit: 1, InFlight: 2}}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestACrowdTriesOneMoreEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ratelimit.NewCrowd(2, nil)
		take(t, c)(crowded(2))
		for _, want := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
			begin := time.Now()
			first := take(t, c)
			second := take(t, c) // waits for the limit to rise
			if got := time.Since(begin); got != want {
				t.Errorf("tried one more after %v, want %v", got, want)
			}
			first(ratelimit.Feedback{})
			second(crowded(2))
		}
	})
}

// A database that goes away in the middle of a commit looks the same. The night must not stay slow for it.
func TestACrowdThatDoesNotComeBackIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ratelimit.NewCrowd(3, nil)
		take(t, c)(crowded(2))
		for range 30 {
			time.Sleep(time.Minute)
			take(t, c)(ratelimit.Feedback{Sent: true, Health: up})
		}
		if got := free(t, c); got != 3 {
			t.Errorf("%d start at once after half an hour, want 3", got)
		}
	})
}

func TestACrowdSaysWhereThereWasNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []ratelimit.CrowdState
		c := ratelimit.NewCrowd(4, func(s ratelimit.CrowdState) { told = append(told, s) })
		take(t, c)(ratelimit.Feedback{Sent: true, Health: ratelimit.NoRoom, InFlight: 4})
		time.Sleep(10 * time.Minute)
		free(t, c)
		take(t, c)(crowded(3))
		want := []ratelimit.CrowdState{{Limit: 3, InFlight: 4, Here: true}, {Limit: 4, Here: true}, {Limit: 2, InFlight: 3}}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
