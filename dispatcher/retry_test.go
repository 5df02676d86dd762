package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

// again is a failure that may be tried again.
var again = dispatcher.Verdict{
	Outcome: dispatcher.NotOK, Status: 500, Reason: "500", Err: errors.New("500"), NotDelivered: true, Retry: true, Health: ratelimit.Up,
}

// unreachable is a request that never left.
var unreachable = dispatcher.Verdict{
	Outcome: dispatcher.Unreachable, Reason: "connection refused", Err: errors.New("connection refused"),
	NotDelivered: true, Retry: true, Health: ratelimit.Down,
}

// after waits so long after each try.
func after(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// short is the name of a job of jobs.
func short(key string) string { return strings.TrimPrefix(key, "main/group") }

// A diary is an observer that writes down when what happened.
type diary struct {
	began time.Time
	lines []string
}

func (d *diary) Observe(e dispatcher.Event) {
	if d.began.IsZero() {
		d.began = time.Now()
	}
	word := map[dispatcher.Kind]string{
		dispatcher.Started: "starts", dispatcher.Retrying: "again", dispatcher.Settling: "settles", dispatcher.Finished: "ends",
	}[e.Kind]
	d.lines = append(d.lines, fmt.Sprintf("%v: %s %s, try %d, %d in flight", time.Since(d.began), short(e.Result.Job.Key()), word, e.Result.Attempts, e.InFlight))
}

// turns gives each job one verdict after the other, the last for ever; a job without any is accepted.
func turns(lasting time.Duration, verdicts map[job][]dispatcher.Verdict) dispatcher.SendFunc[job] {
	return func(ctx context.Context, j job) dispatcher.Verdict {
		v := accepted
		if list := verdicts[j]; len(list) > 0 {
			v = list[0]
			if len(list) > 1 {
				verdicts[j] = list[1:]
			}
		}
		return takes(lasting, v)(ctx, j)
	}
}

func TestAWorkerSendsOthersWhileAJobWaitsForItsNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		report := dispatcher.Run(t.Context(), jobs(3), turns(time.Second, map[job][]dispatcher.Verdict{
			"main/group000": {again, again, accepted},
		}), dispatcher.Options{
			Retries: 2, Backoff: func(try int) time.Duration { return time.Duration(try) * 1500 * time.Millisecond },
			Observe: d.Observe,
		})
		want := []string{
			"0s: 000 starts, try 1, 1 in flight",
			"1s: 000 again, try 1, 0 in flight",
			"1s: 001 starts, try 1, 1 in flight",
			"2s: 001 ends, try 1, 0 in flight",
			"2s: 002 starts, try 1, 1 in flight", // 000 may be tried at 2.5s
			"3s: 002 ends, try 1, 0 in flight",
			"3s: 000 starts, try 2, 1 in flight",
			"4s: 000 again, try 2, 0 in flight",
			"7s: 000 starts, try 3, 1 in flight",
			"8s: 000 ends, try 3, 0 in flight",
		}
		if diff := cmp.Diff(d.lines, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		r := report.Results[0]
		if r.Outcome != dispatcher.Accepted || r.Attempts != 3 || r.Took != time.Second || r.Start.Sub(report.Started) != 7*time.Second {
			t.Errorf("got %+v, want what came of its last try", r)
		}
		if report.StoppedBy != nil || report.Counts().Failed() != 0 {
			t.Errorf("stopped by %v, %d failed", report.StoppedBy, report.Counts().Failed())
		}
	})
}

func TestAJobWhoseTimeHasComeGoesBeforeThoseNobodyTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		dispatcher.Run(t.Context(), jobs(4), turns(time.Second, map[job][]dispatcher.Verdict{
			"main/group000": {again, accepted}, "main/group001": {again, accepted},
		}), dispatcher.Options{Retries: 1, Backoff: after(time.Second), Observe: d.Observe})
		var order []string
		for _, line := range d.lines {
			if words := strings.Fields(line); words[2] == "starts," {
				order = append(order, words[1])
			}
		}
		if want := []string{"000", "001", "000", "001", "002", "003"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}

func TestOnlyProofIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name    string
		verdict dispatcher.Verdict
		retries int
		want    int
	}{
		{"proof", again, 2, 3},
		{"proof, once", again, 1, 2},
		{"proof, without retries", again, 0, 1},
		{"a request that never left", unreachable, 2, 3},
		{"a failure without proof", failed("404"), 2, 1},
		{"success", dispatcher.Verdict{Outcome: dispatcher.Accepted}, 2, 1},
		{"ambiguous, whatever it claims", dispatcher.Verdict{Outcome: dispatcher.Ambiguous, NotDelivered: true, Retry: true}, 2, 1},
		{"what ends the run, whatever it claims", dispatcher.Verdict{Outcome: dispatcher.Rejected, NotDelivered: true, Retry: true, Stop: errors.New("token")}, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				report := dispatcher.Run(t.Context(), jobs(1), takes(time.Second, tt.verdict), dispatcher.Options{Retries: tt.retries})
				if got := report.Results[0].Attempts; got != tt.want {
					t.Errorf("got %d tries, want %d", got, tt.want)
				}
			})
		})
	}
}

func TestAServiceThatFailsEverythingIsAskedLittleMore(t *testing.T) {
	for _, tt := range []struct{ jobs, tries int }{{1, 3}, {5, 15}, {10, 22}, {100, 130}, {1000, 1210}} {
		t.Run(fmt.Sprint(tt.jobs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				report := dispatcher.Run(t.Context(), jobs(tt.jobs), takes(time.Second, again), dispatcher.Options{Workers: 4, Retries: 2})
				tries := 0
				for _, r := range report.Results {
					tries += r.Attempts
				}
				if tries != tt.tries {
					t.Errorf("got %d tries, want %d", tries, tt.tries)
				}
				if got, want := outcomesOf(report), fmt.Sprintf("%d not_ok", tt.jobs); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestWhileTheServiceIsAwayTriesDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := ratelimit.NewBreaker(15*time.Minute, nil)
		begin := time.Now()
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			if at := time.Since(begin); at > 5*time.Second && at < 10*time.Minute {
				return unreachable
			}
			return takes(time.Second, accepted)(ctx, j)
		}
		report := dispatcher.Run(t.Context(), jobs(100), send, dispatcher.Options{
			Workers: 4, Retries: 1, Limiter: breaker, Backoff: after(time.Second),
		})
		if got := outcomesOf(report); got != "100 accepted" {
			t.Errorf("%s, stopped by %v after %v", got, report.StoppedBy, report.Finished.Sub(report.Started))
		}
	})
}

func TestWithoutRetriesATryCountsAlsoWhileTheServiceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := ratelimit.NewBreaker(time.Minute, nil)
		report := dispatcher.Run(t.Context(), jobs(20), takes(0, unreachable), dispatcher.Options{Limiter: breaker})
		// Five open it, then come the probes after 5, 15 and 35 seconds.
		if got := outcomesOf(report); got != "8 unreachable, 12 not_attempted" {
			t.Error(got)
		}
		if _, ok := errors.AsType[*ratelimit.DownError](report.StoppedBy); !ok || report.Finished.Sub(report.Started) != time.Minute {
			t.Errorf("stopped by %v after %v", report.StoppedBy, report.Finished.Sub(report.Started))
		}
	})
}

func TestFullJitterIsAnywhereBelowALimitThatDoubles(t *testing.T) {
	backoff := dispatcher.FullJitter(time.Second, time.Minute)
	for try, limit := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second, 7: time.Minute, 8: time.Minute, 1000: time.Minute,
	} {
		least, most := time.Hour, time.Duration(0)
		for range 2000 {
			d := backoff(try)
			least, most = min(least, d), max(most, d)
		}
		// Once in 10⁸⁸ all of 2000 lie in nine tenths.
		if least < 0 || most > limit || least > limit/10 || most < limit-limit/10 {
			t.Errorf("try %d: from %v to %v, want anything from 0 to %v", try, least, most, limit)
		}
	}
	if d := dispatcher.FullJitter(time.Minute, time.Second)(1); d > time.Second {
		t.Errorf("got %v, above the most", d)
	}
}

func TestMaxFailuresCountsJobsThatEndedAndNoTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := dispatcher.Run(t.Context(), jobs(6), turns(time.Second, map[job][]dispatcher.Verdict{
			"main/group000": {again, again, accepted}, "main/group001": {again, accepted}, "main/group002": {again, accepted},
		}), dispatcher.Options{Retries: 2, MaxFailures: 1})
		if got := outcomesOf(report); got != "6 accepted" || report.StoppedBy != nil {
			t.Errorf("%s, stopped by %v", got, report.StoppedBy)
		}
	})
}

func TestAStopEndsJobsThatWaitForAnotherTryWithTheirLastVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		why := errors.New("deadline")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
		defer cancel()
		report := dispatcher.Run(ctx, jobs(2), takes(time.Second, again), dispatcher.Options{
			Workers: 2, Retries: 2, Backoff: after(time.Minute), Observe: d.Observe,
		})
		if got := outcomesOf(report); got != "2 not_ok" || report.StoppedBy != why {
			t.Errorf("%s, stopped by %v, want %v: they might have ended otherwise", got, report.StoppedBy, why)
		}
		if took := report.Finished.Sub(report.Started); took != 10*time.Second {
			t.Errorf("ended after %v", took)
		}
		if got, want := d.lines[len(d.lines)-2:], []string{"10s: 000 ends, try 1, 0 in flight", "10s: 001 ends, try 1, 0 in flight"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestAStopTakesAwayTheTriesOfWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("signal")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		report := dispatcher.Run(ctx, jobs(1), takes(10*time.Second, again), dispatcher.Options{Retries: 2})
		if r := report.Results[0]; r.Outcome != dispatcher.NotOK || r.Attempts != 1 || report.StoppedBy != why {
			t.Errorf("got %v after %d tries, stopped by %v", r.Outcome, r.Attempts, report.StoppedBy)
		}
	})
}

func TestWhatIsInFlightIsCutWhenItsGraceIsOver(t *testing.T) {
	for _, tt := range []struct {
		grace time.Duration
		want  string
		ends  time.Duration
	}{
		{0, "2 accepted, 8 not_attempted", time.Minute},
		{20 * time.Second, "2 ambiguous, 8 not_attempted", 30 * time.Second},
		{2 * time.Minute, "2 accepted, 8 not_attempted", time.Minute},
	} {
		t.Run(tt.grace.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				why := errors.New("signal")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, why)
				defer cancel()
				report := dispatcher.Run(ctx, jobs(10), takes(time.Minute, accepted), dispatcher.Options{Workers: 2, Grace: tt.grace})
				if got := outcomesOf(report); got != tt.want || report.StoppedBy != why {
					t.Errorf("got %s, stopped by %v, want %s, %v", got, report.StoppedBy, tt.want, why)
				}
				if took := report.Finished.Sub(report.Started); took != tt.ends {
					t.Errorf("ended after %v, want %v", took, tt.ends)
				}
				if err := report.Results[0].Err; report.Results[0].Failed() && !errors.Is(err, dispatcher.ErrGrace) {
					t.Errorf("cut by %v, want %v", err, dispatcher.ErrGrace)
				}
			})
		})
	}
}

// What is cut says nothing of the service, and is not tried again, even where it never left.
func TestWhatIsCutIsNoNewsOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		breaker := ratelimit.NewBreaker(0, func(s ratelimit.BreakerState) { t.Errorf("told of %+v", s) })
		send := func(ctx context.Context, _ job) dispatcher.Verdict {
			<-ctx.Done()
			return unreachable
		}
		report := dispatcher.Run(ctx, jobs(20), send, dispatcher.Options{
			Workers: 20, Retries: 2, Grace: time.Second, Limiter: breaker,
		})
		if got := outcomesOf(report); got != "20 unreachable" || report.Results[0].Attempts != 1 {
			t.Errorf("got %s after %d tries", got, report.Results[0].Attempts)
		}
	})
}

func TestASendThatEndsItsGoroutineHasItsEventsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		send := func(context.Context, job) dispatcher.Verdict { runtime.Goexit(); return accepted }
		report := dispatcher.Run(t.Context(), jobs(1), send, dispatcher.Options{Retries: 2, Observe: d.Observe})
		if diff := cmp.Diff(d.lines, []string{"0s: 000 starts, try 1, 1 in flight", "0s: 000 ends, try 1, 0 in flight"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		if got := report.Results[0].Reason; got != "the send ended its goroutine" {
			t.Errorf("got %q", got)
		}
	})
}

func TestAWorkerRestsAlsoBeforeATryOfTheLastJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := dispatcher.Run(t.Context(), jobs(1), turns(time.Second, map[job][]dispatcher.Verdict{
			"main/group000": {again, accepted},
		}), dispatcher.Options{Retries: 1, Backoff: after(time.Second), Throttle: time.Minute})
		if took := report.Finished.Sub(report.Started); took != 62*time.Second {
			t.Errorf("took %v, want two sends of 1s and a rest of 1m", took)
		}
	})
}

// Any mix of outcomes, tries, panics, pauses, outages, stops and rules: each job ends once, nothing starts after a stop, a
// job is never in flight twice, what is ambiguous is tried again once at most, with leave and when its time has come, and
// is no failure of another kind afterwards, tries and permits balance. What is held back stays so, and a heavy job too many
// starts only where all lighter ones had their turn.
func TestAnyMixOfTriesKeepsEachPromise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(rt, "jobs")
		plan := rapid.SliceOfN(rapid.IntRange(0, 11), 60, 60).Draw(rt, "plan")
		retries := rapid.IntRange(0, 3).Draw(rt, "retries")
		o := dispatcher.Options{
			Workers: rapid.IntRange(0, 6).Draw(rt, "workers"), Retries: retries,
			MaxFailures: rapid.IntRange(0, 6).Draw(rt, "max failures"),
			Grace:       time.Duration(rapid.IntRange(0, 5).Draw(rt, "grace")) * time.Second,
			Throttle:    time.Duration(rapid.IntRange(0, 2).Draw(rt, "throttle")) * time.Second,
		}
		stopAt := time.Duration(rapid.IntRange(0, 120).Draw(rt, "stop at s"))*time.Second + 500*time.Millisecond
		joined := rapid.Bool().Draw(rt, "joined")
		settle := time.Duration(rapid.IntRange(0, 30).Draw(rt, "settle s")) * time.Second
		heavy := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "heavy")
		held := rapid.SliceOfN(rapid.IntRange(-20, 20), n, n).Draw(rt, "held until s")
		maxHeavy := rapid.IntRange(1, 4).Draw(rt, "max heavy")
		if front := rapid.IntRange(0, 3).Draw(rt, "from front"); front > 0 {
			o.Rule.FromFront = always(front)
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), stopAt)
			defer stop()
			breaker := ratelimit.NewBreaker(time.Minute, nil)
			limiter := &counting{Limiter: ratelimit.Join()}
			o.Limiter = limiter
			if joined {
				limiter.Limiter = ratelimit.Join(ratelimit.NewPause(time.Minute, nil), breaker, ratelimit.NewBucket(2, 3))
			}
			if settle > 0 {
				o.Settle = func(r dispatcher.Result) (time.Time, bool) { return r.Start.Add(settle), true }
			}
			var calls atomic.Int64
			send := func(ctx context.Context, j job) dispatcher.Verdict {
				if ctx.Err() != nil {
					return unreachable
				}
				switch kind := plan[int(calls.Add(1))%len(plan)]; kind {
				case 0, 1:
					return takes(time.Second, again)(ctx, j)
				case 2, 3, 4:
					return takes(time.Second, unreachable)(ctx, j)
				case 5:
					panic("boom")
				case 6:
					v := again
					v.Pause = 10 * time.Second
					return v
				case 7:
					return takes(time.Second, failed("no"))(ctx, j)
				default:
					return takes(time.Duration(kind-7)*time.Second, accepted)(ctx, j)
				}
			}
			began := time.Now()
			o.Rule.Heavy = func(job int) bool { return heavy[job] }
			o.Rule.MaxHeavy = always(maxHeavy)
			o.Rule.NotBefore = func(job int) time.Time { return began.Add(time.Duration(held[job]) * time.Second) }
			events := map[string][]dispatcher.Event{}
			var ended time.Time
			flying, heavyFlying := 0, 0
			fresh := map[string]bool{} // light jobs that nothing holds back
			for i, j := range jobs(n) {
				fresh[j.Key()] = !heavy[i] && held[i] <= 0
			}
			o.Observe = func(e dispatcher.Event) {
				key := e.Result.Job.Key()
				before := events[key]
				events[key] = append(before, e)
				i := slices.Index(jobs(n), job(key))
				weight := 0
				if heavy[i] {
					weight = 1
				}
				if e.Kind == dispatcher.Started {
					flying++
					heavyFlying += weight
					delete(fresh, key)
					if time.Since(began) < time.Duration(held[i])*time.Second {
						rt.Fatalf("%s starts after %v, is held until %ds", key, time.Since(began), held[i])
					}
					if heavy[i] && heavyFlying > maxHeavy && slices.Contains(slices.Collect(maps.Values(fresh)), true) {
						rt.Fatalf("%s starts as heavy job number %d of %d, of the lighter ones there are %v", key, heavyFlying, maxHeavy, fresh)
					}
				} else if before[len(before)-1].Kind == dispatcher.Started {
					flying--
					heavyFlying -= weight
				}
				if e.InFlight != flying || flying > max(o.Workers, 1) {
					rt.Fatalf("%d in flight, the event says %d, with %d workers", flying, e.InFlight, o.Workers)
				}
				ended = time.Now()
			}
			report := dispatcher.Run(ctx, jobs(n), send, o)
			if len(report.Results) != n || report.Finished.Before(ended) {
				rt.Fatalf("%d results for %d jobs", len(report.Results), n)
			}
			sent := 0
			for _, r := range report.Results {
				list := events[r.Job.Key()]
				if r.Outcome == dispatcher.NotAttempted {
					if len(list) > 0 || r.Attempts > 0 || report.StoppedBy == nil {
						rt.Fatalf("%v: %d events, %d tries, stopped by %v", r.Job, len(list), r.Attempts, report.StoppedBy)
					}
					continue
				}
				sent += r.Attempts
				tries, open, lost, next := 0, false, 0, time.Time{}
				for i, e := range list {
					last := i == len(list)-1
					switch {
					case e.Kind == dispatcher.Started:
						tries++
						if open || e.Result.Start.Before(next) || e.Result.Attempts != tries || last || e.Result.Start.Sub(began) > stopAt {
							rt.Fatalf("%v: event %d, %+v", r.Job, i, e)
						}
						open = true
					case (e.Kind == dispatcher.Finished) != last, e.Kind != dispatcher.Finished && !open,
						e.Kind == dispatcher.Retrying && (!e.Result.Retry || e.Result.Outcome == dispatcher.Ambiguous) && lost == 0,
						e.Kind == dispatcher.Settling && e.Result.Outcome != dispatcher.Ambiguous:
						rt.Fatalf("%v: event %d, %+v", r.Job, i, e)
					default:
						open, next = false, e.Next
						if e.Kind == dispatcher.Settling {
							lost++
						}
					}
				}
				if lost > 1 || lost == 1 && (settle == 0 || r.Failed() && r.Outcome != dispatcher.Ambiguous) {
					rt.Fatalf("%v: settled %d times, %+v", r.Job, lost, r)
				}
				if !joined && r.Attempts > retries+1+lost || retries == 0 && r.Attempts > 1+lost {
					rt.Fatalf("%v: %d tries with %d retries", r.Job, r.Attempts, retries)
				}
				if tries != r.Attempts || open {
					rt.Fatalf("%v: %d tries, %d starts", r.Job, r.Attempts, tries)
				}
			}
			if limiter.out.Load() != 0 || int(limiter.given.Load()) < sent {
				rt.Fatalf("%d permits never came back, %d were given for %d tries", limiter.out.Load(), limiter.given.Load(), sent)
			}
		})
	})
}
