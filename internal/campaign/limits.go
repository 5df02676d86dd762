package campaign

import (
	"time"

	"github.com/groupserver/senddigest/internal/report"
)

// limits keeps how many sends might be in flight in the course of a run, for its report. It is an [Observer].
type limits struct{ list []report.Limit } // the first is what the run begins with

// begin notes what a run begins with: where the number is to be found, with one.
func (l *limits) begin(at time.Time, workers int, auto bool) {
	if auto {
		workers = 1
	}
	l.list = []report.Limit{{At: at, Sends: workers}}
}

// Observe takes a limit from now on.
func (l *limits) Observe(e Event) {
	if e, ok := e.(Limited); ok {
		l.list = append(l.list, e.Limit)
	}
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
