package campaign

import (
	"cmp"
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

const (
	// guardTime is how long after a digest the server skips a group in silence: 0.9 days of its wall clock
	// (docs/groupserver.md sections 2 and 12).
	guardTime = 9 * 24 * time.Hour / 10

	// The server wrote the row of a digest between so long before we knew of the acceptance and so long after: a send
	// takes minutes at most from its row to its answer, and two machines' clocks differ a little.
	rowBefore, rowAfter = 10 * time.Minute, time.Minute

	// GuardMemory is how long after an acceptance the server's guard of the group may be up: 21.6 hours, the two by
	// which a clock is put back at most (Antarctica/Troll), and rowAfter.
	GuardMemory = 24 * time.Hour

	// guardMargin is how long before the end of the server's guard an ambiguous send is repeated at the latest: the repeat
	// may have to wait for its turn.
	guardMargin = 3 * time.Hour
)

// A Guard is the server's duplicate check: for a time after a group was mailed it skips it in silence, so that a send in
// that time is lost, and a repeat is harmless.
type Guard struct{ clock wallClock }

// NewGuard is the guard of a server whose clock is in a time zone; nil means this machine's.
func NewGuard(zone *time.Location) *Guard { return &Guard{wallClock{cmp.Or(zone, time.Local)}} }

// ends returns the instant from which on the guard of a group is down for good, by when the group was accepted.
func (g *Guard) ends(accepted time.Time) time.Time {
	_, highest := g.clock.span(accepted.Add(-rowBefore), accepted.Add(rowAfter))
	_, forGood := g.clock.reaches(highest.Add(guardTime))
	return forGood
}

// stands returns the instant until which the guard of a group is up for certain, if it was mailed at some time from one
// instant to a later one.
func (g *Guard) stands(from, to time.Time) time.Time {
	lowest, _ := g.clock.span(from, to)
	first, _ := g.clock.reaches(lowest.Add(guardTime))
	return first
}

// harmless reports whether a repeat that starts at the time at is harmless, because the guard of the group still stands
// then. The group may have been mailed by the ambiguous send that began at lost, or by any later one. Without a guard no
// repeat is.
func (g *Guard) harmless(lost, at time.Time) bool {
	return g != nil && !at.After(g.stands(lost, at).Add(-guardMargin))
}

// guarded says from when on a group may be sent to that was accepted last at a time; zero: at once. swallowed: the server
// will skip it, since its guard is still up and waiting for it would take too long.
func (r *run) guarded(accepted, now time.Time) (notBefore time.Time, swallowed bool) {
	if r.campaign.Guard == nil || accepted.IsZero() {
		return time.Time{}, false
	}
	free := r.campaign.Guard.ends(accepted)
	switch {
	case !free.After(now):
		return time.Time{}, false
	case free.Sub(now) > r.GuardWait, r.ends != nil && free.After(r.ends.At):
		return time.Time{}, true
	}
	return free, false
}

// assumed is when the other program reached each group, if it began at a time, took so long, and went evenly
// through the list: it had sent to group i of n, counted from 1, at start + length·i/n. The length is of real time.
func assumed(a state.Assumed, groups []state.Group) map[state.Group]time.Time {
	if a.Length <= 0 {
		return nil
	}
	at := make(map[state.Group]time.Time, len(groups))
	for i, group := range groups {
		at[group] = a.Start.Add(time.Duration(float64(a.Length) * float64(i+1) / float64(len(groups))))
	}
	return at
}
