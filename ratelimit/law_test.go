package ratelimit_test

import (
	"testing"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

const page = 40 * time.Millisecond

// A clock feeds a controller with what a service of so many threads makes of as many sends as are allowed.
type clock struct {
	*ratelimit.Controller
	now time.Time
}

func newClock(ceiling int) *clock {
	return &clock{ratelimit.NewController(ceiling), time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
}

// pages gives it n pages, one a second, while its limit is in use.
func (c *clock) pages(n int, took time.Duration) {
	for range n {
		c.now = c.now.Add(time.Second)
		c.Canary(c.now, took, true, c.Limit())
	}
}

// sends gives it the answers of so many seconds, and a quick page each second if it has a canary. Each send takes a second
// and its part of the wait where threads are short; usual is what a send takes in the history.
func (c *clock) sends(seconds int, usual time.Duration, threads int) {
	due := 0.0
	for range seconds {
		c.now = c.now.Add(time.Second)
		took := time.Duration(max(1, float64(c.Limit())/float64(threads)) * float64(time.Second))
		for due += float64(min(c.Limit(), threads)); due >= 1; due-- {
			c.Send(c.now, took, usual, true, c.Limit())
		}
		c.Canary(c.now, page, true, c.Limit())
	}
}

func (c *clock) want(t *testing.T, limit int) {
	t.Helper()
	if c.Limit() != limit {
		t.Errorf("got %d, want %d: %s", c.Limit(), limit, c.Why())
	}
}

func TestTheLimitStartsAtOneAndRisesByOneWhilePagesAreQuick(t *testing.T) {
	c := newClock(5)
	c.Baseline(page)
	for want := 1; want <= 5; want++ {
		c.want(t, want)
		if want == 1 {
			c.pages(8, page)
		} else {
			c.pages(5, page)
		}
	}
	c.pages(100, page)
	c.want(t, 5)
}

func TestTheLimitGoesBackByOneWherePagesWaitAndIsTriedAgainEverMoreRarely(t *testing.T) {
	c := newClock(16)
	c.Baseline(page)
	var tries []time.Duration
	for begin := c.now; c.now.Sub(begin) < 30*time.Minute; {
		before := c.Limit()
		took := page
		if before == 4 {
			took = 10 * page
		}
		c.pages(1, took)
		if c.Limit() > 4 || c.Limit() < before-1 {
			t.Fatalf("from %d to %d: %s", before, c.Limit(), c.Why())
		}
		if c.Limit() == 4 && before == 3 {
			tries = append(tries, c.now.Sub(begin))
		}
	}
	c.want(t, 3)
	for i := 2; i < len(tries); i++ {
		if earlier, later := tries[i-1]-tries[i-2], tries[i]-tries[i-1]; later < earlier {
			t.Errorf("%v between two tries, %v before", later, earlier)
		}
	}
	if n := len(tries); n < 5 || n > 9 {
		t.Errorf("%d tries in half an hour: %v", n, tries)
	}
}

// One page, however slow, or none at all; also again and again, if there is time between.
func TestOneSpikeChangesNothing(t *testing.T) {
	c := newClock(4)
	c.Baseline(page)
	c.pages(100, page)
	for range 20 {
		c.now = c.now.Add(5 * time.Second)
		c.Canary(c.now, 5*time.Second, false, c.Limit())
		c.want(t, 4)
		c.pages(6, page)
		c.want(t, 4)
	}
}

func TestTheLimitIsHalvedWherePagesBecomeSlowAndRegainedWhenTheyAreQuick(t *testing.T) {
	c := newClock(8)
	c.Baseline(page)
	c.pages(120, page)
	c.want(t, 8)
	for i, want := range []int{8, 8, 4, 4, 2, 2, 1} {
		c.pages(1, 12*page)
		if c.Limit() != want {
			t.Errorf("%d slow pages: %d, want %d: %s", i+1, c.Limit(), want, c.Why())
		}
	}
	c.pages(60, page)
	c.want(t, 8)
}

// What began before the limit changed tells nothing of the new one.
func TestPagesAndSendsThatBeganAtAnotherLimitDoNotCount(t *testing.T) {
	c := newClock(2)
	c.Baseline(page)
	c.pages(8, page)
	c.want(t, 2)
	c.now = c.now.Add(time.Second)
	c.Canary(c.now, 2*time.Second, true, 2)
	c.want(t, 2)
	c.Canary(c.now, time.Second-1, true, 2)
	c.want(t, 1)
}

func TestALimitThatIsNotInUseDoesNotRise(t *testing.T) {
	c := newClock(8)
	c.Baseline(page)
	c.pages(8, page)
	for range 100 {
		c.now = c.now.Add(time.Second)
		c.Canary(c.now, page, true, 1)
	}
	c.want(t, 2)
}

func TestWithoutABaselineAndWithoutAHistoryTheLimitIsOne(t *testing.T) {
	c := newClock(8)
	c.pages(100, page)
	for range 100 {
		c.now = c.now.Add(time.Second)
		c.Send(c.now, time.Second, 0, true, 1)
	}
	c.want(t, 1)
}

func TestSendsAloneSettleAtTheThreads(t *testing.T) {
	for _, usual := range []time.Duration{time.Second, 2 * time.Second, 300 * time.Millisecond} { // the site is another than it was
		c := newClock(16)
		c.sends(300, usual, 4)
		above := 0
		for range 1000 {
			c.sends(1, usual, 4)
			if got := c.Limit(); got < 4 || got > 5 {
				t.Fatalf("usual %v: got %d, want 4: %s", usual, got, c.Why())
			} else if got == 5 {
				above++
			}
		}
		if above > 50 {
			t.Errorf("usual %v: above the threads for %d of 1000 seconds", usual, above)
		}
	}
}

// Pages are quick all the time: the sends wait for something that pages do not need, or the canary's page comes from a
// cache before the site.
func TestSendsThatSlowEachOtherHoldBackALimitThatPagesWouldRaise(t *testing.T) {
	for _, usual := range []time.Duration{time.Second, 0} {
		c := newClock(16)
		c.Baseline(page)
		c.sends(600, usual, 3)
		if got := c.Limit(); got < 3 || got > 6 {
			t.Errorf("usual %v: got %d with 3 threads: %s", usual, got, c.Why())
		}
	}
}

func TestASiteThatIsSlowerThanItWasDoesNotHoldTheLimitAtOneForEver(t *testing.T) {
	c := newClock(4)
	c.Baseline(page)
	c.pages(8, page)
	c.pages(60, 6*page) // the whole site is slower from now on, whatever we do
	c.pages(300, 6*page)
	c.want(t, 4)
	c.pages(20, page)
	c.want(t, 4)
	c.pages(3, 6*page) // and now that it is quick again, that is slow again
	if c.Limit() == 4 {
		t.Errorf("the slow site is still the measure: %s", c.Why())
	}
}

func TestASendThatFailedTellsOnlyThatItTookLong(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want int
	}{{time.Millisecond, 4}, {time.Minute, 1}} {
		c := newClock(4)
		c.sends(300, time.Second, 8)
		c.want(t, 4)
		for range 200 {
			c.now = c.now.Add(time.Minute)
			c.Send(c.now, tt.took, time.Second, false, c.Limit())
			if tt.want == 1 && c.Limit() == 1 {
				break // where it may learn that all is slow now
			}
		}
		c.want(t, tt.want)
	}
}

func TestWhySaysWhatHoldsTheLimit(t *testing.T) {
	c := newClock(2)
	check := func(want string) {
		t.Helper()
		if got := c.Why(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("nothing tells yet what the site bears")
	c.Baseline(page)
	c.pages(8, page)
	check("to see whether pages stay quick")
	c.pages(1, 10*page)
	check("pages wait for a thread at 2; next try in 1m0s at the earliest")
	c.pages(60, page)
	check("to see whether pages stay quick")
	c.pages(5, page)
	check("as many as are allowed")
	c.pages(40, page)
	c.pages(3, 10*page)
	check("pages have become slow beside 2 sends")
}

// The display says "2 at a time now: " and why. That must not be said twice.
func TestWhyALimitIsTriedDoesNotRepeatIt(t *testing.T) {
	c := newClock(2)
	c.sends(60, time.Second, 8)
	c.want(t, 2)
	blind := newClock(2)
	for blind.Limit() == 1 {
		blind.now = blind.now.Add(time.Second)
		blind.Send(blind.now, time.Second, time.Second, true, 1)
	}
	if got, want := blind.Why(), "to see whether sends stay quick"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The sends of a trial that failed go on, and pages with them: they tell nothing of the lower limit. Nor do those behind the
// visitors who had to wait meanwhile.
func TestPagesBesideMoreSendsThanTheLimitDoNotLowerIt(t *testing.T) {
	c := newClock(4)
	c.Baseline(page)
	for c.Limit() < 4 {
		c.pages(1, page)
	}
	c.pages(1, 10*page)
	c.want(t, 3)
	for range 100 {
		c.now = c.now.Add(time.Second)
		c.Canary(c.now, 10*page, true, 4)
		c.want(t, 3)
	}
	c.Send(c.now, 110*time.Second, 0, true, 4)
	for range 10 {
		c.now = c.now.Add(time.Second)
		c.Canary(c.now, 10*page, true, 3)
		c.want(t, 3)
	}
}

// What trials cost the visitors is in proportion to the time between them, however long sends take.
func TestATrialThatMadeVisitorsWaitLongIsNotSoonRepeated(t *testing.T) {
	const blocked = 100 * time.Second
	c := newClock(2)
	c.Baseline(page)
	c.pages(8, page)
	c.pages(1, 10*page)
	c.want(t, 1)
	for end := c.now.Add(blocked); c.now.Before(end); {
		c.now = c.now.Add(2 * time.Second)
		c.Canary(c.now, 1500*time.Millisecond, false, 2)
	}
	ended := c.now
	for c.Limit() == 1 && c.now.Sub(ended) < 3*time.Hour {
		c.pages(1, page)
	}
	if waited := c.now.Sub(ended); waited < 20*blocked || waited > 60*blocked {
		t.Errorf("tried again after %v; visitors had waited for %v", waited, blocked)
	}
}

// Each limit has its own wait: that a lower one failed meanwhile does not make trials of the higher one frequent again.
func TestALimitThatFailedIsNotTriedSoonerForALowerOneThatFailedToo(t *testing.T) {
	c := newClock(4)
	c.Baseline(page)
	var tries []time.Time
	for begin := c.now; c.now.Sub(begin) < time.Hour; {
		before := c.Limit()
		took := page
		if before == 4 || before == 3 && len(tries) > 0 && c.now.Sub(tries[len(tries)-1]) < 10*time.Second {
			took = 10 * page
		}
		if c.pages(1, took); c.Limit() == 4 && before == 3 {
			tries = append(tries, c.now)
		}
	}
	if n := len(tries); n < 4 || n > 10 {
		t.Errorf("%d tries of 4 in an hour", n)
	}
}

// Nobody notices that a page took 6 ms instead of a half.
func TestAPageThatIsQuickAllTheSameIsNotSlow(t *testing.T) {
	for _, base := range []time.Duration{0, 500 * time.Microsecond, 3 * time.Millisecond} {
		c := newClock(8)
		c.Baseline(base)
		for i := range 120 {
			c.pages(1, base+time.Duration(i%7)*time.Millisecond)
		}
		c.want(t, 8)
		c.pages(3, 300*time.Millisecond) // that one does
		if c.Limit() == 8 {
			t.Errorf("base %v: pages of 300 ms do not count", base)
		}
	}
}

// A recovery is to be used within a minute, but not all night.
func TestWhatIsLostForLongCountsAsGone(t *testing.T) {
	c := newClock(4)
	c.Baseline(page)
	c.pages(120, page)
	c.want(t, 4)
	dropped := c.now
	early, late := 0, 0
	for c.now.Sub(dropped) < 3*time.Hour {
		before := c.Limit()
		took := page
		if before > 2 {
			took = 10 * page
		}
		if c.pages(1, took); c.Limit() > max(before, 2) {
			if c.now.Sub(dropped) < 10*time.Minute {
				early++
			} else if c.now.Sub(dropped) > time.Hour {
				late++
			}
		}
	}
	if early < 15 || late < 5 || late > 16 {
		t.Errorf("%d trials in the first ten minutes, %d in the last two hours", early, late)
	}
}

// Whatever it is told, the limit stays between 1 and the ceiling, rises by one at a time, and the same samples give the
// same limits.
func TestTheLimitStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ceiling := rapid.IntRange(-1, 20).Draw(t, "ceiling")
		one, other := newClock(ceiling), newClock(ceiling)
		if rapid.Bool().Draw(t, "canary") {
			base := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "baseline"))
			one.Baseline(base)
			other.Baseline(base)
		}
		for range rapid.IntRange(0, 400).Draw(t, "samples") {
			one.now = one.now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "after")))
			took := time.Duration(rapid.Int64Range(-1, int64(time.Minute)).Draw(t, "took"))
			usual := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "usual"))
			busy, ok := rapid.IntRange(0, 21).Draw(t, "busy"), rapid.Bool().Draw(t, "ok")
			isPage := rapid.Bool().Draw(t, "page")
			before := one.Limit()
			for _, c := range []*clock{one, other} {
				if isPage {
					c.Canary(one.now, took, ok, busy)
				} else {
					c.Send(one.now, took, usual, ok, busy)
				}
			}
			got := one.Limit()
			if got < 1 || got > max(ceiling, 1) || got > before+1 {
				t.Fatalf("from %d to %d, ceiling %d: %s", before, got, ceiling, one.Why())
			}
			if got != other.Limit() {
				t.Fatalf("%d and %d from the same samples", got, other.Limit())
			}
		}
	})
}
