package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/manual"
	"github.com/groupserver/senddigest/internal/notify"
	"github.com/groupserver/senddigest/internal/observe"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/urfave/cli/v2"
)

// What a program of another package has of the command line: its options and their sources, its messages and exit codes, what
// stops it, a client of the site, and a whole run.

// A Command is one of a program of another package.
type Command struct {
	Name, Usage string
	Args        string   // what is behind the options: "URL", or "N"; empty: nothing
	Site        bool     // the first of these is the URL of a site
	Options     []string // names of those that it takes; nil: all
	JSON        bool     // it takes --json: what it prints is for programs then
	Alone       bool     // it takes no options and has no settings, not even a token
	Run         func(*Call) error
}

// NewProgram is a program of another package, which does nothing without one of its commands.
func NewProgram(p config.Program, summary string, about []manual.Section, commands ...Command) Program {
	return Program{
		Program: p, summary: summary, own: commands,
		campaign: func(c *hooks.Client, s *config.Settings) campaign.Campaign { return Campaigns(c, s)[s.Fleet.Campaign] },
		manual: func(p Program) (before, after []manual.Section) {
			return about, []manual.Section{p.environmentManual(), {Title: "Files", Items: p.filesManual()}}
		},
	}
}

// Campaigns are those that there are, by name.
func Campaigns(c *hooks.Client, s *config.Settings) map[string]campaign.Campaign {
	return map[string]campaign.Campaign{"digest": campaign.Digest(c, s.ServerZone), "profile": campaign.Profile(c)}
}

// A Call is a command that was called, with its options read.
type Call struct {
	*config.Settings          // nil where the command is [Command.Alone]
	Args             []string // behind the options
	JSON             bool     // --json was given
	Site             *url.URL // nil: the command is not for one

	command command
	name    string // of the command
	given   map[string][]string
}

// ownCommands gives the app the program's own commands.
func (p command) ownCommands(app *cli.App, version, help cli.Flag) *cli.App {
	name := p.program.Name
	app.UsageText = name + " COMMAND [options]"
	app.Action = p.orVersion(func(c *cli.Context) error {
		if c.NArg() > 0 {
			return &usageError{fmt.Sprintf("there is no command %q", c.Args().First()), p.program.helpHint()}
		}
		return &usageError{"no command given", p.program.helpHint()}
	})
	for _, own := range p.program.own {
		wanted := func(config.Flag) bool { return own.Options == nil && !own.Alone }
		if own.Options != nil {
			wanted = func(f config.Flag) bool {
				return slices.Contains(own.Options, f.Name)
			}
		}
		usage := name + " " + own.Name + " [options]"
		if own.Args != "" {
			usage += " " + own.Args
		}
		flags := append(p.flags(wanted), version, help)
		if own.JSON {
			flags = append(flags, &cli.BoolFlag{Name: "json", Usage: "say it as JSON, for programs", Category: catHelp, DisableDefaultText: true})
		}
		app.Commands = append(app.Commands, &cli.Command{
			Name: own.Name, Usage: own.Usage, UsageText: usage, Flags: flags,
			HideHelp: true, OnUsageError: p.onUsageError, Action: p.orVersion(func(c *cli.Context) error { return p.call(own, c, usage) }),
		})
	}
	return app
}

// call reads the options of a command, and runs it.
func (p command) call(own Command, c *cli.Context, usage string) error {
	call := &Call{command: p, name: own.Name, Args: c.Args().Slice(), JSON: own.JSON && c.Bool("json"), given: p.given(c)}
	if want := min(len(own.Args), 1); c.NArg() != want {
		count := map[int]string{0: "no argument", 1: "one argument"}[want]
		return &usageError{fmt.Sprintf("%s takes %s, not %d", own.Name, count, c.NArg()), "write " + usage}
	}
	var err error
	if own.Alone {
		return own.Run(call)
	}
	if own.Site {
		if call.Site, err = hooks.ParseURL(call.Args[0]); err != nil {
			return err
		}
	}
	call.Settings, err = p.program.Resolve(config.Sources{
		Args: call.given, Getenv: p.Getenv, Binary: p.Binary, Clear: call.Site != nil && call.Site.Scheme == "http",
	})
	if err != nil {
		return err
	}
	return own.Run(call)
}

// Given reports whether an option stands on the command line.
func (c *Call) Given(option string) bool { return c.given[option] != nil }

// Installation names the installation by its token alone, which all of its machines have.
func (c *Call) Installation() string { return state.NewInstallation(c.Token.Digest(), nil).Token }

// StateDir is where the state is to be.
func (c *Call) StateDir() string { return c.command.stateDir(c.Settings) }

// Stdout takes what was asked for there.
func (c *Call) Stdout() io.Writer { return c.command.Document() }

// Warn gives the operator a line.
func (c *Call) Warn(text string) {
	fmt.Fprintf(c.command.Stderr, "%s: warning: %s\n", c.command.program.Name, printable.Line(text))
}

// Executable is the program itself, and the name that it was called by, for commands that start it again.
func (c *Call) Executable() (path, name string) { return c.command.Binary, c.command.Name }

// Stops is a context that a signal ends, with a cause that has the signal's exit code, until end is called.
func (c *Call) Stops() (ctx context.Context, end func()) {
	ctx, _, end = c.command.Stops(io.Discard, "", "")
	return ctx, end
}

// Usage is an error of the command line.
func Usage(problem, hint string) error { return &usageError{problem, hint} }

// A Work is a session of a command that goes on until it is told to end.
type Work struct {
	// When Ctx ends nothing more is to start; when Abort ends what is in flight is cut.
	Ctx, Abort context.Context
	Client     *hooks.Client
	Log        *slog.Logger
	Messages   io.Writer // to standard error, whole lines
	Ready      func()    // tells the service manager that it has begun
	// Serve serves pages at --listen until stop is called. Where the address cannot be had, that is said, and there are none.
	Serve func(http.Handler) (stop func(), err error)
}

// Work runs something that goes on until a signal ends it.
func (c *Call) Work(do func(Work) error) error {
	p := c.command
	s, err := p.session(c.Site, c.Settings)
	if err != nil {
		return err
	}
	defer s.close()
	address, _ := p.Getenv(notify.Variable)
	service, err := notify.Open(address)
	if err != nil {
		fmt.Fprintf(s.display, "%s: warning: the service manager cannot be told: %v\n", p.program.Name, err)
	}
	defer service.Close()
	defer context.AfterFunc(s.ctx, func() { service.Stopping(c.Grace + observe.LastWords) })()
	err = do(Work{
		Ctx: s.ctx, Abort: s.abort, Client: s.client, Log: observe.NewLog(s.display, c.LogLevel, c.LogJSON), Messages: s.display,
		Ready: func() { service.Ready("at work") },
		Serve: func(pages http.Handler) (stop func(), err error) {
			server, err := p.listen(s, c.Settings, pages)
			if server == nil {
				return func() {}, err
			}
			fmt.Fprintf(s.display, "%s: the queue is at %s\n", p.program.Name, server.URL())
			return func() { server.Close(lastLook) }, nil
		},
	})
	s.silence()
	return err
}

// A Share is a run's part in what several machines do.
type Share struct {
	Queue campaign.Queue
	End   func(code int, result campaign.Result) error // called when the run has ended
}

func (s Share) end(code int, result campaign.Result) error {
	if s.End == nil {
		return nil
	}
	return s.End(code, result)
}

// afterSignal is what follows a signal: what a run shares with other machines goes on.
func (p command) afterSignal() string {
	if p.share != nil {
		return "the night goes on without this run; " + p.program.Name + " stop ends it"
	}
	return "nothing more starts; once more to cut what is in flight"
}

// shared has other machines take part in a run, where the program does that.
func (p command) shared(c *session, s *config.Settings) (share Share, err error) {
	if p.share != nil {
		share, err = p.share(c, s)
		s.Queue = share.Queue
	}
	return share, err
}

// Send makes a whole run that other machines take part in. share is called once the site's client is there; warn gives the
// operator a line.
func (c *Call) Send(share func(campaign.Campaign, *config.Settings, func(string)) (Share, error)) error {
	p, s := c.command, c.Settings
	if s.WantResume {
		s.Resume = "" // the night is gone on with, and not the journal of a run
	}
	if s.DryRun {
		return p.dryRun(c.Site, s)
	}
	p.share = func(session *session, s *config.Settings) (Share, error) {
		return share(session.campaign, s, func(text string) { fmt.Fprintf(session.display, "%s: warning: %s\n", p.program.Name, text) })
	}
	code, _, err := p.run(c.Site, s, p.line(c.given).NextOfNight(s, c.name, c.Args[0]))
	if e, ok := err.(coded); ok && e.ExitCode() == exitOK { //nolint:errorlint // as it is
		if s.Verbose {
			fmt.Fprint(p.Stderr, p.message(err))
		}
		return nil
	}
	if err != nil {
		return err
	}
	return exit(code)
}
