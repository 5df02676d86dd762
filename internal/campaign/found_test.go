package campaign_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

func TestANightBeginsWithTheLimitThatTheOneBeforeFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	night := func(rate ratelimit.Rate) (found []int) {
		synctest.Test(t, func(t *testing.T) {
			h, err := state.LoadHistory(path)
			if err != nil {
				t.Fatal(err)
			}
			_, c := site(t, standin.Options{Groups: numbered(200), Threads: 16, Cost: always(time.Second)})
			r := run(t.Context(), c, campaign.Settings{
				URL: siteURL, Workers: 4, Auto: true, Rate: rate, Visitors: quickPages{},
				Observers: hear(func(e campaign.Limited) { found = append(found, e.Sends) }),
			}, campaign.Kept{History: h})
			if got := counted(r); got != "200 accepted" {
				t.Errorf("got %s", got)
			}
			if err := h.Save(path); err != nil {
				t.Error(err)
			}
		})
		return found
	}
	if got := night(0); len(got) != 3 || got[0] != 2 || got[2] != 4 {
		t.Errorf("the first night: %v, want 2, 3 and 4", got)
	}
	for _, rate := range []ratelimit.Rate{0, 0.5, 0} { // also after one that was too slow to need it
		if got := night(rate); len(got) != 1 || got[0] != 4 {
			t.Errorf("a later night, at a rate of %v: %v, want 4 from the start", rate, got)
		}
	}
}

// With forty sends in flight at two threads each waits for the others. That tells nothing of a run that has two.
func TestSendsBesideMoreThanTheRunWasBegunWithTellNothingOfTheNextRun(t *testing.T) {
	for _, tt := range []struct {
		name    string
		actions []string // workers, every 25 s from the 25th on
		learned int      // of 40 groups
	}{
		{"as begun", nil, 40},
		{"raised", []string{"40"}, 4},
		{"raised, and as begun again", []string{"40", "2"}, 4},
		{"to the same", []string{"2"}, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(40), Threads: 2, Cost: always(10 * time.Second)})
				h := state.NewHistory()
				s := campaign.Settings{URL: siteURL, Workers: 2, Steering: &campaign.Steering{}}
				done := make(chan struct{})
				go func() {
					defer close(done)
					for _, n := range tt.actions {
						after(t, s.Steering, 25*time.Second, "workers", n)
					}
				}()
				if got := counted(run(t.Context(), c, s, campaign.Kept{History: h})); got != "40 accepted" {
					t.Errorf("got %s", got)
				}
				<-done
				learned := 0
				for _, g := range numbered(40) {
					e := h.Estimate(state.Group(g).Key())
					if e.Known {
						learned++
					}
					if e.Median < 9*time.Second || e.Median > 11*time.Second {
						t.Errorf("%v takes %v, want 10s", g, e.Median)
					}
				}
				if learned != tt.learned {
					t.Errorf("%d groups are known, want %d", learned, tt.learned)
				}
			})
		})
	}
}
