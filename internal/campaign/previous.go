package campaign

import (
	"cmp"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/state"
)

// Previous is an earlier run and how to go on with it: by the names of groups, never by their place, since the
// list may have changed in between.
type Previous struct {
	Run *state.Run
	// Failed: send again what a finished run did not get accepted. Otherwise go on with one that was cut short.
	Failed bool
	// Ended is when the earlier run was over for certain: when its lock could be had. Of a send of which the journal
	// does not know when it started, the time to settle counts from then.
	Ended time.Time
}

// What becomes of a group that an earlier run knew. The smaller numbers go first.
type class int

const (
	neverTried class = iota // first: the others have waited for their turn already
	failed                  // it is proven that nothing was mailed
	unknown                 // it may have been mailed, and is sent to again when that does no harm, see Settle
	leave                   // it is not sent to
)

// A choice is what to do with one group.
type choice struct {
	class     class
	open      state.LeftOpen    // of an ambiguous group
	notBefore time.Time         // for unknown
	result    dispatcher.Result // for leave, and for unknown until it is sent to again: what the report says
	skip      state.Skip        // for leave, where the result is not ambiguous
	mail      ledger.Mail       // for leave, what the ledger tells of it
	sent      ledger.Sent       // .. and of one that was accepted, what is to be asked of it in the end; zero: nothing
}

// choose decides what becomes of a group by what the run that is gone on with did.
func (r *run) choose(g state.Group, now time.Time) choice {
	p := r.previous
	e, known := p.Run.Entry(g)
	switch at, accepted := e.Accepted(); {
	case accepted:
		run := cmp.Or(e.In, p.Run.Header.Run)
		c := leaveOut(g, state.Skip{Reason: "accepted already in run " + run, In: run, At: at})
		c.mail, c.sent = r.mailOf(&e, now)
		return c
	case !known && p.Failed:
		return leaveOut(g, state.Skip{Reason: "not in run " + p.Run.Header.Run})
	case e.Outcome == dispatcher.NotAttempted, e.Idle():
		return choice{class: neverTried}
	case e.Outcome == dispatcher.Skipped:
		return leaveOut(g, state.Skip{Reason: e.Reason})
	case e.Outcome == dispatcher.UnknownGroup:
		return leaveOut(g, state.Skip{Reason: "unknown to the site in run " + p.Run.Header.Run})
	case e.NotDelivered:
		return choice{class: failed}
	}
	open := p.open(&e, now)
	if mail := r.told(g, open.Lost.Start, now); mail != ledger.Unknown {
		run := cmp.Or(e.In, p.Run.Header.Run)
		c := leaveOut(g, state.Skip{Reason: "accepted already in run " + run, In: run, At: open.Lost.Start})
		c.result.Verdict, c.result.Lost, c.open, c.mail = accepted, &open.Lost, open, mail
		return c
	}
	c := choice{class: leave, open: open, notBefore: open.At.Add(r.settleAfter(g.Key()))}
	why := "not sent to again before the run ended"
	switch {
	case r.SkipAmbiguous:
		why = "left alone"
	case r.campaign.Guard == nil:
		why = "left alone, since the site would mail it again"
	case !r.campaign.Guard.Harmless(open.Lost.Start, latest(c.notBefore, now)):
		why = "left alone, since the server's guard is over" // the next night's run sends to the group anyway
	default:
		c.class = unknown
	}
	c.result = ambiguous(g, &open, "it may have been mailed in run "+p.Run.Header.Run+", and was "+why)
	c.result.Status = e.Status
	return c
}

// mailOf is what became of the mail of a group that an earlier run got accepted: what that run, or the ledger by now, tells of it,
// or else what is to be asked in the end.
func (r *run) mailOf(e *state.Entry, now time.Time) (ledger.Mail, ledger.Sent) {
	if r.book == nil || e.Mail != ledger.NotAsked && e.Mail != ledger.Unknown {
		return e.Mail, ledger.Sent{}
	}
	s := ledger.Sent{Group: ledger.Group(e.Group), From: e.Last, To: e.End, Accepted: true}
	if e.Lost != nil && !e.Lost.Start.IsZero() {
		s.From = e.Lost.Start
	}
	if s.From.IsZero() { // it was accepted two runs ago: only the end of that send is on record
		s.From = s.To.Add(-r.Timeout)
	}
	if mail := r.told(e.Group, s.From, now); mail != ledger.Unknown {
		return mail, ledger.Sent{}
	}
	return ledger.Unknown, s
}

// open is what the earlier run left of an ambiguous group.
func (p *Previous) open(e *state.Entry, now time.Time) state.LeftOpen {
	o := state.LeftOpen{Group: e.Group, At: e.Last, Lost: dispatcher.Lost{Reason: e.Reason, Start: e.Last}}
	if e.Lost != nil {
		o.Lost = *e.Lost
	}
	// Where the journal does not know when the last try started, that was while the run went on, or after it.
	if o.At.IsZero() {
		o.At = p.Ended
	}
	if o.Lost.Start.IsZero() {
		o.Lost.Start = p.Run.Started
	}
	o.Lost.Reason = cmp.Or(o.Lost.Reason, "the run was cut off")
	o.At, o.Lost.Start = earlier(o.At, now), earlier(o.Lost.Start, now) // whatever the clock was then
	return o
}

// ambiguous is what the report says of a group that an earlier run left so and that a run does not send to.
func ambiguous(g state.Group, open *state.LeftOpen, reason string) dispatcher.Result {
	return dispatcher.Result{
		Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Reason: reason}, Lost: &open.Lost,
	}
}

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

func leaveOut(g state.Group, skip state.Skip) choice {
	skip.Group = g
	return choice{class: leave, skip: skip, result: dispatcher.Result{
		Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Skipped, Reason: skip.Reason},
	}}
}
