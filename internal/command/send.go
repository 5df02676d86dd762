package command

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/notify"
	"github.com/groupserver/senddigest/internal/observe"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/urfave/cli/v2"
)

// send is the command without a name: make a run for the site at URL.
func (p command) send(c *cli.Context) error {
	site, err := p.siteArg(c, p.program.Name+" [options] URL")
	if err != nil {
		return err
	}
	args := p.given(c)
	s, err := p.program.Resolve(config.Sources{Args: args, Getenv: p.Getenv, Binary: p.Binary, Clear: site.Scheme == "http"})
	if err != nil {
		return err
	}
	// One of them on the command line comes before the other from elsewhere.
	resume := s.WantResume && (args["resume"] != nil || args["retry-failed"] == nil)
	retry := s.WantRetryFailed && (args["retry-failed"] != nil || args["resume"] == nil)
	switch {
	case resume && retry:
		return &usageError{"--resume and --retry-failed go on with different runs", "leave out one of them"}
	case (resume || retry) && (args["only"] != nil || args["exclude"] != nil):
		return &usageError{
			p.program.text("--only and --exclude choose the groups of a new run, and what is gone on with has chosen them already"),
			"leave them out, or --resume and --retry-failed",
		}
	case s.RequireFit && s.Deadline == nil && s.MaxDuration == 0:
		return &usageError{"--require-fit needs a time by which the run is to be over", "give one with --deadline or --max-duration"}
	case s.DryRun && args["report"] != nil:
		return &usageError{"--dry-run sends nothing, so there is no report to write", "leave out one of --dry-run and --report"}
	case resume:
		s.Resume = campaign.Resume
	case retry:
		s.Resume = campaign.RetryFailed
	}
	if s.DryRun {
		return p.dryRun(site, s)
	}
	code, _, err := p.run(site, s, p.line(args).Next(s, c.Args().First()))
	if err != nil {
		return err
	}
	return exit(code)
}

// siteArg is the one argument of a command that takes a URL.
func (p command) siteArg(c *cli.Context, usage string) (*url.URL, error) {
	switch c.NArg() {
	case 0:
		return nil, &usageError{"no URL given", "write " + usage}
	case 1:
		return hooks.ParseURL(c.Args().First())
	}
	return nil, &usageError{fmt.Sprintf("one URL, please: %q is one argument too many", c.Args().Get(1)), "write " + usage}
}

// run makes a whole run and tells how it went: progress, summary, reports. Its error is one that ended it before
// the first request.
func (p command) run(site *url.URL, s *config.Settings, next campaign.Commands) (int, campaign.Result, error) {
	c, err := p.session(site, s)
	if err != nil {
		return 0, campaign.Result{}, err
	}
	defer c.close()
	page, err := p.livePage(c, s)
	if err != nil {
		return 0, campaign.Result{}, err
	}
	ended := false
	defer func() { page.close(c, s, ended) }()
	share, err := p.shared(c, s) // which says what limits hold
	if err != nil {
		return 0, campaign.Result{}, err
	}
	defer p.TellStatus(c.display, p.program.Name)()
	address, _ := p.Getenv(notify.Variable)
	service, err := observe.Manage(address, page.status(c.display.Status), page.linger(s))
	if err != nil {
		fmt.Fprintf(c.display, "%s: warning: the service manager cannot be told of this run: %v\n", p.program.Name, err)
	}
	monitor := &observe.Monitor{Options: p.pings(s)}
	files := &observe.Files{Reports: s.Reports, Metrics: func(result campaign.Result, unwritten error) error {
		if s.MetricsFile == "" {
			return nil
		}
		return metrics.Run{
			Program: result.Document.Program(), Document: result.Document, ExitCode: runCode(result, unwritten), Sends: &c.sends,
			Sent: c.traffic.Sent(), Received: c.traffic.Received(),
		}.WriteFile(s.MetricsFile)
	}}
	log := observe.NewLog(c.display, s.LogLevel, s.LogJSON)
	s.Commands = next
	s.Observers = page.observers(
		&observe.Logger{Log: log, Scrub: c.client.Scrub, Private: c.campaign.Private},
		observe.Announcer{W: c.display, Program: p.program.Name, Mail: c.campaign.Mail, Pace: pace(s), Verbose: s.Verbose},
		c.display, &c.sends, service, monitor, files,
	)
	if s.Auto && s.Canary != "none" {
		if s.Visitors, err = p.visitors(c, site, s); err != nil {
			return 0, campaign.Result{}, err
		}
	}
	s.Steering = steering(c, s)
	result, err := campaign.Run(c.ctx, c.campaign, s.Settings)
	ended = err == nil
	service.End(err)
	c.silence()
	if err != nil {
		return 0, result, err
	}
	unwritten := p.tell(c, result, s, files)
	code := runCode(result, unwritten)
	if err := share.end(code, result); err != nil {
		c.conclude(p.message(err))
	}
	p.pingEnd(c, s, monitor, result, code, unwritten)
	return code, result, nil
}

// tell prints the summary where one is due, and the report that is asked for on standard output: last, since either may be
// blocked. It returns the last error of what could not be written, all of which it has printed.
func (p command) tell(c *session, result campaign.Result, s *config.Settings, files *observe.Files) error {
	d, name := result.Document, p.program.Name
	var summary strings.Builder
	switch counts := d.Counts; {
	case result.Err != nil:
		summary.WriteString(p.message(fmt.Errorf("%s: %w", d.URL, result.Err)))
	case result.StoppedBy != nil && d.Error != "":
		summary.WriteString(p.message(fmt.Errorf("no %s sent: %w", c.campaign.Mail, result.StoppedBy)))
	case s.Verbose || counts.Accepted+counts.Skipped < counts.Groups:
		_ = d.WriteSummary(&summary) // a builder takes everything
	default:
		for _, warning := range result.Warnings {
			fmt.Fprintf(&summary, "%s: warning: %s: %s\n", name, d.URL, printable.Line(warning))
		}
	}
	if slices.Contains(s.Reports, observe.Stdout) {
		files.Note(report.StdoutError(d.WriteJSON(p.Document())))
	}
	for _, fault := range files.Faults {
		summary.WriteString(p.message(fault))
	}
	if c := d.Counts; (s.Only != nil || s.Exclude != nil) && s.Resume == "" && c.Groups > 0 && c.Groups == c.Skipped {
		fmt.Fprintf(&summary, "%s: warning: --only and --exclude leave out all %d %v\n", name, c.Groups, d.Things())
	}
	if d.Counts.Guarded > 0 {
		fmt.Fprintf(&summary, "%s: warning: %s: %v that had a %s less than 21.6 hours ago, and that the server may have skipped: %d\n",
			name, d.URL, d.Things(), c.campaign.Mail, d.Counts.Guarded)
	}
	c.conclude(summary.String())
	return files.Unwritten
}

// dryRun prints what a run would send to, in its order, and sends nothing.
func (p command) dryRun(site *url.URL, s *config.Settings) error {
	c, err := p.session(site, s)
	if err != nil {
		return err
	}
	defer c.close()
	s.Observers = []campaign.Observer{observe.Announcer{W: c.display, Program: p.program.Name}}
	plan, err := campaign.Preview(c.ctx, c.campaign, s.Settings)
	if err != nil {
		return p.unlisted(site, err)
	}
	p.warnOfList(c.display, site, plan)
	var b strings.Builder
	for _, g := range plan.Groups {
		b.WriteString(printable.Line(g.Key()) + "\n")
	}
	for _, g := range plan.Idle() {
		b.WriteString("# left out, nothing to mail: " + printable.Line(g.Key()) + "\n")
	}
	outlook, fit := plan.Outlook(), plan.Fit()
	if plan.Forecast != nil { // what past runs do not tell is no news
		for _, line := range outlook {
			b.WriteString("# " + line + "\n")
		}
	}
	if s.RequireFit {
		_, _ = io.WriteString(p.Stdout, b.String()) // the exit code is an answer of its own
	} else if _, err := io.WriteString(p.Document(), b.String()); err != nil {
		return report.StdoutError(err)
	}
	if s.Verbose {
		if plan.Forecast == nil {
			for _, line := range outlook {
				fmt.Fprintln(c.display, line)
			}
		}
		fmt.Fprintf(c.display, "%d of %d %v would be sent to, %s; nothing was sent\n", len(plan.Groups), plan.Listed(), plan.Things, pace(s))
		if plan.Waiting > 0 {
			fmt.Fprintf(c.display, "%d of them would wait, the last until %s\n", plan.Waiting, printable.Instant(plan.Until))
		}
	}
	if s.RequireFit && fit != nil {
		return fit
	}
	return nil
}

// unlisted says of which site the list could not be had, or lacks a group.
func (p command) unlisted(site *url.URL, err error) error {
	if is[*campaign.ListError](err) || is[*campaign.UnlistedError](err) {
		return fmt.Errorf("%s: %w", site, err)
	}
	return err
}

// client makes the client of a run.
func (p command) client(site *url.URL, s *config.Settings, traffic *hooks.Traffic) (*hooks.Client, error) {
	transport, err := transport(s, traffic)
	if err != nil {
		return nil, err
	}
	return hooks.New(site, s.Token, hooks.Options{Timeout: s.Timeout, UserAgent: p.userAgent(), Header: s.Header, Transport: transport}), nil
}

// transport is how the site is reached.
func transport(s *config.Settings, traffic *hooks.Traffic) (*http.Transport, error) {
	roots, err := hooks.Authorities(s.CACert)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--cacert %s: %v", s.CACert, err), "name a file of certificates in PEM form"}
	}
	return hooks.NewTransport(hooks.TransportOptions{
		ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure, Traffic: traffic,
	}), nil
}

// visitors are those of the site, who wait for a light page of it.
func (p command) visitors(c *session, site *url.URL, s *config.Settings) (*canary.Visitors, error) {
	page := site
	if s.Canary != "" {
		page, _ = url.Parse(s.Canary) // it was checked when it was read
	}
	transport, err := transport(s, nil)
	if err != nil {
		return nil, err
	}
	o := canary.Options{Transport: transport, UserAgent: p.userAgent()}
	if page.Scheme == site.Scheme && page.Host == site.Host {
		o.Header = s.Header // it is the site's, and may be a secret
	}
	return &canary.Visitors{Page: page, Options: o, W: c.display, Program: p.program.Name, Verbose: s.Verbose, Mandatory: s.Canary != ""}, nil
}

// warn says what is dangerous about the options.
func (p command) warn(w io.Writer, site *url.URL, s *config.Settings) {
	if s.Insecure {
		fmt.Fprintf(w, "%s: warning: --insecure: the site's certificate is not verified, so anybody on the way can read the token\n", p.program.Name)
	}
	if s.Verbose && site.Scheme == "http" && !loopback(site.Hostname()) {
		fmt.Fprintf(w, "%s: warning: %s is not encrypted: the token travels in the clear\n", p.program.Name, hooks.SiteName(site))
	}
}

// warnOfList says which entries of the site's list are left out because they are none.
func (p command) warnOfList(w io.Writer, site *url.URL, plan *campaign.Plan) {
	if plan.Unusable.N > 0 {
		fmt.Fprintf(w, "%s: warning: %s: %s\n", p.program.Name, hooks.SiteName(site), printable.Line(plan.Unusable.String()))
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pace says how fast a run goes at most.
func pace(s *config.Settings) string {
	text := fmt.Sprintf("%d at a time", s.Workers)
	if s.Auto {
		text = fmt.Sprintf("up to %d at a time, as the site bears", s.Workers)
	}
	if s.Rate > 0 {
		text += fmt.Sprintf(", at most %v", s.Rate)
	}
	return text
}
