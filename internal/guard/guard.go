// Package guard is the server's duplicate check, and the clock that it goes by: for 21.6 hours after a digest GroupServer
// skips the group in silence, by the clock on its wall.
package guard

import "time"

const (
	// Time is how long after a digest the server skips a group in silence: 0.9 days of its wall clock
	// (docs/groupserver.md sections 2 and 12).
	Time = 9 * 24 * time.Hour / 10

	// The server wrote the row of a digest between so long before we knew of the acceptance and so long after: a send
	// takes minutes at most from its row to its answer, and two machines' clocks differ a little.
	rowBefore, rowAfter = 10 * time.Minute, time.Minute

	// Memory is how long after an acceptance the server's guard of the group may be up: 21.6 hours, the two by
	// which a clock is put back at most (Antarctica/Troll), and rowAfter.
	Memory = 24 * time.Hour

	// margin is how long before the end of the server's guard an ambiguous send is repeated at the latest: the repeat
	// may have to wait for its turn.
	margin = 3 * time.Hour
)

// A Guard is the server's duplicate check: for a time after a group was mailed it skips it in silence, so that a send in
// that time is lost, and a repeat is harmless.
type Guard struct{ clock Clock }

// New is the guard of a server that goes by a clock.
func New(clock Clock) *Guard { return &Guard{clock} }

// Clock is the one that the server goes by.
func (g *Guard) Clock() Clock { return g.clock }

// Ends returns the instant from which on the guard of a group is down for good, by when the group was accepted.
func (g *Guard) Ends(accepted time.Time) time.Time {
	_, highest := g.clock.Span(accepted.Add(-rowBefore), accepted.Add(rowAfter))
	_, forGood := g.clock.Reaches(highest.Add(Time))
	return forGood
}

// EndsAfter is Ends by what the clock showed when the server wrote the row of the digest.
func (g *Guard) EndsAfter(row time.Time) time.Time {
	_, forGood := g.clock.Reaches(row.Add(Time + rowAfter))
	return forGood
}

// Stands returns the instant until which the guard of a group is up for certain, if it was mailed at some time from one
// instant to a later one.
func (g *Guard) Stands(from, to time.Time) time.Time {
	lowest, _ := g.clock.Span(from, to)
	first, _ := g.clock.Reaches(lowest.Add(Time))
	return first
}

// Harmless reports whether a repeat that starts at the time at is harmless, because the guard of the group still stands
// then. The group may have been mailed by the ambiguous send that began at lost, or by any later one. Without a guard no
// repeat is.
func (g *Guard) Harmless(lost, at time.Time) bool {
	return g != nil && !at.After(g.Stands(lost, at).Add(-margin))
}
