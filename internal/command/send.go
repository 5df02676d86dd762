package command

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// send is the command without a name: send the digests of the site at URL.
func (p Process) send(c *cli.Context) error {
	site, err := siteArg(c, program+" [options] URL")
	if err != nil {
		return err
	}
	args := given(c)
	s, err := config.Resolve(config.Sources{Args: args, Getenv: p.Getenv, Binary: p.Binary})
	if err != nil {
		return err
	}
	if s.DryRun {
		if args["report"] != nil {
			return &usageError{"--dry-run sends nothing, so there is no report to write", "leave out one of --dry-run and --report"}
		}
		return p.dryRun(site, s)
	}
	code, _, err := p.run(site, s, p.again(args, c.Args().First()))
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
func (p Process) run(site *url.URL, s *config.Settings, againCommand func(...string) string) (int, campaign.Result, error) {
	client, err := p.client(site, s)
	if err != nil {
		return 0, campaign.Result{}, err
	}
	defer client.CloseIdleConnections()
	queue := progress.NewQueue(p.Stderr)
	display := progress.New(queue, p.terminalWidth())
	p.warn(display, site, s)

	ctx, abort, end := p.stops(s, display)
	defer end()
	defer p.tellStatus(display)()
	settings := campaign.Settings{
		URL: site.String(), Workers: s.Workers, Rate: s.Rate, Burst: s.Burst, Throttle: s.Throttle,
		Retries: s.Retries, GiveUpAfter: s.GiveUpAfter, Grace: cmp.Or(s.Grace, s.Timeout),
		MaxFailures: s.MaxFailures.Of, LeftOut: leftOut(s), Abort: abort,
		Down: display.Down, Paused: display.Paused, Listed: func(plan *campaign.Plan) { display.Count(len(plan.Groups)) },
		Observers: []dispatcher.Observer{&logger{p.log(display, s), client}, display},
		Again:     againCommand,
	}
	if s.Verbose {
		defer context.AfterFunc(ctx, func() { display.Ending(settings.Grace) })()
		fmt.Fprintln(display, "Retrieving the list of groups")
		settings.Listed = func(plan *campaign.Plan) {
			fmt.Fprintf(display, "Sending the digest to each of %d groups, %s\n", len(plan.Groups), pace(s))
			display.Begin(len(plan.Groups))
		}
	}
	result := campaign.Run(ctx, client, settings)
	display.Close()
	queue.Close()

	writing := p.tell(result, s)
	return runCode(result, writing), result, nil
}

// tell writes the reports, and prints the summary where one is due: last, since standard error may be blocked. Its
// error, the last of the reports', has been printed.
func (p Process) tell(result campaign.Result, s *config.Settings) (writing error) {
	d := result.Document
	var summary strings.Builder
	switch c := d.Counts; {
	case result.Err != nil:
		summary.WriteString(message(fmt.Errorf("%s: %w", d.URL, result.Err)))
	case result.StoppedBy != nil && d.Error != "":
		summary.WriteString(message(fmt.Errorf("no digest sent: %w", result.StoppedBy)))
	case s.Verbose || c.Accepted+c.Skipped < c.Groups:
		_ = d.WriteText(&summary) // a builder takes everything
	}
	for _, path := range s.Reports {
		var err error
		if path == "-" {
			err = report.StdoutError(d.WriteJSON(p.Stdout))
		} else {
			err = d.WriteFile(path)
		}
		if err != nil {
			summary.WriteString(message(err))
			writing = err
		}
	}
	if c := d.Counts; leftOut(s) != nil && c.Groups > 0 && c.Groups == c.Skipped {
		fmt.Fprintf(&summary, "%s: warning: --only and --exclude leave out all %d groups\n", program, c.Groups)
	}
	_, _ = io.WriteString(p.Stderr, summary.String()) // nowhere is left to say that this failed
	return writing
}

// dryRun prints what a run would send to, in its order, and sends nothing.
func (p Process) dryRun(site *url.URL, s *config.Settings) error {
	client, err := p.client(site, s)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	queue := progress.NewQueue(p.Stderr)
	p.warn(queue, site, s)
	ctx, _, end := p.stops(s, queue)
	defer func() { end(); queue.Close() }()
	plan, err := campaign.Fetch(ctx, client, campaign.Settings{LeftOut: leftOut(s)})
	if err != nil {
		return fmt.Errorf("%s: %w", site, err)
	}
	var b strings.Builder
	for _, g := range plan.Groups {
		b.WriteString(printable.Line(g.Key()) + "\n")
	}
	if _, err := io.WriteString(p.Stdout, b.String()); err != nil {
		return report.StdoutError(err)
	}
	if s.Verbose {
		fmt.Fprintf(p.Stderr, "%d of %d groups would be sent to, %s; nothing was sent\n", len(plan.Groups), plan.Listed(), pace(s))
	}
	return nil
}

// client makes the client of a run.
func (p Process) client(site *url.URL, s *config.Settings) (*hooks.Client, error) {
	roots, err := authorities(s.CACert)
	if err != nil {
		return nil, err
	}
	return hooks.New(site, s.Token, hooks.Options{
		Timeout:   s.Timeout,
		UserAgent: program + "/" + strings.Fields(p.version())[0],
		Transport: hooks.NewTransport(hooks.TransportOptions{
			Workers: s.Workers, ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure,
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
		fmt.Fprintf(w, "%s: warning: %s is not encrypted: the token travels in the clear\n", program, site)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pace says how fast a run goes at most.
func pace(s *config.Settings) string {
	text := fmt.Sprintf("%d at a time", s.Workers)
	if s.Rate > 0 {
		text += fmt.Sprintf(", at most %v", s.Rate)
	}
	return text
}

// leftOut says which option leaves out a group, if one does.
func leftOut(s *config.Settings) func(hooks.Group) string {
	if s.Only == nil && s.Exclude == nil {
		return nil
	}
	return func(g hooks.Group) string {
		for _, pattern := range s.Exclude {
			if pattern.Match(g.Site, g.Group) {
				return "left out by --exclude " + pattern.String()
			}
		}
		for _, pattern := range s.Only {
			if pattern.Match(g.Site, g.Group) {
				return ""
			}
		}
		if s.Only != nil {
			return "not among --only"
		}
		return ""
	}
}

// terminalWidth gives the columns of the terminal that standard error is, and nil if it is none.
func (p Process) terminalWidth() func() int {
	f, ok := p.Stderr.(*os.File)
	if kind, _ := p.Getenv("TERM"); !ok || !term.IsTerminal(int(f.Fd())) || kind == "dumb" {
		return nil
	}
	return func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 80
		}
		return columns
	}
}

// again makes the command line that sends to some groups again: the same options, but for those that choose
// groups, and --report, which must not overwrite the report of the whole run.
func (p Process) again(args map[string][]string, site string) func(keys ...string) string {
	return func(keys ...string) string {
		words := []string{quote(cmp.Or(p.Name, program))}
		for _, f := range config.Flags() {
			values, there := args[f.Name]
			if !there || f.Name == "report" || len(keys) > 0 && (f.Name == "only" || f.Name == "exclude") {
				continue
			}
			for _, value := range values {
				switch {
				case f.Arg != "":
					words = append(words, "--"+f.Name, quote(value))
				case value == "true":
					words = append(words, "--"+f.Name)
				}
			}
		}
		for _, key := range keys {
			at, group, _ := strings.Cut(key, "/")
			words = append(words, "--only", quote(config.Literal(at, group)))
		}
		return strings.Join(append(words, quote(site)), " ")
	}
}

// quote makes one word of text for a POSIX shell.
func quote(text string) string {
	if text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+=,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// log is the structured log of a run, on standard error.
func (p Process) log(w io.Writer, s *config.Settings) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // checked when it was read
	options := &slog.HandlerOptions{Level: level}
	if s.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// A logger writes what happens to each group into the log.
type logger struct {
	log    *slog.Logger
	client *hooks.Client
}

// Observe logs the end of a try: a panic as an error, a failure for information, all else for debugging. The
// summary tells of failures anyway.
func (l *logger) Observe(e dispatcher.Event) {
	if e.Kind == dispatcher.Started {
		return
	}
	r := e.Result
	level := slog.LevelDebug
	if r.Failed() {
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{
		slog.String("group", r.Job.Key()), slog.String("outcome", r.Outcome.String()), slog.Int("status", r.Status),
		slog.Float64("seconds", r.Took.Seconds()), slog.Int("worker", r.Worker),
		slog.Int("attempts", r.Attempts), slog.Bool("again", e.Kind == dispatcher.Retrying),
	}
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", r.Err.Error()))
	}
	if p, ok := errors.AsType[*dispatcher.PanicError](r.Err); ok {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", l.client.Scrub(string(p.Stack))))
	}
	l.log.LogAttrs(context.Background(), level, "send", attrs...)
}
