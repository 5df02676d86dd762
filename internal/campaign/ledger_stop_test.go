package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/state"
)

// idleNight makes a world of 20 groups of which the first 6 have something to mail now, and the settings of a run that leaves
// the others out.
func idleNight(t *testing.T) (*world, campaign.Settings) {
	t.Helper()
	w := newWorld(1, 20, time.UTC)
	s := w.nightly(t.TempDir())
	w.postDaily(12)
	w.night(t, s) // the server's clock is known from now on
	time.Sleep(48 * time.Hour)
	for _, g := range w.groups[:6] {
		w.all[g].posts = append(w.all[g].posts, time.Now().Add(-time.Hour))
	}
	s.SkipIdle, s.Workers = true, 1
	return w, s
}

func TestIdleGroupsAreNotSentToOnceTheRunWasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := idleNight(t)
		refused := errors.New("the token is refused")
		c, asked := w.campaign(time.UTC), 0
		c.Send = func(context.Context, state.Group) dispatcher.Verdict {
			asked++
			w.breakDatabase(errors.New("away")) // so that all that were left out would be sent to
			return dispatcher.Verdict{Outcome: dispatcher.NotOK, Reason: "refused", NotDelivered: true, Stop: refused, Err: refused}
		}
		r, err := campaign.Run(t.Context(), c, s)
		if err != nil || asked != 1 || !errors.Is(r.StoppedBy, refused) {
			t.Errorf("%d requests, stopped by %v, %v", asked, r.StoppedBy, err)
		}
		if c := r.Document.Counts; c.Groups != 20 || c.NotAttempted != 19 {
			t.Errorf("got %+v", c)
		}
	})
}

// A stalled database answers no question any more, and refuses none, once it is told to.
type stalled struct {
	*world
	now bool
}

func (s *stalled) stall(ctx context.Context) error {
	if !s.now {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *stalled) Posts(ctx context.Context, since ledger.Reading, each func(ledger.Group, ledger.Reading)) error {
	if err := s.stall(ctx); err != nil {
		return err
	}
	return s.world.Posts(ctx, since, each)
}

func (s *stalled) Pending(ctx context.Context, within time.Duration) (int, error) {
	if err := s.stall(ctx); err != nil {
		return 0, err
	}
	return s.world.Pending(ctx, within)
}

func TestADatabaseThatStallsDoesNotKeepARunThatWasToldToStop(t *testing.T) {
	const sends = 5 * time.Second
	for _, tt := range []struct {
		name        string
		stop, abort time.Duration // from the start on; 0: never
		least, most time.Duration // that the run takes
	}{
		{"nobody tells it", 0, 0, time.Minute, 3 * time.Minute},
		{"it is told while it sends", sends, 0, 0, 40 * time.Second},
		{"it is told while it asks", 20 * time.Second, 0, 20 * time.Second, 55 * time.Second},
		{"it is told twice", sends, 10 * time.Second, 0, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := idleNight(t)
				database := &stalled{world: w}
				s.Ledger = database
				w.faults = func(state.Group) fault {
					database.now = true
					return fine
				}
				ctx, stop := context.WithCancelCause(t.Context())
				abort, cut := context.WithCancel(t.Context())
				defer cut()
				s.Abort = abort
				told := errors.New("terminated")
				if tt.stop > 0 {
					time.AfterFunc(tt.stop, func() { stop(told) })
				}
				if tt.abort > 0 {
					time.AfterFunc(tt.abort, cut)
				}
				began := time.Now()
				r, err := campaign.Run(ctx, w.campaign(time.UTC), s)
				if took := time.Since(began); err != nil || took < tt.least || took > tt.most {
					t.Errorf("%v: it took %v", err, took)
				}
				if r.Document == nil {
					t.Fatal(fmt.Sprint("no report: ", r))
				}
				stop(nil)
				time.Sleep(time.Minute) // what still waits for a stop is gone
			})
		})
	}
}

func TestWhatTheTablesToldDuringARunIsKnownThoughNobodyCanAskThemInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 12, time.UTC)
		s := w.nightly(t.TempDir())
		w.postDaily(12)
		w.night(t, s) // the server's clock is known from now on
		time.Sleep(24 * time.Hour)
		w.postDaily(12)
		lost := w.groups[3]
		w.faults = func(g state.Group) fault {
			if g == lost {
				return lostAfter
			}
			return fine
		}
		s.Observers = hear(func(e campaign.Send) {
			if e.Kind == dispatcher.Finished && e.Result.Lost != nil {
				w.breakDatabase(errors.New("away"))
			}
		})
		r := w.night(t, s)
		if got := mailOf(r, lost.Key()); got != "mailed" {
			t.Errorf("%s, whose answer was lost and found: got %q", lost.Key(), got)
		}
		if got := mailOf(r, w.groups[0].Key()); got != "unknown" {
			t.Errorf("%s, of which nobody could ask: got %q", w.groups[0].Key(), got)
		}
	})
}

// An adviceless error has no hint for its reader.
type adviceless struct{ error }

func (adviceless) Hint() string { return "" }

func TestAnErrorWithoutAHintEndsWithItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 1, time.UTC)
		w.breakDatabase(adviceless{errors.New("the database is away")})
		s := w.nightly(t.TempDir())
		var text string
		s.Observers = hear(func(e campaign.Noted) { text = e.Text })
		w.night(t, s)
		if text != "it is not known what was mailed: the database is away" {
			t.Errorf("got %q", text)
		}
	})
}

// What a killed run had in flight is committed while the resumed one goes, and is never sent to by that one.
func TestTheRunAfterAResumedOneKnowsWhatTheTablesToldOfLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 30, time.UTC)
		w.postDaily(12)
		s := w.nightly(t.TempDir())
		w.killed(t, s, 21*time.Second)
		s.Resume = campaign.Resume
		began := time.Now()
		w.night(t, s)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the resumed run took %v", took)
		}
		s.Resume = ""
		var warned []string
		s.Observers = hear(func(e campaign.Warned) { warned = append(warned, e.Text) })
		w.night(t, s)
		if len(warned) > 0 {
			t.Errorf("warned of %q", warned)
		}
	})
}
