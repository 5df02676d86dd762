package state

import (
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Recent is what late runs tell of the groups of an installation. It keeps some 30 bytes a group.
type Recent struct {
	since          time.Time
	accepted, open map[key]int64 // microseconds since 1970
}

// Accepted says when a group was last accepted, or may have been: who asks wants to know how old the latest digest is
// at least. Of a send of unknown fate it is when the wait for its answer ended, or else when it started.
func (r *Recent) Accepted(g Group) (at time.Time, ok bool) { return moment(r.accepted, g) }

// Open says when the last try of unknown fate started of a group: the server may still be at work on it.
func (r *Recent) Open(g Group) (at time.Time, ok bool) { return moment(r.open, g) }

func moment(moments map[key]int64, g Group) (at time.Time, ok bool) {
	n, ok := moments[keyOf(g.Key())]
	if !ok {
		return time.Time{}, false
	}
	return time.UnixMicro(n), true
}

// Recent reads what the runs of an installation did at since or later. It reads no file of a run that was over before.
// The errors are of files that were written to since and cannot be read, one each, or of the directory; the rest is
// good all the same.
func (d *Dir) Recent(in Installation, since time.Time) (*Recent, []error) {
	recent := &Recent{since: since, open: map[key]int64{}}
	runs, err := d.Runs(in)
	if err != nil {
		return recent, []error{err}
	}
	var failed []error
	r := reader{timesOnly: true}
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
		run, err := d.load(s.Run, &r)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		recent.add(run)
	}
	return recent, failed
}

func (r *Recent) add(run *Run) {
	if r.accepted == nil {
		r.accepted = make(map[key]int64, run.Len())
	}
	for i := range run.entries {
		e := &run.entries[i]
		accepted := never
		switch {
		case e.outcome == dispatcher.Accepted, e.leftOut() && run.texts[e.more] != "":
			accepted = e.end
		case e.outcome == dispatcher.Ambiguous:
			accepted = max(e.last, e.end)
			r.note(r.open, run, i, e.last)
		}
		r.note(r.accepted, run, i, accepted)
	}
}

// note puts the time of an entry into moments, if it is the latest. It is rounded up: a group has to wait until so long
// after it.
func (r *Recent) note(moments map[key]int64, run *Run, i int, since time.Duration) {
	at := run.at(since)
	if since == never || at.Before(r.since) {
		return
	}
	n := at.Add(time.Microsecond - 1).UnixMicro()
	k := keyOf(run.group(i).Key())
	if latest, ok := moments[k]; !ok || n > latest {
		moments[k] = n
	}
}
