package guard

import (
	"cmp"
	"iter"
	"time"
)

// A Clock is the clock of a time zone for a reader who does not know of the zone: it jumps when the clocks change.
// GroupServer's duplicate check reads such a clock (docs/groupserver.md section 12). Make it with [NewClock].
//
// A reading of the clock is kept as that time of UTC, so that readings can be compared and subtracted.
type Clock struct {
	zone  *time.Location // never nil
	ahead time.Duration
}

// NewClock is the clock of a zone, or one that is always ahead of it by so much; a nil zone means this machine's.
func NewClock(zone *time.Location, ahead time.Duration) Clock {
	return Clock{cmp.Or(zone, time.Local), ahead}
}

// Ahead is by how much the clock is ahead of that of its zone.
func (c Clock) Ahead() time.Duration { return c.ahead }

// Set is the clock of the same zone that is ahead of it by so much.
func (c Clock) Set(ahead time.Duration) Clock { return Clock{c.zone, ahead} }

// At returns the reading at an instant.
func (c Clock) At(instant time.Time) time.Time {
	_, offset := instant.In(c.zone).Zone() // in seconds
	return instant.UTC().Add(time.Duration(offset)*time.Second + c.ahead)
}

// Span returns the lowest and the highest reading from one instant to a later one, both included. What the clock is
// about to show when it is put back counts as shown.
func (c Clock) Span(from, to time.Time) (lowest, highest time.Time) {
	lowest, highest = c.At(from), c.At(from)
	for begin, end := range c.stretches(from, to) {
		if at := c.At(begin); at.Before(lowest) {
			lowest = at
		}
		if at := c.At(begin).Add(end.Sub(begin)); at.After(highest) {
			highest = at
		}
	}
	return lowest, highest
}

// Reaches returns the instant at which the clock first shows a reading or a later one, and the instant from which on it
// shows nothing earlier any more. The two differ where the clock is put back over the reading.
func (c Clock) Reaches(reading time.Time) (first, forGood time.Time) {
	furthest := 24*time.Hour + c.ahead.Abs() // no zone is so far from UTC
	below := true                            // what the clock shows at the end of the stretch before
	for begin, end := range c.stretches(reading.Add(-furthest), reading.Add(furthest)) {
		at := begin
		if ahead := reading.Sub(c.At(begin)); ahead > 0 {
			at = begin.Add(ahead)
		}
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
func (c Clock) stretches(from, to time.Time) iter.Seq2[time.Time, time.Time] {
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
