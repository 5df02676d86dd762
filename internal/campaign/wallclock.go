package campaign

import (
	"iter"
	"time"
)

// A wallClock is the clock of a time zone for a reader who does not know of the zone: it jumps when the clocks change.
// GroupServer's duplicate check reads such a clock (docs/groupserver.md section 12). The zone is never nil.
//
// A reading of the clock is kept as that time of UTC, so that readings can be compared and subtracted.
type wallClock struct{ zone *time.Location }

// at returns the reading at an instant.
func (c wallClock) at(instant time.Time) time.Time {
	_, offset := instant.In(c.zone).Zone() // in seconds
	return instant.UTC().Add(time.Duration(offset) * time.Second)
}

// span returns the lowest and the highest reading from one instant to a later one, both included. What the clock is
// about to show when it is put back counts as shown.
func (c wallClock) span(from, to time.Time) (lowest, highest time.Time) {
	lowest, highest = c.at(from), c.at(from)
	for begin, end := range c.stretches(from, to) {
		lowest = earlier(lowest, c.at(begin))
		highest = latest(highest, c.at(begin).Add(end.Sub(begin)))
	}
	return lowest, highest
}

// reaches returns the instant at which the clock first shows a reading or a later one, and the instant from which on it
// shows nothing earlier any more. The two differ where the clock is put back over the reading.
func (c wallClock) reaches(reading time.Time) (first, forGood time.Time) {
	const furthest = 24 * time.Hour // no zone is so far from UTC
	below := true                   // what the clock shows at the end of the stretch before
	for begin, end := range c.stretches(reading.Add(-furthest), reading.Add(furthest)) {
		at := latest(begin, begin.Add(reading.Sub(c.at(begin))))
		if !at.Before(end) {
			below = true
			continue
		}
		if first.IsZero() {
			first = at
		}
		if below || at.After(begin) {
			forGood = at
		}
		below = false
	}
	return first, forGood
}

// stretches parts the time from one instant to a later one where the clock changes, and perhaps where it does not.
func (c wallClock) stretches(from, to time.Time) iter.Seq2[time.Time, time.Time] {
	return func(yield func(begin, end time.Time) bool) {
		for {
			_, end := from.In(c.zone).ZoneBounds()
			if !end.IsZero() && !end.After(from) {
				// On the last day of a leap year, where the zone has a rule for later years in the place of a table, the
				// bounds end before that day (golang.org/issue/81583). No clock changes then.
				end = from.Add(time.Hour)
			}
			if end.IsZero() || end.After(to) { // zero: it never changes again
				yield(from, to)
				return
			}
			if !yield(from, end) {
				return
			}
			from = end
		}
	}
}
