package fleet_test

import (
	"os"
	"testing"
	"time"

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

// try asks for task i, and has the site answer so where it may be sent to. It returns for how long the machine is to rest.
func (m machine) try(i int, want fleet.Answer, answer ratelimit.Health) time.Duration {
	m.t.Helper()
	s, err := m.Start(m.t.Context(), m.tasks[i].ID, m.id, least)
	if err != nil || s.Answer != want {
		m.t.Fatalf("%s, task %d: got %+v, %v, want %s", m.id, i, s, err, want)
	}
	if want == fleet.Go {
		m.ends(s, answer)
	}
	return s.Wait
}

// ends ends a start with an answer of the site.
func (m machine) ends(s fleet.Start, answer ratelimit.Health) {
	m.t.Helper()
	e := fleet.End{Attempt: s.Attempt, Worker: m.id, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true, Health: answer}
	if answer == ratelimit.Up {
		e.Outcome, e.NotDelivered, e.Repeatable = dispatcher.Accepted, false, false
	}
	m.finish(e)
}

// passes has so much time pass for what the tables know of the workers, who live on.
func (g *gate) passes(d time.Duration) {
	g.t.Helper()
	_, err := g.Pool().Exec(g.t.Context(), `UPDATE senddigest.worker SET reached = reached - $1::interval, failed_at = failed_at - $1::interval,
		down_since = down_since - $1::interval, retry_at = retry_at - $1::interval, seen = clock_timestamp()`, d)
	g.must(err)
}

// health is what a run is told.
func (g *gate) health() fleet.Health {
	g.t.Helper()
	h, err := g.Health(g.t.Context(), g.installation)
	g.must(err)
	return h
}

func TestAWorkerRestsThatDoesNotReachTheSiteWhileOthersDo(t *testing.T) {
	t.Parallel()
	g := newGate(t, 20, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut, well := g.machine("cut"), g.machine("well")
	cut.try(0, fleet.Go, ratelimit.Down)
	rest := cut.try(1, fleet.Rest, 0)
	well.try(0, fleet.Go, ratelimit.Up) // the try before did not count
	for i := range 12 {                 // it tries now and then, later and later
		g.passes(rest)
		cut.try(19, fleet.Go, ratelimit.Down)
		rest = cut.try(19, fleet.Rest, 0)
		well.try(1+i, fleet.Go, ratelimit.Up)
	}
	if h := g.health(); rest < 50*time.Second || rest > time.Minute || h.Open || len(h.Apart) != 1 || h.Apart[0] != "host of cut" {
		t.Errorf("after many tries it is to rest for %v, of %+v", rest, h)
	}
	g.passes(rest)
	cut.try(19, fleet.Go, ratelimit.Up)
	cut.try(18, fleet.Go, ratelimit.Up)
	if h := g.health(); len(h.Apart) > 0 {
		t.Errorf("got %+v of a site that works again", h)
	}
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

// One group may take longer than its answer is waited for, or be asked to come later by what stands before the site.
func TestOneSendThatReachedTheSiteAndHasNoAnswerKeepsNoWorkerFromSending(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 1})
	m := g.machine("slow")
	g.machine("well")
	start := func(i int) fleet.Start {
		s, err := m.Start(t.Context(), m.tasks[i].ID, m.id, least)
		g.must(err)
		return s
	}
	m.finish(fleet.End{Attempt: start(0).Attempt, Worker: m.id, Outcome: dispatcher.Ambiguous, Health: ratelimit.Down})
	m.try(1, fleet.Go, ratelimit.Up)
	before := start(2)
	g.passes(11 * time.Second) // a proof is noted once in ten
	m.try(3, fleet.Go, ratelimit.Up)
	m.ends(before, ratelimit.Down) // it never reached the site, and began before that proof
	m.try(4, fleet.Go, ratelimit.Up)
}

// Otherwise a Zope that hangs would have all places for as long as its answers are waited for.
func TestAWorkerForWhichTheSiteDoesNotWorkTriesOneAtATime(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut := g.machine("cut")
	g.machine("well")
	cut.try(0, fleet.Go, ratelimit.Down)
	g.passes(cut.try(1, fleet.Rest, 0))
	trial, err := cut.Start(t.Context(), cut.tasks[1].ID, cut.id, least)
	g.must(err)
	g.passes(time.Minute)
	if rest := cut.try(2, fleet.Rest, 0); rest < time.Second {
		t.Errorf("it is to rest for %v while one is in flight", rest)
	}
	cut.finish(fleet.End{Attempt: trial.Attempt, Worker: cut.id, Unsent: true}) // too late to leave: that is no proof
	if rest := cut.try(2, fleet.Rest, 0); rest <= 5*time.Second || g.pause("worker", "retry_pause", cut.id) != 10 {
		t.Errorf("after a second trial it is to rest for %v, which is not twice as long as after the first", rest)
	}
}

func TestWhatNoWorkerReachesIsAway(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 1})
	one, two := g.machine("one"), g.machine("two")
	one.try(0, fleet.Go, ratelimit.Down)
	for i := range 5 {
		if g.health().Open {
			t.Fatalf("after %d answers", i)
		}
		[]machine{two, one}[i%2].try(1+i, fleet.Go, ratelimit.Down)
	}
	if h := g.health(); !h.Open || len(h.Apart) > 0 {
		t.Errorf("got %+v", h)
	}
	one.try(7, fleet.Paused, 0)
	two.try(7, fleet.Paused, 0)
}

// Otherwise a worker that lives, and sends nothing for a reason of its own, would have the site never be taken for away.
func TestNobodyRestsForAWorkerThatProvesNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
	cut := g.machine("cut")
	silent := g.machine("silent")
	for range 5 {
		cut.try(8, fleet.Go, ratelimit.Down)
		g.passes(cut.try(8, fleet.Rest, 0))
	}
	cut.try(8, fleet.Go, ratelimit.Down)
	cut.try(7, fleet.Go, ratelimit.Down)
	silent.try(6, fleet.Go, ratelimit.Up)
	cut.try(5, fleet.Go, ratelimit.Down)
	cut.try(4, fleet.Rest, 0)
}

// Neither who does not reach the site this time nor who did not last time is known at the beginning.
func TestWhatWasSoLastNightSpoilsNotTheBeginningOfThis(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		g := newGate(t, 9, fleet.Limits{Workers: 9}, fleet.Rule{})
		cut, well := g.machine("cut"), g.machine("well")
		first, second := cut, well
		if again {
			first, second = well, cut
		}
		second.try(0, fleet.Go, ratelimit.Up)
		first.try(1, fleet.Go, ratelimit.Down)
		g.passes(24 * time.Hour)
		if h := g.health(); len(h.Apart) > 0 {
			t.Errorf("got %+v of a night before", h)
		}
		cut.try(2, fleet.Go, ratelimit.Down)
		cut.try(3, fleet.Rest, 0)
		well.try(2, fleet.Go, ratelimit.Up)
	}
}
