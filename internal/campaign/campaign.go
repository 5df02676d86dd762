// Package campaign is the script of a run: fetch the list, select, order, send, report.
//
// It is where the hooks and the dispatcher meet, and holds what either must not know of the other: what an answer
// means for a group (verdict.go) and why a run stops (stop.go). It prints nothing and reads no options.
package campaign

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// Settings of a run.
type Settings struct {
	URL     string // the site's, for the report
	Workers int    // the most sends in flight
	// Adaptive finds how many of these there are to be; nil: all of them.
	Adaptive *ratelimit.Adaptive
	// Limits is asked after the last send how the number that may be in flight changed, for the report; nil: nobody is.
	Limits func() []report.Limit
	// Crowded is told how many sends may be in flight now because of PostgreSQL's max_prepared_transactions, and why; nil:
	// nobody is.
	Crowded func(limit report.Limit, why string)
	// Ready is called before the first send, and what it gives after the last; nil: nothing is.
	Ready       func(context.Context, *Plan) (over func())
	Rate        ratelimit.Rate
	Burst       int
	Throttle    time.Duration
	Retries     int                         // extra tries of a send that provably mailed nothing
	Backoff     func(try int) time.Duration // wait after a try before the next; nil: the dispatcher's
	GiveUpAfter time.Duration               // end the run when the site has not answered, or will not, for so long; 0: never
	Grace       time.Duration               // for sends in flight after a stop; 0: as long as they need
	// Down is told when the site stops answering and when it is back, Paused when it asks for a pause; nil: nobody is.
	Down   func(ratelimit.BreakerState)
	Paused func(time.Duration)
	// Unlisted is told each time that the list could not be had: why, when it is asked for again, and when the run gives
	// up; zero: never. nil: nobody is.
	Unlisted func(err error, again, until time.Time)
	// Waiting is given, before the first send, what tells at any time what keeps a send from starting, in words that
	// follow "waiting for"; it says nothing where nothing does. nil: nobody wants to know.
	Waiting     func(source func() string)
	MaxFailures func(groups int) int // how many failures stop a run of so many groups; nil or 0: none
	// LeftOut says why the user does not want a group to be sent to; empty: it is wanted. nil: all are.
	LeftOut  func(hooks.Group) string
	Run      string        // the run's name, see [RunID]; empty: a new one
	Started  time.Time     // when the run began; zero: now
	Journal  *state.Writer // nil: none
	Previous *Previous     // the run to go on with; nil: none
	Guard    *Guard        // nil: nobody is held back
	// ServerZone is the time zone of the server's clock, by which its guard goes; nil means this machine's.
	ServerZone *time.Location
	// Open is when the last try of unknown fate started, of a group that the server may still be at work on, see
	// [state.Recent.Open]; it is sent to Settle.After that at the earliest, in any run. nil: there is none.
	Open   func(state.Group) (time.Time, bool)
	Settle Settle
	Order  schedule.Order
	// MaxHeavy is how many groups far above the others in cost may be sent to at a time, see [schedule.Settings].
	MaxHeavy  func(limit int) int
	History   *state.History  // what the sends to the groups cost; it learns from the run. nil: nothing is known
	Abort     context.Context // when it ends, sends in flight are cut
	Observers []dispatcher.Observer
	// Refuse is asked whether a planned run is to start at all; an error keeps it from that, and is what stopped it. Such
	// a run leaves everything as it was: an earlier one can still be gone on with. nil: it starts.
	Refuse func(*Plan) error
	// Listed is told what will be sent to, before the first send; nil: nobody is.
	Listed func(*Plan)
	// Again gives the command that sends to some groups again, see [report.Meta].
	Again func(keys ...string) string
	// GoOn gives the command that goes on with the run, see [report.Meta]; it is not asked without a Journal.
	GoOn func(option string) string
}

// Result is what became of a run.
type Result struct {
	Document *report.Document
	// StoppedBy is why not everything was tried or finished, Err why there was nothing to try; nil if not so.
	StoppedBy, Err error
	// Warnings are what an operator has to know also where all was accepted, one line each: entries of the list that were
	// left out, and why fewer sends were in flight than asked for. The document has them among its notes.
	Warnings []string
}

// Run makes a whole run. When ctx ends nothing more starts, and what is in flight ends by itself. Run cannot fail:
// its result tells all, also when there was no list.
func Run(ctx context.Context, client *hooks.Client, s Settings) Result {
	started := s.Started
	if started.IsZero() {
		started = time.Now()
	}
	meta := report.Meta{
		Campaign: "digest", Run: cmp.Or(s.Run, RunID(started)), URL: s.URL, Started: started,
		Workers: s.Workers, Rate: float64(s.Rate), Burst: s.Burst,
		Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(hooks.Group)
			return g.Site, g.Group
		},
		Again: s.Again,
	}
	if s.Adaptive != nil {
		meta.Workers = 0
	}
	list, err := askPatiently(ctx, client, &s)
	if err != nil {
		result := noList(meta, err)
		s.ends(result, time.Now())
		return result
	}
	plan := planOf(list, s)
	var warnings []string
	if plan.Unusable.N > 0 {
		warnings = append(warnings, plan.Unusable.String())
	}
	meta.Notes = warnings
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if s.Refuse != nil {
		if err := s.Refuse(plan); err != nil {
			stop(err)
			return s.refused(ctx, plan, meta)
		}
	}
	if s.Journal != nil {
		plan.journalled(s.Journal)
		s.Observers = append([]dispatcher.Observer{s.Journal}, s.Observers...) // first: on file before the request leaves
		meta.GoOn = s.GoOn
	}
	if s.History != nil {
		s.Observers = append(s.Observers, s.History)
		if s.Adaptive != nil {
			s.Adaptive.Expect(ratelimit.Found(s.History.Found()))
		}
	}
	s.Previous, s.Guard, s.Open = nil, nil, nil // they may be large, and have said what they know
	if plan.Forecast != nil {
		meta.Forecast = plan.Forecast.Expected
	}
	if s.Listed != nil {
		s.Listed(plan)
	}
	over := func() {}
	if s.Ready != nil && ctx.Err() == nil {
		over = s.Ready(ctx, plan)
	}
	rule := plan.schedule.Rule()
	plan.schedule, plan.Forecast = nil, nil // large, too
	breaker := ratelimit.NewBreaker(s.GiveUpAfter, s.Down)
	bucket := ratelimit.NewBucket(s.Rate, s.Burst)
	if s.Waiting != nil && s.Rate > 0 {
		s.Waiting(func() string {
			if !bucket.Holds() {
				return ""
			}
			return fmt.Sprintf("the rate of %v", s.Rate)
		})
	}
	if s.Waiting != nil && s.Adaptive != nil {
		s.Waiting(func() string {
			if !s.Adaptive.Holds() {
				return ""
			}
			return fmt.Sprintf("one of the %d in flight to end, as many as the site bears", s.Adaptive.Limit())
		})
	}
	options := dispatcher.Options{
		Workers: s.Workers, Throttle: s.Throttle, Retries: s.Retries, Backoff: s.Backoff,
		Away: breaker.Health, Rule: rule, Settle: s.settle, Earlier: plan.earlier,
		Grace: s.Grace, Abort: s.Abort, Observers: s.Observers,
	}
	var short shortage
	crowd := ratelimit.NewCrowd(s.Workers, func(c ratelimit.CrowdState) {
		if c.Here {
			short.crowded(&s, c)
			return
		}
		s.crowded(c)
	})
	options.Limit = crowd.Limit
	gates := []ratelimit.Gate{ratelimit.NewPause(s.GiveUpAfter, s.Paused), breaker, crowd}
	if s.Adaptive != nil {
		gates = append(gates, s.Adaptive)
		options.Limit = s.Adaptive.Limit // never above the crowd's
	}
	options.Limiter = ratelimit.Join(append(gates, bucket)...)
	if s.History != nil {
		options.Usual = s.usual
	}
	if s.MaxFailures != nil {
		options.MaxFailures = s.MaxFailures(len(plan.Groups))
	}
	results := dispatcher.Run(ctx, plan.Groups, func(ctx context.Context, g hooks.Group) dispatcher.Verdict {
		defer scrubPanic(client)
		return short.hear(judge(client.SendDigest(ctx, g)))
	}, options)
	over()
	if s.Limits != nil {
		meta.Limits = s.Limits()
	}
	for _, note := range []string{CrowdNote(meta.Limits), short.note()} {
		if note != "" {
			meta.Notes = append(meta.Notes, note)
		}
	}
	if s.Adaptive == nil { // otherwise it is a limit that was found
		warnings = meta.Notes
	}
	if s.History != nil {
		s.History.Learn()
		found := s.Adaptive != nil && short.note() == "" // what this machine lacks tells nothing of the site
		if found {
			s.History.KeepFound(state.FoundLimit(s.Adaptive.Found()))
		}
		if found && s.Rate == 0 && s.Throttle == 0 && plan.waiting == 0 && results.StoppedBy == nil {
			s.History.KeepAbreast() // nothing but the site decided how many there were
		}
	}
	if s.Journal != nil && (s.Journal.Err() != nil || expired(started, time.Now())) {
		meta.GoOn = nil // it would be refused: not all is on record, or a new run is due
	}
	result := s.result(plan, results, meta)
	result.Warnings = warnings
	return result
}

// result is what became of a run that had a plan.
func (s *Settings) result(plan *Plan, results *dispatcher.Report, meta report.Meta) Result {
	meta.Guarded = plan.guarded(results.Results)
	results.Results = append(results.Results, plan.left...)
	meta.StopWord = StopWord(results.StoppedBy)
	result := Result{Document: report.New(results, meta), StoppedBy: results.StoppedBy}
	s.ends(result, results.Finished)
	return result
}

// refused is the result of a run that is not to start.
func (s *Settings) refused(ctx context.Context, plan *Plan, meta report.Meta) Result {
	results := dispatcher.Run(ctx, plan.Groups, func(context.Context, hooks.Group) dispatcher.Verdict {
		return dispatcher.Verdict{} // ctx has ended: nobody asks
	}, dispatcher.Options{Earlier: plan.earlier})
	meta.Again = nil // the same would be refused again
	return s.result(plan, results, meta)
}

// usual is what a group's send took in earlier runs; 0: it is not known.
func (s *Settings) usual(j dispatcher.Job) time.Duration {
	if e := s.History.Estimate(j.Key()); e.Known {
		return e.Median
	}
	return 0
}

// abreast is how many sends a forecast takes to be in flight. Where their number is found in the course of the run it
// is what the last run had, or what a stock site bears.
func (s *Settings) abreast() int {
	if s.Adaptive == nil {
		return s.Workers
	}
	expected := stockThreads
	if s.History != nil && s.History.Abreast() > 0 {
		expected = max(int(math.Round(s.History.Abreast())), 1)
	}
	return min(expected, s.Workers)
}

// stockThreads is the number of request threads of a stock GroupServer (docs/groupserver.md section 5).
const stockThreads = 2

// ends puts the end of the run on record.
func (s *Settings) ends(r Result, at time.Time) {
	if s.Journal == nil {
		return
	}
	e := state.Ending{At: at, Error: r.Document.Error}
	if r.Document.StoppedBy != nil {
		e.StoppedBy = *r.Document.StoppedBy
	}
	if r.StoppedBy != nil {
		e.Error = r.StoppedBy.Error()
	}
	s.Journal.Finish(e)
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

// RunID names a run: when it started, in UTC, and two random bytes against a second one in the same second.
func RunID(started time.Time) string {
	var tail [2]byte
	_, _ = rand.Read(tail[:]) // never fails
	return fmt.Sprintf("%s-%x", started.UTC().Format("20060102T150405Z"), tail)
}
