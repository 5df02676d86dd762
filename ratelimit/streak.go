package ratelimit

import (
	"math"
	"time"
)

// The rule by which [Failing] answers open the breaker, chosen by simulation (docs/design.md has the table).
const (
	// minStreak is the fewest different sends that must fail in a row, however rare failures were before.
	minStreak = 5
	// streakChance is how likely a streak may be by chance, at most, for the breaker to open on it.
	streakChance = 1e-5
	// priorBad of priorSends is the share of sends that is taken to fail by themselves before the run has shown any. It
	// weighs as much as priorSends sends that the run has shown.
	priorBad, priorSends = 1, 5
)

// A streak is a row of different sends that failed, with no success between them. It shows a service that fails every
// send, if it is longer than the sends that fail by themselves make it. Where every second send fails by itself, ten
// failures in a row are no news.
type streak struct {
	since time.Time // the first answer of the streak; zero: there is no streak
	sends int       // different sends in the streak
	good  int       // sends that succeeded in the end
	bad   int       // sends that failed and have not succeeded since, those of the streak included
}

// failed counts a send that failed at the time now, and reports whether the streak is the service's fault. With again, an
// earlier try of the send had failed: then this one shows nothing new.
func (s *streak) failed(now time.Time, again bool) bool {
	if s.since.IsZero() {
		s.since = now
	}
	if again {
		return false
	}
	s.sends++
	s.bad++
	return s.sends >= s.need()
}

// succeeded counts a send that began at a time and succeeded, and reports whether that ends the streak. The success of a
// send that began before the streak does not: the service may have failed since. With again, an earlier try had failed.
func (s *streak) succeeded(began time.Time, again bool) bool {
	s.good++
	if again {
		s.bad = max(s.bad-1, s.sends)
	}
	if began.Before(s.since) {
		return false
	}
	s.end()
	return true
}

// end forgets the streak, but not its sends.
func (s *streak) end() { s.since, s.sends = time.Time{}, 0 }

// need is how long a streak must be.
func (s *streak) need() int {
	before := float64(s.bad - s.sends)
	share := (before + priorBad) / (before + float64(s.good) + priorSends)
	return max(int(math.Ceil(math.Log(streakChance)/math.Log(share))), minStreak)
}
