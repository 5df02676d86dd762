package schedule

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

func TestAForecastOfSureEstimatesIsExact(t *testing.T) {
	t.Parallel()
	held := known(1, 1)
	held[0].NotBefore = evening.Add(time.Minute)
	for _, tt := range []struct {
		name     string
		jobs     []Job
		settings Settings
		want     time.Duration
	}{
		{"no job", nil, Settings{}, 0},
		{"one worker", known(1, 2, 3), Settings{}, 6 * time.Second},
		{"as listed", known(1, 1, 1, 1, 4), Settings{Order: Name, Workers: 2}, 6 * time.Second},
		{"longest first", known(1, 1, 1, 1, 4), Settings{Order: Longest, Workers: 2}, 4 * time.Second},
		{"more workers than jobs", known(1, 2, 3), Settings{Workers: 10}, 3 * time.Second},
		{"a rate", known(1, 1, 1, 1), Settings{Workers: 4, Rate: 0.5}, 7 * time.Second},
		{"a burst", known(1, 1, 1, 1), Settings{Workers: 4, Rate: 0.5, Burst: 3}, 3 * time.Second},
		{"a rest after each send but the last", known(1, 1, 1), Settings{Throttle: 10 * time.Second}, 23 * time.Second},
		{"a job that is held back", held, Settings{}, 61 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := New(evening, tt.jobs, tt.settings).Forecast()
			if got, want := []time.Duration{f.Low, f.Expected, f.High}, []time.Duration{tt.want, tt.want, tt.want}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestAForecastSaysOfHowManyItKnows(t *testing.T) {
	t.Parallel()
	f := New(evening, append(known(1, 2), guessed(1)), Settings{}).Forecast()
	if f.Jobs != 3 || f.Known != 2 {
		t.Errorf("got %d of %d, want 2 of 3", f.Known, f.Jobs)
	}
}

func TestTheSameForecastIsMadeTwice(t *testing.T) {
	t.Parallel()
	listed, _ := aSite(1, 200, 1.5)
	a, b := New(evening, listed, Settings{Workers: 4}).Forecast(), New(evening, listed, Settings{Workers: 4}).Forecast()
	if a.Low != b.Low || a.Expected != b.Expected || a.High != b.High || a.Low >= a.Expected || a.Expected >= a.High {
		t.Errorf("%v %v %v, then %v %v %v", a.Low, a.Expected, a.High, b.Low, b.Expected, b.High)
	}
}

func TestNineNightsOfTenAreWithinTheForecast(t *testing.T) {
	t.Parallel()
	const sites = 200
	within, off := 0, ratios{}
	for seed := range uint64(sites) {
		random := rand.New(rand.NewPCG(seed, 3))
		listed, _ := aSite(seed, 40, 1.5)
		tonight := make([]time.Duration, len(listed))
		for i := range listed {
			tonight[i] = time.Duration(float64(listed[i].Estimate) * math.Exp(noise*random.NormFloat64()))
		}
		plan := New(evening, listed, Settings{Workers: 1 + random.IntN(8)})
		f, length := plan.Forecast(), plan.run(tonight)
		if f.Low <= length && length <= f.High {
			within++
		}
		off = append(off, float64(length)/float64(f.Expected))
	}
	if within < sites*85/100 || within > sites*95/100 {
		t.Errorf("%d of %d nights are within the forecast, want nine of ten", within, sites)
	}
	if off.mean() < 0.98 || off.mean() > 1.02 {
		t.Errorf("nights are %.3f of what was expected, on average", off.mean())
	}
}

func TestWhatAllSendsOfANightHaveInCommonDoesNotAverageOut(t *testing.T) {
	t.Parallel()
	listed, _ := aSite(1, 2000, 1)
	width := func(s Settings, jobs []Job) float64 {
		f := New(evening, jobs, s).Forecast()
		return float64(f.High-f.Low) / float64(f.Expected)
	}
	// Nine tenths of a normal distribution are within 1.64 standard deviations.
	if got := width(Settings{Workers: 4, Pace: 0.2}, slices.Clone(listed)); got < 2*1.64*0.2*0.8 || got > 2*1.64*0.2*1.4 {
		t.Errorf("with a pace that differs by 20 %% the forecast is %.2f wide", got)
	}
	if got := width(Settings{Workers: 4}, slices.Clone(listed)); got > 0.1 {
		t.Errorf("without one it is %.2f wide", got)
	}
	for i := range listed { // of all but 16 nothing is known
		if i >= 16 {
			listed[i].Known, listed[i].Spread = false, 1.5
		}
	}
	if got := width(Settings{Workers: 4}, listed); got < 2*1.64*1.5/4*0.7 {
		t.Errorf("where hardly any group is known it is %.2f wide", got)
	}
}

func TestFewNightsAreMadeUpForLargeSites(t *testing.T) {
	t.Parallel()
	for jobs, want := range map[int]int{0: 200, 1: 200, 2500: 200, 5000: 100, 50_000: 10, 100_000: 5, 1_000_000: 5} {
		if got := nights(jobs); got != want {
			t.Errorf("%d jobs: %d nights, want %d", jobs, got, want)
		}
	}
}

func TestADeadlineIsKeptWhenAllHaveStartedByThen(t *testing.T) {
	t.Parallel()
	minutes := func(n int) []Job { return known(slices.Repeat([]int{60}, n)...) }
	numbers := func(from, to int) (list []int) {
		for i := from; i < to; i++ {
			list = append(list, i)
		}
		return list
	}
	for _, tt := range []struct {
		name     string
		jobs     []Job
		settings Settings
		by       time.Duration
		most     int
		want     Fit
	}{
		{"no job", nil, Settings{}, 0, 16, Fit{Fits: true}},
		{"the last one is in flight then", minutes(60), Settings{}, 59*time.Minute + 1, 16, Fit{Fits: true}},
		{"nothing starts at the deadline", minutes(60), Settings{Workers: 1}, 59 * time.Minute, 16, Fit{Workers: 2, Left: []int{59}}},
		{"the fewest workers that would do", minutes(60), Settings{Workers: 2}, 10*time.Minute + 1, 16, Fit{Workers: 6, Left: numbers(22, 60)}},
		{"no number would", minutes(60), Settings{Workers: 2}, 10*time.Minute + 1, 5, Fit{Left: numbers(22, 60)}},
		{"a rate helps no worker", minutes(60), Settings{Workers: 4, Rate: 1.0 / 60}, 30 * time.Minute, 64, Fit{Left: numbers(30, 60)}},
		{"over already", minutes(3), Settings{}, -time.Minute, 16, Fit{Left: numbers(0, 3)}},
		{"the shortest are left, by their numbers", known(10, 50, 20), Settings{Order: Longest}, time.Minute, 1, Fit{Left: []int{0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := New(evening, tt.jobs, tt.settings).Forecast().Fit(evening.Add(tt.by), tt.most)
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func TestWhatOnlyAGoodNightWouldDoDoesNotFit(t *testing.T) {
	t.Parallel()
	listed, _ := aSite(1, 200, 1)
	f := New(evening, listed, Settings{Workers: 4}).Forecast()
	if f.Fit(evening.Add(f.Low), 4).Fits {
		t.Error("it fits into a time that one night of twenty is within")
	}
	if fit := f.Fit(evening.Add(f.High), 4); !fit.Fits {
		t.Errorf("%d are left after a time that 19 of 20 nights are within", len(fit.Left))
	}
}

func TestAsManyWorkersDoAsWereSaidToAndOneFewerDoesNot(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		listed, _ := aSite(seed, 300, 2)
		f := New(evening, listed, Settings{Workers: 1}).Forecast()
		tonight := make([]time.Duration, len(listed)) // by place, which the workers do not change
		f.plan.makeUp(tonight, f.bad)
		deadline := evening.Add(f.High / 6)
		fit := f.Fit(deadline, 16)
		for _, workers := range []int{fit.Workers - 1, fit.Workers} {
			left := New(evening, listed, Settings{Workers: workers}).leaves(tonight, deadline)
			if want := workers < fit.Workers; want != (len(left) > 0) {
				t.Errorf("site %d: %d workers leave %d, of whom %d are said to do", seed, workers, len(left), fit.Workers)
			}
		}
	}
}

type numbered int

func (n numbered) Key() string { return strconv.Itoa(int(n)) }

// A run under any plan starts each job when the simulation says, and ends when it says.
func TestARunMakesTheChoicesThatWereForecast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		random := rand.New(rand.NewPCG(seed, 4))
		listed, truth := aSite(seed, rapid.IntRange(0, 60).Draw(rt, "jobs"), 2)
		held := rapid.Bool().Draw(rt, "some are held")
		unknown := rapid.Bool().Draw(rt, "some are unknown")
		settings := Settings{
			Order:    rapid.SampledFrom([]Order{Auto, Name, Longest, Mixed}).Draw(rt, "order"),
			Workers:  rapid.IntRange(0, 9).Draw(rt, "workers"),
			Rate:     rapid.SampledFrom([]ratelimit.Rate{0, 0.5, 2}).Draw(rt, "rate"),
			Burst:    rapid.IntRange(0, 3).Draw(rt, "burst"),
			Throttle: time.Duration(rapid.IntRange(0, 2).Draw(rt, "throttle")) * 701 * time.Millisecond,
		}
		if limit := rapid.IntRange(0, 3).Draw(rt, "max heavy"); limit > 0 {
			settings.MaxHeavy = func(int) int { return limit }
		}
		type start struct {
			Job string
			At  time.Time
		}
		var got, want []start
		var took, length time.Duration
		synctest.Test(t, func(t *testing.T) {
			now := time.Now()
			for i := range listed {
				if held && random.IntN(3) == 0 {
					listed[i].NotBefore = now.Add(time.Duration(random.Int64N(int64(time.Minute))))
				}
				listed[i].Known = !unknown || random.IntN(3) > 0
			}
			plan := New(now, listed, settings)
			length = plan.each(truth, func(place int, at time.Duration) {
				want = append(want, start{numbered(plan.Sequence()[place]).Key(), now.Add(at)})
			})
			jobs := make([]numbered, 0, len(listed))
			for _, i := range plan.Sequence() {
				jobs = append(jobs, numbered(i))
			}
			report := dispatcher.Run(t.Context(), jobs, func(_ context.Context, n numbered) dispatcher.Verdict {
				time.Sleep(truth[n])
				return dispatcher.Verdict{Outcome: dispatcher.Accepted}
			}, dispatcher.Options{
				Workers: settings.Workers, Throttle: settings.Throttle, Rule: plan.Rule(),
				Limiter: ratelimit.NewBucket(settings.Rate, settings.Burst),
				Observe: func(e dispatcher.Event) {
					if e.Kind == dispatcher.Started {
						got = append(got, start{e.Result.Job.Key(), time.Now()})
					}
				},
			})
			took = report.Finished.Sub(report.Started)
		})
		// The bucket reckons in floating point, the simulation in whole nanoseconds.
		if diff := cmp.Diff(got, want, cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
			rt.Fatalf("got -, want +:\n%s", diff)
		}
		if (took - length).Abs() > time.Microsecond {
			rt.Fatalf("the run takes %v, the forecast was %v", took, length)
		}
	})
}
