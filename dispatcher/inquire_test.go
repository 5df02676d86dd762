package dispatcher_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// knownFrom answers about each job from a time on, and notes when it is asked.
func knownFrom(at time.Time, began time.Time, asked *[]time.Duration) dispatcher.Inquire {
	return func(context.Context, dispatcher.Result) (dispatcher.Verdict, bool) {
		*asked = append(*asked, time.Since(began))
		return accepted, !time.Now().Before(at)
	}
}

func TestAnAmbiguousJobIsAskedAboutAtOnceAndThenAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		var asked []time.Duration
		began := time.Now()
		report := dispatcher.Run(t.Context(), jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": {lost}}),
			dispatcher.Options{
				Settle: settleAfter(10 * time.Minute), Observe: d.Observe,
				Inquire: knownFrom(began.Add(25*time.Second), began, &asked),
			})
		want := []time.Duration{1, 3, 5, 7, 9, 19, 29}
		for i := range want {
			want[i] *= time.Second
		}
		if diff := cmp.Diff(asked, want); diff != "" {
			t.Errorf("asked: got -, want +:\n%s", diff)
		}
		if diff := cmp.Diff(d.lines, []string{
			"0s: 000 starts, try 1, 1 in flight", "1s: 000 settles, try 1, 0 in flight", "29s: 000 ends, try 1, 0 in flight",
		}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		r := report.Results[0]
		if r.Outcome != dispatcher.Accepted || r.Attempts != 1 || r.Lost == nil || r.Lost.Reason != "504" || !r.Lost.Start.Equal(began) {
			t.Errorf("got %+v, want that it was accepted by the try whose answer was lost", r)
		}
		if got := report.Finished.Sub(began); got != 29*time.Second {
			t.Errorf("the run ended after %v: it waits for nothing any more", got)
		}
	})
}

func TestWhatNobodyKnowsIsTriedOnceMoreInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		report := dispatcher.Run(t.Context(), jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": {lost, accepted}}),
			dispatcher.Options{Settle: settleAfter(time.Minute), Inquire: knownFrom(began.Add(time.Hour), began, &asked)})
		if r := report.Results[0]; r.Attempts != 2 || r.Outcome != dispatcher.Accepted || !r.Start.Equal(began.Add(time.Minute)) {
			t.Errorf("got %+v", r)
		}
		if last := asked[len(asked)-1]; last > time.Minute {
			t.Errorf("asked after %v, when the job was tried already", last)
		}
	})
}

func TestWhatAnEarlierRunLeftIsAskedAboutBeforeItIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		earlier := dispatcher.Result{Verdict: lost, Lost: &dispatcher.Lost{Reason: "killed", Start: began.Add(-time.Minute)}}
		tried := 0
		report := dispatcher.Run(t.Context(), jobs(2), func(_ context.Context, j job) dispatcher.Verdict {
			if j == "main/group001" {
				tried++
			}
			return accepted
		}, dispatcher.Options{
			Rule:    dispatcher.Rule{NotBefore: func(i int) time.Time { return began.Add(time.Duration(i) * time.Hour) }},
			Earlier: func(j dispatcher.Job) (dispatcher.Result, bool) { return earlier, j.Key() == "main/group001" },
			Inquire: knownFrom(began, began, &asked),
		})
		r := report.Results[1]
		if tried != 0 || r.Outcome != dispatcher.Accepted || r.Attempts != 0 || r.Lost == nil || r.Lost.Reason != "killed" {
			t.Errorf("tried %d times, got %+v", tried, r)
		}
		if got := report.Finished.Sub(began); got != 0 {
			t.Errorf("the run ended after %v", got)
		}
	})
}

// The answer comes while the job's turn has come, and the limiter holds it back: it must not be tried then.
func TestAJobThatIsAnsweredWhileItsTryWaitsForTheLimiterIsNotTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		slow := ratelimit.Join(ratelimit.NewBucket(ratelimit.Rate(1.0/30), 1))
		report := dispatcher.Run(t.Context(), jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": {lost, accepted}}),
			dispatcher.Options{
				Limiter: slow, Settle: settleAfter(2 * time.Second), Inquire: knownFrom(began.Add(2*time.Second), began, &asked),
			})
		if r := report.Results[0]; r.Attempts != 1 || r.Outcome != dispatcher.Accepted {
			t.Errorf("got %+v", r)
		}
	})
}

func TestAStopEndsTheQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 6*time.Second)
		defer stop()
		report := dispatcher.Run(ctx, jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{"main/group000": {lost}}),
			dispatcher.Options{Settle: settleAfter(time.Minute), Inquire: knownFrom(began.Add(time.Hour), began, &asked)})
		if r := report.Results[0]; r.Outcome != dispatcher.Ambiguous || report.StoppedBy == nil || len(asked) != 3 {
			t.Errorf("got %+v, stopped by %v, asked %v", r, report.StoppedBy, asked)
		}
	})
}
