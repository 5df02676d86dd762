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
	"slices"
	"sync"
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
	// Auto finds how many of these there are to be; otherwise there are Workers.
	Auto bool
	// Visitors is asked what visitors of the site wait, for Auto; nil: nobody is.
	Visitors    Visitors
	Rate        ratelimit.Rate
	Burst       int
	Throttle    time.Duration
	Retries     int                         // extra tries of a send that provably mailed nothing
	Backoff     func(try int) time.Duration // wait after a try before the next; nil: the dispatcher's
	GiveUpAfter time.Duration               // end the run when the site has not answered, or will not, for so long; 0: never
	Grace       time.Duration               // for sends in flight after a stop; 0: as long as they need
	MaxFailures func(groups int) int        // how many failures stop a run of so many groups; nil or 0: none
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
	MaxHeavy func(limit int) int
	History  *state.History  // what the sends to the groups cost; it learns from the run. nil: nothing is known
	Abort    context.Context // when it ends, sends in flight are cut
	// Ends is when the run starts nothing more, which ctx sees to; nil: never. RequireFit keeps it from starting if it would
	// not be over by then: such a run leaves everything as it was, and an earlier one can still be resumed.
	Ends       *DeadlineError
	RequireFit bool
	Observers  []Observer // who hears of the run, after its journal
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

// A run is one that is being made.
type run struct {
	*Settings
	client   *hooks.Client
	events   *Stream
	adaptive *ratelimit.Adaptive // nil: the number of sends in flight is given
	limits   limits
	short    shortage
}

// Run makes a whole run. When ctx ends nothing more starts, and what is in flight ends by itself. Run cannot fail:
// its result tells all, also when there was no list.
func Run(ctx context.Context, client *hooks.Client, s Settings) Result {
	if s.Started.IsZero() {
		s.Started = time.Now()
	}
	meta := report.Meta{
		Campaign: "digest", Run: cmp.Or(s.Run, RunID(s.Started)), URL: s.URL, Started: s.Started,
		Workers: s.Workers, Rate: float64(s.Rate), Burst: s.Burst,
		Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(hooks.Group)
			return g.Site, g.Group
		},
		Again: s.Again,
	}
	if s.Auto {
		meta.Workers = 0
	}
	r := newRun(client, &s)
	over := r.watchStop(ctx)
	result := r.make(ctx, meta)
	over()
	r.events.Observe(Ended{result, time.Now()})
	return result
}

func newRun(client *hooks.Client, s *Settings) *run {
	r := &run{Settings: s, client: client}
	r.limits.list = []report.Limit{{At: s.Started, Sends: s.Workers}}
	var observers []Observer
	if s.Journal != nil {
		observers = append(observers, onRecord{s.Journal}) // first: on file before the request leaves
	}
	if s.History != nil {
		observers = append(observers, ObserverFunc(func(e Event) {
			if e, ok := e.(Send); ok {
				s.History.Observe(e.Event)
			}
		}))
	}
	r.events = NewStream(slices.Concat(observers, []Observer{&r.limits}, s.Observers)...)
	if s.Auto {
		r.limits.list[0].Sends = 1 // it begins with one
		r.adaptive = ratelimit.NewAdaptive(s.Workers, func(limit int, why string) {
			r.limited(report.Limit{Sends: limit}, why)
		})
	}
	return r
}

// make makes a run between its first event and its last.
func (r *run) make(ctx context.Context, meta report.Meta) Result {
	list, err := r.askPatiently(ctx)
	if err != nil {
		return noList(meta, err)
	}
	plan := planOf(list, *r.Settings)
	var warnings []string
	if plan.Unusable.N > 0 {
		warnings = append(warnings, plan.Unusable.String())
	}
	meta.Notes = warnings
	if r.RequireFit {
		if fit := plan.Fit(r.Ends, r.Workers); fit != nil {
			return refused(fit, plan, meta)
		}
	}
	if r.Journal != nil {
		meta.GoOn = r.GoOn
	}
	if r.History != nil && r.adaptive != nil {
		r.adaptive.Expect(ratelimit.Found(r.History.Found()))
	}
	r.Previous, r.Guard, r.Open = nil, nil, nil // they may be large, and have said what they know
	if plan.Forecast != nil {
		meta.Forecast = plan.Forecast.Expected
	}
	r.events.Observe(Planned{plan})
	over := r.watchVisitors(ctx, plan)
	rule := plan.schedule.Rule()
	plan.schedule, plan.Forecast = nil, nil // large, too
	breaker := ratelimit.NewBreaker(r.GiveUpAfter, func(b ratelimit.BreakerState) {
		if b.Open {
			r.events.Observe(Down{b})
			return
		}
		r.events.Observe(Up{})
	})
	bucket := ratelimit.NewBucket(r.Rate, r.Burst)
	options := dispatcher.Options{
		Workers: r.Workers, Throttle: r.Throttle, Retries: r.Retries, Backoff: r.Backoff,
		Away: breaker.Health, Rule: rule, Settle: r.settle, Earlier: plan.earlier,
		Grace: r.Grace, Abort: r.Abort,
		Observers: []dispatcher.Observer{dispatcher.ObserverFunc(func(e dispatcher.Event) { r.events.Observe(Send{e}) })},
	}
	crowd := ratelimit.NewCrowd(r.Workers, r.crowded)
	options.Limit = crowd.Limit
	pause := ratelimit.NewPause(r.GiveUpAfter, func(d time.Duration) { r.events.Observe(Paused{d}) })
	gates := []ratelimit.Gate{pause, breaker, crowd}
	if r.adaptive != nil {
		gates = append(gates, r.adaptive)
		options.Limit = r.adaptive.Limit // never above the crowd's
		if r.History != nil {
			options.Usual = r.usual // no other gate compares
		}
	}
	options.Limiter = ratelimit.Join(append(gates, bucket)...)
	if r.MaxFailures != nil {
		options.MaxFailures = r.MaxFailures(len(plan.Groups))
	}
	r.events.Observe(Sending{Waits: func() []string { return r.waits(bucket) }})
	results := dispatcher.Run(ctx, plan.Groups, func(ctx context.Context, g hooks.Group) dispatcher.Verdict {
		defer scrubPanic(r.client)
		return r.short.observe(judge(r.client.SendDigest(ctx, g)))
	}, options)
	over()
	meta.Limits = r.limits.all(r.Auto)
	for _, note := range []string{CrowdNote(meta.Limits), r.short.note()} {
		if note != "" {
			meta.Notes = append(meta.Notes, note)
		}
	}
	if !r.Auto { // otherwise it is a limit that was found
		warnings = meta.Notes
	}
	r.learn(plan, results)
	if r.Journal != nil && (r.Journal.Err() != nil || expired(r.Started, time.Now())) {
		meta.GoOn = nil // it would be refused: not all is on record, or a new run is due
	}
	result := resultOf(plan, results, meta)
	result.Warnings = warnings
	return result
}

// watchStop reports [Stopping] when ctx ends. over ends the watch, and returns when it has ended.
func (r *run) watchStop(ctx context.Context) (over func()) {
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
		case <-done:
		}
		if ctx.Err() != nil { // whichever of the two was seen
			r.events.Observe(Stopping{Cause: context.Cause(ctx), Grace: r.Grace})
		}
	})
	return func() {
		close(done)
		watch.Wait()
	}
}

// waits answers [Sending].
func (r *run) waits(bucket *ratelimit.Bucket) (reasons []string) {
	if r.Rate > 0 && bucket.Holds() {
		reasons = append(reasons, fmt.Sprintf("the rate of %v", r.Rate))
	}
	if r.adaptive != nil && r.adaptive.Holds() {
		reasons = append(reasons, fmt.Sprintf("one of the %d in flight to end, as many as the site bears", r.adaptive.Limit()))
	}
	return reasons
}

// learn keeps in the history what the run showed.
func (r *run) learn(plan *Plan, results *dispatcher.Report) {
	if r.History == nil {
		return
	}
	r.History.Learn()
	found := r.adaptive != nil && r.short.note() == "" // what this machine lacks tells nothing of the site
	if found {
		r.History.KeepFound(state.FoundLimit(r.adaptive.Found()))
	}
	if found && r.Rate == 0 && r.Throttle == 0 && plan.Waiting == 0 && results.StoppedBy == nil {
		r.History.KeepAbreast() // nothing but the site decided how many there were
	}
}

// resultOf is what became of a run that had a plan.
func resultOf(plan *Plan, results *dispatcher.Report, meta report.Meta) Result {
	meta.Guarded = plan.guarded(results.Results)
	results.Results = append(results.Results, plan.left...)
	meta.StopWord = StopWord(results.StoppedBy)
	return Result{Document: report.New(results, meta), StoppedBy: results.StoppedBy}
}

// refused is the result of a run that is not to start, for a cause.
func refused(cause error, plan *Plan, meta report.Meta) Result {
	ctx, stop := context.WithCancelCause(context.Background())
	stop(cause)
	results := dispatcher.Run(ctx, plan.Groups, func(context.Context, hooks.Group) dispatcher.Verdict {
		return dispatcher.Verdict{} // ctx has ended: nobody asks
	}, dispatcher.Options{Earlier: plan.earlier})
	meta.Again = nil // the same would be refused again
	return resultOf(plan, results, meta)
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
	if !s.Auto {
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
