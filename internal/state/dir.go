package state

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Dir is a state directory. Files in it that are not ours are left alone.
type Dir struct {
	path     string
	campaign string                          // whose files it is for
	prefix   string                          // of their names
	create   func(path string) (file, error) // makes a new file; another one in tests
	flock    func(fd, how int) error         // flock(2); another one in tests
}

// file is what a Writer needs of an *os.File.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// DefaultDir is the state directory where none is given: $STATE_DIRECTORY, which systemd sets (the first of them),
// else senddigest in $XDG_STATE_HOME, which counts only where it is absolute, else in the user's ~/.local/state. It
// is empty where home is, and nothing else is set.
func DefaultDir(getenv func(string) string, home string) string {
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "senddigest")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".local", "state", "senddigest")
}

// Open opens the state directory at path, and makes it, for its owner alone, if it is not there. A directory that
// can only be read is good for reading: it is [Dir.Lock] and [Dir.Begin] that fail then. Errors are [*DirError].
func Open(path string) (*Dir, error) {
	if path == "" {
		return nil, &DirError{
			Path: "state directory", Err: errors.New("there is no home directory to keep it in"), hint: "give one with --state-dir",
		}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, dirError(path, err)
	}
	if _, err := os.ReadDir(path); err != nil {
		return nil, dirError(path, err)
	}
	return &Dir{
		path: path, campaign: digest,
		create: func(path string) (file, error) {
			return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
		},
		flock: syscall.Flock,
	}, nil
}

// digest is the campaign whose files have no name of a campaign in theirs. Programs that knew no other one wrote them,
// and may hold the lock while this one starts.
const digest = "digest"

// For is the same directory for the runs of another campaign than digest: a word of the letters a to z. Neither sees,
// locks, resumes or removes anything of the other's.
func (d *Dir) For(campaign string) *Dir {
	other := *d
	other.campaign, other.prefix = campaign, campaign+"-"
	if campaign == digest {
		other.prefix = ""
	}
	return &other
}

// HistoryPath is where the history of an installation is.
func (d *Dir) HistoryPath(in Installation) string {
	return d.file("history-" + cmp.Or(in.Token, in.Site) + ".tsv")
}

// file is the path of a file of the campaign's.
func (d *Dir) file(name string) string { return filepath.Join(d.path, d.prefix+name) }

// Path is where the directory is.
func (d *Dir) Path() string { return d.path }

// DirError is a state directory, or a file in it, that cannot be used.
type DirError struct {
	Path string
	Err  error
	hint string
}

func dirError(path string, err error) *DirError {
	const other = "give another directory with --state-dir, or do without it with --no-state"
	e := &DirError{Path: path, Err: err, hint: other}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.hint = "let the user who runs the program write there, or " + other
	case errors.Is(err, syscall.ENOSPC):
		e.hint = "make room on the disk, or " + other
	case errors.Is(err, fs.ErrExist):
		e.hint = "start the run again"
	}
	return e
}

func (e *DirError) Error() string { return e.Path + ": " + bare(e.Err).Error() }
func (e *DirError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *DirError) Hint() string { return e.hint }

// bare is what the system said, without the path that we say ourselves.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// The name of a run's file is RUN.jsonl, or CAMPAIGN-RUN.jsonl where it is not of the digests. What befell it since stands
// before the end, for a file can be renamed where nothing can be written any more: RUN.aside.jsonl, RUN.overtaken.jsonl,
// RUN.aside.overtaken.jsonl. See [Summary].
const (
	suffix        = ".jsonl"
	asideMark     = ".aside"
	overtakenMark = ".overtaken"
)

// runTime is how the name of a run begins.
const runTime = "20060102T150405Z"

// ValidRun tells whether text can be the name of a run, such as 20261123T020000Z-7f3a. No such name leads out of
// the directory.
func ValidRun(text string) bool {
	when, tail, _ := strings.Cut(text, "-")
	if _, err := time.Parse(runTime, when); err != nil || len(when) != len(runTime) || len(tail) < 4 || len(tail) > 16 {
		return false
	}
	return strings.Trim(tail, "0123456789abcdef") == ""
}

// RunError is a run that there is no journal of.
type RunError struct {
	Run string
	Dir string
	Err error
}

func (e *RunError) Error() string {
	return "no run " + e.Run + " in " + e.Dir + ": " + bare(e.Err).Error()
}
func (e *RunError) Unwrap() error { return e.Err }

var errRunName = errors.New("the name of a run looks like 20261123T020000Z-7f3a")

// find gives the path of a run's file.
func (d *Dir) find(run string) (path string, err error) {
	if !ValidRun(run) {
		return "", &RunError{run, d.path, errRunName}
	}
	for _, mark := range []string{"", asideMark, overtakenMark, asideMark + overtakenMark} {
		path = d.file(run + mark + suffix)
		if _, err = os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", &RunError{run, d.path, err}
}

// A fileName is what the name of a journal tells.
type fileName struct {
	campaign, run    string
	aside, overtaken bool
}

// nameOf takes the name of a file apart; not ok: it is no journal's.
func nameOf(name string) (n fileName, ok bool) {
	n.run, ok = strings.CutSuffix(name, suffix)
	n.run, n.overtaken = strings.CutSuffix(n.run, overtakenMark)
	n.run, n.aside = strings.CutSuffix(n.run, asideMark)
	n.campaign = digest
	if !ValidRun(n.run) {
		n.campaign, n.run, _ = strings.Cut(n.run, "-")
		ok = ok && n.campaign != "" && n.campaign != digest && word(n.campaign)
	}
	return n, ok && ValidRun(n.run)
}

// Runs lists the runs of an installation, newest first. It reads only both ends of each file. A run that cannot be
// read is listed with the reason, one that was killed at birth with nothing but its name; it is not known whose
// they were, so they are among every installation's.
func (d *Dir) Runs(in Installation) ([]Summary, error) {
	files, err := os.ReadDir(d.path)
	if err != nil {
		return nil, dirError(d.path, err)
	}
	var runs []Summary
	for _, f := range files {
		if n, ok := nameOf(f.Name()); !ok || n.campaign != d.campaign || !f.Type().IsRegular() {
			continue
		}
		path := filepath.Join(d.path, f.Name())
		s, err := summarize(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed or set aside since we looked
			continue
		case err != nil:
			s.Err, s.Last = err, time.Time{}
			if info, err := os.Stat(path); err == nil {
				s.Last = info.ModTime()
			}
		}
		if s.Installation.IsZero() || in.Matches(s.Installation) {
			runs = append(runs, s)
		}
	}
	slices.SortFunc(runs, func(a, b Summary) int {
		return cmp.Or(b.Birth().Compare(a.Birth()), strings.Compare(b.Run, a.Run))
	})
	return runs, nil
}

// Birth is when a run started: as its header says, else as its name does.
func (s *Summary) Birth() time.Time {
	if !s.Started.IsZero() {
		return s.Started
	}
	at, _ := time.Parse(runTime, s.Run[:len(runTime)])
	return at
}

// Keep removes all but the newest n runs of an installation, and spares the run current, which is being written. What
// earlier runs did of which a run needs to know when it is resumed is in its own journal. Of the files that cannot be read
// Keep removes none, unless they were killed at birth. It returns the names of the removed.
func (d *Dir) Keep(in Installation, n int, current string) (removed []string, err error) {
	runs, err := d.Runs(in)
	if err != nil {
		return nil, err
	}
	var failed []error
	count := map[bool]int{} // runs that never began apart: a night of failed tries must not push out what was mailed
	for i := range runs {
		s := &runs[i]
		if count[s.Began()]++; count[s.Began()] <= n || s.Run == current || s.Err != nil {
			continue
		}
		path, err := d.find(s.Run)
		if err == nil {
			err = os.Remove(path)
		}
		switch {
		case err == nil:
			removed = append(removed, s.Run)
		case !errors.Is(err, fs.ErrNotExist):
			failed = append(failed, dirError(path, err))
		}
	}
	return removed, errors.Join(failed...)
}

// Distrust marks the newest run of an installation as overtaken, see [Summary]. It is for a run that has to go without a
// journal: what it sends is on no record, so what the older journal calls unsent or failed may have been sent when
// somebody goes on with that.
func (d *Dir) Distrust(in Installation) error {
	runs, err := d.Runs(in)
	if err != nil {
		return err
	}
	s, ok := Newest(runs)
	if !ok || s.Err != nil || s.Overtaken {
		return nil
	}
	path, err := d.find(s.Run)
	if err != nil {
		return err
	}
	if err := os.Rename(path, strings.TrimSuffix(path, suffix)+overtakenMark+suffix); err != nil {
		return dirError(path, err)
	}
	return nil
}
