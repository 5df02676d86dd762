package campaign

import (
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// free is from when on the server's guard lets a group be mailed; zero: at once. assumed is when another program reached it.
func (r *run) free(known Known, assumed time.Time) time.Time {
	if known.Exact || r.campaign.Guard == nil {
		return known.Free
	}
	accepted := known.Accepted
	if accepted.IsZero() {
		accepted = assumed
	}
	if accepted.IsZero() {
		return known.Free
	}
	return latest(known.Free, r.campaign.Guard.Ends(accepted))
}

// guarded says from when on a group may be sent to that is free from a time on; zero: at once. swallowed: the server
// will skip it, since its guard is still up and waiting for it would take too long.
func (r *run) guarded(free, now time.Time) (notBefore time.Time, swallowed bool) {
	ends := r.ends.Load()
	switch {
	case !free.After(now):
		return time.Time{}, false
	case free.Sub(now) > r.guardWait(), ends != nil && free.After(ends.At):
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
