// Package schedule decides in which order a run sends its jobs, and forecasts how long it will take.
//
// schedule.go has the order, forecast.go and simulate.go the forecast. It is arithmetic alone: it knows neither where estimates
// come from nor what a job is, starts nothing, and gives the same answers to the same questions. A run follows the order, and
// passes by what is held back or too heavy just then: that is [dispatcher.Lineup]'s decision, and forecasts ask the same one.
package schedule

import (
	"cmp"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// A Job is what a schedule knows of one send.
type Job struct {
	Class     int           // jobs of a lower class go before those of a higher one
	Estimate  time.Duration // the median of what the send may take
	Mean      time.Duration // what it takes on average; 0: what follows from Estimate and Spread
	Spread    float64       // how far it may be off: the standard deviation of the natural logarithm; 0.4 is some 40 %
	Known     bool          // past runs tell of this very job; otherwise the estimate is a guess
	NotBefore time.Time     // the job is held back until then, while others pass; zero: it is not
}

// Order is a rule for the order of the jobs. Its text is the word of the command line.
type Order string

// The orders. In all of them jobs of a lower class go first, and equals go as listed.
const (
	Auto    Order = "auto"    // Longest where any job is known, else Name; the empty order is Auto too
	Name    Order = "name"    // as listed
	Longest Order = "longest" // the longest first, so that none of them begins late and keeps the run waiting
	Mixed   Order = "mixed"   // half of the sends, rounded up, come from the long end of that, the others from the short end
)

// Settings of a run, as far as they bear on its length.
type Settings struct {
	Order   Order
	Workers int // most sends in flight; below 1 counts as 1
	// MaxHeavy is how many heavy jobs may be in flight while lighter ones are left, see [Plan.Heavy], by how many sends
	// may be. nil or 0: half of them, at least one, and more at the end of a run that this would make longer.
	MaxHeavy func(limit int) int
	Rate     ratelimit.Rate // sends started per second; 0: no limit
	Burst    int            // how many of them may start at once after a lull; below 1 counts as 1
	Throttle time.Duration  // how long a worker rests after a send
	// Pace is how far nights differ in what is common to all their sends: the standard deviation of the natural logarithm.
	Pace float64
}

// A Plan is the order of the jobs of a run. It does not change.
type Plan struct {
	jobs     []Job
	now      time.Time // when the run begins
	settings Settings
	sequence []int  // numbers of jobs, in dispatch order
	heavy    []bool // by number of the job
	held     bool   // some jobs are held back
	spare    int    // see dispatcher.Rule
}

// New plans a run that begins at the time now. The jobs come in the order of the list, are numbered by it from 0, and
// are the plan's from here on.
func New(now time.Time, jobs []Job, s Settings) *Plan {
	s.Workers, s.Burst = max(s.Workers, 1), max(s.Burst, 1)
	s.Order = resolve(jobs, s.Order)
	p := &Plan{jobs: jobs, now: now, settings: s, sequence: sequence(jobs, s.Order), heavy: make([]bool, len(jobs))}
	bound := heavyBound(jobs)
	for i := range jobs {
		p.heavy[i] = jobs[i].Known && jobs[i].Estimate > bound
		p.held = p.held || !jobs[i].NotBefore.IsZero()
	}
	p.spare = p.findSpare()
	return p
}

// resolve says what an order comes to for these jobs. Where there are several classes the short end would be that of
// the last one, before its turn: Mixed is Longest then.
func resolve(jobs []Job, o Order) Order {
	known, classes := false, false
	for i := range jobs {
		known = known || jobs[i].Known
		classes = classes || jobs[i].Class != jobs[0].Class
	}
	switch {
	case (o == Auto || o == "") && known, o == Mixed && classes:
		return Longest
	case o == Auto || o == "":
		return Name
	}
	return o
}

func sequence(jobs []Job, o Order) []int {
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		c := cmp.Compare(jobs[a].Class, jobs[b].Class)
		if c == 0 && o != Name {
			c = cmp.Compare(jobs[b].Estimate, jobs[a].Estimate)
		}
		return cmp.Or(c, a-b)
	})
	return order
}

// heavyPercentile is how many percent of the known jobs are not heavy.
const heavyPercentile = 95

// heavyBound is the estimate above which a known job is heavy. Guesses say nothing of who is heavy.
func heavyBound(jobs []Job) time.Duration {
	known := make([]time.Duration, 0, len(jobs))
	for i := range jobs {
		if jobs[i].Known {
			known = append(known, jobs[i].Estimate)
		}
	}
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return known[rank(len(known), heavyPercentile)]
}

// rank is the place of a percentile among n sorted values, by the nearest rank.
func rank(n, percent int) int { return max((n*percent+99)/100, 1) - 1 }

// Order is what the order came to; never Auto.
func (p *Plan) Order() Order { return p.settings.Order }

// Sequence gives the numbers of the jobs in dispatch order. It is not to be written to.
func (p *Plan) Sequence() []int { return p.sequence }

// Heavy tells whether job number i is heavy: its estimate is known, and above the 95th percentile of those that are.
func (p *Plan) Heavy(i int) bool { return p.heavy[i] }

// Rule is the plan for [dispatcher.Run], of jobs in the order of [Plan.Sequence].
func (p *Plan) Rule() dispatcher.Rule {
	r := dispatcher.Rule{MaxHeavy: p.settings.MaxHeavy, Spare: p.spare}
	if p.held {
		r.NotBefore = func(place int) time.Time { return p.jobs[p.sequence[place]].NotBefore }
	}
	if slices.Contains(p.heavy, true) {
		r.Heavy = func(place int) bool { return p.heavy[p.sequence[place]] }
	}
	if p.settings.Order == Mixed {
		r.FromFront = func(limit int) int { return (limit + 1) / 2 }
	}
	return r
}

const (
	// spareGain is by how much of its length a run must be longer for the limit of heavy jobs before that yields.
	spareGain = 0.005
	// spareSteps is in how many steps the number of spare jobs is looked for.
	spareSteps = 16
)

// findSpare says how many jobs at the end of the order are to be kept until the heavy jobs have begun.
//
// Where the heavy jobs are most of the work, half of the workers cannot get through with them before the others have
// run out of lighter jobs. Then only heavy ones are left, and nothing fills the gaps that they leave at the end: on sites
// with such a tail that costs up to a tenth of the run. So some of the shortest jobs are kept back, as few as bring the
// run's length on the estimates down to what it would be without the limit, and half as many again, for the estimates
// are off. A limit that somebody set is kept to the letter.
func (p *Plan) findSpare() int {
	limit := p.settings.MaxHeavy
	if p.settings.Order != Longest || limit != nil && limit(p.settings.Workers) > 0 || !slices.Contains(p.heavy, true) {
		return 0
	}
	took := make([]time.Duration, len(p.jobs))
	var longest, sum time.Duration
	for place, i := range p.sequence {
		took[place] = p.jobs[i].Estimate
		longest, sum = max(longest, took[place]), sum+took[place]
	}
	length := func(spare int) time.Duration {
		rule := p.Rule()
		rule.Spare = spare
		return p.site().simulate(dispatcher.NewLineup(len(took), p.now, rule), p.now, took, nil)
	}
	most := func(length time.Duration) time.Duration { return time.Duration(float64(length) * (1 + spareGain)) }
	strict := length(0)
	if strict <= most(max(longest, sum/time.Duration(p.settings.Workers))) { // no order is any shorter
		return 0
	}
	free := most(length(len(took)))
	if strict <= free {
		return 0
	}
	few, enough := 0, spareSteps
	for enough-few > 1 {
		if middle := (few + enough) / 2; length(len(took)*middle/spareSteps) <= free {
			enough = middle
		} else {
			few = middle
		}
	}
	return min(len(took)*enough*3/2/spareSteps, len(took))
}
