package campaign

import (
	"fmt"

	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/ratelimit"
)

// Each send is a two-phase commit, and PostgreSQL has room for max_prepared_transactions of them between their two phases;
// one that finds no room is rolled back (docs/groupserver.md section 5).

// crowded takes the news of how many sends may be in flight because of that, or of what this machine lacks.
func (r *run) crowded(c ratelimit.CrowdState) {
	limit, why := report.Limit{Sends: c.Limit, Crowded: c.InFlight}, "to see whether PostgreSQL's max_prepared_transactions allows one more"
	switch {
	case c.Here:
		limit.Crowded = 0
		why = r.short.crowded(c)
	case c.InFlight > 0:
		why = fmt.Sprintf("of %d in flight PostgreSQL undid one, for its max_prepared_transactions", c.InFlight)
	}
	if r.auto() {
		before := r.adaptive.Limit()
		r.adaptive.AtMost(c.Limit, why)
		if limit.Sends = r.adaptive.Limit(); c.InFlight == 0 && limit.Sends == before {
			return // it rises when there is reason to
		}
	}
	r.limited(limit, why)
}

// CrowdNote is a line that names PostgreSQL's setting, if it kept the number of sends in flight down, and what to do; it is
// empty if not so.
func CrowdNote(limits []report.Limit) string {
	var least report.Limit
	for _, l := range limits {
		if l.Crowded > 0 && (least.Crowded == 0 || l.Sends < least.Sends) {
			least = l
		}
	}
	if least.Crowded == 0 {
		return ""
	}
	return fmt.Sprintf("PostgreSQL's max_prepared_transactions is below the number of sends that commit at once: with %d in flight one "+
		"was undone and sent again, and from %s on %d may be in flight; set it to at least the number of the site's request threads "+
		"(SHOW max_prepared_transactions tells what it is) and restart PostgreSQL", least.Crowded, least.At.Local().Format("15:04"), least.Sends)
}
