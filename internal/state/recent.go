package state

import (
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Recent is what late runs tell of the groups of an installation.
type Recent struct {
	since          time.Time
	accepted, open map[key]time.Time
}

// Accepted says when a group was last accepted, or may have been: who asks wants to know how old the latest digest is
// at least. Of an ambiguous send it is when the wait for its answer ended, or else when it started.
func (r *Recent) Accepted(g Group) (at time.Time, ok bool) {
	at, ok = r.accepted[keyOf(g.Key())]
	return at, ok
}

// Open says when the last ambiguous try of a group started: the server may still be at work on it.
func (r *Recent) Open(g Group) (at time.Time, ok bool) {
	at, ok = r.open[keyOf(g.Key())]
	return at, ok
}

// Recent reads what the runs of an installation did at since or later. It reads no file of a run that was over before.
// The errors are of files that were written to since and cannot be read, one each, or of the directory; the rest is
// good all the same.
func (d *Dir) Recent(in Installation, since time.Time) (*Recent, []error) {
	recent := &Recent{since: since, accepted: map[key]time.Time{}, open: map[key]time.Time{}}
	runs, err := d.Runs(in)
	if err != nil {
		return recent, []error{err}
	}
	var failed []error
	for i := range runs {
		s := &runs[i]
		if !s.Last.IsZero() && s.Last.Before(since) {
			continue
		}
		if s.Err != nil {
			failed = append(failed, s.Err)
			continue
		}
		if !s.Listed {
			continue
		}
		run, err := d.Load(s.Run)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		recent.add(run)
	}
	return recent, failed
}

func (r *Recent) add(run *Run) {
	for i := range run.entries {
		e := &run.entries[i] // as it is on record: in a journal set aside, too, the last try on record tells something
		if at, ok := e.Accepted(); ok {
			r.note(r.accepted, e, at)
		}
		if e.Outcome == dispatcher.Ambiguous || run.Aside && e.Again {
			r.note(r.accepted, e, e.Last)
			r.note(r.accepted, e, e.End)
			r.note(r.open, e, e.Last)
		}
	}
}

// note puts the time of an entry into moments, if it is the latest.
func (r *Recent) note(moments map[key]time.Time, e *Entry, at time.Time) {
	k := keyOf(e.Key())
	if !at.IsZero() && !at.Before(r.since) && at.After(moments[k]) {
		moments[k] = at
	}
}
