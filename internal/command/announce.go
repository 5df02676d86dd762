package command

import (
	"fmt"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
)

// An announcer says what a run is about to do: before the display shows how it goes.
type announcer struct {
	c *session
	s *config.Settings
}

// Observe says it with --verbose.
func (a *announcer) Observe(e campaign.Event) {
	if !a.s.Verbose {
		return
	}
	switch e := e.(type) {
	case campaign.Locking:
		fmt.Fprintf(a.c.display, "%v; waiting for it, for up to %v\n", e.Held, e.For)
	case campaign.Listing:
		fmt.Fprintln(a.c.display, "Retrieving the list of groups")
	case campaign.Planned:
		a.planned(e.Plan)
	}
}

func (a *announcer) planned(plan *campaign.Plan) {
	fmt.Fprintf(a.c.display, "Sending the digest to each of %d groups, %s\n", len(plan.Groups), pace(a.s))
	if plan.Held > 0 {
		fmt.Fprintf(a.c.display, "%d of them wait until 21.6 hours have passed since their last digest: before that the server skips them\n", plan.Held)
	}
	if plan.Settling > 0 {
		fmt.Fprintf(a.c.display, "%d of them wait for up to %v, since an earlier send may still be under way\n", plan.Settling, plan.SettleAfter)
	}
	lines, _ := forecast(plan, a.c.ends, a.s)
	for _, line := range lines {
		fmt.Fprintln(a.c.display, line)
	}
}
