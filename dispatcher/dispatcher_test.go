package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

type job string

func (j job) Key() string { return string(j) }

func jobs(n int) []job {
	list := make([]job, n)
	for i := range list {
		list[i] = job(fmt.Sprintf("main/group%03d", i))
	}
	return list
}

var accepted = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200, Health: ratelimit.Up}

func failed(reason string) dispatcher.Verdict {
	return dispatcher.Verdict{Outcome: dispatcher.NotOK, Reason: reason, Err: errors.New(reason)}
}

// takes is a send that lasts for d, or until it is cut.
func takes(d time.Duration, v dispatcher.Verdict) dispatcher.SendFunc[job] {
	return func(ctx context.Context, _ job) dispatcher.Verdict {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return v
		case <-ctx.Done():
			return dispatcher.Verdict{Reason: "cut", Err: context.Cause(ctx)}
		}
	}
}

func outcomesOf(r *dispatcher.Report) string {
	var words []string
	for _, o := range dispatcher.Outcomes() {
		if n := r.Counts()[o]; n > 0 {
			words = append(words, fmt.Sprintf("%d %v", n, o))
		}
	}
	return strings.Join(words, ", ")
}

func TestWorkersBoundTheSendsInFlight(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 64} {
		synctest.Test(t, func(t *testing.T) {
			var now, peak atomic.Int64
			send := func(ctx context.Context, j job) dispatcher.Verdict {
				peak.Store(max(peak.Load(), now.Add(1)))
				defer now.Add(-1)
				return takes(time.Second, accepted)(ctx, j)
			}
			report := dispatcher.Run(t.Context(), jobs(40), send, dispatcher.Options{Workers: workers})
			want := min(max(workers, 1), 40)
			if got := int(peak.Load()); got != want {
				t.Errorf("%d workers: %d sends in flight at once, want %d", workers, got, want)
			}
			if took := report.Finished.Sub(report.Started); took != time.Duration((40+want-1)/want)*time.Second {
				t.Errorf("%d workers: 40 sends of 1s took %v", workers, took)
			}
		})
	}
}

func TestResultsAreInDispatchOrderWhateverEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := jobs(30)
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			return takes(time.Duration(30-slices.Index(list, j))*time.Second, accepted)(ctx, j)
		}
		report := dispatcher.Run(t.Context(), list, send, dispatcher.Options{Workers: 8})
		for i, result := range report.Results {
			if result.Job != list[i] {
				t.Fatalf("result %d is of %v", i, result.Job)
			}
		}
	})
}

func TestSendsStartInDispatchOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started []string
		report := dispatcher.Run(t.Context(), jobs(50), takes(time.Second, accepted), dispatcher.Options{
			Workers: 8,
			Limiter: ratelimit.NewBucket(5, 2),
			Observe: func(e dispatcher.Event) {
				if e.Kind == dispatcher.Started {
					started = append(started, e.Result.Job.Key())
				}
			},
		})
		if !slices.IsSorted(started) || len(started) != 50 {
			t.Errorf("started %v", started)
		}
		if got := outcomesOf(report); got != "50 accepted" {
			t.Error(got)
		}
	})
}

func TestOneJobsFailureNeverCutsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			if j == "main/group000" {
				return failed("500 Internal Server Error")
			}
			return takes(time.Minute, accepted)(ctx, j)
		}
		report := dispatcher.Run(t.Context(), jobs(10), send, dispatcher.Options{Workers: 4})
		if got := outcomesOf(report); got != "9 accepted, 1 not_ok" {
			t.Error(got)
		}
		if report.StoppedBy != nil {
			t.Errorf("stopped by %v", report.StoppedBy)
		}
	})
}

func TestAPanicIsThatJobsAmbiguousOutcomeAndTheNightGoesOn(t *testing.T) {
	cause := errors.New("nil map")
	send := func(_ context.Context, j job) dispatcher.Verdict {
		if j == "main/group001" {
			panic(cause)
		}
		return accepted
	}
	report := dispatcher.Run(t.Context(), jobs(4), send, dispatcher.Options{Workers: 2})
	if got := outcomesOf(report); got != "3 accepted, 1 ambiguous" {
		t.Error(got)
	}
	p, ok := errors.AsType[*dispatcher.PanicError](report.Results[1].Err)
	if !ok || !strings.Contains(string(p.Stack), "dispatcher_test.go") || !errors.Is(p, cause) {
		t.Errorf("got %v", report.Results[1].Err)
	}
}

func TestASendThatEndsItsGoroutineIsAmbiguous(t *testing.T) {
	send := func(_ context.Context, j job) dispatcher.Verdict {
		if j == "main/group001" {
			runtime.Goexit()
		}
		return accepted
	}
	report := dispatcher.Run(t.Context(), jobs(6), send, dispatcher.Options{Workers: 2})
	if got := outcomesOf(report); got != "5 accepted, 1 ambiguous" {
		t.Error(got)
	}
	report = dispatcher.Run(t.Context(), jobs(6), send, dispatcher.Options{Workers: 1})
	if got := outcomesOf(report); got != "1 accepted, 1 ambiguous, 4 not_attempted" || report.StoppedBy == nil {
		t.Errorf("with one worker: %s, stopped by %v", got, report.StoppedBy)
	}
}

func TestAStopStartsNothingMoreAndLetsSendsInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("interrupt")
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(90*time.Second, func() { stop(why) })
		report := dispatcher.Run(ctx, jobs(10), takes(time.Minute, accepted), dispatcher.Options{Workers: 3})
		if got := outcomesOf(report); got != "6 accepted, 4 not_attempted" {
			t.Error(got)
		}
		if took := report.Finished.Sub(report.Started); took != 2*time.Minute {
			t.Errorf("ended after %v, want 2m: as soon as what was in flight had ended", took)
		}
		if report.StoppedBy != why || report.Results[9].Reason != "interrupt" {
			t.Errorf("stopped by %v; reason %q", report.StoppedBy, report.Results[9].Reason)
		}
	})
}

func TestAStopAfterTheLastStartChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		report := dispatcher.Run(ctx, jobs(2), takes(time.Minute, accepted), dispatcher.Options{Workers: 2})
		if report.StoppedBy != nil {
			t.Errorf("stopped by %v", report.StoppedBy)
		}
	})
}

func TestAnAbortCutsSendsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := errors.New("first signal"), errors.New("second signal")
		ctx, stop := context.WithCancelCause(t.Context())
		abort, cut := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { stop(first) })
		time.AfterFunc(15*time.Second, func() { cut(second) })
		report := dispatcher.Run(ctx, jobs(2), takes(time.Minute, accepted),
			dispatcher.Options{Workers: 2, Abort: abort})
		if got := outcomesOf(report); got != "2 ambiguous" {
			t.Error(got)
		}
		if report.Results[0].Err != second || report.StoppedBy != first {
			t.Errorf("the send ended by %v, the run by %v", report.Results[0].Err, report.StoppedBy)
		}
		if took := report.Finished.Sub(report.Started); took != 15*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestAStopEndsTheWaitForTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("deadline"))
		defer stop()
		report := dispatcher.Run(ctx, jobs(5), takes(time.Second, accepted),
			dispatcher.Options{Workers: 3, Limiter: ratelimit.NewBucket(ratelimit.Rate(1.0/3600), 1)})
		if got := outcomesOf(report); got != "1 accepted, 4 not_attempted" {
			t.Error(got)
		}
		if took := report.Finished.Sub(report.Started); took != time.Minute {
			t.Errorf("ended after %v, want the deadline's 1m", took)
		}
		if report.StoppedBy.Error() != "deadline" {
			t.Errorf("stopped by %v", report.StoppedBy)
		}
	})
}

func TestMaxFailuresStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := dispatcher.Run(t.Context(), jobs(20), takes(time.Second, failed("500")),
			dispatcher.Options{MaxFailures: 4})
		if got := outcomesOf(report); got != "4 not_ok, 16 not_attempted" {
			t.Error(got)
		}
		if !errors.Is(report.StoppedBy, dispatcher.ErrMaxFailures) {
			t.Errorf("stopped by %v", report.StoppedBy)
		}
	})
}

func TestUnknownGroupsAreNoFailures(t *testing.T) {
	gone := dispatcher.Verdict{Outcome: dispatcher.UnknownGroup, Status: 200, Reason: "no such group"}
	report := dispatcher.Run(t.Context(), jobs(5), takes(0, gone), dispatcher.Options{MaxFailures: 1})
	if got := outcomesOf(report); got != "5 unknown_group" || report.Counts().Failed() != 0 {
		t.Errorf("%s, %d failed", got, report.Counts().Failed())
	}
}

func TestAVerdictCanStopTheRunEvenFromTheLastJob(t *testing.T) {
	refused := errors.New("the site refused the token")
	for _, n := range []int{1, 5} {
		send := func(context.Context, job) dispatcher.Verdict {
			return dispatcher.Verdict{Outcome: dispatcher.Rejected, Err: refused, Stop: refused}
		}
		report := dispatcher.Run(t.Context(), jobs(n), send, dispatcher.Options{})
		if report.StoppedBy != refused || report.Counts()[dispatcher.NotAttempted] != n-1 {
			t.Errorf("%d jobs: stopped by %v, %s", n, report.StoppedBy, outcomesOf(report))
		}
	}
}

func TestThrottleRestsEachWorkerAfterASendButNotTheEndOfTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := dispatcher.Run(t.Context(), jobs(6), takes(time.Second, accepted),
			dispatcher.Options{Workers: 2, Throttle: 10 * time.Second})
		if took := report.Finished.Sub(report.Started); took != 23*time.Second {
			t.Errorf("took %v, want 3 sends of 1s and 2 rests of 10s", took)
		}
	})
}

// There are more workers than the limit, so that a rest is one of its places, not the worker's alone. What the limit learns of
// a send is without the rest, and at once.
func TestARestKeepsItsPlaceInALimitOfWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		limit := ratelimit.NewAdaptive(16, nil)
		report := dispatcher.Run(ctx, jobs(100), takes(time.Second, accepted), dispatcher.Options{
			Workers: 16, Throttle: 5 * time.Second, Limiter: limit,
		})
		if got := report.Counts()[dispatcher.Accepted]; got != 4 { // at 0, 6, 12 and 18 s
			t.Errorf("%d sends in 20 s at a limit of %d, want 4", got, limit.Limit())
		}
		if took := report.Finished.Sub(report.Started); took != 20*time.Second {
			t.Errorf("the stop took effect after %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{}
		dispatcher.Run(t.Context(), jobs(1), takes(time.Second, accepted), dispatcher.Options{Limiter: g, Throttle: time.Minute})
		want := []ratelimit.Feedback{{Sent: true, Took: time.Second, Done: true, Rest: time.Minute, Health: ratelimit.Up, InFlight: 1}}
		if diff := cmp.Diff(want, g.heard); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAThrottledWorkerWakesWhenTheRunIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		report := dispatcher.Run(ctx, jobs(2), takes(time.Second, accepted), dispatcher.Options{Throttle: time.Hour})
		if took := report.Finished.Sub(report.Started); took != 5*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestNoJobsIsAFinishedRun(t *testing.T) {
	report := dispatcher.Run(t.Context(), jobs(0), takes(0, accepted), dispatcher.Options{Workers: 4})
	if len(report.Results) != 0 || report.StoppedBy != nil {
		t.Errorf("%+v", report)
	}
}

func TestCausesGroupFailuresMostJobsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := jobs(8)
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			i := slices.Index(list, j)
			v := accepted
			switch {
			case i == 0:
				v = failed("502")
			case i < 4:
				v = failed("500")
			case i == 4:
				v = dispatcher.Verdict{Outcome: dispatcher.UnknownGroup}
			}
			return takes(time.Second, v)(ctx, j)
		}
		report := dispatcher.Run(t.Context(), list, send, dispatcher.Options{})
		at := func(second int) time.Time { return report.Started.Add(time.Duration(second) * time.Second) }
		want := []dispatcher.Cause{
			{Outcome: dispatcher.NotOK, Reason: "500", Jobs: 3, First: at(2), Last: at(4), Examples: []string{"main/group001", "main/group002"}},
			{Outcome: dispatcher.NotOK, Reason: "502", Jobs: 1, First: at(1), Last: at(1), Examples: []string{"main/group000"}},
			{Outcome: dispatcher.UnknownGroup, Jobs: 1, First: at(5), Last: at(5), Examples: []string{"main/group004"}},
		}
		if diff := cmp.Diff(want, report.Causes(2)); diff != "" {
			t.Error(diff)
		}
		if got := report.Counts().Failed(); got != 4 {
			t.Errorf("%d failed, want 4", got)
		}
	})
}

// A limiter that counts the permits it has out. They come from another.
type counting struct {
	ratelimit.Limiter
	out, given atomic.Int64
}

func (c *counting) Acquire(ctx context.Context) (ratelimit.Permit, error) {
	permit, err := c.Limiter.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	c.out.Add(1)
	c.given.Add(1)
	return func(f ratelimit.Feedback) { c.out.Add(-1); permit(f) }, nil
}

// Any mix of outcomes, durations, panics and a stop at any time: every job ends exactly once, its events come
// in order, nothing starts after the stop, permits balance.
func TestEveryJobEndsInExactlyOneOutcome(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(rt, "jobs")
		plan := rapid.SliceOfN(rapid.IntRange(0, 9), n, n).Draw(rt, "plan")
		workers := rapid.IntRange(0, 8).Draw(rt, "workers")
		maxFailures := rapid.IntRange(0, 6).Draw(rt, "max failures")
		stopAt := time.Duration(rapid.IntRange(0, 60).Draw(rt, "stop at s"))*time.Second + 500*time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			list := jobs(n)
			ctx, stop := context.WithTimeout(t.Context(), stopAt)
			defer stop()
			began := time.Now()
			send := func(ctx context.Context, j job) dispatcher.Verdict {
				i := slices.Index(list, j)
				switch kind := plan[i]; kind {
				case 0:
					return takes(3*time.Second, failed("no"))(ctx, j)
				case 1:
					panic("boom")
				default:
					return takes(time.Duration(kind)*time.Second, accepted)(ctx, j)
				}
			}
			events := map[string][]dispatcher.Kind{}
			limiter := &counting{Limiter: ratelimit.Join()}
			report := dispatcher.Run(ctx, list, send, dispatcher.Options{
				Workers: workers, MaxFailures: maxFailures, Limiter: limiter,
				Observe: func(e dispatcher.Event) {
					events[e.Result.Job.Key()] = append(events[e.Result.Job.Key()], e.Kind)
				},
			})
			if len(report.Results) != n {
				rt.Fatalf("%d results for %d jobs", len(report.Results), n)
			}
			tried := 0
			for i, result := range report.Results {
				if result.Job != list[i] {
					rt.Fatalf("result %d is of %v", i, result.Job)
				}
				want := []dispatcher.Kind{dispatcher.Started, dispatcher.Finished}
				if result.Outcome == dispatcher.NotAttempted {
					want = nil
				} else {
					tried++
					if result.Start.Sub(began) > stopAt {
						rt.Fatalf("%v started after the stop", result.Job)
					}
				}
				if !slices.Equal(events[list[i].Key()], want) {
					rt.Fatalf("%v (%v): events %v", result.Job, result.Outcome, events[list[i].Key()])
				}
			}
			if out := limiter.out.Load(); out != 0 {
				rt.Fatalf("%d permits never came back", out)
			}
			if (tried < n) != (report.StoppedBy != nil) {
				rt.Fatalf("%d of %d tried, stopped by %v", tried, n, report.StoppedBy)
			}
		})
	})
}

// A gauge is a limiter that only listens.
type gauge struct {
	ratelimit.Base
	mu    sync.Mutex
	heard []ratelimit.Feedback
}

func (g *gauge) Acquire(context.Context) (ratelimit.Permit, error) {
	return func(f ratelimit.Feedback) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.heard = append(g.heard, f)
	}, nil
}

func TestTheLimiterHearsWhatASendUsuallyTakesAndWhetherItDidItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{}
		verdicts := map[job]dispatcher.Verdict{"main/group000": accepted, "main/group001": failed("500")}
		dispatcher.Run(t.Context(), jobs(2), func(ctx context.Context, j job) dispatcher.Verdict {
			return takes(time.Second, verdicts[j])(ctx, j)
		}, dispatcher.Options{Limiter: g, Usual: func(j dispatcher.Job) time.Duration {
			if j.Key() == "main/group000" {
				return 3 * time.Second
			}
			return 0
		}})
		want := []ratelimit.Feedback{
			{Sent: true, Took: time.Second, Usual: 3 * time.Second, Done: true, Health: ratelimit.Up, InFlight: 1},
			{Sent: true, Took: time.Second, InFlight: 1},
		}
		if diff := cmp.Diff(g.heard, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// How long it took until it was cut is no word of the service.
func TestASendThatIsCutTellsTheLimiterNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		dispatcher.Run(ctx, jobs(1), takes(time.Hour, accepted), dispatcher.Options{
			Limiter: g, Grace: time.Second, Usual: func(dispatcher.Job) time.Duration { return time.Millisecond },
		})
		want := []ratelimit.Feedback{{Sent: true, Took: 2 * time.Second}}
		if diff := cmp.Diff(g.heard, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestAWorkerDoesNotRestAfterAJobThatTheServiceHadNothingToDoFor(t *testing.T) {
	for outcome, want := range map[dispatcher.Outcome]time.Duration{
		dispatcher.Accepted: 6 * time.Second, dispatcher.NotOK: 6 * time.Second, dispatcher.Ambiguous: 6 * time.Second,
		dispatcher.UnknownGroup: 0, dispatcher.Skipped: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			report := dispatcher.Run(t.Context(), jobs(4), takes(0, dispatcher.Verdict{Outcome: outcome}), dispatcher.Options{Throttle: 2 * time.Second})
			if got := report.Finished.Sub(report.Started); got != want {
				t.Errorf("%v: four sends took %v, want %v", outcome, got, want)
			}
		})
	}
}
