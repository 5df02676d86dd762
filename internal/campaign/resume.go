package campaign

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// A Mode is a way to resume an earlier run. Its text is the option that asks for it.
type Mode string

const (
	Resume      Mode = "--resume"       // a run that was cut short
	RetryFailed Mode = "--retry-failed" // a run that was finished, for the groups that failed
)

const (
	// resumable is how long after its start a run can be resumed. Each digest covers 24 hours: after that a new run is due,
	// also for those who were accepted then.
	resumable = 24 * time.Hour

	clockSlack = 5 * time.Minute // by how much a clock may have been put back
)

// A ResumeError is an earlier run that cannot be resumed, or that is not there.
type ResumeError struct {
	Mode    Mode
	Problem string
	hint    string
}

func (e *ResumeError) Error() string { return string(e.Mode) + ": " + e.Problem }

// Hint says what to do about it.
func (e *ResumeError) Hint() string { return e.hint }

// NoRun is the error where there is no earlier run in a place.
func NoRun(mode Mode, where string) *ResumeError {
	return &ResumeError{mode, "no earlier run of this site in " + where, "leave out " + string(mode)}
}

// NoState is the error where there is no place to look for an earlier run.
func NoState(mode Mode) *ResumeError {
	return &ResumeError{mode, "there is no state directory to look for the earlier run in", "leave out --no-state"}
}

// FindRun loads the run of a campaign and an installation that mode resumes at the time now. It fails with a [*ResumeError] where there
// is none, and with an error of package state where it cannot be read.
func FindRun(c Campaign, dir *state.Dir, in state.Installation, mode Mode, now time.Time) (*state.Run, error) {
	runs, err := dir.Runs(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mode, err)
	}
	newest, ok := state.Newest(runs)
	if !ok {
		return nil, NoRun(mode, dir.Path())
	}
	if newest.Err != nil {
		return nil, fmt.Errorf("%s: %w", mode, newest.Err)
	}
	if refused := refuse(c, runs, &newest, mode, now); refused != nil {
		return nil, refused
	}
	run, err := dir.Load(newest.Run)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mode, err)
	}
	return run, nil
}

// ModeFor is how a run can be resumed at the time now; not ok: it cannot. Its runs are all those of the installation,
// newest first, of which [state.Summary].Running is set where it is so.
func ModeFor(run string, runs []state.Summary, now time.Time) (mode Mode, ok bool) {
	newest, ok := state.Newest(runs)
	if !ok || newest.Err != nil || newest.Run != run {
		return "", false
	}
	for _, mode := range []Mode{Resume, RetryFailed} {
		if refuse(Campaign{}, runs, &newest, mode, now) == nil {
			return mode, true
		}
	}
	return "", false
}

// refuse returns why mode does not resume newest, the newest of runs; nil means that it does. The hint names no option that
// would be refused as well.
func refuse(c Campaign, runs []state.Summary, newest *state.Summary, mode Mode, now time.Time) *ResumeError {
	what, hint, anew := "", "leave out "+string(mode), "a new run starts"
	if c.Guard == nil {
		anew += ", and mails all " + c.Things.String() + " again"
		hint += ": " + anew
	}
	switch {
	case newest.Running:
		what, hint = "is still going on", "wait for its end"
	case newest.Started.Sub(now) > clockSlack:
		what, hint = "is in the future by this machine's clock", "put the clock right, or "+hint
	case expired(newest.Started, now):
		what = "is more than a day old"
		if c.Guard != nil {
			what += ": a new run is due"
		}
	case takes(mode, newest):
		return nil
	case mode == Resume && takes(RetryFailed, newest):
		what = "was finished" + cutShort(runs, now)
		hint = "--retry-failed sends again what it did not get accepted; without either option " + anew
	case mode == Resume:
		what, hint = "was finished"+cutShort(runs, now), "leave out --resume: "+anew
	case newest.Aside:
		what, hint = "has a journal that is not complete", "--resume goes on with it"
	case newest.Unfinished():
		what, hint = "was not finished", "--resume goes on with it"
	default:
		what = "had no " + c.Things.One() + " that failed" + cutShort(runs, now)
	}
	began := newest.Started.Local().Format("2006-01-02 15:04")
	return &ResumeError{mode, fmt.Sprintf("the newest run, %s, which began %s, %s", newest.Run, began, what), hint}
}

// takes reports whether a run has something left for mode to do.
func takes(mode Mode, s *state.Summary) bool {
	if mode == Resume {
		return s.Unfinished()
	}
	return !s.Unfinished() && s.Counts.Failed() > 0
}

// expired reports whether a run that began at started is too old to be resumed.
func expired(started, now time.Time) bool { return now.Sub(started) > resumable }

// cutShort returns a sentence about a run that was cut short and cannot be resumed, since a run of a part of the groups came
// after it; empty if there is none.
func cutShort(runs []state.Summary, now time.Time) string {
	taken := map[string]bool{} // by one that resumed it
	for i, s := range runs {
		if s.Err != nil || !s.Began() {
			continue
		}
		if i > 0 && !taken[s.Run] && s.Unfinished() && !expired(s.Started, now) {
			return fmt.Sprintf("; run %s before it was cut short: what it left, a new run without --only and --exclude sends", s.Run)
		}
		if s.Resumes != "" {
			taken[s.Resumes] = true
		} else if !taken[s.Run] && len(s.Only)+len(s.Exclude) == 0 {
			break // it was for all groups
		}
	}
	return ""
}
