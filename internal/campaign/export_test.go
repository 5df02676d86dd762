package campaign

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// Kept is what a test keeps of its runs itself, in the place of a state directory.
type Kept struct {
	Run      string         // the run's name
	Journal  *state.Writer  // nil: none
	History  *state.History // nil: nothing is known
	Previous *Previous      // nil: a new run
	Past     Past           // nil: nothing is known
	Assumed  state.Assumed
}

// RunOn makes a run on what a test kept. It closes the journal.
func RunOn(ctx context.Context, c Campaign, s Settings, kept Kept) Result {
	r := newRun(c, s)
	ctx, deadline := r.keepDeadline(ctx)
	defer deadline.over()
	deadline.sooner(r.maxDuration())
	if kept.Run != "" {
		r.id = kept.Run
	}
	r.journal, r.history, r.previous, r.assumed = kept.Journal, kept.History, kept.Previous, kept.Assumed
	if kept.Past != nil {
		r.past = kept.Past
	}
	result := r.night(ctx)
	result.Unwritten = r.seal(result)
	r.events.Observe(Ended{result, time.Now()})
	return result
}

// PastOf is the past that the journals of a directory tell of.
func PastOf(recent *state.Recent) Past { return &journals{recent: recent} }

// Alike is how an UnlistedError knows what may be meant.
var Alike = alike
