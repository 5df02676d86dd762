package schedule

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// A Forecast says how long a run will take, from its beginning to the end of its last send, if nothing goes wrong:
// without tries that are made again, pauses and outages.
type Forecast struct {
	Expected  time.Duration // on average
	Low, High time.Duration // nine nights of ten lie between them
	Jobs      int
	Known     int // jobs of which past runs tell

	plan *Plan
	bad  int // the number of the night that is as long as High
}

// Nights are made up for a forecast until they hold so many sends in all. The more jobs, the fewer nights do, since what
// single jobs take more and less evens out: from 100,000 jobs on, one night is within a percent of the other.
const (
	forecastSends = 500_000
	fewestNights  = 5
	mostNights    = 200
)

func nights(jobs int) int { return min(max(forecastSends/max(jobs, 1), fewestNights), mostNights) }

// Forecast makes up nights by the jobs' estimates and spreads, and looks how long each would take.
func (p *Plan) Forecast() Forecast {
	f := Forecast{Jobs: len(p.jobs), plan: p}
	for i := range p.jobs {
		if p.jobs[i].Known {
			f.Known++
		}
	}
	lengths := p.lengths()
	var sum time.Duration
	for _, l := range lengths {
		sum += l.length / time.Duration(len(lengths))
	}
	bad := lengths[rank(len(lengths), 95)]
	f.Expected, f.Low, f.High, f.bad = sum, lengths[rank(len(lengths), 5)].length, bad.length, bad.number
	return f
}

// A night is one that was made up, by the number that makes it again.
type night struct {
	number int
	length time.Duration
}

// lengths makes up nights, the shortest first.
func (p *Plan) lengths() []night {
	list := make([]night, nights(len(p.jobs)))
	begin := dispatcher.NewLineup(len(p.jobs), p.now, p.Rule())
	took := make([]time.Duration, len(p.jobs))
	for n := range list {
		p.makeUp(took, n)
		list[n] = night{n, p.site().simulate(begin.Clone(), p.now, took, nil)}
	}
	slices.SortFunc(list, func(a, b night) int {
		return cmp.Or(cmp.Compare(a.length, b.length), cmp.Compare(a.number, b.number))
	})
	return list
}

// makeUp fills in how long each send takes in a night, by its place in dispatch order: log-normal, with the spread and
// the mean that it has.
func (p *Plan) makeUp(took []time.Duration, night int) {
	random := rand.New(rand.NewPCG(uint64(night), 0))
	// What all sends of a night have in common does not average out over them, nor does a wrong guess of what the unknown
	// ones cost, which comes from so many known ones.
	known, unknown := 0, 0.0
	for i := range p.jobs {
		if p.jobs[i].Known {
			known++
		} else {
			unknown = p.jobs[i].Spread
		}
	}
	common := factor(random, p.settings.Pace)
	guess := factor(random, unknown/math.Sqrt(float64(max(known, 1))))
	for place, i := range p.sequence {
		job := &p.jobs[i]
		middle := float64(job.Estimate)
		if job.Mean > 0 {
			middle = float64(job.Mean) * math.Exp(-job.Spread*job.Spread/2)
		}
		if !job.Known {
			middle *= guess
		}
		took[place] = time.Duration(common * middle * math.Exp(job.Spread*random.NormFloat64()))
	}
}

// factor draws a log-normal number whose mean is 1.
func factor(random *rand.Rand, spread float64) float64 {
	if spread == 0 {
		return 1
	}
	return math.Exp(spread*random.NormFloat64() - spread*spread/2)
}

// A Fit says whether all sends of a run will have started by a deadline.
type Fit struct {
	Fits    bool
	Workers int   // the fewest that would do where those of the plan do not; 0: none would
	Left    []int // the numbers of the jobs that would be left, in dispatch order
}

// Fit says whether all jobs will have started by a deadline, since nothing starts after one, and what is in flight
// then ends. It looks at a bad night, the one that is as long as High, and makes it again with other numbers of workers,
// up to mostWorkers.
func (f Forecast) Fit(deadline time.Time, mostWorkers int) Fit {
	p := f.plan
	took := make([]time.Duration, len(p.jobs))
	p.makeUp(took, f.bad)
	fit := Fit{Left: p.leaves(took, deadline)}
	if len(fit.Left) == 0 {
		fit.Fits = true
		return fit
	}
	fits := func(workers int) bool { return len(p.with(workers).leaves(took, deadline)) == 0 }
	if mostWorkers <= p.settings.Workers || !fits(mostWorkers) {
		return fit
	}
	few, enough := p.settings.Workers, mostWorkers
	for enough-few > 1 {
		if middle := (few + enough) / 2; fits(middle) {
			enough = middle
		} else {
			few = middle
		}
	}
	fit.Workers = enough
	return fit
}

// with is the plan for another number of workers; the order stays.
func (p *Plan) with(workers int) *Plan {
	other := *p
	other.settings.Workers = workers
	other.spare = other.findSpare()
	return &other
}

// leaves says which jobs have not started by a deadline, when sends take so long.
func (p *Plan) leaves(took []time.Duration, deadline time.Time) []int {
	var left []int
	by := deadline.Sub(p.now)
	p.site().simulate(dispatcher.NewLineup(len(took), p.now, p.Rule()), p.now, took, func(place int, at time.Duration) {
		if at >= by {
			left = append(left, place)
		}
	})
	slices.Sort(left)
	for n, place := range left {
		left[n] = p.sequence[place]
	}
	return left
}
