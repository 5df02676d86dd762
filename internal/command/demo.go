package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
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
		&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Usage: "serve the site at `ADDRESS`; port 0 is a free one", Category: catDemo},
		&cli.BoolFlag{Name: "tls", Usage: "serve it over https, with a certificate made for it", Category: catDemo, DisableDefaultText: true},
		&cli.BoolFlag{Name: "serve-only", Usage: "only serve the site, until a signal comes, and print how to send its digests", Category: catDemo, DisableDefaultText: true},
	}
}

// forDemo tells the options that a demo shares with a run. It brings its own site and token.
func forDemo(f config.Flag) bool {
	switch f.Name {
	case "config", "instance", "cacert", "insecure", "header",
		"state-dir", "no-state", "lock-wait", "resume", "retry-failed", "settle", "skip-ambiguous", "server-zone", "assume-previous":
		return false
	}
	return true
}

// most groups and threads of a demo: more is a slip of the hand.
const mostGroups, mostThreads = 1_000_000, 1000

// demo makes a whole run against a stand-in site: its configuration file, its list, sends, report.
func (p Process) demo(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{fmt.Sprintf("demo takes no argument: %q", c.Args().First()), "the site is its own"}
	}
	if n := c.Int("groups"); n < 0 || n > mostGroups {
		return &usageError{fmt.Sprintf("--groups %d is not from 0 to %d", n, mostGroups), p.program.helpHint()}
	}
	if n := c.Int("threads"); n < 1 || n > mostThreads {
		return &usageError{fmt.Sprintf("--threads %d is not from 1 to %d", n, mostThreads), p.program.helpHint()}
	}
	d, err := p.startDemo(c)
	if err != nil {
		return err
	}
	defer d.close()
	if c.Bool("serve-only") {
		return p.serve(d)
	}

	args := p.given(c)
	args["config"] = []string{d.config}
	args["state-dir"] = []string{filepath.Join(d.dir, "state")}
	if d.cacert != "" {
		args["cacert"] = []string{d.cacert}
	}
	args["skip-ambiguous"] = []string{"true"} // nobody waits ten minutes for a demo to settle them
	if _, ok := args["workers"]; !ok {
		args["workers"] = []string{fmt.Sprint(min(c.Int("threads"), standinWorkers))}
	}
	// Not the environment: it is meant for the real site.
	s, err := p.program.Resolve(config.Sources{Args: args, Getenv: func(string) (string, bool) { return "", false }})
	if err != nil {
		return err
	}
	site, err := hooks.ParseURL(d.url)
	if err != nil {
		return err
	}
	if s.DryRun {
		return p.dryRun(site, s)
	}
	fmt.Fprintf(p.Stdout, "a stand-in GroupServer with %d groups and %d request threads is at %s\n",
		c.Int("groups"), c.Int("threads"), d.url)
	code, result, err := p.run(site, s, nil)
	if err != nil {
		return err
	}
	code = p.compare(d, result, code)
	return exit(code)
}

// standinWorkers bounds the workers that a demo uses unasked.
const standinWorkers = 16

// compare ends a demo with what its site saw. A demo in which nothing failed but what was to fail is a success.
func (p Process) compare(d *demo, result campaign.Result, code int) int {
	d.server.Close()
	mailed, twice := mails(d.site)
	wall, alone := result.Document.Finished.Sub(result.Document.Started), d.site.Busy()
	fmt.Fprintf(p.Stdout, "\nthe site mailed %d digests, %d of them twice\n", mailed, twice)
	if alone > 0 && wall > 0 {
		fmt.Fprintf(p.Stdout, "one at a time, as the Python script sends, the same work takes the site %v; this run took %v",
			alone.Round(100*time.Millisecond), wall.Round(100*time.Millisecond))
		if alone > wall { // not so with a low --rate, or one worker
			fmt.Fprintf(p.Stdout, ": %.1f times as fast", alone.Seconds()/wall.Seconds())
		}
		fmt.Fprintln(p.Stdout)
	}
	if code == exitFailed && d.faults && twice == 0 {
		fmt.Fprintln(p.Stdout, "the failures were part of the demo; a run in which groups fail exits 1")
		return exitOK
	}
	return code
}

// serve keeps the site up until a signal comes.
func (p Process) serve(d *demo) error {
	ctx, _, end := p.stops(io.Discard) // before anybody can read where it is
	defer end()
	fmt.Fprintf(p.Stdout, "url: %s\nconfig: %s\n", d.url, d.config)
	command := p.program.Name + " -c " + quote(d.config)
	if d.cacert != "" {
		fmt.Fprintf(p.Stdout, "cacert: %s\n", d.cacert)
		command += " --cacert " + quote(d.cacert)
	}
	if _, err := fmt.Fprintf(p.Stdout, "try: %s -v %s\n", command, d.url); err != nil {
		return report.StdoutError(err)
	}
	<-ctx.Done()
	d.server.Close()
	d.site.Close()
	mailed, twice := mails(d.site)
	fmt.Fprintf(p.Stdout, "served %d sends, at most %d at a time; mailed %d digests, %d of them twice\n",
		len(d.site.Starts()), d.site.MaxInFlight(), mailed, twice)
	return nil
}

func mails(site *standin.Site) (mailed, twice int) {
	for _, n := range site.Mails() {
		mailed += n
		if n > 1 {
			twice++
		}
	}
	return mailed, twice
}

// A demo is a stand-in site that is served, and the files that a client of it needs.
type demo struct {
	site   *standin.Site
	server *standin.Server
	faults bool // something is to go wrong
	url    string
	dir    string
	config string
	cacert string // empty without TLS
}

func (p Process) startDemo(c *cli.Context) (*demo, error) {
	seed := c.Uint64("seed")
	options := standin.Options{
		Token:   "demoToken" + fmt.Sprint(seed),
		Groups:  standin.Generate(c.Int("groups"), seed),
		Threads: c.Int("threads"), Cost: standin.HeavyTail(seed),
	}
	switch faults := c.StringSlice("fault"); {
	case len(faults) > 0:
		for _, text := range faults {
			fault, err := standin.ParseFault(text)
			if err != nil {
				return nil, &usageError{"--fault: " + err.Error(), p.program.helpHint()}
			}
			options.Faults = append(options.Faults, fault)
		}
	case !c.Bool("no-faults"):
		options.Faults, options.Unknown = usualFaults(options.Groups)
	}
	d := &demo{site: standin.New(options), faults: len(options.Faults) > 0}
	if err := d.start(c.String("listen"), c.Bool("tls"), options.Token); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// start serves the site and writes its files.
func (d *demo) start(address string, useTLS bool, token string) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return &usageError{fmt.Sprintf("--listen %s: %v", address, err), "name an address of this machine and a free port"}
	}
	if useTLS {
		if d.server, err = d.site.ServeTLS(listener); err != nil {
			return err
		}
	} else {
		d.server = d.site.Serve(listener)
	}
	d.url = d.server.URL + "/"
	return d.writeFiles(token)
}

// usualFaults makes a few of the groups fail, each in another way, and one be long gone.
func usualFaults(groups []standin.Group) (faults []standin.Fault, unknown []standin.Group) {
	sorted := slices.Clone(groups)
	slices.SortFunc(sorted, func(a, b standin.Group) int {
		return slices.Compare([]string{a.Site, a.Group}, []string{b.Site, b.Group})
	})
	const every = 4 // so many faults fit, spread over the list
	for i, kind := range []string{"500", "proxy-504", "500"} {
		if at := (i + 1) * len(sorted) / every; at < len(sorted) {
			fault, err := standin.ParseFault(campaign.Literal(sorted[at].Site, sorted[at].Group) + "=" + kind)
			if err == nil {
				faults = append(faults, fault)
			}
		}
	}
	if len(sorted) > 0 {
		unknown = sorted[:1]
	}
	return faults, unknown
}

// writeFiles writes what a GroupServer's administrator has: the configuration file, and the site's authority.
func (d *demo) writeFiles(token string) (err error) {
	if d.dir, err = os.MkdirTemp("", "senddigest-demo-"); err != nil {
		return &report.WriteError{Path: "the demo's configuration file", Err: err}
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(d.dir, name)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		return path
	}
	d.config = write("gsconfig.ini", []byte("[config-default]\nwebservice = default\n\n[webservice-default]\ntoken = "+token+"\n"))
	if d.server.CA != nil {
		d.cacert = write("ca.pem", d.server.CA)
	}
	if err != nil {
		return &report.WriteError{Path: "the demo's configuration file", Err: err}
	}
	return nil
}

// close ends the site and removes its files.
func (d *demo) close() {
	if d.server != nil {
		d.server.Close()
	}
	d.site.Close()
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
}
