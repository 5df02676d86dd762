package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// What the service's own tables add to a run. They are asked before it (who is guarded, who has something to mail, what became
// of what an earlier run left open), during it (of answers that were lost) and after it (who was mailed). A run goes on
// without them as it does without a state directory: they cost no digest and no exit code.

const (
	// GuardWait is the usual Settings.GuardWait, LedgerGuardWait the one where the ledger tells exactly how long the guard
	// of a group is up: a script that took eight hours is followed without a loss.
	GuardWait, LedgerGuardWait = 3 * time.Hour, 6 * time.Hour

	// The ledger may keep a run waiting for so long, before the sends and after them, and for so long with one question.
	consultTime, questionTime = time.Minute, 2 * time.Second
	// After the sends it may be asked for so long, twice, of a run that was told to stop: who did has no patience, and systemd
	// kills what has not ended in time. It suffices for 200,000 groups.
	stoppedTime = 15 * time.Second

	// Digests that were committed in the last moments before the run's end may not be visible yet for so long.
	pendingTime, pendingEvery = 5 * time.Second, 250 * time.Millisecond

	// idleMargin is how long after the expected end of a run the groups that --skip-idle leaves out must have nothing to mail.
	idleMargin = time.Hour

	// calibrationRuns is how many earlier runs are looked at for the server's clock.
	calibrationRuns = 7
)

// A tables is what a run has of the ledger.
type tables struct {
	book       *ledger.Book         // nil: there is none, or it could not be read
	silent     bool                 // it has been said that it does not answer
	why        string               // it could not be read, or not reckoned with; empty: it is
	undigested map[state.Group]bool // groups that got no digest in the run before, either
	// found is what the ledger told in the course of the run of sends whose answers were lost. Inquire is done when it is read.
	found map[state.Group]ledger.Mail
}

// consult reads the ledger before the sends.
func (r *run) consult(ctx context.Context, list *List) {
	if r.Ledger == nil || r.campaign.Guard == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, consultTime)
	defer cancel()
	now := time.Now()
	groups := make([]ledger.Group, len(list.Entries))
	for i, g := range list.Entries {
		groups[i] = ledger.Group(g)
	}
	book, err := ledger.Open(ctx, r.Ledger, ledger.Clock{Clock: r.campaign.Guard.Clock()}, groups, now)
	if err != nil {
		r.unread(err)
		return
	}
	r.book = book
	r.calibrate()
	clock := book.Clock()
	if !clock.Known && book.Ahead(now) {
		r.why = "the site's digests are from after now by this machine's clock, so GroupServer's is of another zone; " +
			"until it is known which, the guard is not reckoned with"
		r.note(r.why)
		return
	}
	r.campaign.Guard = guard.New(clock.Clock)
	r.past = &bookPast{r.past, r}
}

// unread says once that the ledger cannot be read.
func (r *run) unread(err error) {
	if r.silent {
		return
	}
	r.silent = true
	r.why = fmt.Sprintf("%v%s", err, hint(err))
	if r.LedgerNamed {
		r.warn("%s", notKnown+r.why)
		return
	}
	r.note(notKnown + r.why)
}

// notKnown is what it means that the tables are not read, for a reason that follows.
const notKnown = "it is not known what was mailed: "

// note tells the operator something that has to be known by nobody who does not ask.
func (r *run) note(text string) { r.events.Observe(Noted{text}) }

// calibrate finds out the server's clock from what the sends of the last runs mailed, and who got no digest in the last. Of a
// run that was killed it is not on record whom it mailed, and the digest of a group may be older than its send, or younger. Such
// runs count only where the others do not suffice.
func (r *run) calibrate() {
	if r.dir == nil {
		return
	}
	runs, err := r.dir.Runs(r.Installation)
	if err != nil {
		return // it has been said that earlier runs are not known
	}
	var judged, others samples
	for i := range runs { // the newest first
		if judged.runs+others.runs == calibrationRuns || r.book.Clock().Known && r.undigested != nil {
			break
		}
		if !runs[i].Listed || runs[i].Run == r.id {
			continue
		}
		past, err := r.dir.Load(runs[i].Run)
		if err != nil {
			continue
		}
		r.undigestedIn(past)
		if past.Judged {
			judged.add(r.book, past)
			r.book.Calibrate(slices.Values(judged.list), true)
		} else {
			others.add(r.book, past)
		}
	}
	if !r.book.Clock().Known {
		r.book.Calibrate(slices.Values(others.list), false)
	}
}

// undigestedIn keeps who got no digest in the newest run of the past.
func (r *run) undigestedIn(newest *state.Run) {
	if r.undigested != nil {
		return
	}
	r.undigested = map[state.Group]bool{}
	for e := range newest.All() {
		if e.Mail == ledger.Missing {
			r.undigested[e.Group] = true
		}
	}
}

// samples are what some runs, the newest first, show of the server's clock: of each group its newest send.
type samples struct {
	list []ledger.Sample
	of   map[state.Group]bool
	runs int
}

func (s *samples) add(book *ledger.Book, run *state.Run) {
	s.runs++
	if s.of == nil {
		s.of = map[state.Group]bool{}
	}
	for e := range run.All() {
		if e.Outcome == dispatcher.Accepted && e.Lost == nil && !s.of[e.Group] && (e.Mail == ledger.Mailed || !run.Judged) {
			s.of[e.Group] = true
			s.list = append(s.list, ledger.Sample{Start: e.Last, End: e.End, Row: book.Digest(ledger.Group(e.Group))})
		}
	}
}

// A bookPast is a [Past] that knows of every digest, whoever had it sent: the guard is up after a digest, and not after a send
// that mailed nothing. Until the server's clock is known, the end of the guard that follows from a digest may be wrong by the
// hours between two zones. What our own clock showed when a run had the group accepted counts as well then, so that nobody is
// sent to earlier than without a ledger.
type bookPast struct {
	Past
	run *run
}

// Of implements [Past].
func (p *bookPast) Of(g state.Group) Known {
	k, book := p.Past.Of(g), p.run.book
	now, wait := time.Now(), p.run.guardWait()
	k.Exact = true
	if !book.Unguarded(ledger.Group(g), now) && !book.Idle(ledger.Group(g), now, now.Add(wait)) { // otherwise there is nothing to wait for
		k.Exact = book.Clock().Known
		k.Free = p.run.campaign.Guard.EndsAfter(book.Digest(ledger.Group(g)).Time())
		if !k.Exact && k.Free.Sub(now) > wait {
			k.Free = time.Time{} // it is not waited for, and must not hide the end that our own clock tells
		}
	}
	if k.Exact {
		k.Accepted = time.Time{}
	}
	if !k.Open.IsZero() && book.MailedSince(ledger.Group(g), k.Open) {
		k.Open = time.Time{} // it is done with the request
	}
	return k
}

// guardWait is how long somebody may be held back for the server's guard.
func (r *run) guardWait() time.Duration {
	if r.book != nil && !r.GuardWaitGiven {
		return max(r.GuardWait, LedgerGuardWait)
	}
	return r.GuardWait
}

// idle reports whether it is proven that a group has nothing to mail for a time.
func (r *run) idle(g state.Group, now time.Time, span time.Duration) bool {
	return r.book != nil && r.book.Idle(ledger.Group(g), now, now.Add(span))
}

// told is what the ledger tells of a group that an earlier run left open by a try that began at an instant.
func (r *run) told(g state.Group, start, now time.Time) ledger.Mail {
	switch {
	case r.book == nil || start.IsZero():
		return ledger.Unknown
	case r.book.MailedSince(ledger.Group(g), start):
		return ledger.Mailed
	case r.book.Idle(ledger.Group(g), start, now):
		return ledger.Nothing
	}
	return ledger.Unknown
}

// inquire asks the ledger what became of a send whose answer was lost.
func (r *run) inquire(ctx context.Context, result dispatcher.Result) (dispatcher.Verdict, bool) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	g, start := result.Job.(state.Group), result.Start
	if result.Lost != nil {
		start = result.Lost.Start
	}
	mail, err := r.book.Settle(ctx, ledger.Group(g), start, time.Now())
	if err != nil {
		r.unread(err)
	}
	if mail == ledger.Unknown {
		return dispatcher.Verdict{}, false
	}
	if r.found == nil {
		r.found = map[state.Group]ledger.Mail{}
	}
	r.found[g] = mail
	return accepted, true
}

// accepted is the verdict on a send of which the ledger tells what became.
var accepted = dispatcher.Verdict{Outcome: dispatcher.Accepted, Health: ratelimit.Unknown}
