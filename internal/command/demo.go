package command

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/demo"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/urfave/cli/v2"
)

const catDemo = "The stand-in site"

func demoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "groups", Value: 500, Usage: "the site has `N` groups", Category: catDemo},
		&cli.IntFlag{Name: "threads", Value: 4, Usage: "it works on `N` requests at a time; the others queue", Category: catDemo},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "which groups there are and what they cost is drawn from `SEED`", Category: catDemo},
		&cli.StringSliceFlag{Name: "fault", Usage: "go wrong in this way instead of the usual few: `PATTERN=KIND`, such as 'main/*=500' or list=wrong-token; repeatable; a wrong kind lists them all", Category: catDemo},
		&cli.BoolFlag{Name: "no-faults", Usage: "let nothing go wrong", Category: catDemo, DisableDefaultText: true},
		&cli.BoolFlag{Name: "ledger", Usage: "give the site a database, with PostgreSQL's own binaries in a temporary folder, so that the run can say what was really mailed", Category: catDemo, DisableDefaultText: true},
		&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Usage: "serve the site at `ADDRESS`; port 0 is a free one", Category: catDemo},
		&cli.StringFlag{Name: "live", Usage: "show the run in a browser at `ADDRESS`, as --listen of a run does; see --linger", Category: catDemo},
		&cli.BoolFlag{Name: "tls", Usage: "serve it over https, with a certificate made for it", Category: catDemo, DisableDefaultText: true},
		&cli.BoolFlag{Name: "serve-only", Usage: "only serve the site, until a signal comes, and print how to send its digests", Category: catDemo, DisableDefaultText: true},
	}
}

// forDemo tells the options that a demo shares with a run. It brings its own site and token.
func forDemo(f config.Flag) bool {
	switch f.Name {
	case "config", "instance", "cacert", "insecure", "header",
		"state-dir", "no-state", "lock-wait", "resume", "retry-failed", "settle", "skip-ambiguous", "server-zone", "assume-previous",
		"ledger", "listen": // the demo has one of its own
		return false
	}
	return true
}

// most groups and threads of a demo: more is a slip of the hand.
const mostGroups, mostThreads = 1_000_000, 1000

// demo makes a whole run against a stand-in site: its configuration file, its list, sends, report.
func (p command) demo(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{fmt.Sprintf("demo takes no argument: %q", c.Args().First()), "the site is its own"}
	}
	if n := c.Int("groups"); n < 0 || n > mostGroups {
		return &usageError{fmt.Sprintf("--groups %d is not from 0 to %d", n, mostGroups), p.program.helpHint()}
	}
	if n := c.Int("threads"); n < 1 || n > mostThreads {
		return &usageError{fmt.Sprintf("--threads %d is not from 1 to %d", n, mostThreads), p.program.helpHint()}
	}
	o := demo.Options{
		Groups: c.Int("groups"), Threads: c.Int("threads"), Seed: c.Uint64("seed"), Listen: c.String("listen"), TLS: c.Bool("tls"),
		NoFaults: c.Bool("no-faults"), Ledger: c.Bool("ledger"),
	}
	if faults := c.StringSlice("fault"); len(faults) > 0 {
		o.Faults = faults
	}
	d, err := demo.Start(c.Context, o)
	if err != nil {
		return err
	}
	defer d.Close()
	if c.Bool("serve-only") {
		return p.serve(d)
	}

	args := p.given(c)
	delete(args, "ledger") // the demo's own, which is a switch
	delete(args, "listen") // the site's
	if live := c.String("live"); live != "" {
		args["listen"] = []string{live}
	}
	args["config"] = []string{d.Config}
	args["state-dir"] = []string{filepath.Join(d.Dir, "state")}
	if d.CACert != "" {
		args["cacert"] = []string{d.CACert}
	}
	if !o.Ledger { // it settles them in seconds
		args["skip-ambiguous"] = []string{"true"} // nobody waits ten minutes for a demo to settle them
	}
	if _, ok := args["workers"]; !ok {
		args["workers"] = []string{fmt.Sprint(min(c.Int("threads"), standinWorkers))}
	}
	// Not the environment: it is meant for the real site.
	s, err := p.program.Resolve(config.Sources{Args: args, Getenv: func(string) (string, bool) { return "", false }})
	if err != nil {
		return err
	}
	site, err := hooks.ParseURL(d.URL)
	if err != nil {
		return err
	}
	if s.DryRun {
		return p.dryRun(site, s)
	}
	fmt.Fprintf(p.Stdout, "a stand-in GroupServer with %d groups and %d request threads is at %s\n",
		c.Int("groups"), c.Int("threads"), d.URL)
	code, result, err := p.run(site, s, nil)
	if err != nil {
		return err
	}
	d.Server.Close()
	d.Compare(p.Stdout, result.Document)
	if _, twice := d.Mails(); code == exitFailed && d.Faults && twice == 0 { // nothing failed but what was to fail
		fmt.Fprintln(p.Stdout, "the failures were part of the demo; a run in which groups fail exits 1")
		return nil
	}
	return exit(code)
}

// standinWorkers bounds the workers that a demo uses unasked.
const standinWorkers = 16

// serve keeps the site up until a signal comes.
func (p command) serve(d *demo.Demo) error {
	ctx, _, end := p.Stops(io.Discard, "", "") // before anybody can read where it is
	defer end()
	fmt.Fprintf(p.Stdout, "url: %s\nconfig: %s\n", d.URL, d.Config)
	line := p.program.Name + " -c " + config.Quote(d.Config)
	if d.CACert != "" {
		fmt.Fprintf(p.Stdout, "cacert: %s\n", d.CACert)
		line += " --cacert " + config.Quote(d.CACert)
	}
	if _, err := fmt.Fprintf(p.Stdout, "try: %s -v %s\n", line, d.URL); err != nil {
		return report.StdoutError(err)
	}
	<-ctx.Done()
	d.Server.Close()
	d.Site.Close()
	mailed, twice := d.Mails()
	fmt.Fprintf(p.Stdout, "served %d sends, at most %d at a time; mailed %d digests, %d of them twice\n",
		len(d.Site.Starts()), d.Site.MaxInFlight(), mailed, twice)
	return nil
}
