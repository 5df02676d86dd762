package campaign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// What became of the mail of a run, by the service's own tables, and what is said of it.

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
