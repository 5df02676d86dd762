package command

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/urfave/cli/v2"
)

// send is the command without a name: send the digests of the site at URL.
func (p Process) send(c *cli.Context) error {
	site, err := siteArg(c, program+" [options] URL")
	if err != nil {
		return err
	}
	args := given(c)
	s, err := config.Resolve(config.Sources{Args: args, Getenv: p.Getenv, Binary: p.Binary, Clear: site.Scheme == "http"})
	if err != nil {
		return err
	}
	// One of them on the command line comes before the other from elsewhere.
	s.Resume = s.Resume && (args["resume"] != nil || args["retry-failed"] == nil)
	s.RetryFailed = s.RetryFailed && (args["retry-failed"] != nil || args["resume"] == nil)
	goesOn := s.Resume || s.RetryFailed
	switch {
	case s.Resume && s.RetryFailed:
		return &usageError{"--resume and --retry-failed go on with different runs", "leave out one of them"}
	case goesOn && (args["only"] != nil || args["exclude"] != nil):
		return &usageError{
			"--only and --exclude choose the groups of a new run, and what is gone on with has chosen them already",
			"leave them out, or --resume and --retry-failed",
		}
	case s.RequireFit && s.Deadline == nil && s.MaxDuration == 0:
		return &usageError{"--require-fit needs a time by which the run is to be over", "give one with --deadline or --max-duration"}
	case s.DryRun && args["report"] != nil:
		return &usageError{"--dry-run sends nothing, so there is no report to write", "leave out one of --dry-run and --report"}
	case s.DryRun:
		return p.dryRun(site, s)
	}
	code, _, err := p.run(site, s, p.next(args, s, c.Args().First()))
	if err != nil {
		return err
	}
	return exit(code)
}

// siteArg is the one argument of a command that takes a URL.
func siteArg(c *cli.Context, usage string) (*url.URL, error) {
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
func (p Process) run(site *url.URL, s *config.Settings, next commands) (int, campaign.Result, error) {
	c, err := p.session(site, s)
	if err != nil {
		return 0, campaign.Result{}, err
	}
	defer c.close()
	defer p.tellStatus(c.display)()
	service := p.tellManager(c)
	defer p.suspend(c)()
	st, monitor := &runState{}, &monitor{options: p.pings(s)}
	c.events = campaign.NewStream(
		st, &logger{p.log(c.display, s), c.client}, &announcer{c, s}, c.display, &c.sends, service, monitor,
	)
	result, unwritten, err := p.locked(c, st, site, s, next)
	service.end(err)
	c.silence()
	if err != nil {
		return 0, result, err
	}
	writing := p.tell(c, result, s, unwritten)
	code := runCode(result, writing)
	p.pingEnd(c, s, monitor, result, code, writing)
	return code, result, nil
}

// locked makes a run between taking the installation's lock and giving it back. Its files are written before: of two runs
// close together the later one's stay. err ended it before the first request.
func (p Process) locked(c *session, st *runState, site *url.URL, s *config.Settings, next commands) (result campaign.Result, un unwritten, err error) {
	if err := p.lockState(c, st, site, s); err != nil {
		return result, un, err
	}
	defer st.close()
	c.endBy(maxDuration(s, st.started))
	settings := campaign.Settings{
		Run: st.run, Started: st.started,
		URL: hooks.SiteName(site), Workers: s.Workers, Rate: s.Rate, Burst: s.Burst, Throttle: s.Throttle,
		Retries: s.Retries, GiveUpAfter: s.GiveUpAfter, Grace: cmp.Or(s.Grace, s.Timeout),
		MaxFailures: s.MaxFailures.Of, Abort: c.abort, Auto: s.Auto,
		Observers: []campaign.Observer{c.events}, Ends: c.ends, RequireFit: s.RequireFit,
		Again: next.again, GoOn: next.goOn,
		Order: schedule.Order(s.Order), MaxHeavy: s.MaxHeavy.Of,
	}
	if s.Auto && s.Canary != "none" {
		settings.Visitors = p.visitors(c, site, s)
	}
	if err := st.remember(c, s, &settings); err != nil {
		return result, un, err
	}
	st.begin(c, s, &settings, next)
	result = campaign.Run(c.ctx, c.client, settings)
	if _, refused := errors.AsType[*campaign.FitError](result.StoppedBy); result.Document.Error == "" && !refused {
		st.learnt(c, s)
	}
	un.err = st.end()
	c.writeFiles(s, result, &un)
	return result, un, nil
}

// unwritten is what a run could not write.
type unwritten struct {
	err   error    // the last such; nil: it has written all
	files []string // what is to be said of reports and metrics
}

func (u *unwritten) note(err error) {
	if err != nil {
		u.err, u.files = err, append(u.files, message(err))
	}
}

// writeFiles writes the reports that are files, and then the metrics, which have the run's exit code as far as it is known
// then: whether standard output can be written shows when nothing waits for it any more.
func (c *session) writeFiles(s *config.Settings, result campaign.Result, un *unwritten) {
	for _, path := range s.Reports {
		if path != stdoutReport {
			un.note(result.Document.WriteFile(path))
		}
	}
	un.note(c.measure(s, result, runCode(result, un.err)))
}

const stdoutReport = "-" // as a --report

// tell prints the summary where one is due, and the report that is asked for on standard output: last, since either may be
// blocked. It returns the last error of what could not be written, all of which it has printed.
func (p Process) tell(c *session, result campaign.Result, s *config.Settings, un unwritten) error {
	d := result.Document
	var summary strings.Builder
	switch c := d.Counts; {
	case result.Err != nil:
		summary.WriteString(message(fmt.Errorf("%s: %w", d.URL, result.Err)))
	case result.StoppedBy != nil && d.Error != "":
		summary.WriteString(message(fmt.Errorf("no digest sent: %w", result.StoppedBy)))
	case s.Verbose || c.Accepted+c.Skipped < c.Groups:
		_ = d.WriteText(&summary) // a builder takes everything
	default:
		for _, warning := range result.Warnings {
			fmt.Fprintf(&summary, "%s: warning: %s: %s\n", program, d.URL, printable.Line(warning))
		}
	}
	if slices.Contains(s.Reports, stdoutReport) {
		un.note(report.StdoutError(d.WriteJSON(p.document())))
	}
	summary.WriteString(strings.Join(un.files, ""))
	if c := d.Counts; (s.Only != nil || s.Exclude != nil) && !s.Resume && !s.RetryFailed && c.Groups > 0 && c.Groups == c.Skipped {
		fmt.Fprintf(&summary, "%s: warning: --only and --exclude leave out all %d groups\n", program, c.Groups)
	}
	if d.Counts.Guarded > 0 {
		fmt.Fprintf(&summary, "%s: warning: %s: groups that had a digest less than 21.6 hours ago, and that the server may have skipped: %d\n", program, d.URL, d.Counts.Guarded)
	}
	c.conclude(summary.String())
	return un.err
}

// dryRun prints what a run would send to, in its order, and sends nothing.
func (p Process) dryRun(site *url.URL, s *config.Settings) error {
	c, err := p.session(site, s)
	if err != nil {
		return err
	}
	defer c.close()
	started := time.Now()
	c.endBy(maxDuration(s, started))
	settings := campaign.Settings{
		Started: started, Workers: s.Workers, Rate: s.Rate, Burst: s.Burst, Throttle: s.Throttle,
		Order: schedule.Order(s.Order), MaxHeavy: s.MaxHeavy.Of, Auto: s.Auto,
	}
	if err := p.readState(c, site, s).remember(c, s, &settings); err != nil {
		return err
	}
	plan, err := campaign.Fetch(c.ctx, c.client, settings)
	if err != nil {
		return fmt.Errorf("%s: %w", site, err)
	}
	warnOfList(c.display, site, plan)
	var b strings.Builder
	for _, g := range plan.Groups {
		b.WriteString(printable.Line(g.Key()) + "\n")
	}
	outlook, fit := forecast(plan, c.ends, s)
	if plan.Forecast != nil { // what past runs do not tell is no news
		for _, line := range outlook {
			b.WriteString("# " + line + "\n")
		}
	}
	if s.RequireFit {
		_, _ = io.WriteString(p.Stdout, b.String()) // the exit code is an answer of its own
	} else if _, err := io.WriteString(p.document(), b.String()); err != nil {
		return report.StdoutError(err)
	}
	if s.Verbose {
		if plan.Forecast == nil {
			fmt.Fprintln(c.display, outlook[0])
		}
		fmt.Fprintf(c.display, "%d of %d groups would be sent to, %s; nothing was sent\n", len(plan.Groups), plan.Listed(), pace(s))
		if plan.Waiting > 0 {
			fmt.Fprintf(c.display, "%d of them would wait, the last until %s\n", plan.Waiting, printable.Instant(plan.Until))
		}
	}
	if s.RequireFit && fit != nil {
		return fit
	}
	return nil
}

// client makes the client of a run.
func (p Process) client(site *url.URL, s *config.Settings, traffic *hooks.Traffic) (*hooks.Client, error) {
	roots, err := authorities(s.CACert)
	if err != nil {
		return nil, err
	}
	return hooks.New(site, s.Token, hooks.Options{
		Timeout:   s.Timeout,
		UserAgent: p.userAgent(),
		Header:    s.Header,
		Transport: hooks.NewTransport(hooks.TransportOptions{
			ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure, Traffic: traffic,
		}),
	}), nil
}

// authorities are the system's and those of a PEM file; nil, which means the system's, without a file.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--cacert %s: %v", path, err), "name a file of certificates in PEM form"}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &usageError{fmt.Sprintf("--cacert %s: no certificate in it", path), "name a file of certificates in PEM form"}
	}
	return pool, nil
}

// warn says what is dangerous about the options.
func (p Process) warn(w io.Writer, site *url.URL, s *config.Settings) {
	if s.Insecure {
		fmt.Fprintf(w, "%s: warning: --insecure: the site's certificate is not verified, so anybody on the way can read the token\n", program)
	}
	if s.Verbose && site.Scheme == "http" && !loopback(site.Hostname()) {
		fmt.Fprintf(w, "%s: warning: %s is not encrypted: the token travels in the clear\n", program, hooks.SiteName(site))
	}
}

// warnOfList says which entries of the site's list are left out because they are no groups.
func warnOfList(w io.Writer, site *url.URL, plan *campaign.Plan) {
	if plan.Unusable.N > 0 {
		fmt.Fprintf(w, "%s: warning: %s: %s\n", program, hooks.SiteName(site), printable.Line(plan.Unusable.String()))
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

// leftOut says which option leaves out a group, if one does.
func leftOut(only, exclude []config.Pattern) func(hooks.Group) string {
	if only == nil && exclude == nil {
		return nil
	}
	return func(g hooks.Group) string {
		for _, pattern := range exclude {
			if pattern.Match(g.Site, g.Group) {
				return "left out by --exclude " + pattern.String()
			}
		}
		for _, pattern := range only {
			if pattern.Match(g.Site, g.Group) {
				return ""
			}
		}
		if only != nil {
			return "not among --only"
		}
		return ""
	}
}
