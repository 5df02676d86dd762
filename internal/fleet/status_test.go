package fleet_test

import (
	"sync"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/ratelimit"
)

// Each group that is done has the outcome of its last attempt: whoever looks while sends end sees no more of one than of the other.
func TestAStatusIsOfOneMoment(t *testing.T) {
	t.Parallel()
	const tasks = 300
	g := newGate(t, tasks, fleet.Limits{Workers: 4}, fleet.Rule{})
	var sends sync.WaitGroup
	sends.Go(func() {
		for i := range tasks {
			g.finish(fleet.End{Attempt: g.start(i, fleet.Go).Attempt, Outcome: dispatcher.Accepted, Health: ratelimit.Up})
		}
	})
	defer sends.Wait()
	for done := 0; done < tasks && !t.Failed(); {
		all, err := g.Statuses(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		night := all[0].Nights[0]
		if done = night.Done; night.Outcomes["accepted"] != done {
			t.Fatalf("%d groups are done, with the outcomes %v", done, night.Outcomes)
		}
	}
}
