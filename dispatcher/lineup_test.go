package dispatcher_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

// below makes a rule's Heavy: the first n jobs are.
func below(n int) func(int) bool { return func(job int) bool { return job < n } }

func always(n int) func(int) int { return func(int) int { return n } }

// takesTurns takes jobs, as many as there are or given, and never gives one back.
func takesTurns(l *dispatcher.Lineup, limit, turns int) (order []int) {
	for range turns {
		if _, ok := l.Next(); !ok {
			break
		}
		order = append(order, l.Take(time.Now(), limit))
	}
	return order
}

func TestWhoIsNextUnderEachRule(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rule  dispatcher.Rule
		limit int
		want  []int // of six jobs that are all under way at once
	}{
		{"no rule", dispatcher.Rule{}, 4, []int{0, 1, 2, 3, 4, 5}},
		{"half of what may be in flight is heavy", dispatcher.Rule{Heavy: below(4)}, 4, []int{0, 1, 4, 5, 2, 3}},
		{"at least one heavy job goes", dispatcher.Rule{Heavy: below(4)}, 1, []int{0, 4, 5, 1, 2, 3}},
		{"half is rounded down", dispatcher.Rule{Heavy: below(4)}, 5, []int{0, 1, 4, 5, 2, 3}},
		{"a limit that somebody set", dispatcher.Rule{Heavy: below(4), MaxHeavy: always(3)}, 4, []int{0, 1, 2, 4, 5, 3}},
		{"none set is half", dispatcher.Rule{Heavy: below(4), MaxHeavy: always(0)}, 4, []int{0, 1, 4, 5, 2, 3}},
		{"where all are heavy none is passed by", dispatcher.Rule{Heavy: below(6)}, 2, []int{0, 1, 2, 3, 4, 5}},
		{"a heavy job goes in its turn", dispatcher.Rule{Heavy: func(job int) bool { return job == 2 }}, 4, []int{0, 1, 2, 3, 4, 5}},
		{"spare jobs are none that it is passed by for", dispatcher.Rule{Heavy: below(4), Spare: 1}, 2, []int{0, 4, 1, 2, 3, 5}},
		{"all are spare", dispatcher.Rule{Heavy: below(4), Spare: 6}, 2, []int{0, 1, 2, 3, 4, 5}},
		{"two from the front", dispatcher.Rule{FromFront: always(2)}, 4, []int{0, 1, 5, 4, 3, 2}},
		{"at least one from the front", dispatcher.Rule{FromFront: always(0)}, 4, []int{0, 5, 4, 3, 2, 1}},
		{"both ends, and few heavy ones", dispatcher.Rule{FromFront: always(3), Heavy: below(3), MaxHeavy: always(1)}, 4, []int{0, 3, 4, 5, 2, 1}},
		{"from the end comes what is last, heavy or not", dispatcher.Rule{FromFront: always(1), Heavy: below(2), MaxHeavy: always(4)}, 4, []int{0, 5, 4, 3, 2, 1}},
		{"the end may be heavy", dispatcher.Rule{FromFront: always(1), Heavy: func(job int) bool { return job > 3 }, MaxHeavy: always(1)}, 4, []int{0, 5, 3, 2, 1, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := dispatcher.NewLineup(6, time.Now(), tt.rule)
			if got := takesTurns(l, tt.limit, 10); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestALineupFollowsTheLimit(t *testing.T) {
	l := dispatcher.NewLineup(8, time.Now(), dispatcher.Rule{Heavy: below(4)})
	got := slices.Concat(takesTurns(l, 2, 2), takesTurns(l, 6, 3), takesTurns(l, 2, 1))
	if want := []int{0, 4, 1, 2, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhatEndedMakesRoomForAnotherHeavyJob(t *testing.T) {
	l := dispatcher.NewLineup(6, time.Now(), dispatcher.Rule{Heavy: below(3)})
	got := takesTurns(l, 2, 2)
	l.Done(3)
	got = append(got, takesTurns(l, 2, 1)...)
	l.Done(0)
	got = append(got, takesTurns(l, 2, 2)...)
	if want := []int{0, 3, 4, 1, 5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAJobFromTheEndMakesRoomForAnother(t *testing.T) {
	l := dispatcher.NewLineup(6, time.Now(), dispatcher.Rule{FromFront: always(1)})
	got := takesTurns(l, 2, 2)
	l.Done(5)
	got = append(got, takesTurns(l, 2, 1)...)
	l.Done(0)
	got = append(got, takesTurns(l, 2, 1)...)
	if want := []int{0, 5, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestACloneGoesItsOwnWay(t *testing.T) {
	now := time.Now()
	l := dispatcher.NewLineup(6, now, dispatcher.Rule{
		FromFront: always(1), Heavy: below(2),
		NotBefore: func(job int) time.Time { return now.Add(time.Duration(job%3-1) * time.Hour) },
	})
	takesTurns(l, 2, 2)
	c, same := l.Clone(), l.Clone() // 0 is under way, and 4 from the end
	c.Again(4, now)
	l.Done(0)
	if got := takesTurns(l, 2, 10); !slices.Equal(got, []int{1, 3, 2, 5}) {
		t.Errorf("took %v, want first the one from the front", got)
	}
	if got := takesTurns(c, 2, 10); !slices.Equal(got, []int{4, 3, 1, 2, 5}) {
		t.Errorf("took %v from the clone, want what it had itself", got)
	}
	if got := takesTurns(same, 2, 10); !slices.Equal(got, []int{3, 1, 2, 5}) {
		t.Errorf("took %v from the other, want what was left when it was made", got)
	}
}

// starts gives the jobs of a diary in the order of their starts.
func (d *diary) starts() (order []string) {
	for _, line := range d.lines {
		if words := strings.Fields(line); words[2] == "starts," {
			order = append(order, words[0]+" "+words[1])
		}
	}
	return order
}

func TestARunKeepsHeavyJobsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			if j < "main/group003" {
				return takes(10*time.Second, accepted)(ctx, j)
			}
			return takes(4*time.Second, accepted)(ctx, j)
		}
		dispatcher.Run(t.Context(), jobs(6), send, dispatcher.Options{
			Workers: 2, Rule: dispatcher.Rule{Heavy: below(3)}, Observe: d.Observe,
		})
		// At 12s no lighter job is left.
		want := []string{"0s: 000", "0s: 003", "4s: 004", "8s: 005", "10s: 001", "12s: 002"}
		if diff := cmp.Diff(d.starts(), want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// limited is a limiter with a limit of its own.
type limited struct {
	ratelimit.Limiter
	limit func() int
}

func (l limited) Limit() int { return l.limit() }

func TestARunAsksTheLimitHowManyHeavyJobsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		limit := func() int {
			if time.Since(begin) < 1500*time.Millisecond {
				return 2
			}
			return 100 // as many as there are workers count
		}
		var asked []int
		dispatcher.Run(t.Context(), jobs(4), takes(time.Second, accepted), dispatcher.Options{
			Workers: 4, Limiter: limited{ratelimit.NewBucket(1, 1), limit},
			Rule: dispatcher.Rule{Heavy: below(4), MaxHeavy: func(limit int) int {
				asked = append(asked, limit)
				return 4
			}},
		})
		if want := []int{2, 2, 4, 4}; !slices.Equal(asked, want) {
			t.Errorf("got %v, want %v", asked, want)
		}
	})
}

func TestAHeavyJobThatWaitedCountsAsAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		begin := time.Now()
		tried := false
		send := func(ctx context.Context, j job) dispatcher.Verdict {
			switch {
			case j > "main/group002":
				return takes(3500*time.Millisecond, accepted)(ctx, j)
			case j == "main/group000" && !tried:
				tried = true
				return takes(2*time.Second, again)(ctx, j)
			}
			return takes(2*time.Second, accepted)(ctx, j)
		}
		dispatcher.Run(t.Context(), jobs(8), send, dispatcher.Options{
			Workers: 2, Retries: 1, Backoff: after(time.Second), Observe: d.Observe,
			Rule: dispatcher.Rule{Heavy: below(3), NotBefore: func(job int) time.Time {
				if job == 1 {
					return begin.Add(3 * time.Second)
				}
				return time.Time{}
			}},
		})
		want := []string{
			"0s: 000", "0s: 003", // 001 is held back, 002 would be the second heavy one
			"2s: 002",   // 000 waits for its second try
			"3.5s: 004", // 000 and 001 may go since 3s, and would be the second
			"4s: 000", "6s: 001",
			"7s: 005", "8s: 006", "10.5s: 007",
		}
		if diff := cmp.Diff(d.starts(), want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestAJobThatIsHeldBackGoesWhenItsTimeHasComeAndOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		begin := time.Now()
		dispatcher.Run(t.Context(), jobs(4), takes(time.Second, accepted), dispatcher.Options{
			Rule: dispatcher.Rule{NotBefore: func(job int) time.Time {
				return []time.Time{begin.Add(1500 * time.Millisecond), {}, begin.Add(time.Minute), begin.Add(-time.Hour)}[job]
			}},
			Observe: d.Observe,
		})
		if diff := cmp.Diff(d.starts(), []string{"0s: 001", "1s: 003", "2s: 000", "1m0s: 002"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// A lineup under any rule, used in any way: a job is out at most once, those whose time has come go first, a heavy one
// too many only where no lighter one may go, and all go in the end.
func TestALineupKeepsItsRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const light, heavy = 0, 1
		n := rapid.IntRange(0, 30).Draw(rt, "jobs")
		weights := rapid.SliceOfN(rapid.IntRange(light, heavy), n, n).Draw(rt, "weights")
		due := rapid.SliceOfN(rapid.IntRange(-20, 20), n, n).Draw(rt, "held until") // minutes; at 0 and before: not
		maxHeavy := rapid.IntRange(0, 4).Draw(rt, "max heavy")
		front := rapid.IntRange(-1, 4).Draw(rt, "from front")
		spare := rapid.IntRange(0, n).Draw(rt, "spare")
		now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
		at := make([]time.Time, n) // when a job may go that is in the lineup; zero: it need not wait
		fresh := map[int]bool{}
		for job := range n {
			if fresh[job] = due[job] <= 0; !fresh[job] {
				at[job] = now.Add(time.Duration(due[job]) * time.Minute)
			}
		}
		rule := dispatcher.Rule{
			NotBefore: func(job int) time.Time { return now.Add(time.Duration(due[job]) * time.Minute) },
			Heavy:     func(job int) bool { return weights[job] == heavy },
			MaxHeavy:  always(maxHeavy), Spare: spare,
		}
		if front >= 0 {
			rule.FromFront = always(front)
		}
		l := dispatcher.NewLineup(n, now, rule)
		out := map[int]bool{}
		ended := 0
		heavyOut := func() (n int) {
			for job := range out {
				n += weights[job]
			}
			return n
		}
		waits := func(job int) bool { return !out[job] && !at[job].IsZero() }
		for ended < n {
			limit := rapid.IntRange(1, 8).Draw(rt, "limit")
			most := maxHeavy
			if maxHeavy == 0 {
				most = max(limit/2, 1)
			}
			when, left := l.Next()
			if !left && len(out) == 0 || l.Empty() {
				rt.Fatalf("nothing is left after %d jobs of %d", ended, n)
			}
			if left && (len(out) == 0 || rapid.Bool().Draw(rt, "take")) {
				if when.After(now) {
					now = when
				}
				mayLight, lateLight, late := false, false, false
				for job := range n {
					isDue := waits(job) && !at[job].After(now)
					late = late || isDue
					lateLight = lateLight || isDue && weights[job] == light
					mayLight = mayLight || weights[job] == light && (isDue || fresh[job] && job < n-spare)
				}
				full := heavyOut() >= most
				job := l.Take(now, limit)
				if out[job] || !fresh[job] && (at[job].IsZero() || at[job].After(now)) {
					rt.Fatalf("job %d goes, which is out (%t) or not due", job, out[job])
				}
				if full && weights[job] == heavy && mayLight {
					rt.Fatalf("heavy job %d goes, one too many, although a lighter one may", job)
				}
				if fresh[job] && (lateLight || late && !(full && mayLight)) {
					rt.Fatalf("job %d goes before one whose time has come", job)
				}
				if fresh[job] && front < 0 && !full {
					for earlier := range job {
						if fresh[earlier] {
							rt.Fatalf("job %d goes before %d", job, earlier)
						}
					}
				}
				delete(fresh, job)
				out[job], at[job] = true, time.Time{}
				continue
			}
			if len(out) == 0 {
				continue
			}
			under := make([]int, 0, len(out))
			for job := range out {
				under = append(under, job)
			}
			slices.Sort(under)
			job := rapid.SampledFrom(under).Draw(rt, "ends")
			delete(out, job)
			if rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				at[job] = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "after")) * time.Minute)
				l.Again(job, at[job])
				continue
			}
			l.Done(job)
			ended++
		}
		if !l.Empty() || len(l.Rest()) > 0 {
			rt.Fatalf("%v are left", l.Rest())
		}
	})
}
