// Package campaign is the script of a run: fetch the list, select, order, send, report.
//
// It is where the hooks and the dispatcher meet, and holds what either must not know of the other: what an answer
// means for a group (verdict.go) and why a run stops (stop.go). It prints nothing and reads no options.
package campaign

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/ratelimit"
)

// Settings of a run.
type Settings struct {
	URL         string // the site's, for the report
	Workers     int
	Rate        ratelimit.Rate
	Burst       int
	Throttle    time.Duration
	Retries     int           // extra tries of a send that provably mailed nothing
	GiveUpAfter time.Duration // end the run when the site has not answered, or will not, for so long; 0: never
	Grace       time.Duration // for sends in flight after a stop; 0: as long as they need
	// Down is told when the site stops answering and when it is back, Paused when it asks for a pause; nil: nobody is.
	Down        func(ratelimit.BreakerState)
	Paused      func(time.Duration)
	MaxFailures func(groups int) int // how many failures stop a run of so many groups; nil or 0: none
	// LeftOut says why the user does not want a group to be sent to; empty: it is wanted. nil: all are.
	LeftOut   func(hooks.Group) string
	Abort     context.Context // when it ends, sends in flight are cut
	Observers []dispatcher.Observer
	// Listed is told how many groups will be sent to, before the first send; nil: nobody is.
	Listed func(groups int)
	// Again gives the command that sends to some groups again, see [report.Meta].
	Again func(keys ...string) string
}

// A ListError is a list of groups that could not be had. Nothing was sent.
type ListError struct{ Err error }

func (e *ListError) Error() string { return e.Err.Error() }
func (e *ListError) Unwrap() error { return e.Err }

// Plan is which groups a run will send to, in order, and which it leaves out.
type Plan struct {
	Groups  []hooks.Group
	skipped []dispatcher.Result
}

// Fetch gets the list of groups and plans the run. Its error is a [*ListError], or the cause of ctx where that
// ended first.
func Fetch(ctx context.Context, client *hooks.Client, s Settings) (*Plan, error) {
	groups, err := client.DigestGroups(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, &ListError{err}
	}
	plan := &Plan{}
	if s.LeftOut == nil {
		plan.Groups = groups
		return plan, nil
	}
	wanted := groups[:0]
	for _, g := range groups {
		reason := s.LeftOut(g)
		if reason == "" {
			wanted = append(wanted, g)
			continue
		}
		plan.skipped = append(plan.skipped, dispatcher.Result{
			Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Skipped, Reason: reason},
		})
	}
	plan.Groups = wanted
	return plan, nil
}

// Listed counts the groups of the site's list.
func (p *Plan) Listed() int { return len(p.Groups) + len(p.skipped) }

// Result is what became of a run.
type Result struct {
	Document *report.Document
	// StoppedBy is why not everything was tried or finished, Err why there was nothing to try; nil if not so.
	StoppedBy, Err error
}

// Run makes a whole run. When ctx ends nothing more starts, and what is in flight ends by itself. Run cannot fail:
// its result tells all, also when there was no list.
func Run(ctx context.Context, client *hooks.Client, s Settings) Result {
	started := time.Now()
	meta := report.Meta{
		Campaign: "digest", Run: runID(started), URL: s.URL, Started: started,
		Workers: s.Workers, Rate: float64(s.Rate), Burst: s.Burst,
		Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(hooks.Group)
			return g.Site, g.Group
		},
		Again: s.Again,
	}
	plan, err := Fetch(ctx, client, s)
	if err != nil {
		return noList(meta, err)
	}
	if s.Listed != nil {
		s.Listed(len(plan.Groups))
	}
	breaker := ratelimit.NewBreaker(s.GiveUpAfter, s.Down)
	options := dispatcher.Options{
		Workers: s.Workers, Throttle: s.Throttle, Retries: s.Retries, Away: breaker.Open,
		Grace: s.Grace, Abort: s.Abort, Observers: s.Observers,
		Limiter: ratelimit.Join(
			ratelimit.NewPause(s.GiveUpAfter, s.Paused), breaker, ratelimit.NewBucket(s.Rate, s.Burst)),
	}
	if s.MaxFailures != nil {
		options.MaxFailures = s.MaxFailures(len(plan.Groups))
	}
	results := dispatcher.Run(ctx, plan.Groups, func(ctx context.Context, g hooks.Group) dispatcher.Verdict {
		defer scrubPanic(client)
		return judge(client.SendDigest(ctx, g))
	}, options)
	results.Results = append(results.Results, plan.skipped...)
	meta.StopWord = StopWord(results.StoppedBy)
	return Result{Document: report.New(results, meta), StoppedBy: results.StoppedBy}
}

// scrubPanic passes a panic on without the token, which its value may quote.
func scrubPanic(client *hooks.Client) {
	if p := recover(); p != nil {
		panic(client.Scrub(fmt.Sprint(p)))
	}
}

// noList is the result of a run that ended before the first send.
func noList(meta report.Meta, err error) Result {
	result := Result{}
	meta.Error = err.Error()
	if _, ok := errors.AsType[*ListError](err); ok {
		result.Err = err
		if refused, ok := errors.AsType[*hooks.RejectedError](err); ok {
			meta.StopWord, meta.Error = "token", refused.Error()
		}
	} else {
		result.StoppedBy = err
		meta.StopWord = StopWord(err)
	}
	result.Document = report.New(&dispatcher.Report{Started: meta.Started, Finished: time.Now()}, meta)
	return result
}

// runID names a run: when it started, in UTC, and two random bytes against a second one in the same second.
func runID(started time.Time) string {
	var tail [2]byte
	_, _ = rand.Read(tail[:]) // never fails
	return fmt.Sprintf("%s-%x", started.UTC().Format("20060102T150405Z"), tail)
}
