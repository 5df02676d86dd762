package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/state"
)

func TestWhatIsTooLateToLeaveIsUnsent(t *testing.T) {
	t.Parallel()
	late := &hooks.TransportError{Err: hooks.ErrLate}
	unreachable := dispatcher.Verdict{Outcome: dispatcher.Unreachable, NotDelivered: true, Retry: true, Err: late}
	for _, tt := range []struct {
		name  string
		since time.Duration // since the commit
		tired bool
		send  dispatcher.Verdict
		sent  bool
		want  fleet.End
	}{
		{"in time", 0, false, dispatcher.Verdict{Outcome: dispatcher.Accepted}, true, fleet.End{Attempt: 7, Outcome: dispatcher.Accepted}},
		{"frozen before it was made", fleet.LeaveWithin + time.Second, false, dispatcher.Verdict{}, false, fleet.End{Attempt: 7, Unsent: true}},
		{"frozen while it connected", 0, false, unreachable, true, fleet.End{Attempt: 7, Unsent: true}},
		{"cannot connect in time", 0, true, unreachable, true, fleet.End{
			Attempt: 7, Outcome: dispatcher.Unreachable, NotDelivered: true, Repeatable: true, Detail: late.Error(),
		}},
	} {
		sent := false
		w := &worker{Options: Options{Log: queue.Silent(), Backoff: func(int) time.Duration { return 0 }}, cut: t.Context()}
		got := w.send(campaign.Campaign{Send: func(context.Context, state.Group) dispatcher.Verdict {
			sent = true
			return tt.send
		}}, fleet.Start{Attempt: 7, Number: 1}, time.Now().Add(-tt.since), tt.tired)
		got.Took = 0
		if got != tt.want || sent != tt.sent {
			t.Errorf("%s: got %+v, sent %v, want %+v, %v", tt.name, got, sent, tt.want, tt.sent)
		}
	}
}

// Neither a job that is cancelled nor a worker that is told to end cuts what is in flight.
func TestARequestHearsOfNoStop(t *testing.T) {
	t.Parallel()
	job, cancel := context.WithCancel(t.Context())
	cancel()
	cut, abort := context.WithCancel(t.Context())
	w := &worker{Options: Options{Log: queue.Silent(), Backoff: func(int) time.Duration { return 0 }}, end: job, cut: cut}
	var heard error
	send := func(ctx context.Context, _ state.Group) dispatcher.Verdict {
		heard = ctx.Err()
		return dispatcher.Verdict{Outcome: dispatcher.Accepted}
	}
	w.send(campaign.Campaign{Send: send}, fleet.Start{Attempt: 7}, time.Now(), false)
	if heard != nil {
		t.Errorf("the request heard %v", heard)
	}
	abort()
	w.send(campaign.Campaign{Send: send}, fleet.Start{Attempt: 7}, time.Now(), false)
	if !errors.Is(heard, context.Canceled) {
		t.Error("a second signal does not cut the request")
	}
}
