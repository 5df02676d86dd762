package night_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/standin"
)

func TestWhatOperatorsChangeIsInTheReportOfTheNight(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(150, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: func(standin.Group) time.Duration { return 200 * time.Millisecond }}, fleet.Limits{Workers: 2})
	w.work(2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	next := map[string]func() error{
		"":        func() error { return w.db.SetWorkers(ctx, w.installation, 3) },
		"workers": func() error { return w.db.SetRate(ctx, w.installation, 600, 1) },
		"rate":    func() error { return w.db.SetPaused(ctx, w.installation, true) },
		"pause":   func() error { return w.db.SetPaused(ctx, w.installation, false) },
	}
	r, _, err := w.run(ctx, campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
		s.Observers = []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
			switch e := e.(type) {
			case campaign.Sending:
				must(next[""]())
			case campaign.Steered:
				if do := next[e.What]; do != nil {
					must(do())
				}
			}
		})}
	})
	if err != nil || r.StoppedBy != nil {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	w.mailedOnce(groups)
	var told []string
	for _, s := range r.Document.Steered {
		told = append(told, s.String())
	}
	if diff := cmp.Diff(told, []string{"workers 2 → 3", "rate none → 600/s", "paused", "resumed"}); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}
