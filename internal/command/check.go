package command

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/urfave/cli/v2"
)

// forCheck tells the options that mean something to check: which site, how to reach it, which groups.
func forCheck(f config.Flag) bool {
	switch f.Name {
	case "config", "instance", "cacert", "insecure", "header", "timeout", "connect-timeout", "only", "exclude", "verbose", "ledger", "state-dir", "server-zone":
		return true
	}
	return false
}

// check finds out whether a run can work, without sending anything: configuration, connection, token and list.
func (p command) check(c *cli.Context) error {
	site, err := p.siteArg(c, p.program.Name+" check [options] URL")
	if err != nil {
		return err
	}
	s, err := p.program.Resolve(config.Sources{Args: p.given(c), Getenv: p.Getenv, Binary: p.Binary, Clear: site.Scheme == "http"})
	if err != nil {
		return err
	}
	return p.checkSite(site, s)
}

func (p command) checkSite(site *url.URL, s *config.Settings) error {
	c, err := p.session(site, s)
	if err != nil {
		return err
	}
	defer c.close()

	out := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "configuration\t%s, set %s\n", printable.Line(s.Config), printable.Line(s.Instance))
	plan, err := campaign.Preview(c.ctx, c.campaign, campaign.Settings{
		StateDir: s.StateDir, Installation: s.Installation, Only: s.Only, Exclude: s.Exclude, Ledger: s.Ledger,
		Workers: s.Workers, Auto: s.Auto,
	})
	if err != nil {
		_ = out.Flush()
		return p.unlisted(site, err)
	}
	p.warnOfList(c.display, site, plan)
	fmt.Fprintf(out, "site\t%s, %s\n", site, connection(site, c.client.TLS(), s))
	fmt.Fprintf(out, "token\taccepted\n")
	sites := map[string]bool{}
	for _, g := range plan.Groups {
		sites[g.Site] = true
	}
	fmt.Fprintf(out, "%v\t%d of %d would be sent to", plan.Things, len(plan.Groups), plan.Listed())
	if !c.campaign.Private { // who has no site is a person
		fmt.Fprintf(out, " (sites: %d)", len(sites))
	}
	fmt.Fprintln(out)
	if p.program.digests {
		c.checkLedger(out, s, plan)
	}
	fmt.Fprintf(out, "nothing was sent\n")
	_ = out.Flush() // Main sees to that
	return nil
}

// checkLedger writes whether the site's own tables can be read, and what is in them.
func (c *session) checkLedger(out io.Writer, s *config.Settings, plan *campaign.Plan) {
	switch {
	case s.Database.Mode == config.LedgerOff:
		fmt.Fprintf(out, "ledger\tnot read (--ledger off)\n")
		return
	case s.Database.Err != nil:
		fmt.Fprintf(out, "ledger\tnot read: %s\n", printable.Line(s.Database.Err.Error()))
		return
	case plan.Clock == nil:
		fmt.Fprintf(out, "ledger\tnot read: %s\n", printable.Line(plan.Why))
		return
	}
	is, err := c.ledger.Condition(c.ctx)
	if err != nil {
		fmt.Fprintf(out, "ledger\tnot read: %s\n", printable.Line(err.Error()))
		return
	}
	fmt.Fprintf(out, "ledger\t%s, PostgreSQL %s, as %s, read-only\n", c.ledger, printable.Line(is.Version), printable.Line(is.Role))
	fmt.Fprintf(out, "\t%d of them have something to mail now\n", plan.Due)
	zone := "this machine's"
	if s.ServerZone != nil {
		zone = "that of " + s.ServerZone.String()
	}
	switch ahead := plan.Clock.Ahead(); {
	case plan.Why != "":
		fmt.Fprintf(out, "GroupServer's clock\tnot known yet: %s\n", printable.Line(plan.Why))
	case !plan.Clock.Known:
		fmt.Fprintf(out, "GroupServer's clock\tnot known yet, taken to be %s; it is found by five digests that our own runs had mailed\n", zone)
	case ahead == 0:
		fmt.Fprintf(out, "GroupServer's clock\t%s\n", zone)
	default:
		fmt.Fprintf(out, "GroupServer's clock\tahead of %s by %v: give its zone with --server-zone, or a change of its clocks is not foreseen\n", zone, ahead)
	}
	fmt.Fprintf(out, "max_prepared_transactions\t%d", is.MaxPrepared)
	if is.MaxPrepared-is.Hung < plan.Workers {
		fmt.Fprintf(out, ", which is too few for %d sends at once: see docs/operators.md", plan.Workers)
	}
	fmt.Fprintln(out)
	if is.Hung > 0 {
		fmt.Fprintf(out, "\t%d of them are held by transactions that hang, the oldest since %s: list them with SELECT * FROM pg_prepared_xacts, end them with ROLLBACK PREPARED\n",
			is.Hung, printable.Span(is.Oldest))
	}
}

// connection says how the site was reached.
func connection(site *url.URL, state *tls.ConnectionState, s *config.Settings) string {
	if state == nil {
		if loopback(site.Hostname()) {
			return "not encrypted, but on this machine"
		}
		return "not encrypted: the token travels in the clear"
	}
	text := tls.VersionName(state.Version)
	if site.Scheme == "http" {
		text = "redirects to https, after the token came in the clear: give the https URL; there " + text
	}
	if s.Insecure {
		return text + ", certificate not verified"
	}
	return text + ", certificate valid until " + state.PeerCertificates[0].NotAfter.UTC().Format("2006-01-02")
}
