package campaign_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// An earlierRun is one that left something to resume, or nothing.
type earlierRun struct {
	ago     time.Duration // since it began; below 0: it is yet to come
	open    bool          // no end is on record
	stopped bool
	failed  bool // one of its groups
	aside   bool // its journal was set aside
}

// write puts the journal of a run into a state directory.
func (r earlierRun) write(t *testing.T, dir *state.Dir, in state.Installation, now time.Time) (run string) {
	t.Helper()
	started := now.Add(-r.ago)
	run = campaign.RunID(started)
	w, err := dir.Begin(state.Header{Campaign: "digest", Run: run, URL: siteURL, Installation: in, Started: started, Workers: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := []state.Group{{Site: "main", Group: "a"}, {Site: "main", Group: "b"}}
	w.List(list, nil)
	sends := len(list)
	if r.open || r.stopped {
		sends = 1
	}
	for _, g := range list[:sends] {
		result := dispatcher.Result{Job: g, Attempts: 1, Worker: 1, Start: started.Add(time.Second)}
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: result})
		result.Outcome = dispatcher.Accepted
		if r.failed {
			result.Outcome = dispatcher.Rejected
		}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: result})
	}
	if !r.open {
		e := state.Ending{At: started.Add(time.Minute)}
		if r.stopped {
			e.StoppedBy = "deadline"
		}
		w.Finish(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if r.aside {
		path := filepath.Join(dir.Path(), run)
		if err := os.Rename(path+".jsonl", path+".aside.jsonl"); err != nil {
			t.Fatal(err)
		}
	}
	return run
}

// Whatever an earlier run left: what is proposed for it is taken, and so is what a refusal hints at.
func TestNothingIsProposedOrHintedAtThatIsRefused(t *testing.T) {
	now := time.Now()
	in := state.Installation{Token: "0011223344556677"}
	proposed := map[campaign.Mode]int{}
	for _, ago := range []time.Duration{-48 * time.Hour, time.Hour, 25 * time.Hour} {
		for bits := range 16 {
			r := earlierRun{ago, bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0}
			dir, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			run := r.write(t, dir, in, now)
			runs, err := dir.Runs(in)
			if err != nil {
				t.Fatal(err)
			}
			taken := map[campaign.Mode]bool{}
			refusals := map[campaign.Mode]*campaign.ResumeError{}
			for _, mode := range []campaign.Mode{campaign.Resume, campaign.RetryFailed} {
				found, err := campaign.FindRun(campaign.Digest(nil, nil), dir, in, mode, now)
				switch e, ok := errors.AsType[*campaign.ResumeError](err); {
				case err == nil:
					taken[mode] = found.Header.Run == run
				case ok:
					refusals[mode] = e
				default:
					t.Errorf("%+v, %s: %v", r, mode, err)
				}
			}
			mode, ok := campaign.ModeFor(run, runs, now)
			if ok != (len(taken) > 0) || ok && !taken[mode] {
				t.Errorf("%+v: got %q, %v, want one of %v", r, mode, ok, taken)
			}
			for refused, e := range refusals {
				option, _, _ := strings.Cut(e.Hint(), " ")
				if strings.HasPrefix(option, "--") && !taken[campaign.Mode(option)] {
					t.Errorf("%+v: %s is refused with the hint %q, which is refused as well", r, refused, e.Hint())
				}
			}
			proposed[mode]++
		}
	}
	// One of the three days counts: 15 of its 16 runs left something, of which one was finished with failures.
	if proposed[campaign.Resume] != 14 || proposed[campaign.RetryFailed] != 1 {
		t.Errorf("proposed %v", proposed)
	}
}

func TestNothingIsProposedForARunThatGoesOnOrIsNotTheNewest(t *testing.T) {
	now := time.Now()
	in := state.Installation{Token: "0011223344556677"}
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run := earlierRun{ago: 2 * time.Hour, open: true}.write(t, dir, in, now)
	runs, err := dir.Runs(in)
	if err != nil {
		t.Fatal(err)
	}
	if mode, ok := campaign.ModeFor(run, runs, now); !ok || mode != campaign.Resume {
		t.Fatalf("got %q, %v", mode, ok)
	}
	runs[0].Running = true
	if mode, ok := campaign.ModeFor(run, runs, now); ok {
		t.Errorf("it goes on: got %q", mode)
	}
	runs[0].Running = false
	unreadable := []state.Summary{{Header: state.Header{Run: campaign.RunID(now)}, Err: errors.New("damaged")}, runs[0]}
	if mode, ok := campaign.ModeFor(run, unreadable, now); ok {
		t.Errorf("a newer one cannot be read: got %q", mode)
	}
	newer := earlierRun{ago: time.Hour}.write(t, dir, in, now)
	if runs, err = dir.Runs(in); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{run, newer} {
		if mode, ok := campaign.ModeFor(name, runs, now); ok {
			t.Errorf("%s: got %q", name, mode)
		}
	}
}

func TestARunOfMoreThanADayProposesNoResumptionAtItsEnd(t *testing.T) {
	for _, row := range []struct {
		took time.Duration
		want string
	}{{23 * time.Hour, "senddigest --resume"}, {25 * time.Hour, "again parks/orchard-cyclists schools/beach-choir"}} {
		synctest.Test(t, func(t *testing.T) {
			_, c := site(t, standin.Options{Groups: standin.Generate(3, 1)})
			dir, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			name := campaign.RunID(time.Now())
			w, err := dir.Begin(state.Header{
				Campaign: "digest", Run: name, URL: siteURL, Installation: state.Installation{Token: "0011223344556677"}, Started: time.Now(),
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(row.took, func() { stop(&campaign.DeadlineError{}) })
			r := run(ctx, c, campaign.Settings{URL: siteURL, Workers: 1, Rate: 1e-5, Commands: commands{}}, campaign.Kept{Run: name, Journal: w})
			var text strings.Builder
			_ = r.Document.WriteText(&text)
			if !strings.Contains(text.String(), "\n    "+row.want+"\n") {
				t.Errorf("after %v: want %q in %s", row.took, row.want, text.String())
			}
		})
	}
}
