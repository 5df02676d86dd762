package command

import (
	"sync"
	"time"

	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// limits keeps how many sends might be in flight in the course of a run, and shows it.
type limits struct {
	display *progress.Display
	journal *state.Writer // nil: none

	mu   sync.Mutex
	list []report.Limit // the first is what the run begins with
}

// changed takes a limit that was found.
func (l *limits) changed(limit int, why string) { l.crowded(report.Limit{Sends: limit}, why) }

// crowded takes a limit from now on.
func (l *limits) crowded(limit report.Limit, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit.At = time.Now()
	l.list = append(l.list, limit)
	if l.journal != nil {
		l.journal.Limit(limit.Sends, limit.Crowded)
	}
	l.display.Limit(limit.Sends, why)
}

// all gives them in the order of time.
func (l *limits) all() []report.Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list
}

// moved gives them if there was more than one.
func (l *limits) moved() []report.Limit {
	if list := l.all(); len(list) > 1 {
		return list
	}
	return nil
}
