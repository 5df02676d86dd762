// Package command is the command line: it reads options, wires the other packages together, prints what they say,
// and turns the end of a run into an exit code.
//
// The voice of its messages: lower case, the program's name first, one line; a second line only for a hint.
// Silence on success. Standard output carries only what was asked for there; all else is standard error. The
// token appears in nothing that is printed.
package command

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/process"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/urfave/cli/v2"
)

// catHelp is the category of the options that every command has.
const catHelp = "Help"

// A command is a program that runs in a process.
type command struct {
	process.Process
	program Program
	share   func(*session, *config.Settings) (Share, error) // has other machines take part in a run; nil: none do
}

// Main runs the command and returns its exit code.
//
// It leads package log, which belongs to the whole process, to the run's own log for as long as there is one, and
// nowhere else: libraries write there whatever they like, net/http what a server said.
func Main(program Program, in process.Process) int {
	log.SetOutput(io.Discard)
	log.SetFlags(0) // the run's log has its own time
	stdout := &process.Output{W: in.Stdout}
	in.Stdout = stdout
	p := command{Process: in, program: program}
	code := p.main()
	if code == exitOK && stdout.Err != nil {
		fmt.Fprint(p.Stderr, p.message(report.StdoutError(stdout.Err)))
		return exitNoWrite
	}
	return code
}

// main runs the command, and returns the exit code that it has if standard output could be written.
func (p command) main() int {
	app := p.app()
	p.program.setHelp(app, p.Columns())
	args, err := arrange(p.Args, app, p.program.helpHint())
	if err == nil {
		err = app.Run(append([]string{p.program.Name}, args...))
	}
	if done, ok := errors.AsType[exitError](err); ok {
		return int(done)
	}
	if err != nil {
		fmt.Fprint(p.Stderr, p.message(err))
		return codeOf(err)
	}
	return exitOK
}

// An exitError ends the program with a code, with everything said already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// exit is nil for success and an exitError otherwise.
func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return exitError(code)
}

// A usageError is a command line that makes no sense.
type usageError struct{ problem, hint string }

func (e *usageError) Error() string { return e.problem }

// message is what the operator reads of an error: a line, and a hint if there is one.
func (p command) message(err error) string {
	text := fmt.Sprintf("%s: %s\n", p.program.Name, printable.Line(err.Error()))
	if hint := p.program.hintOf(err); hint != "" {
		text += "hint: " + printable.Line(hint) + "\n"
	}
	return text
}

func (p command) app() *cli.App {
	version := &cli.BoolFlag{Name: "version", Usage: "print the version and exit", Category: catHelp, DisableDefaultText: true}
	help := &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this help and exit", Category: catHelp, DisableDefaultText: true}
	common, name := p.flags(func(config.Flag) bool { return true }), p.program.Name
	app := &cli.App{
		Name:                      name,
		HelpName:                  name,
		Usage:                     p.program.summary,
		UsageText:                 name + " [options] URL",
		HideHelp:                  true, // ours has no command "help"
		HideVersion:               true, // theirs takes -v
		DisableSliceFlagSeparator: true, // a pattern or a path may hold a comma
		Writer:                    p.Stdout,
		ErrWriter:                 p.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // Main does that
		OnUsageError:              p.onUsageError,
		Flags:                     append(common, version, help),
		Action:                    p.orVersion(p.send),
	}
	if p.program.own != nil {
		return p.ownCommands(app, version, help)
	}
	for _, c := range []*cli.Command{
		{
			Name: "check", Usage: "can it work? TLS, token and list, read-only; sends nothing",
			UsageText: name + " check [options] URL",
			Flags:     append(p.flags(forCheck), version, help), Action: p.orVersion(p.check),
		},
		{
			Name: "demo", Usage: "a whole run against a stand-in GroupServer started in this process",
			UsageText: name + " demo [options]",
			Flags:     append(append(demoFlags(), p.flags(forDemo)...), version, help), Action: p.orVersion(p.demo),
		},
		{
			Name: "report", Usage: "show a past run, the newest unless RUN names another, as text, JSON or HTML",
			UsageText: name + " report [options] [RUN]",
			Flags:     append(append(p.reportFlags(), p.flags(forReport)...), version, help), Action: p.orVersion(p.report),
		},
		{
			Name: "control", Usage: "steer the run that goes: status, pause, resume, workers N|auto, rate R, deadline HH:MM|none, stop, cut",
			UsageText: name + " control [options] URL ACTION [VALUE]",
			Flags:     append(append(controlFlags(), p.flags(forControl)...), version, help), Action: p.orVersion(p.control),
		},
		{
			Name: "explain", Usage: "why SITE/GROUP got, or gets, a digest or none; read-only",
			UsageText: name + " explain [options] URL SITE/GROUP",
			Flags:     append(append(explainFlags(), p.flags(forExplain)...), version, help), Action: p.orVersion(p.explain),
		},
	} {
		if (c.Name == "demo" || c.Name == "explain") && !p.program.digests {
			continue
		}
		c.HideHelp, c.OnUsageError = true, p.onUsageError
		app.Commands = append(app.Commands, c)
	}
	return app
}

// orVersion runs an action unless --version was asked for. The library looks for --help itself.
func (p command) orVersion(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Bool("version") {
			fmt.Fprintln(p.Stdout, p.program.Name, p.VersionText())
			return nil
		}
		return action(c)
	}
}

func (p command) onUsageError(_ *cli.Context, err error, _ bool) error {
	return &usageError{strings.ReplaceAll(err.Error(), "flag provided but not defined: -", "unknown option --"), p.program.helpHint()}
}

// flags makes the command-line library's flags of our own table.
func (p command) flags(wanted func(config.Flag) bool) []cli.Flag {
	var list []cli.Flag
	for _, f := range p.program.Flags {
		if !wanted(f) {
			continue
		}
		switch {
		case f.Arg == "":
			list = append(list, &cli.BoolFlag{Name: f.Name, Aliases: f.Aliases, Usage: f.Usage, Category: f.Category, DisableDefaultText: true})
		case f.Repeat:
			list = append(list, &cli.StringSliceFlag{Name: f.Name, Aliases: f.Aliases, Usage: f.Usage, Category: f.Category})
		default:
			// The default is for --help alone: a value from the environment or the file must not lose to it.
			list = append(list, &cli.StringFlag{
				Name: f.Name, Aliases: f.Aliases, Usage: f.Usage, Category: f.Category, DefaultText: f.Default,
			})
		}
	}
	return list
}

// line is the command line with these options.
func (p command) line(args map[string][]string) config.Line {
	return config.Line{Program: p.program.Program, Called: p.Name, Args: args, Getenv: p.Getenv}
}

// given collects the options that stand on the command line.
func (p command) given(c *cli.Context) map[string][]string {
	args := map[string][]string{}
	for _, f := range p.program.Flags {
		switch {
		case !c.IsSet(f.Name):
		case f.Arg == "":
			args[f.Name] = []string{fmt.Sprint(c.Bool(f.Name))}
		case f.Repeat:
			args[f.Name] = c.StringSlice(f.Name)
		default:
			args[f.Name] = []string{c.String(f.Name)}
		}
	}
	return args
}
