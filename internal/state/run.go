package state

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Run is a journal that was read whole. It keeps some 70 bytes a group, since there may be 200,000: an [Entry] is made
// when it is asked for.
type Run struct {
	Summary
	Limits []Limit // how the most sends in flight changed where that was found in the course of the run, in the order of time

	entries []entry
	lost    map[int]lost // of entries, see Entry.Lost; they are few
	names   string       // of the groups, one after the other
	texts   []string     // sites, reasons, errors and names of runs, one of each; the first is empty
	order   []uint32     // the entries by their groups, see find
}

// Limit is how many sends might be in flight from a time on.
type Limit struct {
	At      time.Time
	Sends   int
	Crowded int // how many were in flight when the service undid one for the others, which is why; 0: that is not why
}

// An entry is an [Entry] in 56 bytes. Its times are since the run started, its texts are places in Run.texts.
type entry struct {
	start, last, end         time.Duration // or never
	name                     uint32        // where its group's name begins in Run.names; it ends where the next one begins
	site, reason, more       uint32        // more is the error; of a skipped group, the run that it was accepted in
	status, attempts, worker int32
	outcome                  dispatcher.Outcome
	open, again              bool
	unsure                   bool // another try may have followed the last one on record
}

// leftOut tells whether the run left the entry out. One that the service left out was sent to, and its more is an error.
func (e *entry) leftOut() bool { return e.outcome == dispatcher.Skipped && e.start == never }

// lost is a [dispatcher.Lost] as an entry has its times and texts.
type lost struct {
	start  time.Duration
	reason uint32
}

// never is the time of what is not known to have happened.
const never = time.Duration(math.MinInt64)

// Load reads the journal of a run. Its error is a [*RunError], [*VersionError] or [*DamagedError].
func (d *Dir) Load(run string) (*Run, error) { return d.load(run, &reader{}) }

func (d *Dir) load(run string, r *reader) (*Run, error) {
	path, err := d.find(run)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &RunError{run, d.path, err}
	}
	defer func() { _ = f.Close() }()
	return r.load(f, path)
}

// Len counts the groups of the list.
func (r *Run) Len() int { return len(r.entries) }

// All gives what the run did with each group of its list: those that were to be sent to in dispatch order, then those
// left out.
func (r *Run) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range r.entries {
			if !yield(r.entry(i)) {
				return
			}
		}
	}
}

func (r *Run) entry(i int) Entry {
	c := &r.entries[i]
	e := Entry{
		Group: r.group(i), Outcome: c.outcome, Open: c.open, Again: c.again, Status: int(c.status),
		Reason: r.texts[c.reason], Attempts: int(c.attempts), Worker: int(c.worker),
		Start: r.at(c.start), Last: r.at(c.last), End: r.at(c.end),
	}
	if c.leftOut() {
		e.In = r.texts[c.more]
	} else {
		e.Error = r.texts[c.more]
	}
	if c.unsure {
		e.Last = time.Time{}
	}
	if l, ok := r.lost[i]; ok {
		e.Lost = &dispatcher.Lost{Reason: r.texts[l.reason], Start: r.at(l.start)}
	}
	return e
}

func (r *Run) group(i int) Group {
	end := len(r.names)
	if i+1 < len(r.entries) {
		end = int(r.entries[i+1].name)
	}
	c := &r.entries[i]
	return Group{r.texts[c.site], r.names[c.name:end]}
}

func (r *Run) at(since time.Duration) time.Time {
	if since == never {
		return time.Time{}
	}
	return r.Started.Add(since)
}

// Why a group is ambiguous that a journal calls otherwise, or does not know.
const (
	asideReason     = "it may have been sent to after the journal was set aside"
	overtakenReason = "it may have been sent to by a later run that kept no journal"
)

// Entry gives what is known today of a group, and whether it is in the list. It differs from what All gives where the
// run was overtaken: then each group is ambiguous that may have been sent to since, see [Summary]. So is a group that
// is not in the list, also where the journal was set aside, for that may have been before the list was whole.
// Otherwise it was not attempted. Not for use by several goroutines.
func (r *Run) Entry(g Group) (e Entry, listed bool) {
	i, listed := r.find(g)
	if listed {
		e = r.entry(i)
	} else {
		e = Entry{Group: g, Outcome: dispatcher.NotAttempted}
	}
	switch {
	case r.Overtaken && e.Outcome != dispatcher.Accepted && e.Outcome != dispatcher.Skipped && e.Outcome != dispatcher.UnknownGroup:
		e.doubt(overtakenReason)
	case r.Aside && !listed:
		e.doubt(asideReason)
	}
	return e, listed
}

// doubt makes the group one that may have been sent to, nobody knows when.
func (e *Entry) doubt(reason string) {
	e.Outcome, e.Open, e.Again, e.Last = dispatcher.Ambiguous, true, false, time.Time{}
	e.Status, e.Reason, e.Error = 0, reason, ""
}

// find gives the place of a group in the list. The places are sorted when it is first asked: a map of the names would
// take ten times as much memory.
func (r *Run) find(g Group) (int, bool) {
	if r.order == nil {
		r.order = make([]uint32, len(r.entries))
		for i := range r.order {
			r.order[i] = uint32(i)
		}
		slices.SortFunc(r.order, func(a, b uint32) int {
			// Of a group that is there twice, the later place counts.
			return cmp.Or(r.group(int(a)).compare(r.group(int(b))), cmp.Compare(b, a))
		})
	}
	at, found := slices.BinarySearchFunc(r.order, g, func(i uint32, g Group) int { return r.group(int(i)).compare(g) })
	if !found {
		return 0, false
	}
	return int(r.order[at]), true
}

func (g Group) compare(other Group) int {
	return cmp.Or(strings.Compare(g.Group, other.Group), strings.Compare(g.Site, other.Site))
}

// CutError is what stopped a run of which no end is on record.
type CutError struct{}

func (*CutError) Error() string { return "the run was cut off" }

// RunningError stands for the end of a run that goes on.
type RunningError struct{}

func (*RunningError) Error() string { return "the run is still going on" }

// StopError is what stopped a run, as its journal has it.
type StopError struct {
	Word string // the report's word
	Text string
}

func (e *StopError) Error() string { return e.Text }

// Report makes the dispatcher's report of the run again. Its jobs are of type [Group].
func (r *Run) Report() *dispatcher.Report {
	report := &dispatcher.Report{Started: r.Started, Finished: r.Last, Results: make([]dispatcher.Result, 0, r.Len())}
	open := (&CutError{}).Error() // why it is not known what became of a try
	switch {
	case r.Finished.IsZero() && r.Running:
		report.StoppedBy, open = &RunningError{}, "it is in flight"
	case r.Finished.IsZero():
		report.StoppedBy = &CutError{}
	case r.StoppedBy != "":
		report.StoppedBy = &StopError{r.StoppedBy, r.Error}
	case r.Listed && r.Error != "":
		report.StoppedBy = errors.New(r.Error)
	}
	for e := range r.All() {
		v := dispatcher.Verdict{Outcome: e.Outcome, Status: e.Status, Reason: e.Reason}
		if e.Error != "" {
			v.Err = errors.New(e.Error)
		}
		switch {
		case e.Outcome == dispatcher.NotAttempted && report.StoppedBy != nil:
			v.Reason = report.StoppedBy.Error()
		case e.Open && e.Reason == "":
			v.Reason = open
		}
		result := dispatcher.Result{Job: e.Group, Verdict: v, Attempts: e.Attempts, Worker: e.Worker}
		if e.Attempts > 0 {
			result.Lost = e.Lost
			result.Start = e.Last
			if e.Last.IsZero() { // of a try that is not on record
				result.Start = e.Start
			}
			if e.End.After(result.Start) {
				result.Took = e.End.Sub(result.Start)
			}
		}
		report.Results = append(report.Results, result)
	}
	report.Peak = dispatcher.PeakOf(report.Results)
	return report
}
