package campaign_test

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// withHistory is a night that knows what earlier ones took, and leaves that to the next.
func withHistory(t *testing.T, path string, do func(*state.History) campaign.Result) campaign.Result {
	t.Helper()
	h, err := state.LoadHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	r := do(h)
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheSecondNightOnASiteGoesAsForecastAndHardlyLongerThanItMust(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			workers := 2 << (seed % 3)
			groups := standin.Generate(1000, seed)
			_, c := site(t, standin.Options{Groups: groups, Threads: workers, Cost: standin.HeavyTail(seed), Guard: -1})
			path := filepath.Join(t.TempDir(), "history.tsv")
			night := func(h *state.History) campaign.Result {
				return run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: workers}, campaign.Kept{History: h})
			}
			first := withHistory(t, path, night).Document
			second := withHistory(t, path, night).Document
			if first.Seconds.Forecast != nil || second.Seconds.Forecast == nil || second.Counts.Accepted != len(groups) {
				t.Fatalf("seed %d: forecasts %v and %v, %d accepted", seed, first.Seconds.Forecast, second.Seconds.Forecast, second.Counts.Accepted)
			}
			wall, bound := second.Seconds.Wall, second.Seconds.LowerBound
			if wall > 1.05*bound {
				t.Errorf("seed %d, %d workers: %v s, and %v s were the least", seed, workers, wall, bound)
			}
			if forecast := *second.Seconds.Forecast; math.Abs(forecast-wall) > 0.1*wall {
				t.Errorf("seed %d, %d workers: %v s, and the forecast was %v s", seed, workers, wall, forecast)
			}
		})
	}
}

func TestHeavyGroupsAreNotAllSentToAtOnceWhileLighterOnesAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 6
		groups := numbered(100)
		heavy := map[standin.Group]bool{}
		for _, g := range groups[:5] {
			heavy[g] = true
		}
		_, c := site(t, standin.Options{Groups: groups, Threads: workers, Guard: -1, Cost: func(g standin.Group) time.Duration {
			if heavy[g] {
				return 3 * time.Second
			}
			return time.Second
		}})
		path := filepath.Join(t.TempDir(), "history.tsv")
		for night := range 2 {
			r := withHistory(t, path, func(h *state.History) campaign.Result {
				return run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: workers, Order: schedule.Longest}, campaign.Kept{History: h})
			})
			begun := 0 // heavy ones, in the first moment
			for g := range r.Document.Groups() {
				if g.Start == 0 && heavy[standin.Group{Site: g.Site, Group: g.Group}] {
					begun++
				}
			}
			if want := []int{5, workers / 2}[night]; begun != want { // the first night knows of none
				t.Errorf("night %d: %d heavy groups were begun at once, want %d", night+1, begun, want)
			}
		}
	})
}

func TestARunThatIsRefusedSendsNothingAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := site(t, standin.Options{Groups: numbered(3), Cost: always(time.Minute)})
		h, err := state.LoadHistory(filepath.Join(t.TempDir(), "history"))
		if err != nil {
			t.Fatal(err)
		}
		run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1}, campaign.Kept{History: h})
		r := run(t.Context(), c, campaign.Settings{
			URL: siteURL, Workers: 1, MaxDuration: 30 * time.Second, RequireFit: true,
			Observers: planned(func(*campaign.Plan) { t.Error("told of a run that starts") }),
		}, campaign.Kept{History: h})
		if got := counted(r); got != "3 not_attempted" || len(s.Starts()) != 3 || stopped(r) != "deadline" {
			t.Errorf("got %s, %d sends, stopped by %q: %v", got, len(s.Starts()), stopped(r), r.StoppedBy)
		}
		fit, ok := errors.AsType[*campaign.FitError](r.StoppedBy)
		if !ok || fit.Deadline.Option != "--max-duration 30s" || fit.Left != 2 || fit.Groups != 3 || len(fit.Examples) != 2 || fit.Workers != 3 {
			t.Errorf("got %+v", r.StoppedBy)
		}
		fit.Things = printable.NewNoun("reader", "readers")
		if got := fit.Error(); !strings.HasSuffix(got, " 2 of 3 readers would not have been sent to") {
			t.Errorf("got %s", got)
		}
	})
}
