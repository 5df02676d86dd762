package state

import (
	"cmp"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Run is a journal that was read whole.
type Run struct {
	Summary
	Limits []Limit // how the most sends in flight changed where that was found in the course of the run, in the order of time
	// Gaps are the first groups with posts that were in no digest, see Summary.GapGroups, and GapsLater how much later than a
	// day after their last digests the run came; 0: not known.
	Gaps      []Group
	GapsLater time.Duration

	Steers []Steer // what operators changed while the run went, in the order of time

	entries []Entry // as they are on record
	order   []int32 // the entries by their groups; made when it is first needed, since a map takes ten times the memory
}

// Limit is how many sends might be in flight from a time on.
type Limit struct {
	At      time.Time
	Sends   int
	Crowded int // how many were in flight when the service undid one for the others, which is why; 0: that is not why
}

// Steer is what an operator changed while a run went.
type Steer struct {
	At       time.Time
	What     string // a word: workers, pause
	From, To string // values, 64 bytes at most; empty: What says it all
	Sends    int    // how many might be in flight from then on
}

// Load reads the journal of a run. Its error is a [*RunError], [*VersionError] or [*DamagedError].
func (d *Dir) Load(run string) (*Run, error) {
	path, err := d.find(run)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &RunError{run, d.path, err}
	}
	defer func() { _ = f.Close() }()
	return read(f, path)
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

// entry is entry i, as far as its journal is known to tell of it.
func (r *Run) entry(i int) Entry {
	e := r.entries[i]
	// Of an open try in a journal set aside the end may be what could not be written, and another may have followed.
	if r.Aside && (e.Outcome == dispatcher.NotAttempted || e.Again || e.Open) {
		if e.Again {
			e.lose()
		}
		e.ambiguous(asideReason)
	}
	return e
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
	if r.order == nil {
		r.order = make([]int32, len(r.entries))
		for i := range r.order {
			r.order[i] = int32(i)
		}
		slices.SortFunc(r.order, func(a, b int32) int { return r.entries[a].compare(r.entries[b].Group) })
	}
	e = Entry{Group: g, Outcome: dispatcher.NotAttempted}
	at, listed := slices.BinarySearchFunc(r.order, g, func(i int32, g Group) int { return r.entries[i].compare(g) })
	if listed {
		e = r.entry(int(r.order[at]))
	}
	switch e.Outcome {
	case dispatcher.Accepted, dispatcher.Skipped, dispatcher.UnknownGroup:
		return e, listed
	}
	switch {
	case r.Overtaken:
		e.ambiguous(overtakenReason)
	case r.Aside && !listed:
		e.ambiguous(asideReason)
	}
	return e, listed
}

func (g Group) compare(other Group) int {
	return cmp.Or(strings.Compare(g.Group, other.Group), strings.Compare(g.Site, other.Site))
}

// ambiguous makes the group one of which a try may have left, nobody knows when.
func (e *Entry) ambiguous(reason string) {
	e.Outcome, e.Open, e.Again, e.NotDelivered, e.Last = dispatcher.Ambiguous, true, false, false, time.Time{}
	e.Status, e.Reason, e.Error = 0, reason, ""
}

// lose keeps the last try, which another one follows, if it is the first that is ambiguous.
func (e *Entry) lose() {
	if e.Outcome == dispatcher.Ambiguous && e.Lost == nil {
		e.Lost = &dispatcher.Lost{Reason: e.Reason, Start: e.Last}
	}
}

// What stopped a run of which no end is on record.
var (
	errCut     = errors.New("the run was cut off")
	errRunning = errors.New("the run is still going on")
)

// Report makes the dispatcher's report of the run again. Its jobs are of type [Group].
func (r *Run) Report() *dispatcher.Report {
	report := &dispatcher.Report{Started: r.Started, Finished: r.Last, Results: make([]dispatcher.Result, 0, r.Len())}
	open := errCut.Error() // why it is not known what became of a try
	switch {
	case r.Finished.IsZero() && r.Running:
		report.StoppedBy, open = errRunning, "it is in flight"
	case r.Finished.IsZero():
		report.StoppedBy = errCut
	case r.StoppedBy != "", r.Listed && r.Error != "":
		report.StoppedBy = errors.New(r.Error)
	}
	for i := range r.entries {
		e := r.entry(i)
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
			result.Start = r.entries[i].Last // also where another try may have followed that is not on record
			if e.End.After(result.Start) {
				result.Took = e.End.Sub(result.Start)
			}
		}
		report.Results = append(report.Results, result)
	}
	report.Peak = dispatcher.PeakOf(report.Results)
	return report
}
