package campaign

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

// span is how long groups must have nothing to mail to count as idle: until some time after the expected end of the run.
func (r *run) span(groups []state.Group, now time.Time) time.Duration {
	if r.book == nil || r.history == nil {
		return idleMargin
	}
	var work time.Duration
	for _, g := range groups {
		if !r.SkipIdle || !r.idle(g, now, idleMargin) {
			work += r.history.Estimate(g.Key()).Mean
		}
	}
	return work/time.Duration(r.abreast()) + idleMargin
}

// furtherOptions are those of a run that goes on with groups that became due: they are held back for the server's guard as the
// plan's were, and what failed so far counts.
func (r *run) furtherOptions(o dispatcher.Options, due []state.Group, soFar *dispatcher.Report) dispatcher.Options {
	now, past := time.Now(), bookPast{nothing{}, r}
	held := make([]time.Time, len(due))
	for i, g := range due {
		held[i], _ = r.guarded(r.free(past.Of(g), time.Time{}), now)
	}
	o.Rule = dispatcher.Rule{NotBefore: func(i int) time.Time { return held[i] }}
	o.Earlier = nil // of the plan's groups
	if o.MaxFailures > 0 {
		o.MaxFailures -= soFar.Counts().Failed() // some are left, or the run would have been stopped
	}
	return o
}

// sendIdle asks once more whether the groups that were left out have nothing to mail, and sends to those that have it now.
// Where that cannot be asked, it sends to all of them: a request too many mails nobody anything. What stopped the run holds for
// these as well, such as a token that is refused: then none of them is sent to.
func (r *run) sendIdle(ctx context.Context, plan *Plan, results *dispatcher.Report, send func([]state.Group) *dispatcher.Report) {
	if len(plan.idle) == 0 {
		return
	}
	var due, idle []state.Group
	asking, over := r.afterwards(ctx)
	defer over()
	err := r.book.Refresh(asking)
	if err != nil {
		r.unread(err)
	}
	now := time.Now()
	for _, g := range plan.idle {
		if err == nil && r.idle(g, now, idleMargin) {
			idle = append(idle, g)
		} else {
			due = append(due, g)
		}
	}
	switch {
	case len(due) == 0:
	case results.StoppedBy != nil:
		for _, g := range due {
			results.Results = append(results.Results, dispatcher.Result{
				Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.NotAttempted, Reason: results.StoppedBy.Error()},
			})
		}
	default:
		r.events.Observe(Extended{len(due)})
		more := send(due)
		results.Results = append(results.Results, more.Results...)
		results.Finished, results.Peak = more.Finished, max(results.Peak, more.Peak)
		results.StoppedBy = more.StoppedBy
	}
	for _, g := range idle {
		results.Results = append(results.Results, dispatcher.Result{
			Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Skipped, Reason: state.IdleReason},
		})
	}
	plan.idled = len(idle)
}
