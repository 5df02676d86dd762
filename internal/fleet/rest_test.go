package fleet_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/ratelimit"
)

// A machine is a worker of a gate.
type machine struct {
	*gate
	id string
}

func (g *gate) machine(id string) machine {
	g.t.Helper()
	g.must(g.Seen(g.t.Context(), g.installation, id, "host of "+id, os.Getpid()))
	return machine{g, id}
}

// try asks for task i, and has the site answer so where it may be sent to.
func (m machine) try(i int, want fleet.Answer, answer ratelimit.Health) {
	m.t.Helper()
	s, err := m.Start(m.t.Context(), m.tasks[i].ID, m.id, least)
	if err != nil || s.Answer != want {
		m.t.Fatalf("%s, task %d: got %+v, %v, want %s", m.id, i, s, err, want)
	}
	if want == fleet.Rest && (s.Wait <= 0 || s.Wait > time.Minute) {
		m.t.Errorf("%s is to rest for %v", m.id, s.Wait)
	}
	if want != fleet.Go {
		return
	}
	e := fleet.End{Attempt: s.Attempt, Worker: m.id, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true, Health: answer}
	if answer == ratelimit.Up {
		e.Outcome, e.NotDelivered, e.Repeatable = dispatcher.Accepted, false, false
	}
	m.finish(e)
}

// passes has so much time pass for what the tables know of the workers.
func (g *gate) passes(d time.Duration) {
	g.t.Helper()
	_, err := g.Pool().Exec(g.t.Context(), "UPDATE senddigest.worker SET reached = reached - $1::interval, down_since = down_since - $1::interval, retry_at = retry_at - $1::interval", d)
	g.must(err)
}

// rests reports for how long a machine is to rest.
func (m machine) rests() time.Duration {
	m.t.Helper()
	d, _, err := m.Rest(m.t.Context(), m.id)
	m.must(err)
	return d
}

// away reports whether the gate takes the site for away.
func (g *gate) away() bool {
	g.t.Helper()
	h, err := g.Health(g.t.Context(), g.installation)
	g.must(err)
	return h.Open
}

func TestAWorkerRestsThatDoesNotReachTheSiteWhileOthersDo(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut, well := g.machine("cut"), g.machine("well")
	cut.try(0, fleet.Go, ratelimit.Down)
	cut.try(1, fleet.Rest, 0)
	well.try(0, fleet.Go, ratelimit.Up) // the try before did not count
	for i := range 6 {                  // it tries now and then, later and later
		g.passes(cut.rests())
		cut.try(8, fleet.Go, ratelimit.Down)
		cut.try(8, fleet.Rest, 0)
		well.try(1+i, fleet.Go, ratelimit.Up)
	}
	if rest := cut.rests(); rest < 50*time.Second || rest > time.Minute || g.away() {
		t.Errorf("after many tries it is to rest for %v, and the site is taken for away: %v", rest, g.away())
	}
	h, err := g.Health(t.Context(), g.installation)
	g.must(err)
	if diff := cmp.Diff(h.Apart, []string{"host of cut"}); diff != "" {
		t.Errorf("apart -, want +:\n%s", diff)
	}
	g.passes(cut.rests())
	cut.try(8, fleet.Go, ratelimit.Up)
	cut.try(7, fleet.Go, ratelimit.Up)
}

func TestAWorkerRestsWhoseOwnZopeFails(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 1})
	broken, well := g.machine("broken"), g.machine("well")
	for i := range 3 { // a group of its own may have the site fail
		well.try(8-i, fleet.Go, ratelimit.Up)
		broken.try(i, fleet.Go, ratelimit.Failing)
	}
	broken.try(3, fleet.Rest, 0)
	for i := range 4 {
		well.try(i, fleet.Go, ratelimit.Up)
	}
}

func TestWhatNoWorkerReachesIsAway(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 1})
	one, two := g.machine("one"), g.machine("two")
	one.try(0, fleet.Go, ratelimit.Down)
	for i := range 5 {
		if g.away() {
			t.Fatalf("after %d answers", i)
		}
		[]machine{two, one}[i%2].try(1+i, fleet.Go, ratelimit.Down)
	}
	if !g.away() || one.rests()+two.rests() > 0 {
		t.Errorf("away: %v; they are to rest for %v and %v, want neither", g.away(), one.rests(), two.rests())
	}
}

// Otherwise a worker that lives, and sends nothing for a reason of its own, would have the site never be taken for away.
func TestNobodyRestsForAWorkerThatProvesNothingForMinutes(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut := g.machine("cut")
	g.machine("silent")
	for range 20 {
		cut.try(8, fleet.Go, ratelimit.Down)
		if cut.rests() == 0 {
			return
		}
		g.passes(cut.rests())
	}
	t.Error("it rests for ever")
}

// The others have proven nothing since then, but will.
func TestAWorkerThatDidNotReachTheSiteLastNightSpoilsNotTheBeginningOfThis(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut, well := g.machine("cut"), g.machine("well")
	cut.try(0, fleet.Go, ratelimit.Down)
	well.try(1, fleet.Go, ratelimit.Up)
	g.passes(24 * time.Hour)
	cut.try(2, fleet.Go, ratelimit.Down)
	cut.try(3, fleet.Rest, 0)
	well.try(2, fleet.Go, ratelimit.Up)
}
