package dispatcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// lost is a try whose answer never came.
var lost = dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Status: 504, Reason: "504", Err: errors.New("504")}

// settleAfter lets each ambiguous job be tried once more, so long after its try began.
func settleAfter(d time.Duration) func(dispatcher.Result) (time.Time, bool) {
	return func(r dispatcher.Result) (time.Time, bool) { return r.Start.Add(d), true }
}

func TestAnAmbiguousJobIsTriedOnceMoreWhenItsTimeHasComeWhileOthersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		report := dispatcher.Run(t.Context(), jobs(4), turns(time.Second, map[job][]dispatcher.Verdict{
			"main/group000": {lost, accepted}, "main/group003": {lost, accepted},
		}), dispatcher.Options{Settle: settleAfter(3 * time.Second), Observe: d.Observe})
		want := []string{
			"0s: 000 starts, try 1, 1 in flight",
			"1s: 000 settles, try 1, 0 in flight",
			"1s: 001 starts, try 1, 1 in flight",
			"2s: 001 ends, try 1, 0 in flight",
			"2s: 002 starts, try 1, 1 in flight",
			"3s: 002 ends, try 1, 0 in flight",
			"3s: 000 starts, try 2, 1 in flight", // before 003, which nobody has tried
			"4s: 000 ends, try 2, 0 in flight",
			"4s: 003 starts, try 1, 1 in flight",
			"5s: 003 settles, try 1, 0 in flight",
			"7s: 003 starts, try 2, 1 in flight", // the run waits for it
			"8s: 003 ends, try 2, 0 in flight",
		}
		if diff := cmp.Diff(d.lines, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		r := report.Results[3]
		if r.Outcome != dispatcher.Accepted || r.Attempts != 2 || r.Lost == nil || r.Lost.Reason != "504" || r.Start.Sub(r.Lost.Start) != 3*time.Second {
			t.Errorf("got %+v, want what came of both tries", r)
		}
		if report.StoppedBy != nil || report.Counts().Failed() != 0 {
			t.Errorf("stopped by %v, %d failed", report.StoppedBy, report.Counts().Failed())
		}
	})
}

func TestWhatFollowsAnAmbiguousTryProvesNothingOfIt(t *testing.T) {
	refused := dispatcher.Verdict{Outcome: dispatcher.Rejected, Reason: "refused", Err: errors.New("refused")}
	gone := dispatcher.Verdict{Outcome: dispatcher.UnknownGroup, Reason: "no such group"}
	for _, tt := range []struct {
		name    string
		retries int
		then    []dispatcher.Verdict
		outcome dispatcher.Outcome
		reason  string
		tries   int
	}{
		{"accepted", 0, []dispatcher.Verdict{accepted}, dispatcher.Accepted, "", 2},
		{"ambiguous again: once a run", 2, []dispatcher.Verdict{lost}, dispatcher.Ambiguous, "504; sent again: 504", 2},
		{"a failure without proof", 2, []dispatcher.Verdict{failed("404")}, dispatcher.Ambiguous, "504; sent again: 404", 2},
		{"refused", 2, []dispatcher.Verdict{refused}, dispatcher.Ambiguous, "504; sent again: refused", 2},
		{"no such target: nothing is left to deliver", 2, []dispatcher.Verdict{gone}, dispatcher.UnknownGroup, "no such group", 2},
		{"proof, without retries", 0, []dispatcher.Verdict{again}, dispatcher.Ambiguous, "504; sent again: 500", 2},
		{"proof: the retries are left for it", 2, []dispatcher.Verdict{again}, dispatcher.Ambiguous, "504; sent again: 500", 4},
		{"proof, then accepted", 1, []dispatcher.Verdict{again, accepted}, dispatcher.Accepted, "", 3},
		{"proof, then ambiguous again", 2, []dispatcher.Verdict{unreachable, lost}, dispatcher.Ambiguous, "504; sent again: 504", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				send := turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": append([]dispatcher.Verdict{lost}, tt.then...)})
				report := dispatcher.Run(t.Context(), jobs(1), send, dispatcher.Options{
					Retries: tt.retries, Backoff: after(time.Second), Settle: settleAfter(time.Minute),
				})
				r := report.Results[0]
				if r.Outcome != tt.outcome || r.Reason != tt.reason || r.Attempts != tt.tries || r.Lost == nil || r.Lost.Reason != "504" || report.StoppedBy != nil {
					t.Errorf("got %v (%s) after %d tries, lost %+v, stopped by %v, want %v (%s) after %d",
						r.Outcome, r.Reason, r.Attempts, r.Lost, report.StoppedBy, tt.outcome, tt.reason, tt.tries)
				}
			})
		})
	}
}

func TestAJobThatAnEarlierRunLeftAmbiguousStaysSoUnlessItDoesNotFail(t *testing.T) {
	for _, tt := range []struct {
		name    string
		turns   []dispatcher.Verdict
		outcome dispatcher.Outcome
		reason  string
	}{
		{"accepted", []dispatcher.Verdict{accepted}, dispatcher.Accepted, ""},
		{"a failure", []dispatcher.Verdict{again}, dispatcher.Ambiguous, "cut off; sent again: 500"},
		{"ambiguous, then a failure", []dispatcher.Verdict{lost, again}, dispatcher.Ambiguous, "cut off; sent again: 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now().Add(-time.Hour)
				earlier := func(j dispatcher.Job) (dispatcher.Result, bool) {
					return dispatcher.Result{Lost: &dispatcher.Lost{Reason: "cut off", Start: began}}, j.Key() == "main/group000"
				}
				send := turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": tt.turns})
				report := dispatcher.Run(t.Context(), jobs(2), send, dispatcher.Options{Earlier: earlier, Settle: settleAfter(time.Minute)})
				r := report.Results[0]
				if r.Outcome != tt.outcome || r.Reason != tt.reason || !r.Lost.Start.Equal(began) {
					t.Errorf("got %v (%s), lost %+v, want %v (%s)", r.Outcome, r.Reason, r.Lost, tt.outcome, tt.reason)
				}
				if other := report.Results[1]; other.Lost != nil {
					t.Errorf("the other job lost %+v", other.Lost)
				}
			})
		})
	}
}

func TestAJobThatAnEarlierRunLeftAmbiguousIsNotCalledUnsentByARunThatDoesNotComeToIt(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	report := dispatcher.Run(ctx, jobs(2), takes(0, accepted), dispatcher.Options{
		Earlier: func(j dispatcher.Job) (dispatcher.Result, bool) {
			return dispatcher.Result{Verdict: dispatcher.Verdict{Reason: "it may have been sent"}}, j.Key() == "main/group001"
		},
	})
	if got := outcomesOf(report); got != "1 ambiguous, 1 not_attempted" || report.Results[1].Reason != "it may have been sent" {
		t.Errorf("got %s, %+v", got, report.Results[1])
	}
}

func TestAStopEndsTheWaitToSettleWithTheJobAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		ctx, stop := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("signal"))
		defer stop()
		report := dispatcher.Run(ctx, jobs(1), takes(time.Second, lost), dispatcher.Options{
			Settle: settleAfter(10 * time.Minute), Observe: d.Observe,
		})
		r := report.Results[0]
		if r.Outcome != dispatcher.Ambiguous || r.Reason != "504" || r.Attempts != 1 || r.Lost != nil {
			t.Errorf("got %+v", r)
		}
		if got := report.Finished.Sub(report.Started); got != time.Minute || report.StoppedBy == nil || report.StoppedBy.Error() != "signal" {
			t.Errorf("stopped by %v after %v", report.StoppedBy, got)
		}
		if want := "1m0s: 000 ends, try 1, 0 in flight"; d.lines[len(d.lines)-1] != want {
			t.Errorf("got %q, want %q", d.lines, want)
		}
	})
}

func TestWhatWasCutOrEndedAfterAStopIsNotSettled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration // a send
		grace time.Duration
		asked int
	}{
		{"cut when its grace is over", time.Hour, time.Minute, 0},
		{"ended by itself in its grace", 90 * time.Second, time.Hour, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("signal"))
				defer stop()
				asked := 0
				report := dispatcher.Run(ctx, jobs(1), takes(tt.takes, lost), dispatcher.Options{
					Grace: tt.grace, Settle: func(r dispatcher.Result) (time.Time, bool) { asked++; return r.Start, true },
				})
				if asked != tt.asked {
					t.Errorf("Settle was asked %d times, want %d: what was cut tells of us", asked, tt.asked)
				}
				if r := report.Results[0]; r.Outcome != dispatcher.Ambiguous || r.Attempts != 1 {
					t.Errorf("got %+v", r)
				}
				if report.StoppedBy == nil || report.StoppedBy.Error() != "signal" {
					t.Errorf("stopped by %v, want the signal: without it the job would have been settled", report.StoppedBy)
				}
			})
		})
	}
}

func TestAJobThatWaitsToSettleHasNotFailedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verdicts := map[job][]dispatcher.Verdict{}
		for _, j := range jobs(5) {
			verdicts[j] = []dispatcher.Verdict{lost, accepted}
		}
		report := dispatcher.Run(t.Context(), jobs(20), turns(time.Second, verdicts), dispatcher.Options{
			MaxFailures: 1, Settle: settleAfter(time.Minute),
		})
		if got := outcomesOf(report); got != "20 accepted" || report.StoppedBy != nil {
			t.Errorf("got %s, stopped by %v", got, report.StoppedBy)
		}
	})
}

func TestAPanicIsSettledAsAnyAmbiguousSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		report := dispatcher.Run(t.Context(), jobs(1), func(context.Context, job) dispatcher.Verdict {
			if tries++; tries == 1 {
				panic("boom")
			}
			return accepted
		}, dispatcher.Options{Settle: settleAfter(time.Minute)})
		r := report.Results[0]
		if r.Outcome != dispatcher.Accepted || r.Attempts != 2 || r.Start.Sub(report.Started) != time.Minute || r.Lost.Reason != "panic while sending" {
			t.Errorf("got %+v", r)
		}
	})
}

// An outage in which every answer is lost: the breaker lets few jobs start, and each of these is settled when the
// service is back.
func TestWhatAnOutageLeftAmbiguousIsSettledAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := ratelimit.NewBreaker(15*time.Minute, nil)
		begin := time.Now()
		tries := map[job]int{}
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			tries[j]++
			if at := time.Since(begin); at > 5*time.Second && at < 8*time.Minute {
				v := lost
				v.Health = ratelimit.Down
				return v
			}
			return takes(time.Second, accepted)(ctx, j)
		}
		report := dispatcher.Run(t.Context(), jobs(100), send, dispatcher.Options{
			Retries: 1, Limiter: breaker, Backoff: after(time.Second), Settle: settleAfter(10 * time.Minute),
		})
		if got := outcomesOf(report); got != "100 accepted" || report.StoppedBy != nil {
			t.Errorf("got %s, stopped by %v", got, report.StoppedBy)
		}
		for j, n := range tries {
			if n > 2 {
				t.Errorf("%s was tried %d times", j, n)
			}
		}
	})
}
