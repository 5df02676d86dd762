package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
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
}

// consult reads the ledger before the sends.
func (r *run) consult(ctx context.Context, list *List) {
	if r.Ledger == nil || r.campaign.Guard == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, consultTime)
	defer cancel()
	groups := make([]ledger.Group, len(list.Entries))
	for i, g := range list.Entries {
		groups[i] = ledger.Group(g)
	}
	now := time.Now()
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
	r.why = fmt.Sprintf("it is not known what was mailed: %v%s", err, hint(err))
	if r.LedgerNamed {
		r.warn("%s", r.why)
		return
	}
	r.note(r.why)
}

// note tells the operator something that has to be known by nobody who does not ask.
func (r *run) note(text string) { r.events.Observe(Noted{text}) }

// calibrate finds out the server's clock from what the sends of the last runs mailed, and who got no digest in the last. Of a
// run that was killed it is not on record which of them did: where they did not, the digest is older.
func (r *run) calibrate() {
	if r.dir == nil {
		return
	}
	runs, err := r.dir.Runs(r.Installation)
	if err != nil {
		return // it has been said that earlier runs are not known
	}
	var samples []ledger.Sample
	sampled := map[state.Group]bool{} // by a newer run
	seen, allNew := 0, true
	for i := range runs { // the newest first
		if seen == calibrationRuns || r.book.Clock().Known && r.undigested != nil {
			return
		}
		if !runs[i].Listed || runs[i].Run == r.id {
			continue
		}
		past, err := r.dir.Load(runs[i].Run)
		if err != nil {
			continue
		}
		seen++
		first := r.undigested == nil
		if first {
			r.undigested = map[state.Group]bool{}
		}
		for e := range past.All() {
			if first && e.Mail == ledger.Missing {
				r.undigested[e.Group] = true
			}
			if e.Outcome == dispatcher.Accepted && e.Lost == nil && !sampled[e.Group] && (e.Mail == ledger.Mailed || !past.Judged) {
				sampled[e.Group] = true
				samples = append(samples, ledger.Sample{Start: e.Last, End: e.End, Row: r.book.Digest(ledger.Group(e.Group))})
			}
		}
		allNew = allNew && past.Judged
		r.book.Calibrate(samples, allNew)
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
	return accepted, true
}

// accepted is the verdict on a send of which the ledger tells what became.
var accepted = dispatcher.Verdict{Outcome: dispatcher.Accepted, Health: ratelimit.Unknown}

// afterwards is the context of what is asked after the sends of a run with the context ctx, whose end cuts the time for it.
// over is to be called in the end.
func (r *run) afterwards(ctx context.Context) (asking context.Context, over func()) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), consultTime)
	listening := []func() bool{context.AfterFunc(ctx, func() {
		select {
		case <-time.After(stoppedTime):
			cancel()
		case <-asking.Done():
		}
	})}
	if r.Abort != nil {
		listening = append(listening, context.AfterFunc(r.Abort, cancel))
	}
	return asking, func() {
		cancel()
		for _, end := range listening {
			end()
		}
	}
}

// judge asks the ledger what was mailed, and accepts the sends whose answers were lost and of which it tells. It returns what
// the report is to say of it; nil: nothing.
func (r *run) judge(ctx context.Context, plan *Plan, results *dispatcher.Report) *report.Ledger {
	if r.book == nil {
		return nil
	}
	ctx, over := r.afterwards(ctx)
	defer over()
	pending := r.pending(ctx)
	var places []int
	var sent []ledger.Sent
	now := time.Now()
	for i := range results.Results {
		if s, ok := sentOf(&results.Results[i], now); ok {
			places, sent = append(places, i), append(sent, s)
		}
	}
	v, err := r.book.Judge(ctx, sent, pending)
	if err != nil {
		r.unread(err)
		v = &ledger.Verdicts{Mails: make([]ledger.Mail, len(sent))}
		for i := range sent {
			if sent[i].Accepted || sent[i].Doubtful {
				v.Mails[i] = ledger.Unknown
			}
		}
	}
	l := &report.Ledger{Mails: make([]ledger.Mail, len(results.Results)), Gaps: v.Gaps}
	var settled []dispatcher.Result
	for i, place := range places {
		l.Mails[place] = v.Mails[i]
		result := &results.Results[place]
		if result.Outcome == dispatcher.Ambiguous && (v.Mails[i] == ledger.Mailed || v.Mails[i] == ledger.Nothing) {
			*result = result.Answered(accepted)
			settled = append(settled, *result)
		}
	}
	for i := len(results.Results) - plan.idled; i < len(results.Results); i++ {
		l.Mails[i] = ledger.Nothing // it was found out when they were left out
	}
	l.Mails = append(l.Mails, plan.leftMails...)
	r.events.Observe(Judged{settled, func(yield func(state.Group, ledger.Mail) bool) {
		for i, result := range slices.Concat(results.Results, plan.left) {
			if !yield(result.Job.(state.Group), l.Mails[i]) {
				return
			}
		}
	}, v.Gaps})
	return l
}

// sentOf is what the judgement has to know of a result; false where the group was not sent to.
func sentOf(result *dispatcher.Result, now time.Time) (ledger.Sent, bool) {
	s := ledger.Sent{
		Group: ledger.Group(result.Job.(state.Group)), From: result.Start, To: result.Start.Add(result.Took),
		Accepted: result.Outcome == dispatcher.Accepted, Doubtful: result.Failed() && !result.NotDelivered,
	}
	if result.Lost != nil && !result.Lost.Start.IsZero() {
		s.From = result.Lost.Start
	}
	if s.Doubtful || result.Attempts == 0 { // the server may be at work on it still
		s.To = now
	}
	return s, result.Attempts > 0 || result.Lost != nil
}

// pending waits until the digests that were committed last are visible. It reports whether some still are not.
func (r *run) pending(ctx context.Context) bool {
	for until := time.Now().Add(pendingTime); ; {
		n, err := r.Ledger.Pending(ctx, time.Since(r.started)+time.Minute)
		if err != nil || n > 0 && time.Now().After(until) {
			return true
		}
		if n == 0 {
			return false
		}
		select {
		case <-time.After(pendingEvery):
		case <-ctx.Done():
			return true
		}
	}
}

// mailWarnings are what the operator has to know of what was mailed, though all was accepted.
func (r *run) mailWarnings(results *dispatcher.Report, l *report.Ledger) []string {
	var swallowed, missing []string
	for i := range results.Results {
		g := results.Results[i].Job.(state.Group)
		switch m := l.Mails[i]; {
		case m == ledger.Swallowed:
			swallowed = append(swallowed, g.Key())
		case m == ledger.Missing && !r.undigested[g]:
			missing = append(missing, g.Key())
		}
	}
	named := func(names []string) string {
		if r.campaign.Private {
			return ""
		}
		return ": " + printable.Names(names, len(names))
	}
	var list []string
	if len(swallowed) > 0 {
		list = append(list, fmt.Sprintf("%s had something to mail that the server skipped, since the last digest was not 21.6 hours old%s",
			r.campaign.Things.Count(len(swallowed)), named(swallowed)))
	}
	if len(missing) > 0 {
		list = append(list, fmt.Sprintf("%s had something to mail and somebody set to get it, and got no digest, for the first time%s; "+
			"is there no mailing list, are these members gone, or are their addresses not verified?",
			r.campaign.Things.Count(len(missing)), named(missing)))
	}
	return list
}

// earlierNights is how many runs are in the picture of a report besides its own: as many as are kept, whether the report is
// made by the run itself or, when the oldest one has been removed, from its journal.
const earlierNights = keptRuns - 1

// nights are the newest of some runs of which the ledger told something, the oldest first. The runs come newest first.
func nights(runs []state.Summary) (list []report.Night) {
	for i := range runs {
		if s := &runs[i]; s.Judged && len(list) < earlierNights {
			list = append(list, report.Night{Run: s.Run, Started: s.Started, Mails: s.Mails, GapPosts: s.GapPosts})
		}
	}
	slices.Reverse(list)
	return list
}

// nights are those before this run.
func (r *run) nights() []report.Night {
	if r.dir == nil {
		return nil
	}
	runs, err := r.dir.Runs(r.Installation) // this run is among them, and not judged before its end is on record
	if err != nil {
		return nil // it has been said that earlier runs are not known
	}
	return nights(runs)
}
