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
