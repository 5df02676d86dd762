package ratelimit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// What is asked of runs of one minute, of all seeds together, on sites whose pages are so cheap that each trial shows. A
// first night has to find out; at 0.84 of the operator's throughput and eight times the wait it was worse. In later nights
// the limit is where the night before ended.
const (
	firstSends, firstWait = 0.95, 2.0
	laterSends, laterWait = 0.95, 1.5
)

func TestAutoBeginsWhereTheNightBeforeEndedAlsoInARunOfOneMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: nights by the hundred")
	}
	for _, threads := range []int{2, 4} {
		for _, cost := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second} {
			t.Run(fmt.Sprintf("threads=%d/sends of %v", threads, cost), func(t *testing.T) {
				t.Parallel()
				var operator outcome
				nights := make([]outcome, 3)
				for seed := range uint64(seeds / 2) {
					s := scene{threads: threads, uneven: seed%2 == 1, cost: cost, front: 5 * time.Millisecond, length: time.Minute, seed: seed}
					s.workers = threads - 1
					operator.add(s.play(t))
					s.workers = 0
					for night := range nights {
						s.seed = seed + uint64(night)*seeds
						o := s.play(t)
						nights[night].add(o)
						s.found, s.history = o.found, 1
					}
				}
				for night, o := range nights {
					least, most := laterSends, laterWait
					if night == 0 {
						least, most = firstSends, firstWait
					}
					sends, wait := o.sends/operator.sends, float64(o.p95())/float64(operator.p95())
					t.Logf("night %d: %.2f of the throughput, p95 %v against %v", night+1, sends, o.p95(), operator.p95())
					if sends < least || wait > most {
						t.Errorf("night %d: %.2f of the operator's throughput, %.2f times its wait, want %.2f at least and %.1f at most",
							night+1, sends, wait, least, most)
					}
				}
			})
		}
	}
}

// add counts another run in.
func (o *outcome) add(more outcome) {
	o.sends += more.sends
	o.waits = append(o.waits, more.waits...)
	slices.Sort(o.waits)
}

func TestAutoLeavesALimitThatTheSiteNoLongerBearsWithinTenSeconds(t *testing.T) {
	for _, tt := range []struct{ found, threads int }{{3, 2}, {3, 1}, {7, 4}, {7, 2}, {16, 4}} {
		for _, front := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d found/%d threads/pages of %v", tt.found, tt.threads, front), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(seeds / 4) {
					s := scene{
						threads: tt.threads, uneven: seed%2 == 1, front: front, length: time.Minute, seed: seed,
						found: ratelimit.Found{Sends: tt.found, Spare: 7},
					}
					o := s.play(t)
					if begins := o.changes[0]; begins.limit != tt.found || begins.at > 4*time.Second {
						t.Errorf("seed %d: it begins with %d after %v, want %d:%s", seed, begins.limit, begins.at, tt.found, o.story())
					}
					if got := o.limit(o.changes[0].at + 10*time.Second); got > tt.threads {
						t.Errorf("seed %d: %d after ten seconds:%s", seed, got, o.story())
					}
				}
			})
		}
	}
}

func TestAutoFindsThreadsThatTheSiteGotSince(t *testing.T) {
	const threads = 8
	// In one long night.
	s := scene{threads: threads, length: 20 * time.Minute, found: ratelimit.Found{Sends: 3, Spare: 7}}
	if o := s.play(t); o.limit(s.length) < threads-1 {
		t.Errorf("%d at the end of a long night:%s", o.limit(s.length), o.story())
	}
	// In a week or so of short ones.
	s.length = time.Minute
	for night := 1; s.found.Sends < threads-1; night++ {
		if night > 10 {
			t.Fatalf("it has found %d in %d short nights", s.found.Sends, night)
		}
		s.seed = uint64(night)
		s.found = s.play(t).found
	}
}

func TestNothingIsBegunWithThatNothingIsKnownOf(t *testing.T) {
	for name, tt := range map[string]struct {
		base  time.Duration
		found ratelimit.Found
		want  int
	}{
		"nothing was found":           {page, ratelimit.Found{}, 1},
		"one":                         {page, ratelimit.Found{Sends: 1, Spare: 7}, 1},
		"three":                       {page, ratelimit.Found{Sends: 3}, 3},
		"more than are allowed":       {page, ratelimit.Found{Sends: 9}, 4},
		"no page tells whether it is": {0, ratelimit.Found{Sends: 3}, 1},
	} {
		c := newClock(4)
		if tt.base > 0 {
			c.Baseline(tt.base)
		}
		c.Begin(c.now, tt.found)
		if c.Limit() != tt.want {
			t.Errorf("%s: got %d, want %d", name, c.Limit(), tt.want)
		}
	}
}

// One more than was found is not tried in the first minutes, and the runs for which that holds are counted down.
func TestWhatWasFoundTooManyIsSparedForSomeRuns(t *testing.T) {
	found := ratelimit.Found{Sends: 3, Spare: 2}
	for run, want := range []ratelimit.Found{{Sends: 3, Spare: 1}, {Sends: 3, Spare: 0}, {Sends: 5, Spare: 0}} {
		c := newClock(5)
		c.Baseline(page)
		c.Begin(c.now, found)
		c.pages(60, page)
		if found = c.Found(); found != want {
			t.Errorf("run %d: got %+v, want %+v: %s", run+1, found, want, c.Why())
		}
	}
}

func TestWhatARunFindsIsTheLimitThatStoodAndNotTheTrial(t *testing.T) {
	c := newClock(16)
	c.Baseline(page)
	if got := c.Found(); got != (ratelimit.Found{}) {
		t.Errorf("found %+v before the first send", got)
	}
	c.pages(8+5+5, page)
	c.want(t, 4)
	if got := c.Found(); got.Sends != 3 || got.Spare != 0 {
		t.Errorf("on trial: got %+v, want 3 sends", got)
	}
	c.pages(1, 20*page)
	c.want(t, 3)
	if got := c.Found(); got.Sends != 3 || got.Spare != 7 {
		t.Errorf("after it: got %+v, want 3 sends, and 4 spared for 7 runs", got)
	}
}

// A run that was over before a page came has found nothing else than the one before.
func TestARunThatWasTooShortPassesOnWhatItBeganWith(t *testing.T) {
	a := ratelimit.NewAdaptive(16, nil)
	found := ratelimit.Found{Sends: 3, Spare: 7, Share: 0.25}
	a.Expect(found)
	if got := a.Found(); got != found {
		t.Errorf("without a canary: got %+v, want %+v", got, found)
	}
	a.Baseline(page)
	if got := a.Found(); got.Sends != 3 || got.Share != 0.25 {
		t.Errorf("got %+v, want 3 sends and the share", got)
	}
}
