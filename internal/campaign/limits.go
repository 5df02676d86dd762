package campaign

import (
	"slices"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// limits keeps how many sends might be in flight in the course of a run, for its report. It is an [Observer].
type limits struct {
	list    []report.Limit // the first is what the run begins with
	steered []Steered
	begun   string // the number of workers that the run was begun with, as an operator gives it
}

// steers are what operators changed.
func (l *limits) steers() (list []report.Steer) {
	for _, s := range l.steered {
		list = append(list, s.Steer)
	}
	return list
}

// begin notes what a run begins with: where the number is to be found, with one.
func (l *limits) begin(at time.Time, workers int, auto bool) {
	l.begun = workersText(workers, auto)
	if auto {
		workers = 1
	}
	l.list = []report.Limit{{At: at, Sends: workers}}
}

// Observe takes a limit from now on.
func (l *limits) Observe(e Event) {
	switch e := e.(type) {
	case Limited:
		l.list = append(l.list, e.Limit)
	case Steered:
		l.steered = append(l.steered, e)
		if e.Sends != l.list[len(l.list)-1].Sends {
			l.list = append(l.list, report.Limit{At: e.At, Sends: e.Sends})
		}
	}
}

// pausing keeps from the observers of a run what the limit would be, while a pause has it be 0: a send that was in flight, or
// the site's pages, may still change it. The end of the pause says what it is then.
type pausing struct {
	Observer
	paused bool
}

// Observe passes an event on.
func (p *pausing) Observe(e Event) {
	switch e := e.(type) {
	case Limited:
		if p.paused {
			return
		}
	case Steered:
		p.paused = e.What == "pause" || p.paused && e.What != "resume"
	}
	p.Observer.Observe(e)
}

// alike reports whether the run had the number of workers that it was begun with all the time that a send took which began at an
// instant and ends now. What a send takes beside another number does not predict the next run: where more are in flight than the
// site has threads, each waits for the others.
func (l *limits) alike(start time.Time) bool {
	for _, s := range slices.Backward(l.steered) {
		if s.What == "workers" {
			return s.To == l.begun && !start.Before(s.At)
		}
	}
	return true
}

// all are the limits in the order of time; none where the only one was given.
func (l *limits) all(auto bool) []report.Limit {
	if len(l.list) == 1 && !auto {
		return nil
	}
	return l.list
}

// limited reports a limit that holds from now on.
func (r *run) limited(limit report.Limit, why string) {
	limit.At = time.Now()
	r.events.Observe(Limited{limit, why})
}

// workersText is a number of workers as an operator gives it.
func workersText(n int, auto bool) string {
	if auto {
		return "auto"
	}
	return strconv.Itoa(n)
}

// recorded is the same for the journal.
func (s Steered) recorded() state.Steer {
	return state.Steer{At: s.At, What: s.What, From: s.From, To: s.To, Sends: s.Sends}
}
