package command

import (
	"crypto/tls"
	"fmt"
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
	case "config", "instance", "cacert", "insecure", "header", "timeout", "connect-timeout", "only", "exclude", "verbose":
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
	plan, err := campaign.Preview(c.ctx, c.campaign, campaign.Settings{NoState: true, Only: s.Only, Exclude: s.Exclude})
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
	fmt.Fprintf(out, "\nnothing was sent\n")
	_ = out.Flush() // Main sees to that
	return nil
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
