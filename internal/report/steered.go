package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Steer is a change that an operator made to a run while it went.
type Steer struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // workers, rate, deadline, pause, resume, stop or cut
	From string    `json:"from"` // the value before, such as 4 or auto; empty where What says it all
	To   string    `json:"to"`   // the value from then on; empty where What says it all
}

// String says what was done, as in "workers 4 → 1".
func (s Steer) String() string {
	if s.To == "" {
		return cmp.Or(map[string]string{"pause": "paused", "resume": "resumed", "stop": "stopped"}[s.What], s.What)
	}
	return fmt.Sprintf("%s %s → %s", s.What, s.From, s.To)
}

// steered reports whether an operator changed something of that name.
func (d *Document) steered(what string) bool {
	return slices.ContainsFunc(d.meta.Steered, func(s Steer) bool { return s.What == what })
}

// atFirst is the word for an option that an operator changed while the run went.
func (d *Document) atFirst(what string) string {
	if d.steered(what) {
		return ", at first"
	}
	return ""
}

// PausedFor is how long operators had the run paused.
func (d *Document) PausedFor() time.Duration { return paused(d.meta.Steered, d.results.Finished) }

// paused is how long operators had a run paused that ended at some time.
func paused(steered []Steer, ended time.Time) (all time.Duration) {
	var since time.Time // zero: it goes on
	for _, s := range steered {
		switch {
		case s.What == "pause" && since.IsZero():
			since = s.At
		case s.What == "resume" && !since.IsZero():
			all += s.At.Sub(since)
			since = time.Time{}
		}
	}
	if !since.IsZero() {
		all += max(ended.Sub(since), 0)
	}
	return all
}

// steeredNotes name what operators changed, a line each.
func (d *Document) steeredNotes() (notes []string) {
	for _, s := range d.meta.Steered {
		notes = append(notes, fmt.Sprintf("at %s %v, by control", s.At.UTC().Format("15:04 UTC"), s))
	}
	return notes
}
