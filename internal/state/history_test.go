package state_test

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

// A job is known by its key alone.
type job string

func (j job) Key() string { return string(j) }

// ended is the last event of a group's send.
func ended(key string, took time.Duration, o dispatcher.Outcome) dispatcher.Event {
	return dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{
		Job: job(key), Took: took, Attempts: 1, Verdict: dispatcher.Verdict{Outcome: o},
	}}
}

// night is a run in which all groups of the list are accepted, and what each took.
func learnFrom(h *state.History, took map[string]time.Duration) {
	h.List(maps.Keys(took))
	for key, d := range took {
		h.Observe(ended(key, d, dispatcher.Accepted))
	}
	h.Learn()
}

// usual is what the sends of so many groups take in a usual night: 1 s, 2 s, and so on.
func usual(groups int) map[string]time.Duration {
	took := map[string]time.Duration{}
	for i := range groups {
		took[name(i)] = time.Duration(i+1) * time.Second
	}
	return took
}

func name(i int) string { return fmt.Sprintf("main/group-%06d", i) }

// scaled is the same night where everything takes longer.
func scaled(took map[string]time.Duration, by float64) map[string]time.Duration {
	slow := map[string]time.Duration{}
	for key, d := range took {
		slow[key] = time.Duration(float64(d) * by)
	}
	return slow
}

// settled is the history of a site with that many groups after so many usual nights.
func settled(groups, nights int) *state.History {
	h := state.NewHistory()
	for range nights {
		learnFrom(h, usual(groups))
	}
	return h
}

// near fails the test unless the group is known to take want, give or take a share of it.
func near(t *testing.T, h *state.History, key string, want time.Duration, within float64) {
	t.Helper()
	e := h.Estimate(key)
	if off := math.Abs(e.Median.Seconds()/want.Seconds() - 1); !e.Known || off > within {
		t.Errorf("%s: got %v, known %v, want %v within %g", key, e.Median, e.Known, want, within)
	}
}

// The server may have skipped it, since the first send had mailed the digest after all.
func TestARepeatOfASendWhoseAnswerWasLostTeachesNothing(t *testing.T) {
	h := settled(20, 3)
	h.List(maps.Keys(usual(20)))
	e := ended(name(5), time.Millisecond, dispatcher.Accepted)
	e.Result.Lost = &dispatcher.Lost{Reason: "504 Gateway Timeout"}
	h.Observe(e)
	h.Learn()
	near(t, h, name(5), 6*time.Second, 1e-5)
	if got := h.Longest(name(5)); got != 6*time.Second {
		t.Errorf("the longest send took %v, want 6s", got)
	}
}

func TestAGroupIsExpectedToTakeWhatItTook(t *testing.T) {
	for _, nights := range []int{1, 2, 50} {
		h := settled(20, nights)
		for key, took := range usual(20) {
			near(t, h, key, took, 1e-5)
		}
	}
}

func TestAtFirstNothingIsKnown(t *testing.T) {
	h := state.NewHistory()
	if e := h.Estimate("main/any"); e.Known || e.Median != 0 || !(e.Spread > 0) {
		t.Errorf("got %+v, want a median of 0 that is not known", e)
	}
	if got := h.Pace(); got != 1 {
		t.Errorf("got pace %g, want 1", got)
	}
}

func TestANewGroupGetsTheSitesMedianAndNoVote(t *testing.T) {
	h := settled(9, 3)
	listed := usual(10)
	h.List(maps.Keys(listed))
	for _, key := range []string{name(9), "main/not-even-listed"} {
		e := h.Estimate(key)
		if e.Known || e.Median.Round(time.Millisecond) != 5*time.Second {
			t.Errorf("%s: got %+v, want the median of 1 s to 9 s, not known", key, e)
		}
		if e != h.Typical() {
			t.Errorf("%s: got %+v, want %+v", key, e, h.Typical())
		}
		if own := h.Estimate(name(0)).Spread; e.Spread < 2*own {
			t.Errorf("%s: got spread %g, want far more than a known group's %g", key, e.Spread, own)
		}
	}
}

func TestTheSpreadOfANewGroupIsThatOfTheSite(t *testing.T) {
	for _, want := range []float64{1, 2} {
		random := rand.New(rand.NewPCG(11, 12))
		took := map[string]time.Duration{}
		for i := range 2000 {
			took[name(i)] = time.Duration(math.Exp(want*random.NormFloat64()) * float64(time.Second))
		}
		h := state.NewHistory()
		learnFrom(h, took)
		if got := h.Typical().Spread; math.Abs(got/math.Hypot(want, state.UsualSpread)-1) > 0.05 {
			t.Errorf("got %.2f, want the groups' %g and the %g of their sends", got, want, state.UsualSpread)
		}
	}
}

// A guess never outlives a group's first send.
func TestTheFirstSendOfAGroupCountsWhole(t *testing.T) {
	h := settled(9, 20)
	took := usual(9)
	took["main/new"] = 40 * time.Minute
	learnFrom(h, took)
	near(t, h, "main/new", 40*time.Minute, 1e-5)
}

func TestOnlyAcceptedSendsCount(t *testing.T) {
	for _, o := range dispatcher.Outcomes() {
		h := settled(20, 20)
		h.List(maps.Keys(usual(21)))
		h.Observe(ended(name(0), time.Hour, o))
		h.Observe(ended(name(20), time.Hour, o))
		h.Learn()
		accepted := o == dispatcher.Accepted
		if got := h.Estimate(name(0)).Median > 1100*time.Millisecond; got != accepted {
			t.Errorf("%v: its group learned: %v, want %v", o, got, accepted)
		}
		if got := h.Estimate(name(20)).Known; got != accepted {
			t.Errorf("%v: a new group is known: %v, want %v", o, got, accepted)
		}
	}
}

func TestATryThatIsMadeAgainDoesNotCount(t *testing.T) {
	h := settled(1, 1)
	h.List(maps.Keys(usual(1)))
	for _, kind := range []dispatcher.Kind{dispatcher.Started, dispatcher.Retrying} {
		e := ended(name(0), time.Hour, dispatcher.Accepted)
		e.Kind = kind
		h.Observe(e)
	}
	h.Learn()
	near(t, h, name(0), time.Second, 1e-5)
}

func TestALastingChangeReachesAGroupByNineTenthsInTenRuns(t *testing.T) {
	for _, factor := range []float64{0.1, 0.5, 2, 10} {
		h := settled(50, 30)
		took := usual(50)
		took[name(7)] = time.Duration(float64(took[name(7)]) * factor)
		runs := 0
		for share := 0.0; share < 0.9 && runs < 100; runs++ {
			learnFrom(h, took)
			share = math.Log(h.Estimate(name(7)).Median.Seconds()/8) / math.Log(factor)
		}
		// A change by 10 looks like an outlier at first.
		if want := map[bool]int{true: 11, false: 16}[factor == 2 || factor == 0.5]; runs > want {
			t.Errorf("a change by %g: got %d runs, want %d", factor, runs, want)
		}
		near(t, h, name(6), 7*time.Second, 1e-3)
	}
}

func TestOneOutlierChangesLittle(t *testing.T) {
	for _, factor := range []float64{0.001, 0.1, 10, 1000} {
		h := noisy(100, 40)
		before := h.Estimate(name(7)).Median
		took := usual(100)
		took[name(7)] = time.Duration(before.Seconds() * factor * float64(time.Second))
		learnFrom(h, took)
		near(t, h, name(7), before, 0.35)
		near(t, h, name(8), 9*time.Second, 0.4)
	}
}

// noisy is a history of usual nights in which each send is off by some 40 %.
func noisy(groups, nights int) *state.History {
	random := rand.New(rand.NewPCG(1, 2))
	h := state.NewHistory()
	for range nights {
		learnFrom(h, withNoise(random, usual(groups)))
	}
	return h
}

func withNoise(random *rand.Rand, took map[string]time.Duration) map[string]time.Duration {
	noisy := map[string]time.Duration{}
	for _, key := range slices.Sorted(maps.Keys(took)) {
		noisy[key] = time.Duration(float64(took[key]) * math.Exp(0.4*random.NormFloat64()))
	}
	return noisy
}

func TestASlowNightRescalesNothing(t *testing.T) {
	for _, factor := range []float64{0.2, 3, 20} {
		h := settled(20, 10)
		learnFrom(h, scaled(usual(20), factor))
		for key, took := range usual(20) {
			near(t, h, key, took, 1e-5)
		}
		learnFrom(h, scaled(usual(20), factor))
		learnFrom(h, usual(20))
		for key, took := range usual(20) {
			near(t, h, key, took, 1e-5)
		}
	}
}

func TestAGroupFirstSentInASlowNightIsNotTakenForSlow(t *testing.T) {
	h := settled(20, 10)
	learnFrom(h, scaled(usual(21), 5))
	near(t, h, name(20), 21*time.Second, 1e-5)
}

func TestInASlowNightAGroupStillTellsItsOwnChange(t *testing.T) {
	h := settled(20, 10)
	for range 10 {
		took := scaled(usual(20), 3)
		took[name(0)] *= 2
		learnFrom(h, took)
	}
	near(t, h, name(0), 2*3*time.Second, 0.1)
	near(t, h, name(1), 2*3*time.Second, 1e-3)
}

// A send waits for others when more are in flight than the server has threads. In a longest-first order it waits for
// others of its own size, so that all take the same multiple.
func TestCostsAreComparedAcrossNumbersOfWorkers(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	const groups, threads = 400, 2
	costs := map[string]time.Duration{}
	for i := range groups {
		costs[name(i)] = time.Duration(math.Exp(1.5*random.NormFloat64()) * float64(time.Second))
	}
	h := state.NewHistory()
	learnFrom(h, costs)
	for run := range 20 {
		learnFrom(h, queued(h, withNoise(random, costs), []int{2, 8, 4}[run%3], threads))
	}
	if got := h.Pace(); got < 1.5 || got > 2.5 {
		t.Errorf("got a usual pace of %g with 2, 4 and 8 workers, want 2", got)
	}
	var off []float64
	for key, cost := range costs {
		off = append(off, math.Abs(math.Log(h.Estimate(key).Median.Seconds()/h.Pace()/cost.Seconds())))
	}
	slices.Sort(off)
	if got := off[groups*9/10]; got > 0.4 {
		t.Errorf("one cost in ten is off by a factor of %.2f or more, want as good as the noise: 1.5", math.Exp(got))
	}
}

// queued is a night of sends, longest first as h has it, that so many workers make and the server's threads serve in turn.
func queued(h *state.History, costs map[string]time.Duration, workers, threads int) map[string]time.Duration {
	order := slices.SortedFunc(maps.Keys(costs), func(a, b string) int {
		return cmp.Or(cmp.Compare(h.Estimate(b).Median, h.Estimate(a).Median), cmp.Compare(a, b))
	})
	took := map[string]time.Duration{}
	worker, thread := make([]time.Duration, workers), make([]time.Duration, threads) // when each is free
	for _, key := range order {
		w, s := slices.Index(worker, slices.Min(worker)), slices.Index(thread, slices.Min(thread))
		sent := worker[w]
		worker[w] = max(sent, thread[s]) + costs[key]
		thread[s] = worker[w]
		took[key] = worker[w] - sent
	}
	return took
}

func TestARealChangeOfTheSiteCountsFromTheThirdRun(t *testing.T) {
	h := settled(20, 10)
	for run, want := range []float64{1, 1, 3, 3, 3, 3, 3} {
		learnFrom(h, scaled(usual(20), 3))
		if got := h.Pace(); math.Abs(got/want-1) > 1e-4 {
			t.Errorf("after run %d got pace %g, want %g", run+1, got, want)
		}
		near(t, h, name(4), time.Duration(want*5)*time.Second, 1e-4)
	}
}

func TestAFewSendsTellNothingOfThePace(t *testing.T) {
	for _, tt := range []struct {
		groups int
		want   float64
	}{{state.LeastPaced - 1, 1}, {state.LeastPaced, 3}} {
		h := settled(30, 5)
		for range state.KeptPaces {
			h.List(maps.Keys(usual(30)))
			for i := range tt.groups {
				h.Observe(ended(name(i), time.Duration(i+1)*3*time.Second, dispatcher.Accepted))
			}
			h.Learn()
		}
		if got := h.Pace(); math.Abs(got/tt.want-1) > 1e-4 {
			t.Errorf("%d sends: got pace %g, want %g", tt.groups, got, tt.want)
		}
	}
}

func TestNightsThatDifferWidenTheSpreadOfThePace(t *testing.T) {
	even, uneven := settled(20, 10), settled(20, 10)
	for _, factor := range []float64{1, 2, 0.5, 3} {
		learnFrom(even, usual(20))
		learnFrom(uneven, scaled(usual(20), factor))
	}
	if a, b := even.PaceSpread(), uneven.PaceSpread(); !(a > 0.05 && a < 0.2) || !(b > 0.4 && b < 1) {
		t.Errorf("got %g for even nights and %g for others, want about 0.1 and 0.6", a, b)
	}
}

func TestTheSpreadIsSensibleAfterOneSend(t *testing.T) {
	for nights := 1; nights <= 3; nights++ {
		h := settled(1, nights)
		if got := h.Estimate(name(0)).Spread; got < state.UsualSpread/2 || got > state.UsualSpread*1.5 {
			t.Errorf("after %d sends got %g, want about %g", nights, got, state.UsualSpread)
		}
	}
	h := noisy(100, 20)
	took := usual(101)
	learnFrom(h, took)
	if got := h.Estimate(name(100)).Spread; got < 0.4 || got > 0.7 {
		t.Errorf("got %g after a group's first send, want what other groups have and more: 0.57", got)
	}
}

// The promise of Estimate, on a site as sites are: costs that differ by powers of ten, noise, nights slow and fast.
func TestTwoThirdsOfTheSendsAreWithinOneSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	site := map[string]time.Duration{}
	for i := range 500 {
		site[name(i)] = time.Duration(math.Exp(1.5*random.NormFloat64()) * float64(time.Second))
	}
	h := state.NewHistory()
	within, all := 0, 0
	for run := range 60 {
		took := withNoise(random, scaled(site, math.Exp(0.3*random.NormFloat64())))
		off, spread := map[string]float64{}, map[string]float64{}
		for key, d := range took {
			if e := h.Estimate(key); run > 0 {
				off[key], spread[key] = math.Log(d.Seconds()/e.Median.Seconds()), e.Spread
			}
		}
		offs := slices.Sorted(maps.Values(off))
		for key := range off {
			all++
			pace := offs[len(offs)/2]
			if math.Abs(off[key]-pace) < spread[key] {
				within++
			}
		}
		learnFrom(h, took)
	}
	if share := float64(within) / float64(all); share < 0.65 || share > 0.72 {
		t.Errorf("got %.3f of the sends within one spread of the night's pace, want two thirds", share)
	}
}

func TestAGroupThatVanishedIsForgottenAfterSixtyRuns(t *testing.T) {
	h := settled(10, 1)
	all := usual(10)
	rest := usual(9)
	for range state.ForgetAfter - 1 {
		learnFrom(h, rest)
	}
	near(t, h, name(9), 10*time.Second, 1e-4)
	h.List(maps.Keys(all)) // it is back
	for range state.ForgetAfter - 1 {
		h.List(maps.Keys(rest))
	}
	near(t, h, name(9), 10*time.Second, 1e-4)
	h.List(maps.Keys(rest))
	if h.Estimate(name(9)).Known {
		t.Errorf("known after %d runs without it", state.ForgetAfter)
	}
	near(t, h, name(8), 9*time.Second, 1e-4)
	if got := h.Known(); got != 9 {
		t.Errorf("%d groups are known, want 9", got)
	}
}

// Left out by the user, or skipped since an earlier run sent it: it is on the list all the same.
func TestAGroupThatIsListedAndNotSentIsKept(t *testing.T) {
	h := settled(10, 1)
	for range 3 * state.ForgetAfter {
		h.List(maps.Keys(usual(10)))
		h.Learn()
	}
	near(t, h, name(9), 10*time.Second, 1e-5)
}

func TestGroupsThatComeAndGoAreFoundInAnyOrder(t *testing.T) {
	h := state.NewHistory()
	random := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for run := range 150 {
		list := map[string]time.Duration{}
		for range 30 {
			i := random.IntN(200)
			list[fmt.Sprintf("s%d/g%d", i%7, i)] = time.Duration(i+1) * time.Second
		}
		learnFrom(h, list)
		for key := range list {
			seen[key] = run
		}
		for key, last := range seen {
			if got, want := h.Estimate(key).Known, run-last < state.ForgetAfter; got != want {
				t.Fatalf("run %d: %s, last seen in run %d, is known: %v, want %v", run, key, last, got, want)
			}
		}
	}
}

func TestAGroupListedTwiceIsOne(t *testing.T) {
	h := state.NewHistory()
	h.List(slices.Values([]string{"main/a", "main/b", "main/a"}))
	h.Observe(ended("main/a", time.Second, dispatcher.Accepted))
	h.Learn()
	near(t, h, "main/a", time.Second, 1e-5)
	if got := h.Known(); got != 1 {
		t.Errorf("%d groups are known, want 1", got)
	}
}

func TestKeysThatCannotBeWrittenAreNotKept(t *testing.T) {
	h := state.NewHistory()
	bad := []string{"", "a\tb", "a\n", strings.Repeat("x", state.MaxKey+1)}
	h.List(slices.Values(append(slices.Clone(bad), "main/good")))
	for _, key := range append(bad, "main/good") {
		h.Observe(ended(key, time.Second, dispatcher.Accepted))
	}
	h.Learn()
	for _, key := range bad {
		if h.Estimate(key).Known {
			t.Errorf("%.10q is known", key)
		}
	}
	near(t, h, "main/good", time.Second, 1e-5)
}

func TestTimesThatCannotBeAreHarmless(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		h := settled(20, 3)
		for range 50 {
			learnFrom(h, map[string]time.Duration{name(0): d, name(1): d})
		}
		for i := range 2 {
			e := h.Estimate(name(i))
			if e.Median <= 0 || !(e.Spread > 0) || math.IsInf(e.Spread, 0) {
				t.Errorf("%d: got %+v", d, e)
			}
		}
	}
}

func TestEstimatesAreReadWhileSendsAreObserved(t *testing.T) {
	h := settled(20, 3)
	h.List(maps.Keys(usual(25)))
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := range 25 {
				if e := h.Estimate(name(i)); e.Known != (i < 20) || h.Pace() != 1 || !(h.PaceSpread() > 0) {
					t.Errorf("group %d: got %+v", i, e)
				}
			}
		})
	}
	for i := range 25 {
		h.Observe(ended(name(i), time.Hour, dispatcher.Accepted))
	}
	readers.Wait()
	h.Learn()
}

// many are the keys of a large site.
func many(n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(name(i)) {
				return
			}
		}
	}
}

// large is the history of a large site after its first run.
func large(n int) *state.History {
	random := rand.New(rand.NewPCG(7, 8))
	h := state.NewHistory()
	for range 2 {
		h.List(many(n))
		for key := range many(n) {
			h.Observe(ended(key, time.Duration(math.Exp(1.5*random.NormFloat64())*float64(time.Second)), dispatcher.Accepted))
		}
		h.Learn()
	}
	return h
}

// grown is by how many bytes the heap is larger for what f makes.
func grown(f func() any) float64 {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	kept := f()
	after := heap()
	runtime.KeepAlive(kept)
	return float64(after) - float64(before)
}

func TestAGroupTakesLittleMoreThanItsName(t *testing.T) {
	const n = 20_000
	path := t.TempDir() + "/history"
	if err := large(n).Save(path); err != nil {
		t.Fatal(err)
	}
	got := grown(func() any {
		h, err := state.LoadHistory(path)
		if err != nil {
			t.Error(err)
		}
		h.List(many(n))
		return h
	})
	if each := got/n - float64(len(name(0))); each > 60 {
		t.Errorf("got %.1f bytes a group beyond its name, want 60 at most", each)
	}
}

func TestHowManySendsWereInFlightIsKept(t *testing.T) {
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("main/g%02d", i))
	}
	h := state.NewHistory()
	began := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for range 1 {
		h.List(slices.Values(keys))
		for i, key := range keys { // four at a time, each two seconds
			h.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{
				Job: job(key), Verdict: dispatcher.Verdict{Outcome: dispatcher.Accepted},
				Start: began.Add(time.Duration(i/4) * 2 * time.Second), Took: 2 * time.Second,
			}})
		}
		h.Learn()
		h.KeepAbreast()
	}
	path := filepath.Join(t.TempDir(), "history.tsv")
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := state.LoadHistory(path)
	if err != nil || again.Abreast() != 4 {
		t.Errorf("%v in flight, %v; want 4", again.Abreast(), err)
	}
}

func TestTheSumOfTheMeansIsThatOfANightHoweverManyNightsAreKnown(t *testing.T) {
	const groups = 2000
	random := rand.New(rand.NewPCG(1, 1))
	cost := map[string]float64{}
	for i := range groups {
		cost[fmt.Sprintf("main/g%04d", i)] = math.Exp(1.2 * random.NormFloat64())
	}
	another := func() (took map[string]time.Duration, sum float64) {
		took = map[string]time.Duration{}
		for key, c := range cost {
			seconds := c * math.Exp(0.4*random.NormFloat64())
			took[key], sum = time.Duration(seconds*float64(time.Second)), sum+seconds
		}
		return took, sum
	}
	_, usual := another()
	h := state.NewHistory()
	for n := range 12 {
		took, _ := another()
		learnFrom(h, took)
		var sum float64
		for key := range cost {
			sum += h.Estimate(key).Mean.Seconds()
		}
		if off := sum/usual - 1; math.Abs(off) > 0.08 {
			t.Errorf("after %d nights the sum is off by %.0f %%", n+1, 100*off)
		}
	}
}
