package fleet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
)

func TestANightIsJoinedByAllWhoComeInTime(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	nights := make(chan int64, 8)
	for range cap(nights) {
		go func() {
			n, err := g.Join(context.WithoutCancel(ctx), g.installation, "profile", fleet.Rule{}, false)
			if err != nil {
				t.Error(err)
			}
			nights <- n.ID
		}()
	}
	first := <-nights
	for range cap(nights) - 1 {
		if id := <-nights; id != first || id == g.night {
			t.Errorf("got night %d, want %d, and another than the digests' %d", id, first, g.night)
		}
	}

	g.must(g.End(ctx, first, 1, "2 of 3"))
	n, err := g.Join(ctx, g.installation, "profile", fleet.Rule{}, false)
	if err != nil || n.ID != first || !n.Ended || n.Code != 1 || n.Summary != "2 of 3" {
		t.Errorf("got %+v, %v, want the night that has ended", n, err)
	}
	n, err = g.Join(ctx, g.installation, "profile", fleet.Rule{}, true)
	if err != nil || n.ID != first || n.Ended {
		t.Errorf("got %+v, %v, want it to go on", n, err)
	}

	// A night of yesterday goes on only where somebody follows it.
	lead, err := g.Lead(ctx, first)
	g.must(err)
	if second, err := g.Lead(ctx, first); second != nil || err != nil {
		t.Errorf("two plan one night: %v, %v", second, err)
	}
	g.must(g.Age(ctx, first, 25*time.Hour))
	if n, err = g.Join(ctx, g.installation, "profile", fleet.Rule{}, false); err != nil || n.ID != first {
		t.Errorf("got %+v, %v, want the night that goes on", n, err)
	}
	lead.Release(ctx)
	if n, err = g.Join(ctx, g.installation, "profile", fleet.Rule{}, false); err != nil || n.ID == first || n.Ended {
		t.Errorf("got %+v, %v, want a new night", n, err)
	}
	g.start(0, fleet.Go) // of the other campaign
}

// PostgreSQL shows the locks of all its databases, and the nights of each are numbered from 1 on.
func TestANightIsNotFollowedByWhoFollowsThatOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, there := newGate(t, 1, fleet.Limits{}, fleet.Rule{}), newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	if here.night != there.night {
		t.Fatalf("the nights have the numbers %d and %d", here.night, there.night)
	}
	followed := func(g *gate) bool {
		t.Helper()
		all, err := g.Statuses(ctx, "")
		g.must(err)
		if len(all) != 1 || len(all[0].Nights) != 1 {
			t.Fatalf("got %+v", all)
		}
		return all[0].Nights[0].Led
	}
	lead, err := there.Lead(ctx, there.night)
	there.must(err)
	if followed(here) || !followed(there) {
		t.Errorf("one night is followed, %v, another is not, %v", followed(there), followed(here))
	}
	there.must(there.Age(ctx, there.night, 25*time.Hour))
	here.must(here.Age(ctx, here.night, 25*time.Hour))
	if n, err := there.Join(ctx, there.installation, "digest", fleet.Rule{}, false); err != nil || n.ID != there.night {
		t.Errorf("got %+v, %v, want the night of yesterday, which somebody follows", n, err)
	}
	if n, err := here.Join(ctx, here.installation, "digest", fleet.Rule{}, false); err != nil || n.ID == here.night {
		t.Errorf("got %+v, %v, want a new night", n, err)
	}
	lead.Release(ctx)
}

func TestALongNightTakesInWhoComesDaysLater(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	g.must(g.End(ctx, g.night, 0, "1 of 1"))
	g.must(g.Age(ctx, g.night, 6*24*time.Hour))
	week := fleet.Rule{Length: 7 * 24 * time.Hour}
	if n, err := g.Join(ctx, g.installation, "digest", week, false); err != nil || n.ID != g.night || !n.Ended {
		t.Errorf("got %+v, %v, want the night that has ended", n, err)
	}
	g.must(g.Age(ctx, g.night, 8*24*time.Hour))
	if n, err := g.Join(ctx, g.installation, "digest", week, false); err != nil || n.ID == g.night {
		t.Errorf("got %+v, %v, want a new night", n, err)
	}
}

func TestThereIsNothingToGoOnWithWhereTheNewestNightLeftNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	refused := func(campaign string) {
		t.Helper()
		n, err := g.Join(ctx, g.installation, campaign, fleet.Rule{}, true)
		if nothing, ok := errors.AsType[*fleet.NothingLeftError](err); !ok || nothing.ExitCode() != 64 {
			t.Errorf("got %+v, %v, want a refusal", n, err)
		}
	}
	refused("profile") // of which there was no night
	if n, err := g.Join(ctx, g.installation, "digest", fleet.Rule{}, true); err != nil || n.ID != g.night {
		t.Errorf("got %+v, %v, want the night that goes on", n, err)
	}
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.Accepted})
	g.must(g.End(ctx, g.night, 0, "1 of 1"))
	refused("digest")
	if n, err := g.Join(ctx, g.installation, "digest", fleet.Rule{}, false); err != nil || n.Summary != "1 of 1" {
		t.Errorf("got %+v, %v, want what that night came to", n, err)
	}
}

func TestOldNightsOfTheSameCampaignAreForgotten(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 3, fleet.Limits{}, fleet.Rule{})
	var nights []int64
	for _, age := range []int{40, 31, 29, 0} {
		n, err := g.Join(ctx, g.installation, "profile", fleet.Rule{}, false)
		g.must(err)
		g.must(g.Add(ctx, n.ID, []fleet.Task{{Site: "main", Name: "a"}}))
		g.must(g.Age(ctx, n.ID, time.Duration(age)*24*time.Hour))
		nights = append(nights, n.ID)
	}
	g.must(g.Age(ctx, g.night, 99*24*time.Hour)) // of the other campaign
	g.must(g.Forget(ctx, nights[3], 30*24*time.Hour))
	for i, want := range []int{0, 0, 1, 1} {
		if tasks, err := g.Tasks(ctx, nights[i]); err != nil || len(tasks) != want {
			t.Errorf("night %d has %d tasks, %v, want %d", i, len(tasks), err, want)
		}
	}
	if tasks, err := g.Tasks(ctx, g.night); err != nil || len(tasks) != 3 {
		t.Errorf("the night of the other campaign has %d tasks, %v", len(tasks), err)
	}
}

func TestANightThatEndedWithoutAListGoesOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 0, fleet.Limits{}, fleet.Rule{})
	g.must(g.End(ctx, g.night, 69, "no list"))
	if n, err := g.Join(ctx, g.installation, "digest", fleet.Rule{}, true); err != nil || n.ID != g.night || n.Ended {
		t.Errorf("got %+v, %v, want it to go on", n, err)
	}
}

func TestANightThatNobodyEndedGoesOnTheDayAfter(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	g.must(g.Age(ctx, g.night, 25*time.Hour))
	if n, err := g.Join(ctx, g.installation, "digest", fleet.Rule{}, true); err != nil || n.ID != g.night || n.Ended {
		t.Errorf("got %+v, %v, want it to go on", n, err)
	}
}

func TestToGoOnWithANightOfTheDayBeforeTakesThatItLeftSomething(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	g := newGate(t, 1, fleet.Limits{}, fleet.Rule{})
	g.must(g.End(ctx, g.night, 75, "0 of 1"))
	g.must(g.Age(ctx, g.night, 25*time.Hour))
	n, err := g.Join(ctx, g.installation, "digest", fleet.Rule{}, true)
	if err != nil || n.ID != g.night || n.Ended {
		t.Errorf("got %+v, %v, want what is left to go on", n, err)
	}
	g.finish(fleet.End{Attempt: g.start(0, fleet.Go).Attempt, Outcome: dispatcher.Accepted})
	g.must(g.End(ctx, g.night, 0, "1 of 1"))
	if n, err = g.Join(ctx, g.installation, "digest", fleet.Rule{}, true); err == nil {
		t.Errorf("got %+v, want a refusal: the next night is not that of the day before", n)
	}
	if nothing, ok := errors.AsType[*fleet.NothingLeftError](err); !ok || nothing.ExitCode() != 64 {
		t.Errorf("got %v", err)
	}
	if n, err = g.Join(ctx, g.installation, "digest", fleet.Rule{}, false); err != nil || n.ID == g.night {
		t.Errorf("got %+v, %v, want a new night", n, err)
	}
}
