package state

import (
	"math"
	"slices"
	"time"
)

// The constants of the package's rules.
const (
	decay  = 0.8 // what a send weighs of the one after it
	beyond = 2.5 // spreads; a send farther from its group's cost counts as if it were there

	usualSpread = 0.4 // of a group's sends, where none tell
	leastSpread = 0.2 // a server that was steadier is not trusted to stay so, or a change would be taken for an outlier
	siteSends   = 4   // sends that the spread of all groups counts for in that of one, and usualSpread in that of all

	usualRange = 1.5 // standard deviation of the logarithm of the groups' costs, where too few tell
	rangeSends = 4   // groups that it counts for

	keptPaces    = 5   // runs whose median is the usual pace
	leastAbreast = 30  // sends that tell how many of them a site bears at once, at least
	leastPaced   = 8   // known groups that a run's pace is the median of, at least
	paceSpread   = 0.2 // of the logarithms of runs' paces, where too few tell
	paceSends    = 2.0 // runs that it counts for
)

// least and most bound times in seconds, and paces. What was measured is never near them; they keep the arithmetic finite.
const (
	least float32 = 1e-6
	most  float32 = 1e7
)

func bound(x float64) float32 { return min(max(float32(x), least), most) }

func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds, float64(most)) * float64(time.Second))
}

// cost is what one group's sends took, divided by the paces of their runs.
type cost struct {
	median float32 // seconds
	spread float32 // of these sends alone, none added for how few they are; 0 after one
	sends  uint8   // at most maxSends, when more make no difference; 0: the group is only listed
	missed uint8   // runs since it was on the list

	longest float32 // seconds that one of these sends took, in the pace of its run; 0: not known
}

// maxSends is where the first send's weight is below a thousandth of the last one's.
const maxSends = 32

// maxSpread is more than a group between least and most can have.
const maxSpread = 100

// gain is the share of the latest of so many sends in their mean: 1, 0.56, 0.41, … 0.2.
func gain(sends uint8) float64 {
	return (1 - decay) / (1 - math.Pow(decay, float64(sends)))
}

// weight is how many sends of equal weight would make as sure a mean as so many do: 1, 1.98, 2.9, … 9.
func weight(sends uint8) float64 {
	last := math.Pow(decay, float64(sends))
	return (1 + decay) / (1 - decay) * (1 - last) / (1 + last)
}

// learn takes in the logarithm of what another send took at the run's pace. within is the variance of all groups.
func (c *cost) learn(log, within float64) {
	if c.sends == 0 {
		c.median, c.spread, c.sends = bound(math.Exp(log)), 0, 1
		return
	}
	far := beyond * math.Sqrt(c.variance(within))
	c.sends = min(c.sends+1, maxSends)
	a := gain(c.sends)
	mean := math.Log(float64(c.median))
	d := min(max(log-mean, -far), far)
	c.median = bound(math.Exp(mean + a*d))
	c.spread = float32(math.Sqrt((1 - a) * (float64(c.spread)*float64(c.spread) + a*d*d)))
}

// variance is that of the group's next send about its cost: its own mixed with that of all groups, as the number of
// sends goes.
func (c *cost) variance(within float64) float64 {
	n := weight(c.sends)
	mixed := (siteSends*within + n*float64(c.spread)*float64(c.spread)) / (siteSends + n - 1)
	return max(mixed, leastSpread*leastSpread)
}

// site is what the groups have in common. It follows from their costs, and from the last runs' paces.
type site struct {
	logPace float64 // the logarithm of the usual pace
	median  float64 // of the known groups' costs, in seconds; 0: none is known
	within  float64 // the variance of a group's sends
	between float64 // the variance of the groups' costs
}

// settle works out the site's figures.
func (h *History) settle() {
	sum, degrees := siteSends*usualSpread*usualSpread, float64(siteSends)
	costs := make([]float32, 0, len(h.groups))
	for i := range h.groups {
		c := &h.groups[i]
		if c.sends == 0 {
			continue
		}
		n := weight(c.sends)
		sum += n * float64(c.spread) * float64(c.spread)
		degrees += n - 1
		costs = append(costs, c.median)
	}
	within := max(sum/degrees, leastSpread*leastSpread)
	h.site = site{logPace: median(h.logPaces()), within: within, between: usualRange * usualRange}
	n := len(costs)
	if n == 0 {
		return
	}
	slices.Sort(costs)
	h.site.median = float64(median(costs))
	// Two thirds of a normal distribution are within one standard deviation. Unlike the deviations' squares, this does
	// not hear of a few groups far out.
	sigma := math.Log(float64(costs[n*5/6])/float64(costs[n/6])) / 2
	h.site.between = (rangeSends*usualRange*usualRange + float64(n)*sigma*sigma) / float64(rangeSends+n)
}

// median is that of a sorted slice with at least one element.
func median[F float32 | float64](sorted []F) F {
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}
