package night_test

import (
	"context"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/standin"
)

// Otherwise the next night would begin beside one that is followed, and stop it.
func TestARunWhoseTurnTheDatabaseTookBackTakesItAgain(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(200, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: func(standin.Group) time.Duration { return 100 * time.Millisecond }}, fleet.Limits{Workers: 2})
	w.work(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const mine = "classid = 28265 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	sends, held, again := 0, 0, false
	r, _, err := w.run(ctx, campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
		s.Observers = []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
			if _, ok := e.(campaign.Send); !ok {
				return
			}
			var err error
			switch sends++; {
			case sends == 5:
				err = w.db.Pool().QueryRow(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND "+mine).Scan(&held)
			case sends > 100 && !again:
				var all []fleet.Status
				all, err = w.db.Statuses(ctx, "")
				again = err == nil && all[0].Nights[0].Led
			}
			if err != nil {
				t.Error(err)
			}
		})}
	})
	if err != nil || r.StoppedBy != nil || held != 1 || !again {
		t.Fatalf("got %v, %v; %d had the turn when it was taken back; had again: %v", r.StoppedBy, err, held, again)
	}
	w.mailedOnce(groups)
}
