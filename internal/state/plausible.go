package state

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// Bounds of the figures in a journal. They are far beyond those of any run, and near enough that what is added up, counted
// and drawn of them needs no care of its own.
const (
	mostWorkers  = 10_000    // --workers takes 1,000
	mostStarts   = 1_000_000 // sends a second, or at once after a lull: what --rate and --burst take
	mostAttempts = 1_000_000
	mostStatus   = 999 // HTTP's have three digits
	longestRun   = 366 * 24 * time.Hour
	// A year has four digits, also where the farthest time is added. A clock that was never set begins in 1970.
	firstYear, lastYear = 1970, 9000
)

var errFigure = errors.New("a figure or a word that no run can have")

// plausible tells whether a run can have these figures and names.
func (r *headerRecord) plausible() bool {
	return printable.Line(r.URL) == r.URL && word(r.Campaign) && (r.Resumes == "" || ValidRun(r.Resumes)) &&
		year(r.Started) && (r.Assumed.IsZero() || year(r.Assumed)) &&
		within(r.Workers, mostWorkers) && within(r.Burst, mostStarts) && r.Rate >= 0 && r.Rate <= mostStarts
}

func year(t time.Time) bool { y := t.UTC().Year(); return y >= firstYear && y <= lastYear }

// word tells whether text may be a word of the report's, such as max_failures, or none.
func word(text string) bool { return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == "" }

// brief tells whether text may be a value of what an operator can change.
func brief(text string) bool { return len(text) <= 64 && printable.Line(text) == text }

func within(n, most int) bool { return n >= 0 && n <= most }

// plausible tells whether a run can have put this on record.
func (r *record) plausible() bool {
	if !within(r.n, math.MaxInt32) || !within(r.Skipped, math.MaxInt32) || !within(r.Crowded, mostWorkers) {
		return false
	}
	during := r.At != nil && *r.At >= 0 && time.Duration(*r.At) <= longestRun
	// A run that goes on with what another one planned has tries on record that are older than itself.
	about := r.At != nil && time.Duration(*r.At).Abs() <= longestRun
	tried := within(r.Attempts-1, mostAttempts)
	switch {
	case r.Start != nil:
		return about && tried && within(r.Worker-1, mostWorkers)
	case r.End != nil:
		outcomes := dispatcher.Outcomes()
		i := slices.IndexFunc(outcomes, func(o dispatcher.Outcome) bool { return o.String() == r.Outcome })
		if i < 0 || outcomes[i] == dispatcher.NotAttempted { // such a try never started
			return false
		}
		r.outcome = outcomes[i]
		return about && tried && within(r.Status, mostStatus)
	case r.Limit != nil:
		return during && within(r.n, mostWorkers) && word(r.Steer) && brief(r.From) && brief(r.To)
	case r.Finished != nil:
		if len(r.Gaps) > 0 && (len(r.Gaps) != 2 || slices.Min(r.Gaps) < 0) ||
			slices.ContainsFunc(slices.Concat(r.GapGroups, r.LeftGaps), func(i int) bool { return i < 0 }) {
			return false
		}
		if r.Paused != nil && (*r.Paused < 0 || time.Duration(*r.Paused) > longestRun) {
			return false
		}
		return during && word(r.StoppedBy) && (r.counts == nil || slices.Min(r.counts[:]) >= 0)
	}
	return true
}
