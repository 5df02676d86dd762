package campaign

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// A run is one that is being made.
type run struct {
	*Settings
	record
	tables
	campaign  Campaign
	id        string                        // its name
	started   time.Time                     // when it had the lock
	ends      atomic.Pointer[DeadlineError] // when it starts nothing more, and why; nil: never
	timeLimit *deadline
	cut       context.CancelCauseFunc // of what is in flight; nil: it is not to be steered
	assumed   state.Assumed
	events    *Stream
	valve     *ratelimit.Valve
	breaker   *ratelimit.Breaker
	crowd     *ratelimit.Crowd
	adaptive  *ratelimit.Adaptive // nil or off: the number of sends in flight is given
	bucket    *ratelimit.Bucket
	asked     int // workers that were asked for, or the most that may be found
	limits    limits
	short     shortage
}

// Run makes a whole run of a campaign. When ctx ends nothing more starts, and what is in flight ends by itself. Once the
// run has begun it cannot fail: its result tells all, also when there was no list.
//
// Its error is of what ended it before the first request: another run holds the lock ([*state.HeldError]), there is no run
// to go on with ([*ResumeError], or an error of package state), ctx ended while it waited for the lock, or it had no turn
// ([Queue]).
func Run(ctx context.Context, c Campaign, s Settings) (Result, error) {
	r := newRun(c, s)
	ctx, deadline := r.keepDeadline(ctx)
	defer deadline.over()
	if err := r.hold(ctx); err != nil {
		return Result{}, err
	}
	defer r.release()
	if r.Queue != nil {
		if err := r.Queue.Turn(ctx, func() { r.events.Observe(Queueing{}) }); err != nil {
			return Result{}, err
		}
	}
	deadline.sooner(r.maxDuration())
	if err := r.remember(); err != nil {
		return Result{}, err
	}
	r.open()
	defer r.endSteering()
	result := r.night(ctx)
	result.Unwritten = r.seal(result)
	r.events.Observe(Ended{result, time.Now()}) // with the lock: of two runs the files of the later one stay
	return result, nil
}

// Preview plans a run, and sends nothing: it asks for the list once, and takes no lock. Its error is a [*ListError], the
// cause of ctx where that ended first, or that of an earlier run which is not there.
func Preview(ctx context.Context, c Campaign, s Settings) (*Plan, error) {
	r := newRun(c, s)
	ctx, deadline := r.keepDeadline(ctx)
	defer deadline.over()
	r.look()
	deadline.sooner(r.maxDuration())
	if err := r.remember(); err != nil {
		return nil, err
	}
	list, err := r.ask(ctx)
	if err != nil {
		return nil, err
	}
	r.consult(ctx, list)
	return r.plan(list), nil
}

func newRun(c Campaign, s Settings) *run {
	r := &run{Settings: &s, campaign: c, record: record{past: nothing{}}, asked: max(s.Workers, 1)}
	s.Workers = max(s.Workers, 1)
	r.begin(time.Now())
	observers := []Observer{ObserverFunc(r.onRecord), &r.limits}
	ceiling, steerable := s.Workers, s.Steering != nil && s.Queue == nil // a queue is steered for all machines
	if steerable {
		r.steerable()
		observers = append(observers, s.Steering)
		if !s.Auto {
			ceiling = s.Steering.ceiling()
		}
	}
	r.events = NewStream(&pausing{Observer: NewStream(append(observers, s.Observers...)...)})
	r.gates()
	if s.Auto || steerable {
		r.adaptive = ratelimit.NewAdaptive(ceiling, func(limit int, why string) {
			r.limited(report.Limit{Sends: limit}, why)
		})
		r.adaptive.Enable(s.Auto)
	}
	return r
}

// begin says when the run begins, which names it.
func (r *run) begin(at time.Time) {
	r.started, r.id = at, RunID(at)
	r.limits.begin(at, r.Workers, r.Auto)
}

// night makes a run between the moment in which it has all that earlier ones left and its end.
func (r *run) night(ctx context.Context) Result {
	r.events.Observe(Began{r.meta()})
	defer r.watchStop(ctx)()
	r.beginSteering()
	list, err := r.askPatiently(ctx)
	if err != nil {
		r.endActions()
		return r.noList(err)
	}
	r.consult(ctx, list)
	plan := r.plan(list)
	if fit := plan.Fit(); r.RequireFit && fit != nil {
		r.endActions()
		return r.refused(plan, fit)
	}
	results := r.send(ctx, plan)
	r.endActions()
	r.learn(plan, results)
	return r.result(ctx, plan, results)
}

// send makes the sends of a plan.
func (r *run) send(ctx context.Context, plan *Plan) *dispatcher.Report {
	if r.history != nil && r.adaptive != nil {
		r.adaptive.Expect(ratelimit.Found(r.history.Found()))
	}
	r.previous, r.past = nil, nothing{} // they may be large, and have said what they know
	r.events.Observe(Planned{plan})
	defer r.watchVisitors(ctx, plan)()
	rule := plan.schedule.Rule()
	plan.schedule, plan.Forecast = nil, nil // large, too
	options := dispatcher.Options{
		Workers: r.Workers, Throttle: r.Throttle, Retries: r.Retries, Backoff: r.Backoff,
		Rule: rule, Settle: r.settle, Earlier: plan.earlier,
		Grace: r.Grace, Abort: r.Abort, MaxFailures: r.MaxFailures.Of(len(plan.Groups)),
		Observe: func(e dispatcher.Event) { r.events.Observe(Send{e}) },
	}
	options.Limiter = r.limiter()
	if r.adaptive != nil && r.history != nil {
		options.Usual = r.usual // nobody else compares
	}
	if r.cut != nil {
		options.Hiring = r.Steering.hiring(r)
	}
	if r.book != nil {
		options.Inquire = r.inquire
	}
	r.events.Observe(Sending{Waits: func() []string { return r.waits() }})
	sends := func(groups []state.Group, options dispatcher.Options) *dispatcher.Report {
		if r.Queue != nil {
			return r.Queue.Dispatch(ctx, groups, options, func(e Steered) { r.events.Observe(e) })
		}
		return dispatcher.Run(ctx, groups, func(ctx context.Context, g state.Group) dispatcher.Verdict {
			return r.short.observe(r.campaign.Send(ctx, g))
		}, options)
	}
	results := sends(plan.Groups, options)
	r.sendIdle(ctx, plan, results, func(due []state.Group) *dispatcher.Report {
		return sends(due, r.furtherOptions(options, due, results))
	})
	return results
}

// gates makes what sends may have to wait for.
func (r *run) gates() {
	r.valve = ratelimit.NewValve()
	r.breaker = ratelimit.NewBreaker(r.GiveUpAfter, func(b ratelimit.BreakerState) {
		if b.Open {
			r.events.Observe(Down{b})
			return
		}
		r.events.Observe(Up{})
	})
	r.crowd = ratelimit.NewCrowd(r.Workers, r.crowded)
	r.bucket = ratelimit.NewBucket(r.Rate, r.Burst)
}

// limiter is all that a send may have to wait for.
func (r *run) limiter() ratelimit.Limiter {
	pause := ratelimit.NewPause(r.GiveUpAfter, func(d time.Duration) { r.events.Observe(Paused{d}) })
	gates := []ratelimit.Gate{pause, r.breaker, r.crowd}
	if r.cut != nil {
		gates = append([]ratelimit.Gate{r.valve}, gates...)
	}
	if r.adaptive != nil {
		gates = append(gates, r.adaptive)
	}
	return ratelimit.Join(append(gates, r.bucket)...)
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
			cause := context.Cause(ctx)
			r.events.Observe(Stopping{Cause: cause, Grace: r.Grace, Left: r.Queue != nil && Leaves(cause)})
		}
	})
	return func() {
		close(done)
		watch.Wait()
	}
}

// waits answers [Sending].
func (r *run) waits() (reasons []string) {
	if rate := r.bucket.Rate(); rate > 0 && r.bucket.Holds() {
		reasons = append(reasons, fmt.Sprintf("the rate of %v", rate))
	}
	if r.adaptive != nil && r.adaptive.Holds() {
		reasons = append(reasons, fmt.Sprintf("one of the %d in flight to end, as many as the site bears", r.adaptive.Limit()))
	}
	return reasons
}

// usual is what a group's send took in earlier runs; 0: it is not known.
func (r *run) usual(j dispatcher.Job) time.Duration {
	if !r.auto() {
		return 0
	}
	if e := r.history.Estimate(j.Key()); e.Known {
		return e.Median
	}
	return 0
}

// abreast is how many sends a forecast takes to be in flight. Where their number is found in the course of the run it
// is what the last run had, or what a stock site bears.
func (r *run) abreast() int {
	if !r.Auto {
		return r.Workers
	}
	expected := stockThreads
	if r.history != nil && r.history.Abreast() > 0 {
		expected = max(int(math.Round(r.history.Abreast())), 1)
	}
	return min(expected, r.Workers)
}

// stockThreads is the number of request threads of a stock GroupServer (docs/groupserver.md section 5).
const stockThreads = 2

// learn keeps in the history what the run showed.
func (r *run) learn(plan *Plan, results *dispatcher.Report) {
	if r.history == nil {
		return
	}
	r.history.Learn()
	found := r.Auto && len(r.limits.steered) == 0 && r.short.note() == "" // what this machine lacks tells nothing of the site
	if found {
		r.history.KeepFound(state.FoundLimit(r.adaptive.Found()))
	}
	if found && r.Rate == 0 && r.Throttle == 0 && plan.Waiting == 0 && results.StoppedBy == nil {
		r.history.KeepAbreast() // nothing but the site decided how many there were
	}
}

// meta is what the report of the run says besides its results.
func (r *run) meta() report.Meta {
	meta := r.campaign.Meta()
	meta.Run, meta.URL, meta.Started = r.id, r.URL, r.started
	meta.Workers, meta.Rate, meta.Burst = r.Workers, float64(r.Rate), r.Burst
	if r.Auto {
		meta.Workers = 0
	}
	if r.Commands != nil && r.campaign.Guard != nil { // otherwise a new run mails all of them again
		meta.Again = r.Commands.Again
	}
	return meta
}

// result is what became of a run that made its sends.
func (r *run) result(ctx context.Context, plan *Plan, results *dispatcher.Report) Result {
	meta := r.meta()
	meta.Ledger = r.judge(ctx, plan, results)
	meta.Limits, meta.Steered = r.limits.all(r.Auto), r.limits.steers()
	meta.Forecast = plan.expected
	warnings := plan.warnings()
	meta.Notes = warnings
	for _, note := range []string{CrowdNote(meta.Limits), r.short.note()} {
		if note != "" {
			meta.Notes = append(meta.Notes, note)
		}
	}
	if !r.Auto { // otherwise it is a limit that was found
		warnings = meta.Notes
	}
	// It would be refused where not all is on record, or a new run is due.
	if r.Commands != nil && r.journal != nil && r.journal.Err() == nil && !expired(r.started, time.Now()) {
		meta.GoOn = func(option string) string { return r.Commands.GoOn(Mode(option)) }
	}
	if meta.Ledger != nil {
		meta.Nights = r.nights()
		warnings = append(slices.Clip(warnings), r.mailWarnings(plan, results, meta.Ledger)...)
	}
	result := resultOf(plan, results, meta)
	result.Warnings = warnings
	return result
}

func resultOf(plan *Plan, results *dispatcher.Report, meta report.Meta) Result {
	if meta.Ledger == nil { // otherwise it tells who was skipped
		meta.Guarded = plan.guarded(results.Results)
	}
	results.Results = append(results.Results, plan.left...)
	meta.StopWord = StopWord(results.StoppedBy)
	return Result{Document: report.New(results, meta), StoppedBy: results.StoppedBy}
}

// refused is the result of a run that is not to start, for a cause.
func (r *run) refused(plan *Plan, cause error) Result {
	ctx, stop := context.WithCancelCause(context.Background())
	stop(cause)
	results := dispatcher.Run(ctx, slices.Concat(plan.Groups, plan.idle), func(context.Context, state.Group) dispatcher.Verdict {
		return dispatcher.Verdict{} // ctx has ended: nobody asks
	}, dispatcher.Options{Earlier: plan.earlier})
	meta := r.meta()
	meta.Notes, meta.Again = plan.warnings(), nil // the same would be refused again
	meta.Steered = r.limits.steers()
	return resultOf(plan, results, meta)
}

// noList is the result of a run that ended before the first send.
func (r *run) noList(err error) Result {
	result, meta := Result{}, r.meta()
	meta.Error, meta.Steered = err.Error(), r.limits.steers()
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
