package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

const unknown, failing = ratelimit.Unknown, ratelimit.Failing

// feed makes one send after the other, with these answers: U up, D down, F failing, f failing again, ? neither.
func feed(t *testing.T, b *ratelimit.Breaker, answers string) {
	t.Helper()
	for _, a := range answers {
		try(t, b, ratelimit.Feedback{Health: map[rune]ratelimit.Health{'U': up, 'D': down, 'F': failing, 'f': failing, '?': unknown}[a], Again: a == 'f'})
	}
}

func TestABreakerOpensWhenMostOfTheLastAnswersSayDown(t *testing.T) {
	for _, tt := range []struct {
		answers string
		open    bool
	}{
		{"", false},
		{"DDDD", false},
		{"DDDDD", true},
		{"DDDDU", false},
		{"DDDDUD", true},
		{"UDDD", false},
		{"UDDDD", true},
		{"DDDDUU", false},
		{"UUDDDDDDD", false},
		{"UUDDDDDDDD", true},
		{"UUUUUUUUUUDDDDDDD", false},
		{"UUUUUUUUUUDDDDDDDD", true},
		{"DUDUDUDUDUDUDUDUDU", false},
		{"DDDUDDUDUDDDUDDUDU", false},
		{"????????????????????", false},
		{"D?D?D?D?", false},
		{"D?D?D?D?D", true},

		// Different sends that fail in a row: eight while nothing is known of how many fail by themselves.
		{"FFFFFFF", false},
		{"FFFFFFFF", true},
		{"FFFFFFFUF", false},
		{"FffffffffffffffffffF", false},
		{"FFFF?FFF?F", true},
		{"FFFFDDDDFFFF", true},
		{"UUUUUUUUUUUUUUUUUUUUFFFF", false}, // five where few fail
		{"UUUUUUUUUUUUUUUUUUUUFFFFF", true},
		{"FUFUFUFUFUFUFUFUFUFUFFFFFFFFFFFF", false}, // and many where half of them do
		{"FUFUFUFUFUFUFUFUFUFUFFFFFFFFFFFFFFFF", true},
	} {
		t.Run(tt.answers, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBreaker(0, nil)
				feed(t, b, tt.answers)
				if (b.Down() != up) != tt.open {
					t.Errorf("open %t, want %t", b.Down() != up, tt.open)
				}
			})
		})
	}
}

func TestAnOpenBreakerProbesLessAndLessOftenAndTellsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		at := func(x time.Time) string {
			if x.IsZero() {
				return "-"
			}
			return x.Sub(begin).String()
		}
		var told []string
		b := ratelimit.NewBreaker(0, func(s ratelimit.BreakerState) {
			told = append(told, fmt.Sprintf("%v: open %t, since %s, probe %s", time.Since(begin), s.Open, at(s.Since), at(s.Probe)))
		})
		time.Sleep(time.Second)
		feed(t, b, "DDDDDDDD?DDU") // from the sixth on each is a probe
		feed(t, b, "U")
		want := []string{
			"1s: open true, since 1s, probe 6s",
			"6s: open true, since 1s, probe 16s",
			"16s: open true, since 1s, probe 36s",
			"36s: open true, since 1s, probe 1m16s",
			"1m16s: open true, since 1s, probe 2m16s",
			"2m16s: open true, since 1s, probe 3m16s",
			"3m16s: open true, since 1s, probe 4m16s",
			"4m16s: open false, since -, probe -",
		}
		if diff := cmp.Diff(told, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		feed(t, b, "DDDD")
		if b.Down() != up {
			t.Error("open again after four answers of six")
		}
	})
}

func TestAnOpenBreakerLetsOneProbeStartAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(0, nil)
		feed(t, b, "DDDDD")
		begin := time.Now()
		var mu sync.Mutex
		var started []time.Duration
		starts := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(started)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 4 {
			go func() {
				permit, err := b.Acquire(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				started = append(started, time.Since(begin))
				mu.Unlock()
				time.Sleep(time.Minute)
				permit(ratelimit.Feedback{Sent: true, Health: up})
			}()
		}
		time.Sleep(30 * time.Second)
		if diff := cmp.Diff(starts(), []time.Duration{5 * time.Second}); diff != "" {
			t.Errorf("while the probe is under way: got -, want +:\n%s", diff)
		}
		time.Sleep(time.Hour)
		if diff := cmp.Diff(starts(), []time.Duration{5 * time.Second, 65 * time.Second, 65 * time.Second, 65 * time.Second}); diff != "" {
			t.Errorf("once it was answered: got -, want +:\n%s", diff)
		}
	})
}

func TestAProbeThatNeverLeftMakesRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(0, nil)
		feed(t, b, "DDDDD")
		begin := time.Now()
		acquire(t, b) // and makes no send
		acquire(t, b)
		if waited := time.Since(begin); waited != 5*time.Second {
			t.Errorf("the second left after %v, want 5s", waited)
		}
	})
}

func TestALateAnswerThatSaysUpLeavesTheRestToTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(time.Minute, nil)
		late, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		feed(t, b, "DDDDD")
		begin := time.Now()
		time.AfterFunc(2*time.Second, func() { late(ratelimit.Feedback{Sent: true, Health: up}) })
		try(t, b, ratelimit.Feedback{Health: down})
		if waited := time.Since(begin); waited != 5*time.Second || b.Down() == up {
			t.Errorf("the probe left after %v, open %t, want 5s, true", waited, b.Down() != up)
		}
		feed(t, b, "DD")
		gone(t, b)
		if waited := time.Since(begin); waited != 62*time.Second {
			t.Errorf("gave up after %v, want 1m after the last answer", waited)
		}
	})
}

func TestALateAnswerThatSaysDownChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(time.Minute, nil)
		late, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		feed(t, b, "DDDDD")
		begin := time.Now()
		late(ratelimit.Feedback{Sent: true, Health: down})
		feed(t, b, "U")
		if waited := time.Since(begin); waited != 5*time.Second || b.Down() != up {
			t.Errorf("the probe left after %v, open %t, want 5s, false", waited, b.Down() != up)
		}
	})
}

func TestABreakerGivesUpExactlyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(15*time.Minute, nil)
		feed(t, b, "U")
		time.Sleep(time.Hour)
		begin := time.Now() // of the first answer that says down
		feed(t, b, "D")
		time.Sleep(3 * time.Second)
		feed(t, b, "DDD")
		for time.Since(begin) < 15*time.Minute {
			permit, err := b.Acquire(t.Context())
			if err != nil {
				if e, ok := errors.AsType[*ratelimit.DownError](err); !ok || e.For != 15*time.Minute || e.Error() != "the site has not answered for 15m0s" {
					t.Errorf("got %v", err)
				}
				break
			}
			permit(ratelimit.Feedback{Sent: true, Health: down})
		}
		if waited := time.Since(begin); waited != 15*time.Minute {
			t.Errorf("gave up after %v, want 15m", waited)
		}
		gone(t, b)
	})
}

func TestABreakerDoesNotGiveUpAServiceThatNobodyAskedMeanwhile(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprintf("back=%v", back), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBreaker(time.Minute, nil)
				feed(t, b, "DDDDD")
				time.Sleep(time.Hour) // nothing is to be sent
				begin := time.Now()
				permit, err := b.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if back {
					permit(ratelimit.Feedback{Sent: true, Health: up})
					feed(t, b, "U")
				} else {
					permit(ratelimit.Feedback{Sent: true, Health: down})
					gone(t, b)
				}
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("waited for %v, want not at all", waited)
				}
			})
		})
	}
}

func TestABreakerGivesUpBesideAProbeThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(time.Minute, nil)
		begin := time.Now()
		feed(t, b, "DDDDD")
		if _, err := b.Acquire(t.Context()); err != nil { // never answered
			t.Fatal(err)
		}
		gone(t, b)
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("gave up after %v, want 1m", waited)
		}
	})
}

func TestTheWaitForAnOpenBreakerEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(0, nil)
		feed(t, b, "DDDDD")
		begin, why := time.Now(), errors.New("deadline")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, why)
		defer cancel()
		if _, err := b.Acquire(ctx); !errors.Is(err, why) || time.Since(begin) != 3*time.Second {
			t.Errorf("got %v after %v, want %v after 3s", err, time.Since(begin), why)
		}
	})
}

// Whatever is answered: closed, nothing waits; open, a send leaves every minute at least; one Up closes it.
func TestABreakerNeverWaitsForLongAndNeverForNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		answers := rapid.StringOfN(rapid.SampledFrom([]rune("DDDDU?")), 0, 80, -1).Draw(rt, "answers")
		synctest.Test(t, func(t *testing.T) {
			b := ratelimit.NewBreaker(0, nil)
			for i, a := range answers {
				wasOpen, begin := b.Down() != up, time.Now()
				feed(t, b, string(a))
				waited := time.Since(begin)
				if !wasOpen && waited != 0 || wasOpen && (waited < 5*time.Second || waited > time.Minute) {
					rt.Fatalf("answer %d: waited for %v, open %t", i, waited, wasOpen)
				}
				if a == 'U' && b.Down() != up {
					rt.Fatalf("answer %d: open after an answer that says up", i)
				}
			}
		})
	})
}

func TestABreakerThatOpenedOnFailuresProbesAtTheSamePaceAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var told []string
		b := ratelimit.NewBreaker(time.Minute, func(s ratelimit.BreakerState) {
			told = append(told, fmt.Sprintf("%v: open %t, failing %t", time.Since(begin), s.Open, s.Failing))
		})
		feed(t, b, "FFFFFFFFFFDF")
		want := []string{
			"0s: open true, failing true",
			"5s: open true, failing true",
			"10s: open true, failing true",
			"15s: open true, failing false", // nobody answered
			"25s: open true, failing true",
		}
		if diff := cmp.Diff(told, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		time.Sleep(time.Minute)
		feed(t, b, "F") // the probe that was due
		_, err := b.Acquire(t.Context())
		gone, ok := errors.AsType[*ratelimit.DownError](err)
		if !ok || !gone.Failing || gone.Error() != "the site has answered every send with an error for 1m25s" {
			t.Errorf("got %v", err)
		}
	})
}

func TestASuccessThatBeganAfterTheFirstFailureClosesTheBreaker(t *testing.T) {
	for _, tt := range []struct {
		name string
		took time.Duration
		open bool
	}{{"began before", 3 * time.Second, true}, {"began after", 2 * time.Second, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBreaker(0, nil)
				underWay, err := b.Acquire(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				feed(t, b, "F")
				time.Sleep(time.Second)
				feed(t, b, "FFFFFFF")
				if b.Down() == up {
					t.Fatal("eight failures in a row, and it is closed")
				}
				time.Sleep(time.Second)
				underWay(ratelimit.Feedback{Sent: true, Took: tt.took, Health: up})
				if (b.Down() != up) != tt.open {
					t.Errorf("open %t, want %t", b.Down() != up, tt.open)
				}
			})
		})
	}
}

func TestSendsThatSucceedInTheEndDoNotCountAsFailingByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBreaker(0, nil)
		feed(t, b, "FFFFFFFF") // an outage
		feed(t, b, "U")        // the probe
		for range 8 {          // and those that had met it
			try(t, b, ratelimit.Feedback{Sent: true, Health: up, Again: true})
		}
		feed(t, b, "FFFF")
		if b.Down() != up {
			t.Error("open after four failures in a row")
		}
		feed(t, b, "F")
		if b.Down() == up {
			t.Error("closed after five failures in a row, where all others succeeded in the end")
		}
	})
}

// givenUp probes a service that is away until that is given up, and returns how long that took.
func givenUp(t *testing.T, b *ratelimit.Breaker) (took time.Duration, gone *ratelimit.DownError) {
	t.Helper()
	begin := time.Now()
	for {
		permit, err := b.Acquire(t.Context())
		if errors.As(err, &gone) {
			return time.Since(begin), gone
		}
		permit(ratelimit.Feedback{Sent: true, Health: ratelimit.Down})
	}
}

// Nobody is to send for an hour from 10 s on. The service is away from the beginning, or since a send that was in flight then.
func TestTimeInWhichNobodyWasToSendIsNotTimeForWhichTheServiceWasAway(t *testing.T) {
	for _, tt := range []struct{ away, want time.Duration }{{0, 50 * time.Second}, {20 * time.Second, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			b := ratelimit.NewBreaker(time.Minute, nil)
			time.Sleep(tt.away)
			feed(t, b, "DDDDD")
			time.Sleep(10*time.Second + time.Hour - tt.away)
			b.Postpone(time.Hour)
			begin := time.Now()
			feed(t, b, "D") // a probe was due
			if waited := time.Since(begin); waited != 0 {
				t.Errorf("away from %v on: the probe left after %v", tt.away, waited)
			}
			if took, gone := givenUp(t, b); took != tt.want || gone.For != time.Minute {
				t.Errorf("away from %v on: given up after %v, for %v; want %v", tt.away, took, gone.For, tt.want)
			}
		})
	}
}
