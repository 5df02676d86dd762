package ratelimit

import (
	"math"
	"time"
)

// The rule by which [Failing] answers open the breaker, chosen by simulation (docs/design.md has the table).
const (
	// minStreak is the fewest different sends that must fail in a row, however rare failures were before.
	minStreak = 5
	// streakChance bounds how likely a streak may be that the breaker opens on, if every send failed by itself.
	streakChance = 1e-5
	// priorBad of priorSends is the share of sends that fail by themselves while nothing is known of it. It weighs as
	// much as so many sends.
	priorBad, priorSends = 1, 5
)

// A streak tells a service that fails every send from sends that fail by themselves.
//
// A streak is a row of different sends that failed without one that succeeded. How long it must be to mean the service
// depends on how many sends fail anyway: where every second send does, ten failures in a row are no news.
type streak struct {
	since time.Time // the first answer of the streak; zero: there is no streak
	sends int       // different sends in the streak
	good  int       // sends that succeeded in the end
	bad   int       // sends that failed and have not succeeded since, those of the streak included
}

// failed takes the answer of a send that failed, at the time now. again says that an earlier try of it had failed, so
// that the answer is no news. It reports whether the streak means the service.
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

// succeeded takes the answer of a send that succeeded and had begun at a time. It reports whether that ends the
// streak: a send that had begun before the streak tells nothing of the time after.
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
