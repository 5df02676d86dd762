package state

import (
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// # The rules of the history
//
// The history remembers what the send of each group costs, in one small file an installation.
// It tells which groups take long, how sure that is, and what a group usually takes, for the order of a run, a forecast,
// and a limit that compares a send with its usual time. It decides none of these, starts nothing, and a run goes on
// without it: a file that cannot be read is an empty history and an error to warn of.
//
// The times of sends are log-normal: from group to group they differ by powers of ten, from night to night the same group
// differs by some 40 %. So all is done with logarithms, a median is the exponential of their mean, and a spread is the
// standard deviation of the natural logarithm: 0.4 is "about 40 % up or down".
//
//   - Only accepted sends count: what a failed one took tells of the failure. "Nothing to send" is accepted, too, since
//     its page is the same.
//   - A night may be slow for all groups alike: the server is busy, or more sends are in flight than it has threads and
//     each waits for the others. This is the run's pace, the median over its groups of what a send took to what the group
//     costs. Each send is divided by its run's pace before its group learns from it, so a slow night changes no group, and
//     runs with different numbers of workers can be compared. Where fewer than 8 known groups were sent to, the pace is
//     taken to be the usual one.
//   - The usual pace is the median of the last 5 runs'. So one slow night, or two, are not expected again, and a real
//     change, of the server or of the workers, counts from the third run on. What a group is expected to take is its
//     cost times the usual pace.
//   - A group's cost is a mean in which a send weighs 0.8 of the one after it. Half of it is of the last three sends, a
//     lasting change has reached it by nine tenths after ten; and noise of 40 % is averaged to one of 13 %.
//   - A send counts at most as 2.5 spreads away from its group's cost. Alone it then changes the cost by a fifth of that
//     at most; where the next ones agree the spread grows, and the cost follows.
//   - One or two sends tell little of a group's spread. It is mixed with that of all groups, which counts like four sends,
//     and what the cost itself may be wrong by is added.
//   - The longest send of a group is kept as it was, in seconds: nothing about it is expected, it only bounds what a send
//     whose answer was lost may still take.
//   - A group that is not on the site's list for 60 runs is forgotten.

// forgetAfter is how many runs a group may be absent from the list.
const forgetAfter = 60

// A History is what is known of the groups of one installation.
//
// It is used like this: [LoadHistory]; [History.List] once the run's list is there; [History.Estimate] for what is to be
// known of a group; Observe each event of the run, see [dispatcher.Event]; and when the run has ended [History.Learn]
// and [History.Save]. Estimate and its like may be called by several goroutines, also while Observe is: what they say does
// not change during a run. All else is for one goroutine at a time.
type History struct {
	groups []known   // in the order of their keys
	paces  []float32 // of the last runs, oldest first; there is at least one
	site   site

	abreast     float32    // see Abreast
	found       FoundLimit // by an adaptive limit
	sum         float64    // seconds of all sends of this run
	sends       int        // how many they are
	first, last time.Time  // when the first of them started, and the last one ended

	newer bool // the file is a newer program's
}

// known is what is known of one group.
type known struct {
	key string
	cost
	took float32 // seconds of its send in this run; 0 means that none was accepted
}

// NewHistory is the history of an installation of which nothing is known. Costs are measured in the pace of its first run.
func NewHistory() *History {
	h := &History{paces: []float32{1}}
	h.settle()
	return h
}

// Estimate is what a send is expected to take. Half of all sends take less than Median, two thirds are within a factor
// of exp(Spread) of it, in a run of the usual pace. Spread is 0.2 at least.
type Estimate struct {
	Median time.Duration
	Mean   time.Duration // what it takes on average, for sums over many groups
	Spread float64
	// Known: it comes from sends of this very group. Otherwise it is what a group of this site takes of which nothing is
	// known, or zero where nothing is known of any, and it is no measure for this group's sends.
	Known bool
}

// Estimate gives the expectation for the group with that key.
func (h *History) Estimate(key string) Estimate {
	c, ok := h.find(key)
	if !ok || c.sends == 0 {
		return h.Typical()
	}
	variance, n := c.variance(h.site.within), weight(c.sends)
	usual := float64(c.median) * h.Pace()
	return Estimate{
		Median: duration(usual),
		// The mean of a log-normal lies above its median by exp(variance/2). The median that n sends tell is too high by
		// exp(variance/2n) on average: after one send nothing is left to add, since one night is as good as another.
		Mean:   duration(usual * math.Exp(variance*(1-1/n)/2)),
		Spread: math.Sqrt(variance * (1 + 1/n)),
		Known:  true,
	}
}

// Typical gives the expectation for a group of which nothing is known: the median of all groups that are.
func (h *History) Typical() Estimate {
	variance := h.site.within + h.site.between
	usual := h.site.median * h.Pace()
	return Estimate{Median: duration(usual), Mean: duration(usual * math.Exp(variance/2)), Spread: math.Sqrt(variance)}
}

// Pace is the usual pace: how much longer sends take than they did in the first run.
func (h *History) Pace() float64 {
	return math.Exp(h.site.logPace)
}

// PaceSpread is the standard deviation of the logarithm of a run's pace about the usual one. A pace is common to all
// sends of a run, so that for their sum, unlike the groups' own spreads, it does not average out.
func (h *History) PaceSpread() float64 {
	sum := paceSends * paceSpread * paceSpread
	for _, log := range h.logPaces() {
		sum += (log - h.site.logPace) * (log - h.site.logPace)
	}
	return math.Sqrt(sum / (paceSends + float64(len(h.paces)) - 1))
}

// List tells the keys of all groups on the site's list, also of those that this run leaves out, once a run. Groups that
// were absent for too long are forgotten.
func (h *History) List(keys iter.Seq[string]) {
	for i := range h.groups {
		h.groups[i].missed++
		h.groups[i].took = 0
	}
	var fresh []known
	for key := range keys {
		if g, ok := h.find(key); ok {
			g.missed = 0
		} else if writable(key) {
			fresh = append(fresh, known{key: key})
		}
	}
	h.groups = slices.DeleteFunc(h.groups, func(g known) bool { return g.missed >= forgetAfter })
	h.groups = append(slices.Grow(h.groups, len(fresh)), fresh...)
	slices.SortFunc(h.groups, func(a, b known) int { return strings.Compare(a.key, b.key) })
	h.groups = slices.CompactFunc(h.groups, func(a, b known) bool { return a.key == b.key })
}

// Longest returns what the longest accepted send to the group with that key took. 0 means unknown.
func (h *History) Longest(key string) time.Duration {
	g, ok := h.find(key)
	if !ok {
		return 0
	}
	return duration(float64(g.longest))
}

// Observe notes what an accepted send took, of a group that List was told of. A send that repeats one whose answer was
// lost says nothing: the server may have skipped the group.
func (h *History) Observe(e dispatcher.Event) {
	r := &e.Result
	if e.Kind != dispatcher.Finished || r.Outcome != dispatcher.Accepted || r.Lost != nil {
		return
	}
	if g, ok := h.find(r.Job.Key()); ok {
		g.took = bound(r.Took.Seconds())
	}
	h.sum += r.Took.Seconds()
	h.sends++
	if h.first.IsZero() || r.Start.Before(h.first) {
		h.first = r.Start
	}
	if end := r.Start.Add(r.Took); end.After(h.last) {
		h.last = end
	}
}

// KeepAbreast keeps how many sends were in flight on average in the run that was learnt from, if they were enough to
// tell. It is for a run in which nothing but the site decided that.
func (h *History) KeepAbreast() {
	if wall := h.last.Sub(h.first).Seconds(); h.sends >= leastAbreast && wall > 0 {
		h.abreast = min(float32(h.sum/wall), mostAbreast)
	}
}

// Abreast is how many sends the last run of which that was kept had in flight on average: what a forecast has to go by
// where the number is found in the course of a run. 0: not known.
func (h *History) Abreast() float64 { return float64(h.abreast) }

// Learn takes what was observed since List into the groups' costs and the usual pace.
func (h *History) Learn() {
	var paces []float32 // what each group tells of the run's
	for i := range h.groups {
		if g := &h.groups[i]; g.took > 0 && g.sends > 0 {
			paces = append(paces, g.took/g.median)
		}
	}
	logPace := h.site.logPace
	if len(paces) >= leastPaced {
		slices.Sort(paces)
		pace := bound(float64(median(paces)))
		logPace = math.Log(float64(pace))
		h.paces = append(h.paces, pace)
		h.paces = slices.Clone(h.paces[max(len(h.paces)-keptPaces, 0):])
	}
	for i := range h.groups {
		if g := &h.groups[i]; g.took > 0 {
			g.learn(math.Log(float64(g.took))-logPace, h.site.within)
			g.longest = max(g.longest, g.took)
			g.took = 0
		}
	}
	h.settle()
}

// find returns what is known of the group with that key. It reads keys alone, since a send may be observed meanwhile.
func (h *History) find(key string) (*known, bool) {
	i, ok := sort.Find(len(h.groups), func(i int) int { return strings.Compare(key, h.groups[i].key) })
	if !ok {
		return nil, false
	}
	return &h.groups[i], true
}

// logPaces are the logarithms of the paces, in ascending order.
func (h *History) logPaces() []float64 {
	logs := make([]float64, len(h.paces))
	for i, p := range h.paces {
		logs[i] = math.Log(float64(p))
	}
	slices.Sort(logs)
	return logs
}

// writable tells whether a key can stand in a file. No id of Zope's holds what cannot; such a group is never known.
func writable(key string) bool {
	return key != "" && len(key) <= maxKey && !strings.ContainsAny(key, "\t\n")
}

// FoundLimit is what an adaptive limit found that the site bears, as ratelimit.Found has it, for the next run to begin
// with. The zero value is nothing.
type FoundLimit struct {
	Sends int
	Spare int
	Share float64
}

// The most that a file may say of it. What was found is never near them.
const (
	mostFound = 1e6
	mostSpare = 1e3
	mostShare = 1e3
)

// KeepFound keeps what the run found. If that is nothing, what was kept before stays.
func (h *History) KeepFound(f FoundLimit) {
	if f.Sends > 0 {
		share := min(max(float32(f.Share), 0), mostShare) // as the file has it
		h.found = FoundLimit{min(f.Sends, mostFound), min(max(f.Spare, 0), mostSpare), float64(share)}
	}
}

// Found returns what was kept last; nothing if none was.
func (h *History) Found() FoundLimit { return h.found }
