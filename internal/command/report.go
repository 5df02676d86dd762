package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/urfave/cli/v2"
)

// forReport tells the options that mean something to report: where the runs are kept, and whose.
func forReport(f config.Flag) bool {
	switch f.Name {
	case "config", "instance", "state-dir":
		return true
	}
	return false
}

// reportFlags are the options that only report has.
func (p command) reportFlags() []cli.Flag {
	const category = "Report"
	return []cli.Flag{
		&cli.StringFlag{Name: "format", Value: "text", Category: category, Usage: "the report on standard output as `text|json|html`"},
		&cli.BoolFlag{Name: "list", Category: category, DisableDefaultText: true, Usage: "list the runs that are kept, newest first; as text or json"},
		&cli.BoolFlag{Name: "serve", Category: category, DisableDefaultText: true, Usage: "show the runs in a browser, until a signal comes"},
		&cli.StringFlag{Name: "listen", Value: "127.0.0.1:0", Category: category, Usage: "with --serve: at `ADDRESS`; port 0 is a free one"},
		&cli.BoolFlag{Name: "listen-anywhere", Category: category, DisableDefaultText: true, Usage: "with --serve: take an address that other machines can reach"},
		&cli.BoolFlag{Name: "compare", Category: category, DisableDefaultText: true, Usage: p.program.text("add what is different from the run before: new failures, mended ones, groups much slower than usual")},
	}
}

// formatOf is the format that a word asks for; nil if none is called so.
func formatOf(word string) report.Format {
	switch word {
	case "text":
		return (*report.Document).WriteText
	case "json":
		return (*report.Document).WriteJSON
	case "html":
		return (*report.Document).WriteHTML
	}
	return nil
}

// report shows a run that is on record.
func (p command) report(c *cli.Context) error {
	write := formatOf(c.String("format"))
	list := c.Bool("list")
	switch {
	case write == nil:
		return &usageError{fmt.Sprintf("--format %q is not text, json or html", c.String("format")), p.program.helpHint()}
	case c.Bool("serve") && (c.NArg() > 0 || list || c.Bool("compare") || c.IsSet("format")):
		return &usageError{"--serve shows all runs, as pages", "leave out RUN, --list, --compare and --format"}
	case !c.Bool("serve") && (c.IsSet("listen") || c.IsSet("listen-anywhere")):
		return &usageError{"--listen and --listen-anywhere belong to --serve", "add it, or leave them out"}
	case c.NArg() > 1:
		return &usageError{fmt.Sprintf("one RUN, please: %q is one argument too many", c.Args().Get(1)), "write " + p.program.Name + " report [options] [RUN]"}
	case list && c.NArg() > 0:
		return &usageError{"--list lists all runs", "leave out --list, or " + c.Args().First()}
	case list && c.Bool("compare"):
		return &usageError{"--list compares nothing", "leave out one of --list and --compare"}
	case list && c.String("format") == "html":
		return &usageError{"--list is text or json", "leave out --format html"}
	}
	args := p.given(c)
	delete(args, "listen") // of this command, and of no run that it proposes, as the next
	delete(args, "listen-anywhere")
	archive, s, err := p.archive(args)
	if err != nil {
		return err
	}
	if c.Bool("serve") {
		return p.browse(c, args, s)
	}
	if list {
		return p.listRuns(archive, c.String("format") == "json")
	}
	at, err := archive.Find(c.Args().First())
	if err != nil {
		return err
	}
	document, err := archive.Document(at, func(run *state.Run, mode campaign.Mode) string { return p.goOn(args, s, run, mode) })
	if err == nil && c.Bool("compare") {
		err = archive.Compare(c.Context, at, document)
	}
	if err != nil {
		return err
	}
	return report.StdoutError(write(document, p.Document()))
}

// archive opens what is kept of earlier runs: of all installations, or of one whose configuration is named. Without that
// the configuration file only says where to look, so it need not be there, or to be read by everyone who looks.
func (p command) archive(args map[string][]string) (*campaign.Archive, *config.Settings, error) {
	named := false
	for _, name := range []string{"config", "instance"} {
		value, _ := p.Getenv(p.program.EnvName(name))
		named = named || args[name] != nil || value != ""
	}
	s, err := p.program.Resolve(config.Sources{Args: args, Getenv: p.Getenv, Binary: p.Binary})
	if _, ok := errors.AsType[*gsconfig.Error](err); err != nil && (named || !ok) {
		return nil, nil, err
	}
	var in state.Installation
	if named {
		in = state.NewInstallation(s.Token.Digest(), nil)
	}
	archive, err := campaign.OpenArchive(p.program.campaign(nil, s), p.stateDir(s), in)
	return archive, s, err
}

// goOn is the command that resumes a run: the one that it left for that, or else one with the options of this command,
// and with the pace of the run where it would have another.
func (p command) goOn(args map[string][]string, s *config.Settings, run *state.Run, mode campaign.Mode) string {
	switch {
	case mode == campaign.Resume && run.Header.Resume != "":
		return run.Header.Resume
	case mode == campaign.RetryFailed && run.RetryFailed != "":
		return run.RetryFailed
	}
	words := p.line(args).Words(true)
	switch {
	case run.Workers == 0 && !s.Auto:
		words = append(words, "--workers", "auto")
	case run.Workers != 0 && (s.Auto || run.Workers != s.Workers):
		words = append(words, "--workers", strconv.Itoa(run.Workers))
	}
	if run.Rate != float64(s.Rate) {
		words = append(words, "--rate", strconv.FormatFloat(run.Rate, 'f', -1, 64))
	}
	if run.Burst != s.Burst {
		words = append(words, "--burst", strconv.Itoa(run.Burst))
	}
	return strings.Join(append(words, string(mode), config.Quote(run.URL)), " ")
}

// writeJSON writes a value for programs that people look at as well.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// listRuns writes the runs that are kept.
func (p command) listRuns(archive *campaign.Archive, asJSON bool) error {
	kept, stdout := archive.List(), p.Document()
	if asJSON {
		return report.StdoutError(writeJSON(stdout, kept))
	}
	if len(kept) == 0 {
		_, _ = fmt.Fprintf(p.Stderr, "%s: no run in %s\n", p.program.Name, archive.Path())
		return nil
	}
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "RUN\tBEGAN\tTOOK\t%s\tACCEPTED\tFAILED\tENDED\tSITE\n", strings.ToUpper(archive.Things().String()))
	for _, k := range kept {
		took := "-"
		if k.Finished != nil {
			took = report.Length(k.Finished.Sub(k.Started).Seconds(), k.Paused)
		}
		fmt.Fprintln(out, strings.Join([]string{
			k.Run, k.Started.Local().Format("2006-01-02 15:04"), took, strconv.Itoa(k.Groups), strconv.Itoa(k.Accepted),
			strconv.Itoa(k.Failed), k.Ended, printable.Line(k.URL),
		}, "\t"))
	}
	return report.StdoutError(out.Flush())
}
