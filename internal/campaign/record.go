package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// keptRuns is how many runs of an installation the state directory keeps.
const keptRuns = 30

// A record is what a run has of the state directory: the lock, what earlier runs left, and its own journal. Each part may
// be missing. A run goes on without what cannot be had, and warns of it once.
type record struct {
	dir      *state.Dir     // nil: none
	lock     *state.Lock    // nil: not taken
	journal  *state.Writer  // nil: none
	history  *state.History // what the sends take; it learns from the run. nil: nothing is known
	previous *Previous      // the run to go on with; nil: a new run
	past     Past

	missing  bool           // the directory is not there, and has only been looked for
	unusable error          // why the directory cannot be used, which is said where an earlier run is wanted
	failed   error          // what could not be written although it was asked for by name
	warnings sync.WaitGroup // those that are being given beside the run
}

// warn warns the operator.
func (r *run) warn(format string, values ...any) {
	r.events.Observe(Warned{fmt.Sprintf(format, values...)})
}

// hold opens the state directory and takes the installation's lock. Its errors end the run before the first request:
// another run holds the lock, or ctx has ended.
func (r *run) hold(ctx context.Context) error {
	r.begin(time.Now())
	if r.NoState {
		return nil
	}
	dir, err := state.Open(r.StateDir)
	if err == nil {
		dir = dir.For(r.campaign.Name)
		err = r.takeLock(ctx, dir)
	}
	if _, held := errors.AsType[*state.HeldError](err); held {
		return err
	}
	switch {
	case err == nil:
		r.dir = dir
	case ctx.Err() != nil: // while it waited for the lock
		return fmt.Errorf("no %s sent: %w", r.campaign.Mail, context.Cause(ctx))
	case r.Resume != "":
		r.unusable = err // that is refused, and sends nothing
	default:
		r.goWithout("neither lock nor journal", r.distrust(dir, err))
	}
	return nil
}

// takeLock takes the lock, or waits for it. Of two runs the later one is the newer: a run begins when it has the lock.
func (r *run) takeLock(ctx context.Context, dir *state.Dir) (err error) {
	holder := func(since time.Time) state.Holder {
		r.begin(since)
		return state.Holder{PID: os.Getpid(), Run: r.id, Since: since, URL: r.URL, Queue: r.Queue != nil}
	}
	r.lock, err = dir.Lock(ctx, r.Installation, holder, 0)
	if held, ok := errors.AsType[*state.HeldError](err); ok && r.LockWait > 0 {
		r.events.Observe(Locking{Held: held, For: r.LockWait})
		r.lock, err = dir.Lock(ctx, r.Installation, holder, r.LockWait)
		r.events.Observe(Locked{})
	}
	return err
}

// look opens the state directory to look at earlier runs alone.
func (r *run) look() {
	r.begin(time.Now())
	if r.NoState {
		return
	}
	if _, err := os.Stat(r.StateDir); r.StateDir != "" && errors.Is(err, os.ErrNotExist) {
		r.missing = true
		return
	}
	dir, err := state.Open(r.StateDir)
	if err != nil {
		r.unusable = err
		if r.Resume == "" {
			r.warn("what earlier runs did is not known: %v", err)
		}
		return
	}
	r.dir = dir.For(r.campaign.Name)
}

// goWithout says once what the run goes on without.
func (r *run) goWithout(what string, err error) {
	r.warn("%s for this run: %v%s", what, err, hint(err))
	if r.StateNamed {
		r.failed = &report.WriteError{Path: "the state in " + r.StateDir, Err: err}
	}
}

// hint is what to do about an error, behind a semicolon; empty where the error does not say.
func hint(err error) string {
	if e, ok := errors.AsType[Hinter](err); ok && e.Hint() != "" {
		return "; " + e.Hint()
	}
	return ""
}

// distrust keeps a later run from going on with what an earlier one left, since this run's sends will be on no record
// for the reason err. It gives err, and says so where an earlier run could not be marked.
func (r *run) distrust(dir *state.Dir, err error) error {
	if dir == nil {
		return err
	}
	if failed := dir.Distrust(r.Installation); failed != nil {
		return fmt.Errorf("%w; do not --resume an earlier run: %w", err, failed)
	}
	return err
}

// remember finds out what earlier runs have done, or may be doing still. Its error is that of a mode with nothing to go on
// with.
func (r *run) remember() (err error) {
	r.past = nothing{}
	if r.previous, err = r.findPrevious(); err != nil {
		return err
	}
	if r.Assume != nil {
		r.assumed = state.Assumed{Start: r.Assume.Began(r.started), Length: r.Assume.Length}
	}
	if r.previous != nil {
		// The run that is gone on with has chosen its groups, also those that are new in the list.
		h := &r.previous.Run.Header
		r.Only, r.Exclude = patterns(h.Only), patterns(h.Exclude)
		if h.Assumed != (state.Assumed{}) {
			r.assumed = h.Assumed
		}
	}
	if r.Queue != nil {
		defer func() { r.past = r.Queue.Past(r.past) }()
	}
	if r.dir == nil {
		return nil
	}
	if r.campaign.Guard != nil { // otherwise nobody is held back, and nothing is repeated
		recent, failed := r.dir.Recent(r.Installation, r.started.Add(-max(guard.Memory, r.settleTime())))
		for _, err := range failed {
			r.warn("what earlier runs did is not all known: %v", err)
		}
		r.past = &journals{recent, r.lock.Doubt()}
	}
	if !r.campaign.Private {
		if r.history, err = state.LoadHistory(r.dir.HistoryPath(r.Installation)); err != nil {
			r.warn("what the sends take is not known from past runs: %v%s", err, hint(err))
		}
	}
	return nil
}

// findPrevious finds the run to go on with; nil for a new run.
func (r *run) findPrevious() (*Previous, error) {
	switch {
	case r.Resume == "":
		return nil, nil
	case r.missing:
		return nil, NoRun(r.Resume, r.StateDir)
	case r.unusable != nil:
		return nil, fmt.Errorf("%s: %w", r.Resume, r.unusable)
	case r.dir == nil:
		return nil, NoState(r.Resume)
	}
	found, err := FindRun(r.campaign, r.dir, r.Installation, r.Resume, r.started)
	if err != nil {
		return nil, err
	}
	return &Previous{Run: found, Failed: r.Resume == RetryFailed, Ended: r.started}, nil
}

// open begins the journal of the run.
func (r *run) open() {
	if r.dir == nil {
		return
	}
	h := state.Header{
		Campaign: r.campaign.Name, Run: r.id, URL: r.URL, Installation: r.Installation, Started: r.started,
		Workers: r.Workers, Rate: float64(r.Rate), Burst: r.Burst,
		Only: texts(r.Only), Exclude: texts(r.Exclude), Assumed: r.assumed,
	}
	if r.Auto {
		h.Workers = 0
	}
	if r.Commands != nil {
		h.Resume, h.RetryFailed = r.Commands.Kept(Resume), r.Commands.Kept(RetryFailed)
	}
	if r.previous != nil {
		h.Resumes = r.previous.Run.Header.Run
	}
	// The journal is told of an event when it finds that it cannot write: the warning has to wait for its turn.
	journal, err := r.dir.Begin(h, func(e *state.JournalWriteError) {
		r.warnings.Go(func() { r.warn("the journal of this run was set aside: %v%s", e, hint(e)) })
	})
	if err != nil {
		r.goWithout("no journal", r.distrust(r.dir, err))
		return
	}
	r.journal = journal
}

// onRecord puts a run on record, as the first of its observers: a start is on file before the request leaves.
func (r *run) onRecord(e Event) {
	switch e := e.(type) {
	case Planned:
		if r.journal == nil {
			return
		}
		e.journalled(r.journal)
		if r.journal.Err() == nil && r.lock != nil {
			r.lock.Settled() // the journal of this run knows now of what an earlier one left in doubt
		}
	case Limited:
		if r.journal != nil {
			r.journal.Limit(e.Sends, e.Crowded)
		}
	case Steered:
		if r.journal != nil {
			r.journal.Steer(e.recorded())
		}
	case Judged:
		if r.journal != nil {
			for _, settled := range e.Settled {
				r.journal.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: settled})
			}
			r.journal.Judge(e.Mails, e.Gaps)
		}
	case Send:
		if r.journal != nil {
			r.journal.Observe(e.Event)
		}
		if r.history != nil && r.limits.alike(e.Result.Start) {
			r.history.Observe(e.Event)
		}
	}
}

// seal completes the record of a run, and returns what could not be written of it although somebody asked for that.
func (r *run) seal(result Result) error {
	_, refused := errors.AsType[*FitError](result.StoppedBy)
	if r.journal != nil {
		r.journal.Finish(ending(result))
	}
	if r.history != nil && r.dir != nil && result.Document.Error == "" && !refused {
		r.keepHistory()
	}
	if r.journal != nil {
		err := r.journal.Close()
		r.warnings.Wait()
		if err != nil {
			return &report.WriteError{Path: "the journal", Err: err}
		}
	}
	return r.failed
}

func (r *run) keepHistory() {
	err := r.history.Save(r.dir.HistoryPath(r.Installation))
	// Where the journal could not be written either, one warning is enough.
	if err == nil || r.failed != nil || r.journal == nil || r.journal.Err() != nil {
		return
	}
	r.warn("what the sends took is not kept: %v%s", err, hint(err))
	if r.StateNamed {
		r.failed = &report.WriteError{Path: "the history", Err: err}
	}
}

func ending(result Result) state.Ending {
	// Not now: the report that is made from the journal says the same as the run's own.
	e := state.Ending{At: result.Document.Ended(), Error: result.Document.Error}
	if result.Document.StoppedBy != nil {
		e.StoppedBy = *result.Document.StoppedBy
	}
	e.Paused = result.Document.PausedFor()
	if result.StoppedBy != nil {
		e.Error = result.StoppedBy.Error()
	}
	return e
}

// release removes what is too old, and gives the lock back.
func (r *run) release() {
	if r.dir != nil {
		_, _ = r.dir.Keep(r.Installation, keptRuns, r.id) // an old file too many harms nobody
	}
	if r.lock != nil {
		_ = r.lock.Unlock() // the process's end does it as well
	}
}
