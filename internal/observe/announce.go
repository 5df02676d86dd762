// Package observe has observers of a run's one stream of events that say on standard error, or to the system, what
// happens: warnings and announcements, the log, the service manager, and the monitor. The live display and the metrics are
// packages of their own.
package observe

import (
	"fmt"
	"io"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
)

// An Announcer says what the operator has to know, and what a run is about to do: before the display shows how it goes.
type Announcer struct {
	W       io.Writer // it must not wait
	Program string
	Mail    string // what a send mails, see [campaign.Campaign]
	Pace    string // how fast the run goes at most
	Verbose bool   // say what is about to be done; otherwise only what the operator has to know
}

// Observe implements [campaign.Observer].
func (a Announcer) Observe(e campaign.Event) {
	if e, ok := e.(campaign.Warned); ok {
		fmt.Fprintf(a.W, "%s: warning: %s\n", a.Program, printable.Line(e.Text))
	}
	if !a.Verbose {
		return
	}
	switch e := e.(type) {
	case campaign.Noted:
		fmt.Fprintln(a.W, printable.Line(e.Text))
	case campaign.Locking:
		fmt.Fprintf(a.W, "%v; waiting for it, for up to %v\n", e.Held, e.For)
	case campaign.Queueing:
		fmt.Fprintln(a.W, "Another machine's run is at it; waiting for its end")
	case campaign.Listing:
		fmt.Fprintf(a.W, "Retrieving the list of %v\n", e.Things)
	case campaign.Planned:
		a.planned(e.Plan)
	}
}

func (a Announcer) planned(plan *campaign.Plan) {
	fmt.Fprintf(a.W, "Sending the %s to each of %d %v, %s\n", a.Mail, len(plan.Groups), plan.Things, a.Pace)
	if plan.Held > 0 {
		fmt.Fprintf(a.W, "%d of them wait until 21.6 hours have passed since their last digest: before that the server skips them\n", plan.Held)
	}
	if plan.Settling > 0 {
		fmt.Fprintf(a.W, "%d of them wait for up to %v, since an earlier send may still be under way\n", plan.Settling, plan.SettleAfter)
	}
	if idle := len(plan.Idle()); idle > 0 {
		fmt.Fprintf(a.W, "%s left out: by the site's tables they have nothing to mail; they are asked about once more in the end\n", plan.Things.Count(idle))
	}
	for _, line := range plan.Outlook() {
		fmt.Fprintln(a.W, line)
	}
}
