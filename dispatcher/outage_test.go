package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// failing is an answer of the service that it failed; nothing was delivered.
var failing = dispatcher.Verdict{
	Outcome: dispatcher.NotOK, Status: 500, Reason: "500", Err: errors.New("500"), NotDelivered: true, Retry: true, Health: ratelimit.Failing,
}

// A bout is one simulated run: a share of the jobs fail by themselves, each time, and the service fails all of them for a
// time, in milliseconds, as one does whose database restarts.
type bout struct {
	jobs, workers int
	bad           float64       // share of the jobs that fail by themselves
	together      bool          // these come one after the other, the first at the front
	outage        time.Duration // from outageAt on
	seed          uint64
}

const (
	outageAt    = 20 * time.Second
	failsWithin = 10 * time.Millisecond // so soon the service answers that it failed
)

// aftermath is what became of a bout.
type aftermath struct {
	lost    int // jobs that ended failed or not attempted although they do not fail by themselves
	left    int // jobs not attempted
	tries   int // beyond the first of each job
	took    time.Duration
	ideal   time.Duration // what it would have taken with neither outage nor tries again
	stopped error
}

func (b bout) run(t *testing.T) (a aftermath) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(b.seed, 7))
		bad, cost := map[job]bool{}, map[job]time.Duration{}
		list := jobs(b.jobs)
		var work time.Duration
		for i, j := range list {
			bad[j] = r.Float64() < b.bad
			if b.together {
				bad[j] = float64(i) < b.bad*float64(b.jobs)
			}
			cost[j] = time.Duration(200+r.IntN(1600)) * time.Millisecond
			if bad[j] {
				cost[j] /= 10
			}
			work += cost[j]
		}
		a.ideal = work / time.Duration(b.workers)
		begin := time.Now()
		from, to := begin.Add(outageAt), begin.Add(outageAt+b.outage)
		send := func(_ context.Context, j job) dispatcher.Verdict {
			now := time.Now()
			if !now.Before(from) && now.Before(to) {
				time.Sleep(failsWithin)
				return failing
			}
			if b.outage > 0 && now.Before(from) && now.Add(cost[j]).After(from) {
				time.Sleep(from.Sub(now)) // it was under way
				return failing
			}
			time.Sleep(cost[j])
			if bad[j] {
				return failing
			}
			return accepted
		}
		breaker := ratelimit.NewBreaker(15*time.Minute, nil)
		report := dispatcher.Run(t.Context(), list, send, dispatcher.Options{
			Workers: b.workers, Retries: 2, Limiter: breaker,
		})
		for i := range report.Results {
			result := &report.Results[i]
			j, _ := result.Job.(job)
			if result.Outcome != dispatcher.Accepted && !bad[j] {
				a.lost++
			}
			if result.Outcome == dispatcher.NotAttempted {
				a.left++
			}
			a.tries += max(result.Attempts-1, 0)
		}
		a.took, a.stopped = report.Finished.Sub(report.Started), report.StoppedBy
	})
	return a
}

// TestAnOutageAmongJobsThatFailByThemselves is how the rules were chosen by which a service that fails everything is told
// from jobs that fail by themselves (ratelimit's streak, and what try.go does in doubt). With -v it prints the table of
// docs/design.md.
func TestAnOutageAmongJobsThatFailByThemselves(t *testing.T) {
	const list, seeds = 1000, 3
	outages := []time.Duration{0, time.Second, 5 * time.Second, time.Minute, 10 * time.Minute}
	t.Log("| fail by themselves | outage | lost | longer by, s | tries more |")
	t.Log("| --- | --- | --- | --- | --- |")
	for _, bad := range []float64{0, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99, 1} {
		for _, outage := range outages {
			var lost, tries, left [3]int
			var longer [3]time.Duration
			for w, workers := range []int{1, 4, 16} {
				for seed := range uint64(seeds) {
					b := bout{jobs: list, workers: workers, bad: bad, together: seed == 0, outage: outage, seed: seed}
					a := b.run(t)
					lost[w], tries[w], left[w] = lost[w]+a.lost, tries[w]+a.tries, left[w]+a.left
					longer[w] = max(longer[w], a.took-a.ideal)
					switch {
					case bad <= 0.1 && (a.lost > 0 || a.stopped != nil):
						t.Errorf("%+v: %d jobs lost, stopped by %v: an outage must cost none where few fail by themselves", b, a.lost, a.stopped)
					case bad <= 0.9 && outage == 0 && (a.lost > 0 || a.stopped != nil):
						t.Errorf("%+v: %d jobs lost, stopped by %v, and nothing but jobs failed", b, a.lost, a.stopped)
					case bad <= 0.9 && a.lost > list/200:
						t.Errorf("%+v: %d jobs lost", b, a.lost)
					case a.took > a.ideal+outage+20*time.Minute:
						t.Errorf("%+v: took %v instead of %v", b, a.took, a.ideal)
					case bad <= 0.1 && a.took > a.ideal+outage+40*time.Second:
						t.Errorf("%+v: took %v instead of %v", b, a.took, a.ideal)
					case a.tries > 5*list/2:
						t.Errorf("%+v: %d tries more", b, a.tries)
					}
				}
			}
			row := func(cell func(w int) string) string {
				return cell(0) + ", " + cell(1) + ", " + cell(2)
			}
			t.Logf("| %v %% | %v | %s | %s | %s |", bad*100, outage,
				row(func(w int) string {
					if left[w] > 0 {
						return "gave up"
					}
					return fmt.Sprintf("%.1f", float64(lost[w])/seeds)
				}),
				row(func(w int) string { return fmt.Sprintf("%.0f", longer[w].Seconds()) }),
				row(func(w int) string { return fmt.Sprint(tries[w] / seeds) }))
		}
	}
}

func TestAnOutageAtTheEndOfARunLosesNoneOfTheLastJobs(t *testing.T) {
	for _, left := range []int{3, 4, 7} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				send := func(ctx context.Context, j job) dispatcher.Verdict {
					if time.Since(begin) < 5*time.Second {
						return takes(failsWithin, failing)(ctx, j)
					}
					return takes(time.Second, accepted)(ctx, j)
				}
				breaker := ratelimit.NewBreaker(15*time.Minute, nil)
				report := dispatcher.Run(t.Context(), jobs(left), send, dispatcher.Options{
					Workers: 4, Retries: 2, Limiter: breaker,
				})
				if got, want := outcomesOf(report), fmt.Sprintf("%d accepted", left); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestAJobThatFailsByItselfEndsAfterItsTries(t *testing.T) {
	for _, tt := range []struct {
		name   string
		others int
		waited time.Duration
	}{{"among others", 100, 0}, {"alone", 0, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list := jobs(1 + tt.others)
				breaker := ratelimit.NewBreaker(15*time.Minute, nil)
				report := dispatcher.Run(t.Context(), list, func(ctx context.Context, j job) dispatcher.Verdict {
					if j == list[0] {
						return failing
					}
					return takes(time.Second, accepted)(ctx, j)
				}, dispatcher.Options{Workers: 2, Retries: 2, Limiter: breaker, Backoff: after(time.Second)})
				if r := report.Results[0]; r.Attempts != 3 || r.Outcome != dispatcher.NotOK {
					t.Errorf("got %v after %d tries, want not_ok after 3", r.Outcome, r.Attempts)
				}
				if got, want := report.Finished.Sub(report.Started), max(2, time.Duration(tt.others)/2)*time.Second; got != want {
					t.Errorf("took %v, want %v: nobody waits for a job that fails alone", got, want)
				}
			})
		})
	}
}

func TestTriesThatLedToTheServiceBeingSeenAsDownDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		breaker := ratelimit.NewBreaker(15*time.Minute, nil)
		report := dispatcher.Run(t.Context(), jobs(40), func(ctx context.Context, j job) dispatcher.Verdict {
			if time.Since(begin) < time.Minute {
				return takes(failsWithin, failing)(ctx, j)
			}
			if j == "main/group000" { // the first to meet the outage, and bad as well
				return failing
			}
			return takes(time.Second, accepted)(ctx, j)
		}, dispatcher.Options{Workers: 1, Retries: 1, Limiter: breaker, Backoff: after(time.Second)})
		if got, want := outcomesOf(report), "39 accepted, 1 not_ok"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		// One while the service was down, and the two that it has.
		if got := report.Results[0].Attempts; got != 3 {
			t.Errorf("got %d tries of the first, want 3", got)
		}
	})
}

func TestProbesComeFromAllOverTheOrder(t *testing.T) {
	l := dispatcher.NewLineup(100, time.Now(), dispatcher.Rule{})
	var parts [4]int
	for range 20 {
		job := l.Probe(time.Now(), 1)
		parts[job/25]++
		l.Done(job)
	}
	for part, n := range parts {
		if n < 3 {
			t.Errorf("%d of 20 probes from quarter %d of the order", n, part+1)
		}
	}
	seen := map[int]bool{}
	for range 80 {
		job := l.Take(time.Now(), 1)
		if len(seen) > 0 && seen[job] {
			t.Errorf("job %d was taken twice", job)
		}
		seen[job] = true
		l.Done(job)
	}
	if !l.Empty() {
		t.Error("some job is left, and 100 were taken")
	}
}

func TestAProbeOfJobsThatAllWaitIsTheOneWhoseTimeCameFirst(t *testing.T) {
	now := time.Now()
	l := dispatcher.NewLineup(3, now, dispatcher.Rule{})
	for range 3 {
		l.Take(now, 1)
	}
	for _, job := range []int{2, 0, 1} {
		l.Again(job, now.Add(time.Duration(job)*time.Second))
	}
	now = now.Add(time.Minute)
	for want := range 3 {
		if got := l.Probe(now, 1); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}
