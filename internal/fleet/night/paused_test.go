package night_test

import (
	"context"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/standin"
)

// Nothing that is said of the night would name such a pause.
func TestANightGoesOnAfterAnotherProgramPausedItsQueue(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(30, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: func(standin.Group) time.Duration { return 20 * time.Millisecond }}, fleet.Limits{Workers: 2})
	w.work(2)
	q, err := queue.New(w.db)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sends := 0
	r, _, err := w.run(ctx, campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
		s.Observers = []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
			if _, ok := e.(campaign.Send); !ok {
				return
			}
			if sends++; sends == 5 {
				if err := q.Client().QueuePause(context.Background(), queue.Name(w.installation), nil); err != nil {
					t.Error(err)
				}
			}
		})}
	})
	if err != nil || r.StoppedBy != nil {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	w.mailedOnce(groups)
}
