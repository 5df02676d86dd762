package campaign

import (
	"cmp"
	"time"

	"github.com/groupserver/senddigest/hooks"
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
)

// guardEnds returns the instant from which on the server's guard of a group is down for good, by when the group was
// accepted.
func (c wallClock) guardEnds(accepted time.Time) time.Time {
	_, highest := c.span(accepted.Add(-rowBefore), accepted.Add(rowAfter))
	_, forGood := c.reaches(highest.Add(guardTime))
	return forGood
}

// guardStands returns the instant until which the server's guard of a group is up for certain, if it was mailed at some
// time from one instant to a later one.
func (c wallClock) guardStands(from, to time.Time) time.Time {
	lowest, _ := c.span(from, to)
	first, _ := c.reaches(lowest.Add(guardTime))
	return first
}

// Guard knows when groups had their last digest, and holds back who would be skipped for it.
type Guard struct {
	// Last is when a group was last accepted, see [state.Recent.Accepted]; nil: nothing is known.
	Last func(state.Group) (time.Time, bool)
	// Where Last does not know a group, another program may have sent to it: see assumed. 0: none did.
	AssumedStart  time.Time
	AssumedLength time.Duration
	// Wait is how long a group may be held back; Until is when the run starts nothing more, zero for never.
	Wait  time.Duration
	Until time.Time
}

// hold says from when on a group may be sent to; zero: at once. swallowed: the server will skip it, since its
// guard is still up and waiting for it would take too long.
func (g *Guard) hold(group hooks.Group, assumed map[hooks.Group]time.Time, clock wallClock, now time.Time) (notBefore time.Time, swallowed bool) {
	var last time.Time
	known := false
	if g.Last != nil {
		last, known = g.Last(state.Group(group))
	}
	if !known {
		last, known = assumed[group]
	}
	if !known {
		return time.Time{}, false
	}
	free := clock.guardEnds(last)
	switch {
	case !free.After(now):
		return time.Time{}, false
	case free.Sub(now) > g.Wait, !g.Until.IsZero() && free.After(g.Until):
		return time.Time{}, true
	}
	return free, false
}

// assumed is when the other program reached each group, if it began at a time, took so long, and went evenly
// through the list: it had sent to group i of n, counted from 1, at start + length·i/n. The length is of real time.
func (g *Guard) assumed(groups []hooks.Group) map[hooks.Group]time.Time {
	if g.AssumedLength <= 0 {
		return nil
	}
	at := make(map[hooks.Group]time.Time, len(groups))
	for i, group := range groups {
		at[group] = g.AssumedStart.Add(time.Duration(float64(g.AssumedLength) * float64(i+1) / float64(len(groups))))
	}
	return at
}

// clock is the one that the server's guard goes by.
func (s *Settings) clock() wallClock { return wallClock{cmp.Or(s.ServerZone, time.Local)} }
