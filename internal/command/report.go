package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/urfave/cli/v2"
)

const (
	latestRun, previousRun = "latest", "previous" // words for a RUN

	// usualRuns is how many earlier runs a comparison takes the usual times from.
	usualRuns = 5
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
func reportFlags() []cli.Flag {
	const category = "Report"
	return []cli.Flag{
		&cli.StringFlag{Name: "format", Value: "text", Category: category, Usage: "the report on standard output as `text|json|html`"},
		&cli.BoolFlag{Name: "list", Category: category, DisableDefaultText: true, Usage: "list the runs that are kept, newest first; as text or json"},
		&cli.BoolFlag{Name: "compare", Category: category, DisableDefaultText: true, Usage: "add what is different from the run before: new failures, mended ones, groups much slower than usual"},
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

// A past is what is kept of earlier runs.
type past struct {
	dir      *state.Dir
	runs     []state.Summary // newest first
	args     map[string][]string
	settings *config.Settings
}

// report shows a run that is on record.
func (p Process) report(c *cli.Context) error {
	write := formatOf(c.String("format"))
	list := c.Bool("list")
	switch {
	case write == nil:
		return &usageError{fmt.Sprintf("--format %q is not text, json or html", c.String("format")), helpHint}
	case c.NArg() > 1:
		return &usageError{fmt.Sprintf("one RUN, please: %q is one argument too many", c.Args().Get(1)), "write " + program + " report [options] [RUN]"}
	case list && c.NArg() > 0:
		return &usageError{"--list lists all runs", "leave out --list, or " + c.Args().First()}
	case list && c.Bool("compare"):
		return &usageError{"--list compares nothing", "leave out one of --list and --compare"}
	case list && c.String("format") == "html":
		return &usageError{"--list is text or json", "leave out --format html"}
	}
	past, err := p.past(given(c))
	if err != nil {
		return err
	}
	if list {
		return past.list(p.document(), p.Stderr, c.String("format") == "json")
	}
	at, err := past.find(c.Args().First())
	if err != nil {
		return err
	}
	document, err := p.pastDocument(past, at, c.Bool("compare"))
	if err != nil {
		return err
	}
	return report.StdoutError(write(document, p.document()))
}

// past finds what is kept of earlier runs: of all installations, or of one whose configuration is named. Without that
// the configuration file only says where to look, so it need not be there, or to be read by everyone who looks.
func (p Process) past(args map[string][]string) (*past, error) {
	named := false
	for _, name := range []string{"config", "instance"} {
		value, _ := p.Getenv(config.EnvName(name))
		named = named || args[name] != nil || value != ""
	}
	s, err := config.Resolve(config.Sources{Args: args, Getenv: p.Getenv, Binary: p.Binary})
	if _, ok := errors.AsType[*gsconfig.Error](err); err != nil && (named || !ok) {
		return nil, err
	}
	path := p.stateDir(s)
	if _, err := os.Stat(path); err != nil && path != "" {
		return nil, noRun("no state directory %s", path)
	}
	dir, err := state.Open(path)
	if err != nil {
		return nil, err
	}
	var in state.Installation
	if named {
		in = state.NewInstallation(s.Token.Digest(), nil)
	}
	runs, err := dir.Runs(in)
	return &past{dir, runs, args, s}, err
}

// noRun is the error of a run that is not there.
func noRun(format string, values ...any) error {
	return &usageError{fmt.Sprintf(format, values...), "--list lists the runs that are kept, --state-dir says where"}
}

// find gives the place of a run among those that are kept. A name may be cut short.
func (l *past) find(name string) (int, error) {
	if len(l.runs) == 0 {
		return 0, noRun("no run in %s", l.dir.Path())
	}
	switch name {
	case "", latestRun:
		return 0, nil
	case previousRun:
		before := l.before(0)
		if len(before) == 0 {
			return 0, noRun("no run before %s in %s", l.runs[0].Run, l.dir.Path())
		}
		return before[0], nil
	}
	var found []int
	for i := range l.runs {
		if strings.HasPrefix(l.runs[i].Run, name) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return 0, noRun("no run %s in %s", printable.Line(name), l.dir.Path())
	case 1:
		return found[0], nil
	}
	return 0, noRun("%d runs begin with %s: %s, %s …", len(found), name, l.runs[found[0]].Run, l.runs[found[1]].Run)
}

// before gives the places of the runs before one, of the same installation and with a list of groups, newest first.
func (l *past) before(at int) []int {
	var list []int
	for i := at + 1; i < len(l.runs); i++ {
		if s := &l.runs[i]; s.Err == nil && s.Listed && l.runs[at].Installation.Matches(s.Installation) {
			list = append(list, i)
		}
	}
	return list
}

// load reads a run whole.
func (l *past) load(at int) (*state.Run, error) {
	running := l.dir.Running(&l.runs[at]) // first: a run may end meanwhile, and says so then
	run, err := l.dir.Load(l.runs[at].Run)
	if err != nil {
		return nil, err
	}
	run.Running = running && run.Finished.IsZero()
	if run.Started.IsZero() { // killed at birth
		run.Started, run.Last = run.Birth(), run.Birth()
	}
	return run, nil
}

// pastDocument makes the report of a run again.
func (p Process) pastDocument(l *past, at int, compare bool) (*report.Document, error) {
	run, err := l.load(at)
	if err != nil {
		return nil, err
	}
	meta := report.Meta{
		Campaign: run.Campaign, Run: run.Run, URL: run.URL, Started: run.Started, Workers: run.Workers, Rate: run.Rate,
		Burst: run.Burst, StopWord: run.StoppedBy,
		Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(state.Group)
			return g.Site, g.Group
		},
	}
	if run.Workers == 0 && run.Listed || len(run.Limits) > 0 {
		meta.Limits = append(meta.Limits, report.Limit{At: run.Started, Sends: max(run.Workers, 1)}) // auto begins with one
	}
	for _, limit := range run.Limits {
		meta.Limits = append(meta.Limits, report.Limit{At: limit.At, Sends: limit.Sends, Crowded: limit.Crowded})
	}
	if held := campaign.CrowdNote(meta.Limits); held != "" {
		meta.Notes = append(meta.Notes, held)
	}
	switch {
	case run.Running:
		meta.State = report.Running
	case run.Finished.IsZero():
		meta.State = report.CutOff
	}
	switch {
	case run.Began():
	case run.Running:
		meta.Error = "the run has no list of groups yet"
	case run.Finished.IsZero():
		meta.Error = "the run was cut off before it had a list of groups"
	default:
		meta.Error = run.Error
	}
	if run.Resumes != "" {
		meta.Notes = append(meta.Notes, "it went on with run "+run.Resumes)
	}
	if run.Aside {
		meta.Notes = append(meta.Notes, "its journal could not be written to the end; what it does not know counts as ambiguous")
	}
	if run.Overtaken {
		meta.Notes = append(meta.Notes, "a later run kept no journal: what was not accepted here may have been sent to since")
	}
	if mode, ok := l.mode(at); ok {
		meta.GoOn = func(string) string { return p.goOn(l, run, mode) }
		meta.Again = func(...string) string { return p.goOn(l, run, mode) }
	}
	document := report.New(run.Report(), meta)
	if !compare {
		return document, nil
	}
	var earlier []report.Past
	for _, i := range l.before(at) {
		run, err := l.load(i)
		if err != nil {
			return nil, err
		}
		earlier = append(earlier, report.Past{Run: run.Run, Results: run.Report()})
		if len(earlier) == usualRuns {
			break
		}
	}
	if len(earlier) == 0 {
		return nil, noRun("--compare: no run before %s in %s", run.Run, l.dir.Path())
	}
	document.CompareWith(earlier...)
	return document, nil
}

// mode is how a run can be resumed now; not ok: it cannot.
func (l *past) mode(at int) (mode campaign.Mode, ok bool) {
	var same []state.Summary
	for _, s := range l.runs {
		// Of a run that cannot be read nobody knows whose it is: it is among every installation's.
		if s.Installation.IsZero() || l.runs[at].Installation.Matches(s.Installation) {
			s.Running = l.dir.Running(&s)
			same = append(same, s)
		}
	}
	return campaign.ModeFor(l.runs[at].Run, same, time.Now())
}

// goOn is the command that resumes a run: the one that it left for that, or else one with the options of this command,
// and with the pace of the run where it would have another.
func (p Process) goOn(l *past, run *state.Run, mode campaign.Mode) string {
	switch {
	case mode == campaign.Resume && run.Header.Resume != "":
		return run.Header.Resume
	case mode == campaign.RetryFailed && run.RetryFailed != "":
		return run.RetryFailed
	}
	words, s := p.words(l.args, true), l.settings
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
	return strings.Join(append(words, string(mode), quote(run.URL)), " ")
}

// A keptRun is a run in a list.
type keptRun struct {
	Run      string     `json:"run"`
	URL      string     `json:"url"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished"` // null: it goes on, or was cut off
	Ended    string     `json:"ended"`    // finished, running, cut_off, no_list, unreadable, or what stopped it
	Groups   int        `json:"groups"`
	Accepted int        `json:"accepted"`
	Failed   int        `json:"failed"`
}

// kept says what a list has of a run. Those that have no end on record are read whole for it.
func (l *past) kept(at int) keptRun {
	s := &l.runs[at]
	k := keptRun{Run: s.Run, URL: s.URL, Started: s.Birth().UTC().Truncate(time.Second), Ended: "finished"}
	counts, begun, underWay := s.Counts, s.Began(), 0
	switch {
	case s.Err != nil:
		k.Ended = "unreadable"
		return k
	case !s.Finished.IsZero():
		at := s.Finished.UTC().Truncate(time.Second)
		k.Finished = &at
		if s.StoppedBy != "" {
			k.Ended = s.StoppedBy
		} else if !begun {
			k.Ended = "no_list"
		}
	default:
		k.Ended = string(report.CutOff)
		run, err := l.load(at)
		if err != nil {
			k.Ended = "unreadable"
			return k
		}
		if run.Running {
			k.Ended = string(report.Running)
		}
		counts = run.Report().Counts()
		for e := range run.All() {
			if e.Open {
				underWay++
			}
		}
	}
	for _, n := range counts {
		k.Groups += n
	}
	k.Accepted, k.Failed = counts[dispatcher.Accepted], counts.Failed()
	if k.Ended == string(report.Running) {
		k.Failed -= underWay // they have not failed
	}
	return k
}

// list writes the runs that are kept.
func (l *past) list(stdout, stderr io.Writer, asJSON bool) error {
	kept := make([]keptRun, len(l.runs))
	for i := range l.runs {
		kept[i] = l.kept(i)
	}
	if asJSON {
		e := json.NewEncoder(stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return report.StdoutError(e.Encode(kept))
	}
	if len(kept) == 0 {
		_, _ = fmt.Fprintf(stderr, "%s: no run in %s\n", program, l.dir.Path())
		return nil
	}
	out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "RUN\tBEGAN\tTOOK\tGROUPS\tACCEPTED\tFAILED\tENDED\tSITE")
	for _, k := range kept {
		took := "-"
		if k.Finished != nil {
			took = k.Finished.Sub(k.Started).String()
		}
		fmt.Fprintln(out, strings.Join([]string{
			k.Run, k.Started.Local().Format("2006-01-02 15:04"), took, strconv.Itoa(k.Groups), strconv.Itoa(k.Accepted),
			strconv.Itoa(k.Failed), k.Ended, printable.Line(k.URL),
		}, "\t"))
	}
	return report.StdoutError(out.Flush())
}
