package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// steer makes a run of groups that take 10 s each, and does things to it meanwhile. starts are when its sends began.
func steer(t *testing.T, groups int, s campaign.Settings, do func(*campaign.Steering)) (r campaign.Result, starts []time.Duration) {
	t.Helper()
	_, c := site(t, standin.Options{Groups: numbered(groups), Threads: 64, Cost: always(10 * time.Second)})
	began := time.Now()
	s.URL, s.Steering = siteURL, &campaign.Steering{Ceiling: 16}
	s.Observers = append(s.Observers, hear(func(e campaign.Send) {
		if e.Kind == dispatcher.Started {
			starts = append(starts, time.Since(began))
		}
	})...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(s.Steering)
	}()
	r = run(t.Context(), c, s)
	<-done
	return r, starts
}

// after does an action some time from now.
func after(t *testing.T, s *campaign.Steering, wait time.Duration, action, value string) campaign.Status {
	t.Helper()
	time.Sleep(wait)
	status, err := s.Do(action, value)
	if err != nil {
		t.Errorf("%s %s: %v", action, value, err)
	}
	return status
}

func at(seconds ...int) (list []time.Duration) {
	for _, s := range seconds {
		list = append(list, time.Duration(s)*time.Second)
	}
	return list
}

func TestAPauseHoldsAtOnceAndLetsWhatIsInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, starts := steer(t, 4, campaign.Settings{Workers: 2}, func(s *campaign.Steering) {
			if st := after(t, s, 5*time.Second, "pause", ""); st.Paused == nil || st.InFlight != 2 {
				t.Errorf("got %+v", st)
			}
			if st := after(t, s, 30*time.Minute, "status", ""); st.InFlight != 0 || st.Accepted != 2 || st.Done != 2 {
				t.Errorf("got %+v", st)
			}
			after(t, s, 30*time.Minute, "resume", "")
		})
		if want := at(0, 0, 3605, 3605); !slices.Equal(starts, want) || counted(r) != "4 accepted" {
			t.Errorf("%s, started at %v, want %v", counted(r), starts, want)
		}
		if got := fmt.Sprint(r.Document.Steered); len(r.Document.Steered) != 2 || r.Document.Steered[0].What != "pause" {
			t.Errorf("the report has %s", got)
		}
	})
}

// The site was away for 10 of 15 minutes before the hour, and is back after it.
func TestAPauseCountsForNoClockOfTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		_, client := site(t, standin.Options{Groups: numbered(40), Threads: 64, Cost: always(time.Second)})
		c := campaign.Digest(client, time.UTC)
		send := c.Send
		c.Send = func(ctx context.Context, g state.Group) dispatcher.Verdict {
			if away.Load() {
				return dispatcher.Verdict{Outcome: dispatcher.Unreachable, Retry: true, NotDelivered: true, Health: ratelimit.Down}
			}
			return send(ctx, g)
		}
		s := &campaign.Steering{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			after(t, s, 10*time.Minute, "pause", "")
			after(t, s, time.Hour, "resume", "")
			time.Sleep(3*time.Minute + 30*time.Second)
			away.Store(false)
		}()
		r, err := campaign.Run(t.Context(), c, campaign.Settings{URL: siteURL, NoState: true, Workers: 2, Retries: 2, GiveUpAfter: 15 * time.Minute, Steering: s})
		<-done
		if err != nil {
			t.Fatal(err)
		}
		if got := counted(r); got != "40 accepted" || r.StoppedBy != nil {
			t.Errorf("got %s, stopped by %v", got, r.StoppedBy)
		}
	})
}

func TestWorkersFollowUpAndDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, starts := steer(t, 12, campaign.Settings{Workers: 2}, func(s *campaign.Steering) {
			after(t, s, 5*time.Second, "workers", "4")
			after(t, s, 6*time.Second, "workers", "1")
		})
		// Two at 0 s; two more at 5 s; at 10 s the first two end and two start; from 11 s on one at a time.
		if want := at(0, 0, 5, 5, 10, 10, 20, 30, 40, 50, 60, 70); !slices.Equal(starts, want) {
			t.Errorf("started at %v, want %v", starts, want)
		}
	})
}

func TestWorkersAutoAndANumberTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := steer(t, 30, campaign.Settings{Workers: 3}, func(s *campaign.Steering) {
			if st := after(t, s, time.Second, "workers", "auto"); !st.Auto || st.Workers != 1 {
				t.Errorf("auto: %+v", st)
			}
			if st := after(t, s, 20*time.Second, "workers", "8"); st.Auto || st.Workers != 8 || st.InFlight > 1 {
				t.Errorf("a number: %+v", st)
			}
			if st := after(t, s, time.Second, "status", ""); st.InFlight != 8 {
				t.Errorf("a second later: %+v", st)
			}
		})
		if got := counted(r); got != "30 accepted" {
			t.Error(got)
		}
	})
}

func TestARateHoldsFromTheNextStartOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, starts := steer(t, 6, campaign.Settings{Workers: 16, Rate: 1.0 / 3600, Burst: 1}, func(s *campaign.Steering) {
			after(t, s, 10*time.Second, "rate", "1") // who waits for an hour is woken
			after(t, s, 2*time.Second+time.Second/2, "rate", "0")
		})
		if len(starts) != 6 || starts[0] != 0 || starts[1] < 10*time.Second || starts[1] > 11*time.Second || starts[5] != 12500*time.Millisecond {
			t.Errorf("started at %v", starts)
		}
	})
}

func TestADeadlineIsMovedAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := func(d time.Duration) *campaign.Clock {
			at := time.Now().Add(d)
			return &campaign.Clock{Hour: at.Hour(), Minute: at.Minute()}
		}
		r, _ := steer(t, 30, campaign.Settings{Workers: 1, Deadline: clock(2 * time.Minute)}, func(s *campaign.Steering) {
			if st := after(t, s, time.Second, "deadline", "none"); st.Deadline != nil {
				t.Errorf("got %v", st.Deadline)
			}
			after(t, s, 3*time.Minute, "deadline", clock(4*time.Minute).String())
		})
		e, ok := errors.AsType[*campaign.DeadlineError](r.StoppedBy)
		if n := r.Document.Counts.Accepted; !ok || n < 22 || n >= 30 {
			t.Errorf("stopped by %v, %v, with %d accepted", r.StoppedBy, e, n)
		}
	})
}

func TestWhoTakesTheDeadlineAwayIsToldThatTheGreatestLengthStillEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		want := "none; --max-duration ends it at " + began.Add(2*time.Hour).Local().Format("15:04 MST")
		r, _ := steer(t, 12, campaign.Settings{Workers: 1, MaxDuration: 2 * time.Hour}, func(s *campaign.Steering) {
			after(t, s, time.Second, "deadline", campaign.Clock{Hour: began.Add(time.Hour).Hour()}.String())
			for range 2 { // it is so already the second time
				if st := after(t, s, time.Second, "deadline", "none"); st.DeadlineText != want || !st.Deadline.Equal(began.Add(2*time.Hour)) {
					t.Errorf("got %q, %v, want %q", st.DeadlineText, st.Deadline, want)
				}
			}
		})
		if got := r.Document.Steered; len(got) != 2 || got[0].To == got[1].To || got[1].To != want {
			t.Errorf("the report has %v", got)
		}
	})
}

func TestStopLetsWhatIsInFlightEndAndCutDoesNot(t *testing.T) {
	for action, want := range map[string]string{"stop": "2 accepted, 3 not_attempted", "cut": "2 ambiguous, 3 not_attempted"} {
		for _, paused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/paused=%v", action, paused), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, _ := steer(t, 5, campaign.Settings{Workers: 2}, func(s *campaign.Steering) {
						if paused {
							after(t, s, time.Second, "pause", "")
						}
						after(t, s, time.Second, action, "")
					})
					if got := counted(r); got != want || campaign.StopWord(r.StoppedBy) != "control" {
						t.Errorf("got %s, stopped by %v", got, r.StoppedBy)
					}
				})
			})
		}
	}
}

func TestARunThatStartsNothingMoreTakesNoOtherOrderAndHasEachOnceOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := steer(t, 5, campaign.Settings{Workers: 2}, func(s *campaign.Steering) {
			after(t, s, time.Second, "stop", "")
			after(t, s, time.Second, "stop", "")
			for _, order := range [][2]string{{"pause"}, {"resume"}, {"workers", "4"}, {"rate", "5"}, {"deadline", "none"}} {
				if _, err := s.Do(order[0], order[1]); err == nil || err.Error() != "the run starts nothing more: stopped by control" {
					t.Errorf("%s: got %v", order, err)
				}
			}
			after(t, s, time.Second, "cut", "")
			after(t, s, 0, "status", "")
		})
		var told []string
		for _, steer := range r.Document.Steered {
			told = append(told, steer.What)
		}
		if want := []string{"stop", "cut"}; !slices.Equal(told, want) {
			t.Errorf("on record are %q, want %q", told, want)
		}
	})
}

func TestAPauseMakesNoRunASlowOneAmongThoseThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(3), Cost: always(10 * time.Second)})
		s := campaign.Settings{URL: siteURL, Workers: 1, StateDir: t.TempDir(), Installation: state.Installation{Site: "00112233445566aa"}, Steering: &campaign.Steering{}}
		var operator sync.WaitGroup
		operator.Go(func() {
			after(t, s.Steering, 15*time.Second, "pause", "")
			after(t, s.Steering, time.Hour, "resume", "")
		})
		if _, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), s); err != nil {
			t.Fatal(err)
		}
		operator.Wait()
		archive, err := campaign.OpenArchive(campaign.Digest(nil, nil), s.StateDir, s.Installation)
		if err != nil {
			t.Fatal(err)
		}
		// The send in flight ended five seconds into the pause, all of which counts.
		if past := archive.Past()[0]; past.Took() != 25*time.Second || past.Length() != "1h0m25s (paused for 1h0m0s)" {
			t.Errorf("it took %v, %s", past.Took(), past.Length())
		}
	})
}

func TestAPausedRunForecastsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steer(t, 12, campaign.Settings{Workers: 1}, func(s *campaign.Steering) {
			s.Left = func() time.Duration { return time.Minute }
			if st := after(t, s, 15*time.Second, "pause", ""); st.Ends != nil {
				t.Errorf("paused: it ends at %v", st.Ends)
			}
			if st := after(t, s, time.Hour, "resume", ""); st.Ends == nil {
				t.Error("resumed: nobody knows when it ends")
			}
		})
	})
}

func TestARunThatIsStoppedBeforeItHasAListTellsWhoStoppedIt(t *testing.T) {
	for _, action := range []string{"stop", "cut"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(5), Faults: []standin.Fault{{Pattern: "list", Kind: standin.Hang}}})
				s := campaign.Settings{URL: siteURL, StateDir: t.TempDir(), Installation: state.Installation{Site: "00112233445566aa"}, Steering: &campaign.Steering{}}
				done := make(chan struct{})
				go func() {
					defer close(done)
					after(t, s.Steering, time.Second, "workers", "3")
					after(t, s.Steering, time.Second, action, "")
				}()
				r, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), s)
				<-done
				if err != nil {
					t.Fatal(err)
				}
				archive, err := campaign.OpenArchive(campaign.Digest(c, time.UTC), s.StateDir, s.Installation)
				if err != nil {
					t.Fatal(err)
				}
				kept, err := archive.Document(0, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, d := range map[string]*report.Document{"report": r.Document, "journal": kept} {
					if got := d.Steered; len(got) != 2 || got[0].What != "workers" || got[1].What != action || stopped(r) != "control" {
						t.Errorf("%s: stopped by %q, steered %v", name, stopped(r), got)
					}
				}
			})
		})
	}
}

func TestOnlyARunThatGoesIsSteered(t *testing.T) {
	s := &campaign.Steering{}
	if _, err := s.Do("pause", ""); !errors.Is(err, campaign.ErrNoRun) {
		t.Errorf("got %v", err)
	}
	for _, tt := range [][2]string{{"", ""}, {"dance", ""}, {"pause", "1"}, {"workers", ""}, {"workers", "0"}, {"workers", "1001"}, {"rate", "-1"}, {"deadline", "25:00"}} {
		if err := campaign.CheckAction(tt[0], tt[1]); err == nil {
			t.Errorf("%q is taken", tt)
		}
	}
}

func TestARunThatWritesItsReportSaysThatItIsEnding(t *testing.T) {
	_, c := site(t, standin.Options{Groups: numbered(2)})
	s := &campaign.Steering{}
	asked := false
	_, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), campaign.Settings{URL: siteURL, NoState: true, Steering: s, Observers: hear(func(campaign.Ended) {
		asked = true
		if st, err := s.Do("status", ""); err != nil || st.Stopping != "the run writes its report" || st.Done != 2 {
			t.Errorf("got %+v, %v", st, err)
		}
		if _, err := s.Do("pause", ""); !errors.Is(err, campaign.ErrEnding) {
			t.Errorf("got %v", err)
		}
	})})
	if err != nil || !asked {
		t.Errorf("asked: %v; %v", asked, err)
	}
	if _, err := s.Do("status", ""); !errors.Is(err, campaign.ErrNoRun) {
		t.Errorf("got %v", err)
	}
}

func TestASocketThatCannotBeMadeCostsOneWarningAndNoDigest(t *testing.T) {
	s, client := site(t, standin.Options{Groups: numbered(3)})
	var warned []string
	open := func(sockets []string) (func(), error) {
		if len(sockets) != 1 || filepath.Ext(sockets[0]) != ".sock" {
			t.Errorf("got %q", sockets)
		}
		return nil, syscall.ENOSPC
	}
	r, err := campaign.Run(t.Context(), campaign.Digest(client, time.UTC), campaign.Settings{
		URL: siteURL, StateDir: t.TempDir(), Installation: state.Installation{Site: "00112233445566aa"}, Steering: &campaign.Steering{Open: open},
		Observers: hear(func(e campaign.Warned) { warned = append(warned, e.Text) }),
	})
	if err != nil || counted(r) != "3 accepted" || len(s.Mails()) != 3 {
		t.Fatalf("got %s, %v", counted(r), err)
	}
	if want := []string{"this run cannot be steered: no space left on device"}; !slices.Equal(warned, want) {
		t.Errorf("warned %q, want %q", warned, want)
	}
}
