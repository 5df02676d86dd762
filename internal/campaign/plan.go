package campaign

import (
	"context"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/journal"
)

// Plan is which groups a run will send to, in order, and which it leaves out.
type Plan struct {
	Groups []hooks.Group
	// Held is how many of them wait for the server's guard.
	Held int
	// Settling is how many wait because an earlier send to them may still be under way.
	Settling int

	skips     []journal.Skip                    // what the journal is to know of the groups left out
	opened    []journal.LeftOpen                // and of those that an earlier run left open
	gone      []journal.LeftOpen                // the same, no longer in the list
	left      []dispatcher.Result               // what the report says of the groups that are not sent to
	doubts    map[hooks.Group]dispatcher.Result // and of those of unknown fate that the run does not come to
	alone     []journal.LeftOpen                // those of unknown fate that are not sent to, with their results in left
	notBefore map[hooks.Group]time.Time
	swallowed map[hooks.Group]bool // groups that are sent to although the server's guard is up
}

// Listed counts the groups of the site's list.
func (p *Plan) Listed() int { return len(p.Groups) + len(p.left) }

// Waiting counts the groups that are held back for any reason, and says until when the last of them is.
func (p *Plan) Waiting() (groups int, until time.Time) {
	for _, at := range p.notBefore {
		until = latest(until, at)
	}
	return len(p.notBefore), until
}

// Fetch gets the list of groups and plans the run. Its error is a [*ListError], or the cause of ctx where that
// ended first.
func Fetch(ctx context.Context, client *hooks.Client, s Settings) (*Plan, error) {
	groups, err := client.DigestGroups(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, &ListError{err}
	}
	return plan(groups, s, time.Now()), nil
}

// plan decides what becomes of each group of the list: by what the user left out, by what an earlier run did, and by
// the server's guard.
func plan(groups []hooks.Group, s Settings, now time.Time) *Plan {
	p := &Plan{notBefore: map[hooks.Group]time.Time{}, doubts: map[hooks.Group]dispatcher.Result{}, swallowed: map[hooks.Group]bool{}}
	var assumed map[hooks.Group]time.Time
	if s.Guard != nil {
		assumed = s.Guard.assumed(groups)
	}
	if s.Previous != nil {
		p.remember(s.Previous, groups, now)
	}
	order := map[hooks.Group]class{}
	wanted := groups[:0] // the list is not needed again
	for _, g := range groups {
		c := choice{}
		if s.Previous != nil {
			c = s.Previous.choose(g, now)
		}
		// What an earlier run got accepted is no question of taste: the journal must know it in any case.
		if c.class != leave && s.LeftOut != nil {
			if reason := s.LeftOut(g); reason != "" {
				c = leaveOut(g, journal.Skip{Reason: reason})
			}
		}
		if c.class == leave {
			p.left = append(p.left, c.result)
			if c.result.Outcome == dispatcher.Skipped {
				p.skips = append(p.skips, c.skip)
			} else {
				p.alone = append(p.alone, journal.LeftOpen{Group: journal.Group(g), At: c.began})
			}
			continue
		}
		if c.class == unknown {
			if c.notBefore.After(now) {
				p.Settling++
			}
			p.opened = append(p.opened, journal.LeftOpen{Group: journal.Group(g), At: c.began})
			p.doubts[g] = c.result
		}
		at := c.notBefore
		if s.Open != nil && c.class != unknown {
			began, open := s.Open(journal.Group(g))
			began = earlier(began, now) // whatever the clock was then
			if settled := began.Add(s.Settle); open && settled.After(now) {
				at = latest(at, settled)
				p.Settling++
				p.opened = append(p.opened, journal.LeftOpen{Group: journal.Group(g), At: began})
				p.doubts[g] = doubt(g, "it may have been mailed in an earlier run, and was not sent to again before this one ended")
			}
		}
		// Not for a group that may have been mailed in the run before: it is the guard that makes the repeat harmless.
		if s.Guard != nil && c.class != unknown {
			free, swallowed := s.Guard.hold(g, assumed, now)
			if swallowed {
				p.swallowed[g] = true
			}
			if free.After(now) {
				p.Held++
			}
			if free.After(at) {
				at = free
			}
		}
		if at.After(now) {
			p.notBefore[g] = at
		}
		if c.class != neverTried {
			order[g] = c.class
		}
		wanted = append(wanted, g)
	}
	if len(order) > 0 {
		slices.SortStableFunc(wanted, func(a, b hooks.Group) int { return int(order[a]) - int(order[b]) })
	}
	p.Groups = wanted
	return p
}

// remember keeps on record what an earlier run got accepted, or left open, of groups that are not in the list now: they
// may come back.
func (p *Plan) remember(previous *Previous, groups []hooks.Group, now time.Time) {
	listed := make(map[hooks.Group]bool, len(groups))
	for _, g := range groups {
		listed[g] = true
	}
	for e := range previous.Run.All() {
		g := hooks.Group(e.Group)
		if listed[g] {
			continue
		}
		switch c := previous.choose(g, now); {
		case c.skip.In != "":
			p.skips = append(p.skips, c.skip)
		case !c.began.IsZero():
			p.gone = append(p.gone, journal.LeftOpen{Group: journal.Group(g), At: c.began})
		}
	}
}

// journalled gives the groups of a plan to the journal, and with them those that are not sent to although their fate is
// unknown: a later run must not take them for unsent.
func (p *Plan) journalled(w *journal.Writer) {
	groups := make([]journal.Group, 0, len(p.Groups)+len(p.gone)+len(p.alone))
	for _, g := range p.Groups {
		groups = append(groups, journal.Group(g))
	}
	for _, o := range slices.Concat(p.gone, p.alone) {
		groups = append(groups, o.Group)
	}
	w.List(groups, p.skips, slices.Concat(p.opened, p.gone, p.alone)...)
}

// guarded counts the groups that were accepted although the server's guard was up.
func (p *Plan) guarded(results []dispatcher.Result) (n int) {
	for i := range results {
		if g, ok := results[i].Job.(hooks.Group); ok && results[i].Outcome == dispatcher.Accepted && p.swallowed[g] {
			n++
		}
	}
	return n
}

// doubt gives the groups of unknown fate that a run did not come to the outcome that they had before it: they are
// not known to be unsent.
func (p *Plan) doubt(results []dispatcher.Result) {
	for i := range results {
		if g, ok := results[i].Job.(hooks.Group); ok && results[i].Outcome == dispatcher.NotAttempted {
			if r, ok := p.doubts[g]; ok {
				results[i] = r
			}
		}
	}
}

// held is the dispatcher's question of how long to hold a group back; nil if none is.
func (p *Plan) held() func(dispatcher.Job) time.Time {
	if len(p.notBefore) == 0 {
		return nil
	}
	return func(j dispatcher.Job) time.Time {
		g, _ := j.(hooks.Group)
		return p.notBefore[g]
	}
}
