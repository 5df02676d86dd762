package campaign

import (
	"iter"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
)

// Plan is which groups a run will send to, in order, and which it leaves out.
type Plan struct {
	Groups  []state.Group
	Things  printable.Noun // what they are called
	Private bool           // their names are personal data, see [Campaign]
	// Unusable are the entries of the site's list that are no groups; the operator is to hear of them.
	Unusable hooks.Unusable
	// Held is how many of them wait for the server's guard.
	Held int
	// Settling is how many wait because an earlier send to them may still be under way, and SettleAfter how long after the
	// start of that send at most.
	Settling    int
	SettleAfter time.Duration
	// Ends is when the run starts nothing more; nil: never.
	Ends *DeadlineError
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

	// Clock is the server's, as far as the site's own tables tell, and Due how many groups have something to mail by them. nil:
	// they were not read. Why is why they were not, or are not reckoned with; empty: they are, or nobody asked for them.
	Clock *ledger.Clock
	Due   int
	Why   string

	schedule *schedule.Plan
	workers  int           // that were asked for
	auto     bool          // they are the most, and how many there are is to be found
	expected time.Duration // by Forecast; 0: not known

	skips     []state.Skip                 // what the journal is to know of the groups left out
	opened    []state.LeftOpen             // and of those that an earlier run left open
	gone      []state.LeftOpen             // the same, no longer in the list
	left      []dispatcher.Result          // what the report says of the groups that are not sent to
	alone     []state.LeftOpen             // of these, the ambiguous ones
	told      []state.LeftOpen             // .. and those of which the ledger told what an earlier run left open
	ambiguous map[string]dispatcher.Result // groups that an earlier run left so and that are sent to again, until then, by key
	swallowed []bool                       // by place in Groups: it is sent to although the server's guard is up
	leftMails []ledger.Mail                // what the ledger tells of those in left
	leftSent  []leftSent                   // of those in left, the groups that the ledger is to be asked about in the end
	idle      []state.Group                // they have nothing to mail, and are asked about once more in the end
	idled     int                          // how many of these had nothing then either; theirs are the last results
}

// A leftSent is a group that an earlier run got accepted, and its place among the results that a plan leaves.
type leftSent struct {
	place int
	ledger.Sent
}

// Listed counts the groups of the site's list.
func (p *Plan) Listed() int { return len(p.Groups) + len(p.left) + len(p.idle) }

// Idle are the groups that are left out because they have nothing to mail, unless that changes before the run ends.
func (p *Plan) Idle() []state.Group { return p.idle }

// Left are the results of the groups that are not sent to, as the report has them, but for those of Idle.
func (p *Plan) Left() []dispatcher.Result { return p.left }

// warnings are what an operator has to know of the list.
func (p *Plan) warnings() []string {
	if p.Unusable.N == 0 {
		return nil
	}
	return []string{p.Unusable.String()}
}

// plan decides what becomes of each group that a site listed: by what the user left out, by what earlier runs did, by the
// server's guard, and by what is known of their costs.
func (r *run) plan(list *List) *Plan {
	now, groups := time.Now(), list.Entries
	p := &Plan{
		Things: r.campaign.Things, Unusable: list.Unusable, Ends: r.ends.Load(), workers: r.Workers, auto: r.Auto, Private: r.campaign.Private,
		ambiguous: map[string]dispatcher.Result{},
	}
	assumed := assumed(r.assumed, groups)
	if r.previous != nil {
		r.rememberUnlisted(p, groups, now)
	}
	if r.history != nil {
		r.history.List(keys(groups))
	}
	span := r.span(groups, now)
	p.Why = r.why
	if r.book != nil {
		p.Clock = new(r.book.Clock())
	}
	jobs := make([]schedule.Job, 0, len(groups))
	swallowed := make([]bool, 0, len(groups)) // by number of the job
	p.Groups = groups[:0]                     // the list itself is not needed again
	for _, g := range groups {
		c := r.choice(g, now)
		if c.class == leave {
			p.leave(c)
			continue
		}
		known := r.past.Of(g)
		skipped := false
		job := schedule.Job{Class: 2 * int(c.class), NotBefore: r.settled(p, g, c, known, now)}
		if r.idle(g, now, span) {
			if r.SkipIdle && job.NotBefore.IsZero() {
				p.idle = append(p.idle, g)
				continue
			}
			if r.Order == schedule.Auto || r.Order == "" {
				job.Class++ // after those that have something to mail
			}
		} else if r.book != nil {
			p.Due++
		}
		// Not for a group that may have been mailed in the run before: it is the guard that makes the repeat harmless.
		if c.class != unknown {
			var free time.Time
			if free, skipped = r.guarded(r.free(known, assumed[g]), now); !free.IsZero() {
				p.Held++
				job.NotBefore = latest(job.NotBefore, free)
			}
		}
		if !job.NotBefore.IsZero() {
			p.Waiting++
			p.Until = latest(p.Until, job.NotBefore)
		}
		if r.history != nil {
			e := r.history.Estimate(g.Key())
			job.Estimate, job.Mean, job.Spread, job.Known = e.Median, e.Mean, e.Spread, e.Known
		}
		jobs, swallowed = append(jobs, job), append(swallowed, skipped)
		p.Groups = append(p.Groups, g)
	}
	r.order(p, jobs, swallowed, now)
	return p
}

// choice decides whether a group is sent to, and in which class.
func (r *run) choice(g state.Group, now time.Time) (c choice) {
	if r.previous != nil {
		c = r.choose(g, now)
	}
	// What an earlier run got accepted is no question of taste: the journal must know it in any case.
	if c.class != leave {
		if reason := leftOut(r.Only, r.Exclude, g); reason != "" {
			return leaveOut(g, state.Skip{Reason: reason})
		}
	}
	return c
}

func keys(groups []state.Group) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, g := range groups {
			if !yield(g.Key()) {
				return
			}
		}
	}
}

// leave takes a group in that is not sent to.
func (p *Plan) leave(c choice) {
	p.left, p.leftMails = append(p.left, c.result), append(p.leftMails, c.mail)
	if c.sent.Accepted {
		p.leftSent = append(p.leftSent, leftSent{len(p.left) - 1, c.sent})
	}
	switch {
	case c.result.Outcome == dispatcher.Accepted:
		p.told = append(p.told, c.open)
	case c.result.Outcome == dispatcher.Ambiguous:
		p.alone = append(p.alone, c.open)
	default:
		p.skips = append(p.skips, c.skip)
	}
}

// settled takes a group in of which an earlier send may still be under way, and says from when on it may be sent to;
// zero: at once.
func (r *run) settled(p *Plan, g state.Group, c choice, known Known, now time.Time) time.Time {
	result, open, again := c.result, c.open, c.notBefore
	if c.class != unknown {
		if known.Open.IsZero() {
			return time.Time{}
		}
		at := earlier(known.Open, now) // whatever the clock was then
		again = at.Add(r.settleAfter(g.Key()))
		if !again.After(now) {
			return time.Time{}
		}
		lost := dispatcher.Lost{Reason: "an earlier run ended without its answer", Start: at}
		open = state.LeftOpen{Group: g, At: at, Lost: lost}
		result = ambiguous(g, &open, "it may have been mailed in an earlier run, and was not sent to again before this one ended")
	}
	p.ambiguous[g.Key()] = result
	p.opened = append(p.opened, open)
	if !again.After(now) {
		return time.Time{}
	}
	p.Settling++
	p.SettleAfter = max(p.SettleAfter, r.settleAfter(g.Key()))
	return again
}

// order puts the groups into the order of the sends.
func (r *run) order(p *Plan, jobs []schedule.Job, swallowed []bool, now time.Time) {
	p.Workers = r.abreast()
	settings := schedule.Settings{
		Order: r.Order, Workers: p.Workers, MaxHeavy: r.MaxHeavy.Of, Rate: r.Rate, Burst: r.Burst, Throttle: r.Throttle,
	}
	if r.history != nil {
		settings.Pace = r.history.PaceSpread()
	}
	p.schedule = schedule.New(now, jobs, settings)
	if slices.ContainsFunc(jobs, func(j schedule.Job) bool { return j.Known }) {
		f := p.schedule.Forecast()
		p.Forecast, p.expected = &f, f.Expected
		history := r.history // alone: the run holds much else
		p.Cost = func(key string) time.Duration { return history.Estimate(key).Mean }
		for _, g := range p.Groups {
			p.Work += p.Cost(g.Key())
		}
	}
	listed := p.Groups
	p.Groups = make([]state.Group, len(jobs))
	p.swallowed = make([]bool, len(jobs))
	for place, i := range p.schedule.Sequence() {
		p.Groups[place], p.swallowed[place] = listed[i], swallowed[i]
	}
}

// rememberUnlisted keeps on record what an earlier run got accepted, or left open, of groups that are not in the list now: they
// may come back.
func (r *run) rememberUnlisted(p *Plan, groups []state.Group, now time.Time) {
	listed := make(map[state.Group]bool, len(groups))
	for _, g := range groups {
		listed[g] = true
	}
	for e := range r.previous.Run.All() {
		if listed[e.Group] {
			continue
		}
		switch c := r.choose(e.Group, now); {
		case c.skip.In != "":
			p.skips = append(p.skips, c.skip)
		case !c.open.At.IsZero():
			p.gone = append(p.gone, c.open)
		}
	}
}

// journalled gives the groups of a plan to the journal, and with them those that are not sent to although their fate is
// unknown: a later run must not take them for unsent. What the ledger told of some of these is their outcome at once.
func (p *Plan) journalled(w *state.Writer) {
	groups := slices.Grow(slices.Clip(p.Groups), len(p.gone)+len(p.alone)+len(p.told)+len(p.idle))
	for _, o := range slices.Concat(p.gone, p.alone, p.told) {
		groups = append(groups, o.Group)
	}
	groups = append(groups, p.idle...)
	w.List(groups, p.skips, slices.Concat(p.opened, p.gone, p.alone, p.told)...)
	now := time.Now()
	for _, o := range p.told {
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{Job: o.Group, Verdict: accepted, Start: now}})
	}
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
