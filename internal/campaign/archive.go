package campaign

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// Words for a run of an archive, in the place of its name.
const LatestRun, PreviousRun = "latest", "previous"

// usualRuns is how many earlier runs a comparison takes the usual times from.
const usualRuns = 5

// A RunError is a run that an archive does not have.
type RunError struct{ problem string }

func noRun(format string, values ...any) error { return &RunError{fmt.Sprintf(format, values...)} }

func (e *RunError) Error() string { return e.problem }

// Hint says where to look for the runs that there are.
func (e *RunError) Hint() string {
	return "--list lists the runs that are kept, --state-dir says where"
}

// An Archive is what is kept of the runs of a campaign.
type Archive struct {
	campaign Campaign
	dir      *state.Dir
	runs     []state.Summary // newest first
}

// OpenArchive opens what is kept in a state directory of the runs of an installation; the zero value is any.
func OpenArchive(c Campaign, path string, in state.Installation) (*Archive, error) {
	if _, err := os.Stat(path); err != nil && path != "" {
		return nil, noRun("no state directory %s", path)
	}
	dir, err := state.Open(path)
	if err != nil {
		return nil, err
	}
	dir = dir.For(c.Name)
	runs, err := dir.Runs(in)
	return &Archive{c, dir, runs}, err
}

// Path is the state directory's.
func (a *Archive) Path() string { return a.dir.Path() }

// Program is the name of the program that made the runs.
func (a *Archive) Program() string { return cmp.Or(a.campaign.Program, "senddigest") }

// Private reports whether the names of what the runs sent to are personal data.
func (a *Archive) Private() bool { return a.campaign.Private }

// Things is what the runs sent to.
func (a *Archive) Things() printable.Noun { return a.campaign.Things }

// Find gives the place of a run by its name, which may be cut short, or by a word; empty is the latest.
func (a *Archive) Find(name string) (int, error) {
	if len(a.runs) == 0 {
		return 0, noRun("no run in %s", a.Path())
	}
	switch name {
	case "", LatestRun:
		return 0, nil
	case PreviousRun:
		before := a.before(0)
		if len(before) == 0 {
			return 0, noRun("no run before %s in %s", a.runs[0].Run, a.Path())
		}
		return before[0], nil
	}
	var found []int
	for i := range a.runs {
		if strings.HasPrefix(a.runs[i].Run, name) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return 0, noRun("no run %s in %s", printable.Line(name), a.Path())
	case 1:
		return found[0], nil
	}
	return 0, noRun("%d runs begin with %s: %s, %s …", len(found), name, a.runs[found[0]].Run, a.runs[found[1]].Run)
}

// before gives the places of the runs before one, of the same installation and with a list, newest first.
func (a *Archive) before(at int) []int {
	var list []int
	for i := at + 1; i < len(a.runs); i++ {
		if a.comparable(at, i) {
			list = append(list, i)
		}
	}
	return list
}

// comparable reports whether a run can be compared with another, at a place of its own: it has a list, of the same installation.
func (a *Archive) comparable(at, with int) bool {
	s := &a.runs[with]
	return at != with && s.Err == nil && s.Listed && a.runs[at].Installation.Matches(s.Installation)
}

// Others lists the runs that the one at a place can be compared with by [Archive.CompareWith], newest first.
func (a *Archive) Others(at int) (others []report.PastRun) {
	for i := range a.runs {
		if a.comparable(at, i) {
			others = append(others, a.past(i))
		}
	}
	return others
}

// earlier gives the runs before one, of the same installation, newest first.
func (a *Archive) earlier(at int) (runs []state.Summary) {
	for _, i := range a.before(at) {
		runs = append(runs, a.runs[i])
	}
	return runs
}

// load reads a run whole.
func (a *Archive) load(at int) (*state.Run, error) {
	running := a.dir.Running(&a.runs[at]) // first: a run may end meanwhile, and says so then
	run, err := a.dir.Load(a.runs[at].Run)
	if err != nil {
		return nil, err
	}
	run.Running = running && run.Finished.IsZero()
	if run.Started.IsZero() { // killed at birth
		run.Started, run.Last = run.Birth(), run.Birth()
	}
	return run, nil
}

// Document makes the report of the run at a place again. goOn makes the command that resumes it, where it can be.
func (a *Archive) Document(at int, goOn func(*state.Run, Mode) string) (*report.Document, error) {
	run, err := a.load(at)
	if err != nil {
		return nil, err
	}
	meta := a.campaign.Meta()
	meta.Campaign, meta.Run, meta.URL, meta.Started = run.Campaign, run.Run, run.URL, run.Started
	meta.Workers, meta.Rate, meta.Burst, meta.StopWord = run.Workers, run.Rate, run.Burst, run.StoppedBy
	meta.Limits, meta.Steered, meta.Notes, meta.Error = limitsOf(run), steersOf(run), notesOf(run), errorOf(run)
	if run.Judged {
		meta.Ledger = &report.Ledger{Gaps: ledger.Gaps{Posts: run.GapPosts, Later: run.GapsLater}, GapGroups: run.GapGroups}
		for _, g := range run.Gaps {
			meta.Ledger.Gaps.Groups = append(meta.Ledger.Gaps.Groups, ledger.Group(g))
		}
		for e := range run.All() {
			meta.Ledger.Mails = append(meta.Ledger.Mails, e.Mail)
		}
		meta.Nights = nights(a.earlier(at))
	}
	switch {
	case run.Running:
		meta.State = report.Running
	case run.Finished.IsZero():
		meta.State = report.CutOff
	}
	if mode, ok := a.mode(at); ok {
		meta.GoOn = func(string) string { return goOn(run, mode) }
		meta.Again = func(...string) string { return goOn(run, mode) }
	}
	return report.New(run.Report(), meta), nil
}

func limitsOf(run *state.Run) (limits []report.Limit) {
	if !run.Listed { // nothing was in flight
		return nil
	}
	if run.Workers == 0 || len(run.Limits) > 0 {
		limits = append(limits, report.Limit{At: run.Started, Sends: max(run.Workers, 1)}) // auto begins with one
	}
	for _, limit := range run.Limits {
		limits = append(limits, report.Limit{At: limit.At, Sends: limit.Sends, Crowded: limit.Crowded})
	}
	return limits
}

func steersOf(run *state.Run) (list []report.Steer) {
	for _, s := range run.Steers {
		list = append(list, report.Steer{At: s.At, What: s.What, From: s.From, To: s.To})
	}
	return list
}

func notesOf(run *state.Run) (notes []string) {
	if held := CrowdNote(limitsOf(run)); held != "" {
		notes = append(notes, held)
	}
	if run.Resumes != "" {
		notes = append(notes, "it went on with run "+run.Resumes)
	}
	if run.Aside {
		notes = append(notes, "its journal could not be written to the end; what it does not know counts as ambiguous")
	}
	if run.Overtaken {
		notes = append(notes, "a later run kept no journal: what was not accepted here may have been sent to since")
	}
	return notes
}

// errorOf is why there is nothing to tell of a run; empty: there is.
func errorOf(run *state.Run) string {
	switch {
	case run.Began():
		return ""
	case run.Running:
		return "the run has no list yet"
	case run.Finished.IsZero():
		return "the run was cut off before it had a list"
	}
	return run.Error
}

// Compare adds to the report of the run at a place what is different from those before. The end of ctx ends it before it reads
// another run.
func (a *Archive) Compare(ctx context.Context, at int, d *report.Document) error {
	var earlier []report.Past
	for _, i := range a.before(at) {
		if err := ctx.Err(); err != nil {
			return err
		}
		run := a.other(i)
		if run == nil {
			d.Note(fmt.Sprintf("run %s is in no comparison: its record cannot be read", a.runs[i].Run))
			continue
		}
		earlier = append(earlier, report.Past{Run: run.Run, Results: run.Report(), Steered: steersOf(run)})
		if len(earlier) == usualRuns {
			break
		}
	}
	if len(earlier) == 0 {
		return noRun("--compare: no run before %s in %s", a.runs[at].Run, a.Path())
	}
	d.CompareWith(earlier...)
	return nil
}

// other reads a run that nobody asked for by name. One that cannot be read is nil, and counts as such from then on.
func (a *Archive) other(at int) *state.Run {
	run, err := a.load(at)
	if err != nil {
		a.runs[at].Err = err
		return nil
	}
	return run
}

// CompareWith adds to the report of the run at a place what is different from another, earlier or later, and returns its name.
func (a *Archive) CompareWith(at int, name string, d *report.Document) (other string, err error) {
	with, err := a.Find(name)
	if err != nil {
		return "", err
	}
	if !a.comparable(at, with) {
		return "", noRun("run %s cannot be compared with %s: it has no list of the same installation", a.runs[at].Run, a.runs[with].Run)
	}
	run, err := a.load(with)
	if err != nil {
		return "", err
	}
	d.CompareWithRun(report.Past{Run: run.Run, Results: run.Report(), Steered: steersOf(run)})
	return run.Run, nil
}

// mode is how a run can be resumed now; not ok: it cannot.
func (a *Archive) mode(at int) (mode Mode, ok bool) {
	var same []state.Summary
	for _, s := range a.runs {
		// Of a run that cannot be read nobody knows whose it is: it is among every installation's.
		if s.Installation.IsZero() || a.runs[at].Installation.Matches(s.Installation) {
			s.Running = a.dir.Running(&s)
			same = append(same, s)
		}
	}
	return ModeFor(a.runs[at].Run, same, time.Now())
}

// A KeptRun is a run in the list of an archive.
type KeptRun struct {
	Run      string     `json:"run"`
	URL      string     `json:"url"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished"`         // null: it goes on, or was cut off
	Paused   float64    `json:"paused,omitempty"` // seconds in which operators had it paused
	Ended    string     `json:"ended"`            // finished, running, cut_off, no_list, unreadable, or what stopped it
	Groups   int        `json:"groups"`
	Accepted int        `json:"accepted"`
	Failed   int        `json:"failed"`
}

// List lists the runs, newest first. Those that have no end on record are read whole for it.
func (a *Archive) List() []KeptRun {
	list := make([]KeptRun, len(a.runs))
	for i := range a.runs {
		list[i] = a.kept(i)
	}
	return list
}

func (a *Archive) kept(at int) KeptRun {
	s := &a.runs[at]
	k := KeptRun{Run: s.Run, URL: s.URL, Started: s.Birth().UTC().Truncate(time.Second), Ended: "finished"}
	counts, underWay := s.Counts, 0
	switch {
	case s.Err != nil:
		k.Ended = "unreadable"
		return k
	case !s.Finished.IsZero():
		at := s.Finished.UTC().Truncate(time.Second)
		k.Finished, k.Paused = &at, s.Paused.Round(time.Millisecond).Seconds()
		if s.StoppedBy != "" {
			k.Ended = s.StoppedBy
		} else if !s.Began() {
			k.Ended = "no_list"
		}
	default:
		k.Ended = string(report.CutOff)
		run, err := a.load(at)
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
