package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

const keptRuns = 30 // of an installation, in the state directory

// A state is what a run has of the state directory: the lock, its journal, and what earlier runs left. Each part
// may be missing; a run goes on without what cannot be had, and says so once.
type runState struct {
	run      string     // the name of the run
	started  time.Time  // when it began: when it had the lock, so that of two runs the later one is the newer
	dir      *state.Dir // nil: none
	in       state.Installation
	lock     *state.Lock
	journal  *state.Writer
	missing  string         // the directory that is not there to be read; empty: it is, or is not wanted
	unusable error          // why the directory cannot be used
	history  *state.History // nil: none
	failed   error          // why a directory that was asked for by name is not used
}

// stateDir is where the state is to be.
func (p Process) stateDir(s *config.Settings) string {
	getenv := func(name string) string {
		value, _ := p.Getenv(name)
		return value
	}
	return cmp.Or(s.StateDir, state.DefaultDir(getenv, getenv("HOME")))
}

// lockState opens the state directory and takes the installation's lock. Its errors end the run before the first
// request: another run holds the lock, or c has ended.
func (p Process) lockState(c *session, st *runState, site *url.URL, s *config.Settings) error {
	st.begins(time.Now())
	if s.NoState {
		return nil
	}
	st.in = state.NewInstallation(s.Token.Digest(), site)
	dir, err := state.Open(p.stateDir(s))
	if err == nil {
		holder := func(since time.Time) state.Holder {
			st.begins(since)
			return state.Holder{PID: os.Getpid(), Run: st.run, Since: since, URL: hooks.SiteName(site)}
		}
		st.lock, err = dir.Lock(c.ctx, st.in, holder, 0)
		if held, ok := errors.AsType[*state.HeldError](err); ok && s.LockWait > 0 {
			c.events.Observe(campaign.Locking{Held: held, For: s.LockWait})
			st.lock, err = dir.Lock(c.ctx, st.in, holder, s.LockWait)
			c.events.Observe(campaign.Locked{})
		}
	}
	if _, held := errors.AsType[*state.HeldError](err); held {
		return err
	}
	if err != nil && c.ctx.Err() != nil { // while it waited for the lock
		return fmt.Errorf("no digest sent: %w", context.Cause(c.ctx))
	}
	if err != nil {
		if s.Resume || s.RetryFailed {
			st.unusable = err // that is refused, and sends nothing
			return nil
		}
		st.without(c, s, "neither lock nor journal", distrust(dir, st.in, err))
		return nil
	}
	st.dir = dir
	return nil
}

// Observe takes an earlier run's doubt off the lock as soon as the journal of this one knows of it.
func (st *runState) Observe(e campaign.Event) {
	if _, ok := e.(campaign.Planned); ok && st.journal != nil && st.journal.Err() == nil {
		st.lock.Settled()
	}
}

// begins says when the run does, which names it.
func (st *runState) begins(at time.Time) { st.started, st.run = at, campaign.RunID(at) }

// readState opens the state directory to look at earlier runs alone.
func (p Process) readState(c *session, site *url.URL, s *config.Settings) *runState {
	if s.NoState {
		return &runState{}
	}
	st := &runState{in: state.NewInstallation(s.Token.Digest(), site)}
	path := p.stateDir(s)
	if _, err := os.Stat(path); path != "" && errors.Is(err, os.ErrNotExist) {
		st.missing = path
		return st
	}
	dir, err := state.Open(path)
	if err != nil {
		st.unusable = err // --resume and --retry-failed are refused for it
		if !s.Resume && !s.RetryFailed {
			fmt.Fprintf(c.display, "%s: warning: what earlier runs did is not known: %v\n", program, err)
		}
		return st
	}
	st.dir = dir
	return st
}

// without says once what the run goes on without.
func (st *runState) without(c *session, s *config.Settings, what string, err error) {
	text := fmt.Sprintf("%s: warning: %s for this run: %v", program, what, err)
	if e, ok := errors.AsType[*state.DirError](err); ok {
		text += "; " + e.Hint()
	}
	fmt.Fprintln(c.display, text)
	if s.StateDir != "" {
		st.failed = &report.WriteError{Path: "the state in " + s.StateDir, Err: err}
	}
}

// distrust keeps a later run from going on with what an earlier one left, since this run's sends will be on no record
// for the reason err. It gives err, and says so where an earlier run could not be marked.
func distrust(dir *state.Dir, in state.Installation, err error) error {
	if dir == nil {
		return err
	}
	if failed := dir.Distrust(in); failed != nil {
		return fmt.Errorf("%w; do not --resume an earlier run: %w", err, failed)
	}
	return err
}

// remember settles which groups a run is about, and what of it earlier runs have done, or may be doing still. Its
// error is that of --resume or --retry-failed with nothing to go on with.
func (st *runState) remember(c *session, s *config.Settings, settings *campaign.Settings) (err error) {
	if settings.Previous, err = st.previous(s, settings.Started); err != nil {
		return err
	}
	only, exclude, assumed := s.Only, s.Exclude, state.Assumed{}
	if settings.Previous != nil {
		// The run that is gone on with has chosen its groups, also those that are new in the list.
		h := &settings.Previous.Run.Header
		only, exclude, assumed = patterns(h.Only), patterns(h.Exclude), h.Assumed
	}
	if s.Assume != nil && assumed == (state.Assumed{}) {
		assumed = state.Assumed{Start: s.Assume.Began(settings.Started), Length: s.Assume.Length}
	}
	settings.LeftOut = leftOut(only, exclude)
	settings.Settle = campaign.Settle{After: settle(s), Timeout: s.Timeout, Skip: s.SkipAmbiguous}
	settings.ServerZone = s.ServerZone
	settings.Guard = &campaign.Guard{Wait: s.GuardWait, AssumedStart: assumed.Start, AssumedLength: assumed.Length}
	if c.ends != nil {
		settings.Guard.Until, settings.Settle.Until = c.ends.At, c.ends.At
	}
	if st.dir == nil {
		return nil
	}
	back := max(campaign.GuardMemory, settings.Settle.After)
	recent, failed := st.dir.Recent(st.in, settings.Started.Add(-back))
	for _, err := range failed {
		fmt.Fprintf(c.display, "%s: warning: what earlier runs did is not all known: %v\n", program, err)
	}
	settings.Guard.Last, settings.Open = recent.Accepted, recent.Open
	if st.history, err = state.LoadHistory(st.dir.HistoryPath(st.in)); err != nil {
		fmt.Fprintf(c.display, "%s: warning: what the sends take is not known from past runs: %v; %s\n", program, err, hintOf(err))
	}
	settings.History = st.history
	if doubt := st.lock.Doubt(); !doubt.IsZero() {
		settings.Open = func(state.Group) (time.Time, bool) { return doubt, true }
	}
	return nil
}

// learnt keeps what a run has learnt of the costs of its groups.
func (st *runState) learnt(c *session, s *config.Settings) {
	if st.history == nil {
		return
	}
	// Where the journal could not be written either, one warning is enough.
	if err := st.history.Save(st.dir.HistoryPath(st.in)); err != nil && st.failed == nil && st.journal != nil && st.journal.Err() == nil {
		fmt.Fprintf(c.display, "%s: warning: what the sends took is not kept: %v; %s\n", program, err, hintOf(err))
		if s.StateDir != "" && st.failed == nil {
			st.failed = &report.WriteError{Path: "the history", Err: err}
		}
	}
}

// patterns reads patterns that a journal has kept.
func patterns(texts []string) []config.Pattern {
	var list []config.Pattern
	for _, text := range texts {
		if p, err := config.ParsePattern(text); err == nil { // it was read before it was kept
			list = append(list, p)
		}
	}
	return list
}

// settle is how long after its start an ambiguous send may be repeated. Who raised the time for one try beyond
// the usual knows that sends take so long there.
func settle(s *config.Settings) time.Duration {
	if s.Timeout > config.DefaultSettle {
		return max(s.Settle, s.Timeout)
	}
	return s.Settle
}

// previous finds the run that --resume or --retry-failed goes on with; nil where neither was given.
func (st *runState) previous(s *config.Settings, now time.Time) (*campaign.Previous, error) {
	var mode campaign.Mode
	switch {
	case s.Resume:
		mode = campaign.Resume
	case s.RetryFailed:
		mode = campaign.RetryFailed
	default:
		return nil, nil
	}
	switch {
	case st.missing != "":
		return nil, campaign.NoRun(mode, st.missing)
	case st.unusable != nil:
		return nil, fmt.Errorf("%s: %w", mode, st.unusable)
	case st.dir == nil:
		return nil, campaign.NoState(mode)
	}
	run, err := campaign.FindRun(st.dir, st.in, mode, now)
	if err != nil {
		return nil, err
	}
	return &campaign.Previous{
		Run: run, Failed: s.RetryFailed, Ended: now,
	}, nil
}

// begin makes the journal of the run.
func (st *runState) begin(c *session, s *config.Settings, settings *campaign.Settings, next commands) {
	if st.dir == nil {
		return
	}
	h := state.Header{
		Campaign: "digest", Run: settings.Run, URL: settings.URL, Installation: st.in, Started: settings.Started,
		Workers: settings.Workers, Rate: float64(settings.Rate), Burst: settings.Burst,
		Only: texts(s.Only), Exclude: texts(s.Exclude),
		Assumed: state.Assumed{Start: settings.Guard.AssumedStart, Length: settings.Guard.AssumedLength},
	}
	if settings.Auto {
		h.Workers = 0
	}
	if next.kept != nil {
		h.Resume, h.RetryFailed = next.kept("--resume"), next.kept("--retry-failed")
	}
	if settings.Previous != nil {
		earlier := &settings.Previous.Run.Header
		h.Resumes, h.Only, h.Exclude = earlier.Run, earlier.Only, earlier.Exclude
	}
	writer, err := st.dir.Begin(h, func(e *state.JournalWriteError) {
		fmt.Fprintf(c.display, "%s: warning: the journal of this run was set aside: %v; %s\n", program, e, e.Hint())
	})
	if err != nil {
		st.without(c, s, "no journal", distrust(st.dir, st.in, err))
		return
	}
	st.journal, settings.Journal = writer, writer
}

func texts(patterns []config.Pattern) []string {
	var list []string
	for _, p := range patterns {
		list = append(list, p.String())
	}
	return list
}

// end ends the journal. Its error is of a journal, or of the state, that could not be written; it has been told when it
// happened.
func (st *runState) end() error {
	if st.journal == nil {
		return st.failed
	}
	if err := st.journal.Close(); err != nil {
		return &report.WriteError{Path: "the journal", Err: err}
	}
	return st.failed
}

// close gives the lock back.
func (st *runState) close() {
	if st.dir != nil {
		_, _ = st.dir.Keep(st.in, keptRuns, st.run) // an old file too many harms nobody
	}
	if st.lock != nil {
		_ = st.lock.Unlock() // the process's end does it as well
	}
}
