package campaign

import (
	"cmp"
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
	own := len(results.Results) // what comes behind those is left out
	l := &report.Ledger{Mails: slices.Concat(make([]ledger.Mail, own), plan.leftMails)}
	var places []int
	for i := range results.Results {
		if r := &results.Results[i]; r.Attempts > 0 || r.Lost != nil {
			places = append(places, i)
		}
	}
	asked := len(places) // of these; what comes behind them is of an earlier run
	for _, left := range plan.leftSent {
		places = append(places, own+left.place)
	}
	now := time.Now()
	sent := func(i int) ledger.Sent {
		if i >= asked {
			return plan.leftSent[i-asked].Sent
		}
		return sentOf(&results.Results[places[i]], now)
	}
	v, err := r.book.Judge(ctx, len(places), func(yield func(ledger.Sent) bool) {
		for i := 0; i < len(places) && yield(sent(i)); i++ {
		}
	}, pending)
	if err != nil {
		r.unread(err)
		v = &ledger.Verdicts{Mails: make([]ledger.Mail, len(places))}
		for i, place := range places {
			s, found := sent(i), ledger.NotAsked
			if s.Accepted && i < asked && results.Results[place].Status == 0 { // the site has confirmed nothing since
				found = r.found[state.Group(s.Group)]
			}
			if s.Accepted || s.Doubtful {
				v.Mails[i] = cmp.Or(found, ledger.Unknown)
			}
		}
	}
	l.Gaps = v.Gaps
	var settled []dispatcher.Result
	for i, place := range places {
		l.Mails[place] = v.Mails[i]
		if i >= asked {
			continue
		}
		result := &results.Results[place]
		if result.Outcome == dispatcher.Ambiguous && (v.Mails[i] == ledger.Mailed || v.Mails[i] == ledger.Nothing) {
			*result = result.Answered(accepted)
			settled = append(settled, *result)
		}
	}
	for i := own - plan.idled; i < own; i++ {
		l.Mails[i] = ledger.Nothing // it was found out when they were left out
	}
	r.events.Observe(Judged{settled, func(yield func(state.Group, ledger.Mail) bool) {
		for i, result := range slices.Concat(results.Results, plan.left) {
			if !yield(result.Job.(state.Group), l.Mails[i]) {
				return
			}
		}
	}, v.Gaps})
	return l
}

// sentOf is what the judgement has to know of the result of a group that was sent to.
func sentOf(result *dispatcher.Result, now time.Time) ledger.Sent {
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
	return s
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
func (r *run) mailWarnings(plan *Plan, results *dispatcher.Report, l *report.Ledger) []string {
	var swallowed, missing []string
	look := func(g state.Group, m ledger.Mail) {
		switch {
		case m == ledger.Swallowed && r.news(g):
			swallowed = append(swallowed, g.Key())
		case m == ledger.Missing && !r.undigested[g]:
			missing = append(missing, g.Key())
		}
	}
	for i := range results.Results {
		look(results.Results[i].Job.(state.Group), l.Mails[i])
	}
	for _, left := range plan.leftSent { // the run that had the others accepted has warned of them
		look(state.Group(left.Group), l.Mails[len(results.Results)+left.place])
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

// news reports whether there was something to mail of a group that its last digest did not have. After a second run of one day
// there mostly is not: nothing is lost by the server's skipping it.
func (r *run) news(g state.Group) bool {
	if r.book == nil {
		return true
	}
	return r.book.Tell(ledger.Group(g), time.Now()).Posts > 0 // a weekly digest that is due was the one that the guard is up for
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
