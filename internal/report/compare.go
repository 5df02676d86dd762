package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// A group is much slower than usual where it took at least so many times as long, and longer by so much: the time of a
// short send doubles by chance, and nobody waits for it.
const (
	slowTimes = 3
	slowBy    = 5 * time.Second
)

// Comparison is what is different from the run before, or from one that was chosen.
type Comparison struct {
	Run         string     `json:"run"` // the other one
	Started     time.Time  `json:"started"`
	Wall        float64    `json:"wall"`
	Paused      float64    `json:"paused,omitempty"` // seconds of Wall in which operators had it paused
	Accepted    int        `json:"accepted"`
	Groups      int        `json:"groups"`
	Usual       int        `json:"usual_runs"`   // of how many earlier runs the usual times are the median
	NewFailures []Change   `json:"new_failures"` // groups that failed, and had not failed in the run before
	Mended      []Change   `json:"mended"`       // groups that failed in the run before, and have been accepted
	Slower      []Slowness `json:"slower"`       // the slowest first
	Appeared    int        `json:"appeared"`     // groups that were not in the list before
	Gone        int        `json:"gone"`         // groups that are not in the list any more

	things printable.Noun
	chosen bool // it may be any run, also a later one
}

// Change is a group whose outcome changed.
type Change struct {
	Site   string `json:"site"`
	Group  string `json:"group"`
	Before string `json:"before"` // an outcome; empty if the group was not in the list
	Now    string `json:"now"`
}

// Slowness is a group that took much longer than usual, in seconds.
type Slowness struct {
	Site    string  `json:"site"`
	Group   string  `json:"group"`
	Seconds float64 `json:"seconds"`
	Usual   float64 `json:"usual"`
}

// Past is an earlier run of the same site. Its jobs have the same names.
type Past struct {
	Run     string
	Results *dispatcher.Report
	Steered []Steer // what operators changed
}

// CompareWith notes what is different from earlier runs, newest first and at least one: outcomes from the first of them,
// lengths of time from the median of all.
func (d *Document) CompareWith(earlier ...Past) {
	type known struct {
		outcome dispatcher.Outcome
		listed  bool // in the run before
		took    []time.Duration
	}
	history := make(map[string]known, len(earlier[0].Results.Results))
	for i, past := range earlier {
		for j := range past.Results.Results {
			r := &past.Results.Results[j]
			key := r.Job.Key()
			k := history[key]
			if i == 0 {
				k.outcome, k.listed = r.Outcome, true
			}
			if r.Attempts > 0 && r.Outcome == dispatcher.Accepted {
				k.took = append(k.took, r.Took)
			}
			history[key] = k
		}
	}
	before := earlier[0].Results
	c := &Comparison{
		Run: earlier[0].Run, Started: instant(before.Started), Wall: seconds(before.Finished.Sub(before.Started)),
		Paused:   seconds(paused(earlier[0].Steered, before.Finished)),
		Accepted: before.Counts()[dispatcher.Accepted], Groups: len(before.Results), Usual: len(earlier),
		NewFailures: []Change{}, Mended: []Change{}, Slower: []Slowness{},
	}
	met := 0
	for i := range d.results.Results {
		r := &d.results.Results[i]
		k := history[r.Job.Key()]
		site, group := d.meta.Names(r.Job)
		change := Change{Site: site, Group: group, Now: r.Outcome.String()}
		if k.listed {
			met++
			change.Before = k.outcome.String()
		} else {
			c.Appeared++
		}
		failedBefore := k.listed && k.outcome.Failed()
		switch {
		case r.Failed() && !failedBefore && !d.underWay(r):
			c.NewFailures = append(c.NewFailures, change)
		case r.Outcome == dispatcher.Accepted && failedBefore:
			c.Mended = append(c.Mended, change)
		}
		if len(k.took) > 0 && r.Attempts > 0 {
			slices.Sort(k.took)
			usual := k.took[len(k.took)/2]
			if r.Took >= slowTimes*usual && r.Took >= usual+slowBy {
				c.Slower = append(c.Slower, Slowness{site, group, seconds(r.Took), seconds(usual)})
			}
		}
	}
	c.Gone = len(before.Results) - met
	slices.SortStableFunc(c.Slower, func(a, b Slowness) int { return cmp.Compare(b.Seconds, a.Seconds) })
	c.things, d.Compare = d.meta.Things, c
}

// CompareWithRun notes what is different from one run alone, which may be a later one.
func (d *Document) CompareWithRun(other Past) {
	d.CompareWith(other)
	d.Compare.chosen = true
}

// words are how a comparison speaks of the other run.
type words struct{ title, other, appeared, gone, same, failed, mended, usual, usually string }

func (c *Comparison) words() words {
	if c.chosen {
		return words{
			title: "Compared with another run", other: "run " + c.Run, appeared: "only in this run's list", gone: "only in the other's",
			same:   "no " + c.things.One() + " failed in only one of the two, and none was much slower here",
			failed: "failed here, and not in that run", mended: "accepted here, failed in that run", usual: "in that run", usually: "there",
		}
	}
	w := words{
		title: "Compared with the run before", other: "the run before, " + c.Run, appeared: "in the list since", gone: "no longer in it",
		same:   "no new failure, none mended, no " + c.things.One() + " much slower than usual",
		failed: "newly failed", mended: "mended, failed before", usual: "in the run before", usually: "usually",
	}
	if c.Usual > 1 {
		w.usual = fmt.Sprintf("in the %d runs before, in the median", c.Usual)
	}
	return w
}

// Title is the heading of the comparison.
func (c *Comparison) Title() string { return c.words().title }

// Lead says what the comparison is with.
func (c *Comparison) Lead() []string {
	w := c.words()
	list := []string{fmt.Sprintf("%s, which began %s: %d of %s accepted in %s",
		w.other, clock(c.Started), c.Accepted, c.things.Count(c.Groups), Length(c.Wall, c.Paused))}
	if c.Appeared > 0 || c.Gone > 0 {
		list = append(list, fmt.Sprintf("%s: %d, %s: %d", w.appeared, c.Appeared, w.gone, c.Gone))
	}
	if len(c.NewFailures)+len(c.Mended)+len(c.Slower) == 0 {
		list = append(list, w.same)
	}
	return list
}

// A namedList is a list of groups with its title.
type namedList struct {
	Title string
	Names []string
}

// Lists are those of the comparison that are not empty.
func (c *Comparison) Lists() []namedList {
	changes := func(list []Change, show func(Change) string) []string {
		var names []string
		for _, change := range list {
			names = append(names, fullName(change.Site, change.Group)+" ("+show(change)+")")
		}
		return names
	}
	w := c.words()
	slower := namedList{Title: "much slower than " + w.usual}
	for _, s := range c.Slower {
		slower.Names = append(slower.Names, fmt.Sprintf("%s (%s, %s %s)", fullName(s.Site, s.Group), length(s.Seconds), w.usually, length(s.Usual)))
	}
	var list []namedList
	for _, l := range []namedList{
		{w.failed, changes(c.NewFailures, func(c Change) string { return c.Now })},
		{w.mended, changes(c.Mended, func(c Change) string { return c.Before })},
		slower,
	} {
		if len(l.Names) > 0 {
			list = append(list, l)
		}
	}
	return list
}

// fullName puts the halves of a name together; one without a site is its second half alone.
func fullName(site, group string) string {
	if site == "" {
		return group
	}
	return site + "/" + group
}

// writeText writes the comparison for a person, with names or with their numbers alone; nothing where there is none.
func (c *Comparison) writeText(out io.Writer, named bool) {
	if c == nil {
		return
	}
	fmt.Fprintln(out)
	for _, line := range c.Lead() {
		fmt.Fprintln(out, printable.Line(line))
	}
	for _, l := range c.Lists() {
		if !named {
			fmt.Fprintf(out, "\n%d %s\n", len(l.Names), l.Title)
			continue
		}
		fmt.Fprintf(out, "\n%d %s:\n", len(l.Names), l.Title)
		writeList(out, l.Names[:min(len(l.Names), namedAgain)], max(0, len(l.Names)-namedAgain))
	}
}
