package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/ratelimit"
	"go.uber.org/goleak"
)

var server fleettest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Around(m)) }

// least is a time to settle that no test sees the end of.
const least = time.Hour

// A gate is a fresh database with one night of some tasks.
type gate struct {
	*fleet.DB
	t            *testing.T
	installation int64
	night        int64
	tasks        []fleet.Task
}

func newGate(t *testing.T, tasks int, limits fleet.Limits, rule fleet.Rule) *gate {
	t.Helper()
	g := &gate{DB: server.Fresh(t), t: t}
	g.begin(tasks, limits, rule)
	return g
}

func (g *gate) begin(tasks int, limits fleet.Limits, rule fleet.Rule) {
	ctx, t := g.t.Context(), g.t
	t.Helper()
	var err error
	if g.installation, err = g.Installation(ctx, fleet.Site{Name: fmt.Sprintf("i%p", g), URL: "http://site/"}); err != nil {
		t.Fatal(err)
	}
	g.must(g.SetWorkers(ctx, g.installation, max(limits.Workers, 1)))
	g.must(g.SetRate(ctx, g.installation, limits.Rate, limits.Burst))
	night, err := g.Join(ctx, g.installation, "digest", rule, false)
	if err != nil {
		t.Fatal(err)
	}
	g.night = night.ID
	var list []fleet.Task
	for i := range tasks {
		list = append(list, fleet.Task{Site: "main", Name: fmt.Sprintf("g%d", i), Place: i, Settle: time.Hour})
	}
	g.must(g.Add(ctx, g.night, list))
	if g.tasks, err = g.Tasks(ctx, g.night); err != nil || len(g.tasks) != tasks {
		t.Fatal(len(g.tasks), err)
	}
}

func (g *gate) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// start asks for task i, and wants an answer.
func (g *gate) start(i int, want fleet.Answer) fleet.Start {
	g.t.Helper()
	s, err := g.Start(g.t.Context(), g.tasks[i].ID, "w", least)
	if err != nil || s.Answer != want {
		g.t.Fatalf("task %d: got %+v, %v, want %s", i, s, err, want)
	}
	return s
}

// pause reads a length of time from the tables, where no slow machine has shortened it.
func (g *gate) pause(table, column string, id any) (seconds float64) {
	g.t.Helper()
	g.must(g.Pool().QueryRow(g.t.Context(), "SELECT extract(epoch FROM "+column+")::float8 FROM senddigest."+table+" WHERE id = $1", id).Scan(&seconds))
	return seconds
}

func (g *gate) finish(e fleet.End) (repeat bool) {
	g.t.Helper()
	_, repeat, err := g.Finish(g.t.Context(), e)
	g.must(err)
	return repeat
}

func TestAGroupHasOneOpenAttempt(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 5}, fleet.Rule{})
	a := g.start(0, fleet.Go)
	s := g.start(0, fleet.Busy)
	if s.Attempt != a.Attempt || s.Wait < least-time.Minute || s.Wait > least {
		t.Errorf("got %+v, want attempt %d, and to wait until it settles", s, a.Attempt)
	}
}

// A database that was restored from an older copy gives numbers out again.
func TestTheEndOfAnotherWorkersAttemptChangesNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 1}, fleet.Rule{})
	a := g.start(0, fleet.Go)
	g.finish(fleet.End{Attempt: a.Attempt, Worker: "of another day", Outcome: dispatcher.Accepted})
	g.start(0, fleet.Busy)
	g.finish(fleet.End{Attempt: a.Attempt, Worker: "w", Outcome: dispatcher.Accepted})
	g.start(0, fleet.Done)
}

func TestWhatIsDoneIsDone(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 5}, fleet.Rule{Retries: 3})
	a := g.start(0, fleet.Go)
	if g.finish(fleet.End{Attempt: a.Attempt, Outcome: dispatcher.Accepted}) {
		t.Error("an accepted group is to be looked at again")
	}
	g.start(0, fleet.Done)
	g.finish(fleet.End{Attempt: a.Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true}) // it comes twice, and otherwise
	g.start(0, fleet.Done)
}

func TestPlacesAreForTheWholeInstallation(t *testing.T) {
	t.Parallel()
	g := newGate(t, 4, fleet.Limits{Workers: 2}, fleet.Rule{})
	a := g.start(0, fleet.Go)
	g.start(1, fleet.Go)
	g.start(2, fleet.Full)
	g.finish(fleet.End{Attempt: a.Attempt, Outcome: dispatcher.Accepted})
	g.start(2, fleet.Go)
	g.start(3, fleet.Full)
	g.must(g.SetWorkers(t.Context(), g.installation, 3))
	g.start(3, fleet.Go)
}

func TestAPlaceIsKeptForTheThrottle(t *testing.T) {
	t.Parallel()
	g := newGate(t, 3, fleet.Limits{Workers: 1}, fleet.Rule{Throttle: time.Hour})
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.UnknownGroup, Idle: true}) // nothing was done for it
	g.finish(fleet.End{Attempt: g.start(1, fleet.Go).Attempt, Outcome: dispatcher.Accepted})
	g.start(2, fleet.Full)
}

func TestTheRateHoldsAcrossNightsAndWorkers(t *testing.T) {
	t.Parallel()
	g := newGate(t, 3, fleet.Limits{Workers: 9, Rate: ratelimit.Rate(1.0 / 3600), Burst: 2}, fleet.Rule{})
	g.start(0, fleet.Go)
	g.start(1, fleet.Go)
	if s := g.start(2, fleet.Pace); s.Wait < 59*time.Minute || s.Wait > time.Hour {
		t.Errorf("got a wait of %v, want what is left of the hour", s.Wait)
	}
	g.must(g.SetRate(t.Context(), g.installation, 0, 0))
	g.start(2, fleet.Go)
}

func TestARateThatIsSetAgainLetsNothingStartSooner(t *testing.T) {
	t.Parallel()
	for _, rate := range []ratelimit.Rate{1.0 / 3600, 2.0 / 3600} {
		g := newGate(t, 2, fleet.Limits{Workers: 2, Rate: 1.0 / 3600, Burst: 1}, fleet.Rule{})
		g.start(0, fleet.Go)
		g.must(g.SetRate(t.Context(), g.installation, rate, 1))
		if s := g.start(1, fleet.Pace); s.Wait > time.Duration(float64(time.Second)/float64(rate)) {
			t.Errorf("it waits for %v, longer than the rate asks for", s.Wait)
		}
	}
}

func TestPauseAndStopHoldEveryStart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 2, fleet.Limits{Workers: 9}, fleet.Rule{})
	g.must(g.SetPaused(ctx, g.installation, true))
	g.start(0, fleet.Paused)
	g.must(g.SetPaused(ctx, g.installation, false))
	a := g.start(0, fleet.Go)
	g.finish(fleet.End{Attempt: a.Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Pause: time.Hour})
	if s := g.start(1, fleet.Paused); s.Wait < 59*time.Minute {
		t.Errorf("got %v, want the pause that the site asked for", s.Wait)
	}
	g.must(g.SetPaused(ctx, g.installation, false)) // resume ends that one, too
	if n, err := g.Stop(ctx, g.installation, "control"); n != 1 || err != nil {
		t.Errorf("got %d nights, %v", n, err)
	}
	g.start(1, fleet.Stopped)
}

func TestARefusedTokenStopsTheNight(t *testing.T) {
	t.Parallel()
	g := newGate(t, 2, fleet.Limits{Workers: 9}, fleet.Rule{})
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.Rejected, NotDelivered: true, Stop: "token"})
	g.start(1, fleet.Stopped)
}

func TestWhatProvablyMailedNothingIsTriedAgainAsOftenAsAllowed(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 2})
	failed := func(s fleet.Start) fleet.End {
		return fleet.End{Attempt: s.Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true}
	}
	for try := range 3 {
		s := g.start(0, fleet.Go)
		if s.Number != try+1 {
			t.Errorf("got number %d, want %d", s.Number, try+1)
		}
		if got, want := g.finish(failed(s)), try < 2; got != want {
			t.Errorf("try %d: again is %v, want %v", try+1, got, want)
		}
	}
	g.start(0, fleet.Done)
}

func TestAnUnsentAttemptCountsForNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 1}, fleet.Rule{})
	for range 3 {
		if !g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Unsent: true}) {
			t.Fatal("a group whose request never left is not to be looked at again")
		}
	}
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.Accepted})
	g.start(0, fleet.Done)
}

func TestABackOffIsWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 1}, fleet.Rule{Retries: 1})
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true, Backoff: time.Hour})
	if s := g.start(0, fleet.Busy); s.Attempt != 0 || s.Wait < 59*time.Minute {
		t.Errorf("got %+v, want no attempt, and the back-off", s)
	}
}

// The worker is a dead one, or a frozen one that wakes.
func TestALateOutcomeIsBetterThanNone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 3, fleet.Limits{Workers: 1}, fleet.Rule{Retries: 3})
	g.tasks = nil
	g.must(g.Add(ctx, g.night, []fleet.Task{{Site: "main", Name: "quick", Place: 9}, {Site: "main", Name: "twice", Place: 10}})) // settled at once
	all, err := g.Tasks(ctx, g.night)
	g.must(err)
	g.tasks = all[3:]
	lost := func(i int) fleet.Start {
		s, err := g.Start(ctx, g.tasks[i].ID, "w", 0)
		if err != nil || s.Answer != fleet.Go {
			t.Fatal(s, err)
		}
		g.must(g.CloseSettled(ctx, g.installation, "digest"))
		g.start(i, fleet.Busy) // until somebody decides
		return s
	}
	first := lost(0)
	g.finish(fleet.End{Attempt: first.Attempt, Outcome: dispatcher.Accepted})
	g.start(0, fleet.Done)

	// What is late says nothing of a task of which another attempt was made since, unless that the first one did it.
	first = lost(1)
	g.must(g.Settled(ctx, first.Attempt, true, 0))
	second := g.start(1, fleet.Go)
	g.finish(fleet.End{Attempt: second.Attempt, Outcome: dispatcher.Ambiguous})
	g.must(g.Settled(ctx, first.Attempt, true, 0)) // by another run, which has not seen the second one: that is not decided
	g.start(1, fleet.Busy)
	g.must(g.Settled(ctx, second.Attempt, true, 0))
	second = g.start(1, fleet.Go)
	g.finish(fleet.End{Attempt: first.Attempt, Outcome: dispatcher.NotOK, NotDelivered: true})
	g.start(1, fleet.Busy)
	g.finish(fleet.End{Attempt: second.Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true})
	g.finish(fleet.End{Attempt: first.Attempt, Outcome: dispatcher.Accepted})
	g.start(1, fleet.Done)
}

func TestWhatIsNotToBeRepeatedIsDone(t *testing.T) {
	t.Parallel()
	g := newGate(t, 1, fleet.Limits{Workers: 1}, fleet.Rule{Retries: 3})
	a := g.start(0, fleet.Go)
	g.finish(fleet.End{Attempt: a.Attempt, Outcome: dispatcher.Ambiguous})
	g.start(0, fleet.Busy)
	g.must(g.Settled(t.Context(), a.Attempt, false, 0))
	g.start(0, fleet.Done)
}

func TestASiteThatIsAwayIsAskedNowAndThen(t *testing.T) {
	t.Parallel()
	g := newGate(t, 8, fleet.Limits{Workers: 9}, fleet.Rule{Retries: 1})
	down := func(s fleet.Start) fleet.End {
		return fleet.End{Attempt: s.Attempt, Outcome: dispatcher.Unreachable, NotDelivered: true, Repeatable: true, Health: ratelimit.Down}
	}
	late := g.start(7, fleet.Go)
	for i := range 5 {
		if !g.finish(down(g.start(i, fleet.Go))) {
			t.Errorf("group %d is given up", i)
		}
	}
	pause := func() float64 { return g.pause("installation", "probe_pause", g.installation) }
	if s := g.start(5, fleet.Paused); s.Wait > 5*time.Second || s.Wait <= 0 || pause() != 5 {
		t.Errorf("got %v of %v s, want the time of the first probe", s.Wait, pause())
	}
	g.finish(fleet.End{Attempt: late.Attempt, Outcome: dispatcher.Accepted, Health: ratelimit.Up}) // it began before
	g.start(5, fleet.Paused)
	g.must(g.SetProbe(t.Context(), g.installation))
	probe := g.start(0, fleet.Go)
	g.start(1, fleet.Paused) // one at a time
	if !g.finish(down(probe)) {
		t.Error("a probe counts against the retries of its group")
	}
	if s := g.start(5, fleet.Paused); s.Wait <= 5*time.Second || pause() != 10 {
		t.Errorf("got %v of %v s, want twice the pause", s.Wait, pause())
	}
	g.must(g.SetProbe(t.Context(), g.installation))
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.Accepted, Health: ratelimit.Up})
	for i := range 5 {
		if i > 0 && !g.finish(fleet.End{Attempt: g.start(i, fleet.Go).Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true}) {
			t.Errorf("group %d: its tries while the site was away count", i)
		}
	}
}

func TestADatabaseWhoseClockIsSetBackLetsSendsGoOn(t *testing.T) {
	t.Parallel()
	g := newGate(t, 5, fleet.Limits{Workers: 1, Rate: 10, Burst: 1}, fleet.Rule{Throttle: time.Minute, Retries: 1})
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.NotOK, NotDelivered: true, Repeatable: true, Backoff: time.Minute, Pause: time.Minute})
	change := func(sql string) {
		t.Helper()
		_, err := g.Pool().Exec(t.Context(), sql)
		g.must(err)
	}
	const later = " + interval '1 h'"
	change("UPDATE senddigest.attempt SET started = started" + later + ", ended = ended" + later + ", holds = holds" + later)
	change("UPDATE senddigest.task SET not_before = not_before" + later + " WHERE attempts > 0")
	change("UPDATE senddigest.installation SET tat = tat" + later + ", clock = clock" + later + ", paused_until = paused_until" + later +
		", down_since = now()" + later + ", down_health = 'down', open = true, probe_at = now() + interval '3 s'" + later)
	if s := g.start(1, fleet.Paused); s.Wait < 50*time.Second || s.Wait > time.Minute+2*time.Second {
		t.Errorf("the site's pause is %v", s.Wait)
	}
	if s := g.start(0, fleet.Busy); s.Wait < 50*time.Second || s.Wait > time.Hour { // no longer than it would settle
		t.Errorf("a group waits for %v for its next try", s.Wait)
	}
	g.must(g.SetPaused(t.Context(), g.installation, false))
	if s := g.start(1, fleet.Paused); s.Wait > 5*time.Second {
		t.Errorf("the next trial is in %v", s.Wait)
	}
	change("UPDATE senddigest.installation SET probe_at = now()")
	g.start(1, fleet.Full) // by the throttle
	var holds float64
	g.must(g.Pool().QueryRow(t.Context(), "SELECT extract(epoch FROM max(holds) - now()) FROM senddigest.attempt").Scan(&holds))
	if holds < 50 || holds > 62 {
		t.Errorf("a place is kept for %v s", holds)
	}
	change("UPDATE senddigest.attempt SET holds = now()")
	change("UPDATE senddigest.installation SET down_since = now(), tat = now()") // these are rounded to a second
	g.finish(fleet.End{Attempt: g.start(1, fleet.Go).Attempt, Outcome: dispatcher.Accepted, Health: ratelimit.Up})
	if h, err := g.Health(t.Context(), g.installation); err != nil || h.Open {
		t.Errorf("the site is taken for away after a send: %+v, %v", h, err)
	}
}

func TestForHowLongTheSiteIsAwayCountsFromTheEndOfAPause(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{Workers: 1}, fleet.Rule{})
	away := func() time.Duration {
		h, err := g.Health(ctx, g.installation)
		g.must(err)
		return h.For
	}
	_, err := g.Pool().Exec(ctx, "UPDATE senddigest.installation SET open = true, down_health = 'down', down_since = now() - interval '1 h'")
	g.must(err)
	g.must(g.SetPaused(ctx, g.installation, false)) // it was not paused
	if d := away(); d < time.Hour {
		t.Errorf("away for %v", d)
	}
	g.must(g.SetPaused(ctx, g.installation, true))
	g.must(g.SetPaused(ctx, g.installation, false))
	if d := away(); d > time.Minute {
		t.Errorf("after a pause: away for %v", d)
	}
}
