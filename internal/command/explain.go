package command

import (
	"fmt"
	"strings"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/urfave/cli/v2"
)

// forExplain tells the options that mean something to explain: which site, how to reach it, what is known of its runs.
func forExplain(f config.Flag) bool {
	switch f.Name {
	case "state-dir", "no-state", "ledger", "server-zone", "guard-wait":
		return true
	}
	return forCheck(f)
}

func explainFlags() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "json", Category: "Explanation", DisableDefaultText: true, Usage: "the explanation as JSON"}}
}

// explain says why a group got a digest or none, and what a run would make of it now. It sends nothing.
func (p command) explain(c *cli.Context) error {
	usage := p.program.Name + " explain [options] URL SITE/GROUP"
	if c.NArg() != 2 {
		return &usageError{"explain takes the URL of the site, and one group", "write " + usage}
	}
	site, err := hooks.ParseURL(c.Args().First())
	if err != nil {
		return err
	}
	name, group, ok := strings.Cut(c.Args().Get(1), "/")
	if !ok || name == "" || group == "" {
		return &usageError{fmt.Sprintf("%q is not SITE/GROUP", c.Args().Get(1)), "write " + usage}
	}
	s, err := p.program.Resolve(config.Sources{Args: p.given(c), Getenv: p.Getenv, Binary: p.Binary, Clear: site.Scheme == "http"})
	if err != nil {
		return err
	}
	session, err := p.session(site, s)
	if err != nil {
		return err
	}
	defer session.close()
	x, failed := campaign.Explain(session.ctx, session.campaign, s.Settings, state.Group{Site: name, Group: group})
	if x == nil {
		return failed
	}
	if c.Bool("json") {
		err = writeJSON(p.Document(), x)
	} else {
		err = x.WriteText(p.Document())
	}
	if failed != nil {
		return p.unlisted(site, failed)
	}
	return report.StdoutError(err)
}
