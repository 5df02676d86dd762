package campaign

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
)

// Plan is which groups a run will send to, in order, and which it leaves out.
type Plan struct {
	Groups []hooks.Group
	// Unusable are the entries of the site's list that are no groups; the operator is to hear of them.
	Unusable hooks.Unusable
	// Held is how many of them wait for the server's guard.
	Held int
	// Settling is how many wait because an earlier send to them may still be under way, and SettleAfter how long after the
	// start of that send at most.
	Settling    int
	SettleAfter time.Duration
	// Workers is how many sends the forecast takes to be in flight.
	Workers int
	// Forecast is how long the run will take, as past runs tell; nil: they tell of none of the groups. Its jobs are
	// numbered in a way of its own, see Group.
	Forecast *schedule.Forecast
	// Cost is what a send to the group with that key is expected to take; nil where there is no Forecast. Work is what all
	// of them take one after the other.
	Cost func(key string) time.Duration
	Work time.Duration
	// Waiting is how many groups are held back for any reason, and Until when the last of them is not any more.
	Waiting int
	Until   time.Time

	schedule *schedule.Plan

	skips     []state.Skip                 // what the journal is to know of the groups left out
	opened    []state.LeftOpen             // and of those that an earlier run left open
	gone      []state.LeftOpen             // the same, no longer in the list
	left      []dispatcher.Result          // what the report says of the groups that are not sent to
	alone     []state.LeftOpen             // of these, the ambiguous ones
	ambiguous map[string]dispatcher.Result // groups that an earlier run left so and that are sent to again, until then, by key
	swallowed []bool                       // by place in Groups: it is sent to although the server's guard is up
}

// Listed counts the groups of the site's list.
func (p *Plan) Listed() int { return len(p.Groups) + len(p.left) }

// Fetch asks for the list of groups once and plans a run. Its error is a [*ListError], or the cause of ctx where that
// ended first.
func Fetch(ctx context.Context, client *hooks.Client, s Settings) (*Plan, error) {
	list, err := ask(ctx, client)
	if err != nil {
		return nil, err
	}
	return planOf(list, s), nil
}

// planOf plans a run of what a site listed.
func planOf(list *hooks.List[hooks.Group], s Settings) *Plan {
	p := plan(list.Entries, s, time.Now())
	p.Unusable = list.Unusable
	return p
}

// plan decides what becomes of each group of the list: by what the user left out, by what an earlier run did, by the
// server's guard, and by what is known of their costs.
func plan(groups []hooks.Group, s Settings, now time.Time) *Plan {
	p := &Plan{ambiguous: map[string]dispatcher.Result{}}
	clock := s.clock()
	var assumed map[hooks.Group]time.Time
	if s.Guard != nil {
		assumed = s.Guard.assumed(groups)
	}
	if s.Previous != nil {
		p.remember(&s, groups, now)
	}
	if s.History != nil {
		s.History.List(keys(groups))
	}
	jobs := make([]schedule.Job, 0, len(groups))
	swallowed := make([]bool, 0, len(groups)) // by number of the job
	p.Groups = groups[:0]                     // the list itself is not needed again
	for _, g := range groups {
		c := choice{}
		if s.Previous != nil {
			c = s.Previous.choose(g, &s, now)
		}
		// What an earlier run got accepted is no question of taste: the journal must know it in any case.
		if c.class != leave && s.LeftOut != nil {
			if reason := s.LeftOut(g); reason != "" {
				c = leaveOut(g, state.Skip{Reason: reason})
			}
		}
		if c.class == leave {
			p.leave(g, c)
			continue
		}
		skipped := false
		job := schedule.Job{Class: int(c.class), NotBefore: p.settle(g, c, &s, now)}
		// Not for a group that may have been mailed in the run before: it is the guard that makes the repeat harmless.
		if s.Guard != nil && c.class != unknown {
			var free time.Time
			free, skipped = s.Guard.hold(g, assumed, clock, now)
			if free.After(now) {
				p.Held++
				job.NotBefore = latest(job.NotBefore, free)
			}
		}
		if !job.NotBefore.IsZero() {
			p.Waiting++
			p.Until = latest(p.Until, job.NotBefore)
		}
		if s.History != nil {
			e := s.History.Estimate(g.Key())
			job.Estimate, job.Mean, job.Spread, job.Known = e.Median, e.Mean, e.Spread, e.Known
		}
		jobs, swallowed = append(jobs, job), append(swallowed, skipped)
		p.Groups = append(p.Groups, g)
	}
	p.order(jobs, swallowed, s, now)
	return p
}

func keys(groups []hooks.Group) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, g := range groups {
			if !yield(g.Key()) {
				return
			}
		}
	}
}

// leave takes a group in that is not sent to.
func (p *Plan) leave(g hooks.Group, c choice) {
	p.left = append(p.left, c.result)
	if c.result.Outcome == dispatcher.Skipped {
		p.skips = append(p.skips, c.skip)
		return
	}
	p.alone = append(p.alone, c.open)
}

// settle takes a group in of which an earlier send may still be under way, and says from when on it may be sent to;
// zero: at once.
func (p *Plan) settle(g hooks.Group, c choice, s *Settings, now time.Time) time.Time {
	result, open, again := c.result, c.open, c.notBefore
	switch {
	case c.class == unknown:
	case s.Open == nil:
		return time.Time{}
	default:
		at, known := s.Open(state.Group(g))
		at = earlier(at, now) // whatever the clock was then
		again = at.Add(s.settleAfter(g.Key()))
		if !known || !again.After(now) {
			return time.Time{}
		}
		lost := dispatcher.Lost{Reason: "an earlier run ended without its answer", Start: at}
		open = state.LeftOpen{Group: state.Group(g), At: at, Lost: lost}
		result = ambiguous(g, &open, "it may have been mailed in an earlier run, and was not sent to again before this one ended")
	}
	p.ambiguous[g.Key()] = result
	p.opened = append(p.opened, open)
	if !again.After(now) {
		return time.Time{}
	}
	p.Settling++
	p.SettleAfter = max(p.SettleAfter, s.settleAfter(g.Key()))
	return again
}

// order puts the groups into the order of the sends.
func (p *Plan) order(jobs []schedule.Job, swallowed []bool, s Settings, now time.Time) {
	p.Workers = s.abreast()
	settings := schedule.Settings{
		Order: s.Order, Workers: p.Workers, MaxHeavy: s.MaxHeavy, Rate: s.Rate, Burst: s.Burst, Throttle: s.Throttle,
	}
	if s.History != nil {
		settings.Pace = s.History.PaceSpread()
	}
	p.schedule = schedule.New(now, jobs, settings)
	if slices.ContainsFunc(jobs, func(j schedule.Job) bool { return j.Known }) {
		f := p.schedule.Forecast()
		p.Forecast = &f
		history := s.History // alone: the settings hold much else
		p.Cost = func(key string) time.Duration { return history.Estimate(key).Mean }
		for _, g := range p.Groups {
			p.Work += p.Cost(g.Key())
		}
	}
	listed := p.Groups
	p.Groups = make([]hooks.Group, len(jobs))
	p.swallowed = make([]bool, len(jobs))
	for place, i := range p.schedule.Sequence() {
		p.Groups[place], p.swallowed[place] = listed[i], swallowed[i]
	}
}

// remember keeps on record what an earlier run got accepted, or left open, of groups that are not in the list now: they
// may come back.
func (p *Plan) remember(s *Settings, groups []hooks.Group, now time.Time) {
	listed := make(map[hooks.Group]bool, len(groups))
	for _, g := range groups {
		listed[g] = true
	}
	for e := range s.Previous.Run.All() {
		g := hooks.Group(e.Group)
		if listed[g] {
			continue
		}
		switch c := s.Previous.choose(g, s, now); {
		case c.skip.In != "":
			p.skips = append(p.skips, c.skip)
		case !c.open.At.IsZero():
			p.gone = append(p.gone, c.open)
		}
	}
}

// journalled gives the groups of a plan to the journal, and with them those that are not sent to although their fate is
// unknown: a later run must not take them for unsent.
func (p *Plan) journalled(w *state.Writer) {
	groups := make([]state.Group, 0, len(p.Groups)+len(p.gone)+len(p.alone))
	for _, g := range p.Groups {
		groups = append(groups, state.Group(g))
	}
	for _, o := range slices.Concat(p.gone, p.alone) {
		groups = append(groups, o.Group)
	}
	w.List(groups, p.skips, slices.Concat(p.opened, p.gone, p.alone)...)
}

// guarded counts the groups that were accepted although the server's guard was up, by the results of the sends, which
// are in the plan's order.
func (p *Plan) guarded(results []dispatcher.Result) (n int) {
	for place, swallowed := range p.swallowed {
		if swallowed && results[place].Outcome == dispatcher.Accepted {
			n++
		}
	}
	return n
}

// earlier is what an earlier run left of a group that is ambiguous, see [dispatcher.Options].
func (p *Plan) earlier(j dispatcher.Job) (dispatcher.Result, bool) {
	r, ok := p.ambiguous[j.Key()]
	return r, ok
}
