package fleet_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

// A model is what the gate is to know, by its rules alone.
type model struct {
	workers int
	open    map[int]int64 // by task
	held    map[int]bool  // tasks whose open attempt still has its place
	closed  map[int]int64 // ambiguous, and undecided
	done    map[int]bool
}

// Tasks with an odd number settle at once, the others never in the time of a test.
func TestTheGateKeepsItsRulesInAnyOrder(t *testing.T) {
	t.Parallel()
	const tasks = 6
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		ctx, name := g.t.Context(), fmt.Sprintf("model%d", round)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		installation, err := g.Installation(ctx, fleet.Site{Name: name, URL: "http://site/"})
		must(err)
		night, err := g.Join(ctx, installation, "digest", fleet.Rule{Retries: 100}, false)
		must(err)
		var list []fleet.Task
		for i := range tasks {
			list = append(list, fleet.Task{Site: "main", Name: fmt.Sprint(i), Place: i, Settle: time.Duration(1-i%2) * time.Hour})
		}
		must(g.Add(ctx, night.ID, list))
		list, err = g.Tasks(ctx, night.ID)
		must(err)
		m := model{2, map[int]int64{}, map[int]bool{}, map[int]int64{}, map[int]bool{}}
		task := rapid.IntRange(0, tasks-1)
		finish := func(attempt int64, t *rapid.T) fleet.End {
			e := fleet.End{Attempt: attempt}
			switch rapid.IntRange(0, 3).Draw(t, "outcome") {
			case 0:
				e.Outcome = dispatcher.Accepted
			case 1:
				e.Outcome, e.NotDelivered, e.Repeatable = dispatcher.NotOK, true, true
			case 2:
				e.Unsent = true
			}
			return e
		}
		after := func(i int, e fleet.End) { // the end of an open attempt
			attempt := m.open[i]
			delete(m.open, i)
			delete(m.held, i)
			switch {
			case e.Outcome == dispatcher.Accepted:
				m.done[i] = true
			case e.Outcome == dispatcher.Ambiguous && !e.Unsent:
				m.closed[i] = attempt
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				i := task.Draw(t, "task")
				s, err := g.Start(ctx, list[i].ID, "w", 0)
				must(err)
				want := fleet.Go
				switch {
				case m.done[i]:
					want = fleet.Done
				case m.open[i] != 0, m.closed[i] != 0:
					want = fleet.Busy
				case len(m.held) >= m.workers:
					want = fleet.Full
				}
				if s.Answer != want {
					t.Fatalf("task %d: got %v, want %v, of %+v", i, s.Answer, want, m)
				}
				if s.Answer == fleet.Go {
					m.open[i] = s.Attempt
					if i%2 == 0 {
						m.held[i] = true
					}
				}
			},
			"finish": func(t *rapid.T) {
				i := task.Draw(t, "task")
				if m.open[i] == 0 {
					t.Skip()
				}
				e := finish(m.open[i], t)
				_, _, err := g.Finish(ctx, e)
				must(err)
				after(i, e)
			},
			"close": func(*rapid.T) {
				must(g.CloseSettled(ctx, installation, "digest"))
				for i := range m.open {
					if i%2 == 1 {
						after(i, fleet.End{})
					}
				}
			},
			"late": func(t *rapid.T) {
				i := task.Draw(t, "task")
				if m.closed[i] == 0 {
					t.Skip()
				}
				e := finish(m.closed[i], t)
				_, _, err := g.Finish(ctx, e)
				must(err)
				switch {
				case e.Outcome == dispatcher.Accepted:
					m.done[i] = true
					delete(m.closed, i)
				case e.Repeatable:
					delete(m.closed, i)
				}
			},
			"decide": func(t *rapid.T) {
				i := task.Draw(t, "task")
				if m.closed[i] == 0 {
					t.Skip()
				}
				again := rapid.Bool().Draw(t, "again")
				must(g.Settled(ctx, m.closed[i], again, 0))
				delete(m.closed, i)
				m.done[i] = m.done[i] || !again
			},
			"workers": func(t *rapid.T) {
				m.workers = rapid.IntRange(1, 3).Draw(t, "workers")
				must(g.SetWorkers(ctx, installation, m.workers))
			},
		})
	})
}

func TestNoRateIsOverstepped(t *testing.T) {
	t.Parallel()
	const (
		tasks = 120
		rate  = 200
		burst = 3
	)
	g := newGate(t, tasks, fleet.Limits{Workers: tasks, Rate: ratelimit.Rate(rate), Burst: burst}, fleet.Rule{})
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < tasks; i += 4 {
				for {
					s, err := g.Start(t.Context(), g.tasks[i].ID, "w", least)
					if err != nil {
						t.Error(err)
						return
					}
					if s.Answer == fleet.Go {
						break
					}
					wait := time.NewTimer(s.Wait)
					<-wait.C
				}
			}
		})
	}
	all.Wait()
	attempts, err := g.Changes(t.Context(), g.night, 0)
	g.must(err)
	if len(attempts) != tasks {
		t.Fatalf("got %d attempts", len(attempts))
	}
	starts, err := g.Starts(t.Context(), g.night)
	g.must(err)
	if !slices.IsSorted(starts) {
		t.Error("the starts are not in the order of their commits")
	}
	const slack = 5 * time.Millisecond // see functions.sql
	for i := range starts {
		for j := i; j < len(starts); j++ {
			if window := starts[j] - starts[i]; float64(j-i+1) > rate*(window+slack).Seconds()+burst {
				t.Fatalf("%d starts within %v, at %d a second and bursts of %d", j-i+1, window, rate, burst)
			}
		}
	}
}
