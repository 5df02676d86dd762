package campaign

import (
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/state"
)

// Previous is an earlier run and how to go on with it: by the names of groups, never by their place, since the
// list may have changed in between.
type Previous struct {
	Run *state.Run
	// Failed: send again what a finished run did not get accepted. Otherwise go on with one that was cut short.
	Failed bool
	// Settle is how long after its start a send of unknown fate may be repeated. The server may have it in its
	// queue or be at work on it until then; afterwards its own duplicate check makes the repeat harmless
	// (docs/groupserver.md section 5).
	Settle time.Duration
	// SkipAmbiguous leaves such sends alone.
	SkipAmbiguous bool
	// Ended is when the earlier run was over for certain: when its lock could be had. A send of which the journal
	// does not know when it started counts from then.
	Ended time.Time
}

// What becomes of a group that an earlier run knew. The smaller numbers go first.
type class int

const (
	neverTried class = iota // first: the others have waited for their turn already
	failed                  // it is proven that nothing was mailed
	unknown                 // it may have been mailed, and is sent to again after a time
	leave                   // it is not sent to
)

// A choice is what to do with one group.
type choice struct {
	class     class
	began     time.Time         // of a group of unknown fate: when its last try started
	notBefore time.Time         // for unknown
	result    dispatcher.Result // for leave, and for unknown until it is sent to again: what the report says
	skip      state.Skip        // for leave, where the result is skipped
}

// choose decides what becomes of a group.
func (p *Previous) choose(g hooks.Group, clock wallClock, now time.Time) choice {
	e, known := p.Run.Entry(state.Group(g))
	switch at, accepted := e.Accepted(); {
	case accepted:
		run := e.In
		if run == "" {
			run = p.Run.Header.Run
		}
		return leaveOut(g, state.Skip{Reason: "accepted already in run " + run, In: run, At: at})
	case !known && p.Failed:
		return leaveOut(g, state.Skip{Reason: "not in run " + p.Run.Header.Run})
	case e.Outcome == dispatcher.NotAttempted:
		return choice{class: neverTried}
	case e.Outcome == dispatcher.Skipped:
		return leaveOut(g, state.Skip{Reason: e.Reason})
	case e.Outcome == dispatcher.UnknownGroup:
		return leaveOut(g, state.Skip{Reason: "unknown to the site in run " + p.Run.Header.Run})
	case proven(&e):
		return choice{class: failed}
	}
	began := e.Last
	if began.IsZero() {
		began = p.Ended
	}
	began = earlier(began, now) // whatever the clock was then
	doubtful := func(why string) dispatcher.Result {
		r := doubt(g, "it may have been mailed in run "+p.Run.Header.Run+", and was "+why)
		r.Status = e.Status
		return r
	}
	again := began.Add(p.Settle)
	switch {
	case p.SkipAmbiguous:
		return choice{class: leave, began: began, result: doubtful("left alone")}
	case latest(again, now).After(clock.guardStands(began, again).Add(-guardMargin)):
		// What makes the repeat harmless is over, or will be: the next night's run sends to the group anyway.
		return choice{class: leave, began: began, result: doubtful("left alone, since the server's guard is over")}
	}
	return choice{class: unknown, began: began, notBefore: again, result: doubtful("not sent to again before the run ended")}
}

// proven tells whether it is proven that the last try of a group mailed nothing: see the retry table. What came from
// another page than the hook's, and a 503 that nobody signed, prove nothing.
func proven(e *state.Entry) bool {
	switch e.Outcome {
	case dispatcher.Rejected, dispatcher.Unreachable:
		return true
	case dispatcher.NotOK:
		return e.Status < 500 || e.Status == 500 || e.Again
	}
	return false
}

// doubt is what the report says of a group of unknown fate that a run does not send to.
func doubt(g hooks.Group, reason string) dispatcher.Result {
	return dispatcher.Result{Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Reason: reason}}
}

// guardMargin is how long before the end of the server's guard a send of unknown fate is repeated at the latest: the
// repeat may have to wait for its turn.
const guardMargin = 3 * time.Hour

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func leaveOut(g hooks.Group, skip state.Skip) choice {
	skip.Group = state.Group(g)
	return choice{class: leave, skip: skip, result: dispatcher.Result{
		Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Skipped, Reason: skip.Reason},
	}}
}
