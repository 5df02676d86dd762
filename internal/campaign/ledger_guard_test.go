package campaign_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Three groups are too few to find the server's clock by. The second run comes when their guard is up for an hour more.
func TestASmallSiteInAnotherZoneLosesNoDigestToAClockThatIsNotKnown(t *testing.T) {
	for _, name := range []string{"Pacific/Auckland", "Asia/Kolkata", "UTC", "America/New_York", "America/Los_Angeles"} {
		for _, read := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ledger %v", name, read), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					zone, err := time.LoadLocation(name)
					if err != nil {
						t.Fatal(err)
					}
					w := newWorld(1, 3, zone)
					s := w.nightly(t.TempDir())
					if !read {
						s.Ledger = nil
					}
					time.Sleep(6 * time.Hour)
					for range 2 {
						w.postDaily(2)
						w.night(t, s)
						time.Sleep(20*time.Hour + 30*time.Minute)
					}
					for _, g := range w.groups {
						if n := len(w.all[g].rows); n != 2 {
							t.Errorf("%s: %d digests in two nights", g.Key(), n)
						}
					}
				})
			})
		}
	}
}
