package campaign_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// A queue from which nobody sends: it accepts every group at once.
type queue struct {
	calls []string
	turn  error
	known map[state.Group]campaign.Known
}

func (q *queue) Turn(context.Context, func()) error {
	q.calls = append(q.calls, "turn")
	return q.turn
}

func (q *queue) Past(campaign.Past) campaign.Past {
	q.calls = append(q.calls, "past")
	return q
}

func (q *queue) Of(g state.Group) campaign.Known { return q.known[g] }

func (q *queue) Dispatch(ctx context.Context, groups []state.Group, o dispatcher.Options, _ func(campaign.Steered)) *dispatcher.Report {
	q.calls = append(q.calls, "dispatch")
	var names []string
	for _, g := range groups {
		names = append(names, g.Group)
	}
	q.calls = append(q.calls, names...)
	return dispatcher.Run(ctx, groups, func(context.Context, state.Group) dispatcher.Verdict {
		return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	}, o)
}

func TestARunWithAQueueSendsNothingItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := numbered(3)
		s, c := site(t, standin.Options{Groups: groups})
		// The first one had its digest a minute before the guard lets it have another: it is held back as after a run of one's own.
		q := &queue{known: map[state.Group]campaign.Known{state.Group(groups[0]): {Accepted: time.Now().Add(time.Minute - standin.DefaultGuard)}}}
		start := time.Now()
		r, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), campaign.Settings{
			URL: siteURL, NoState: true, GuardWait: time.Hour, Queue: q,
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q.calls, []string{"turn", "past", "dispatch", "g0000", "g0001", "g0002"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
		if got, want := counted(r), "3 accepted"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if time.Since(start) < time.Minute {
			t.Errorf("the run took %v: what the queue knows of a group did not hold it back", time.Since(start))
		}
		if slices.ContainsFunc(s.Requests(), func(q standin.Request) bool { return q.Hook == standin.Send }) {
			t.Error("the run sent something itself")
		}
	})
}

func TestARunThatHasNoTurnAsksTheSiteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(3)})
		q := &queue{turn: errors.New("another run planned the night")}
		_, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), campaign.Settings{URL: siteURL, NoState: true, Queue: q})
		if !errors.Is(err, q.turn) || len(s.Requests()) > 0 {
			t.Errorf("got %v and %d requests, want the error of the turn and none", err, len(s.Requests()))
		}
	})
}
