package campaign_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// pauseForAnHour pauses a run five seconds after it began, and lets it go on an hour later.
func pauseForAnHour(t *testing.T) func(*campaign.Steering) {
	return func(s *campaign.Steering) {
		after(t, s, 5*time.Second, "pause", "")
		after(t, s, time.Hour, "resume", "")
	}
}

// Each run starts a send at 0 s, and from 3605 s on one every 10 s.
func TestAnHourOfPauseMovesNoEndOfTheRun(t *testing.T) {
	clock := func(d time.Duration) *campaign.Clock {
		at := time.Now().Add(d)
		return &campaign.Clock{Hour: at.Hour(), Minute: at.Minute()}
	}
	for name, tt := range map[string]struct {
		longest, clock, ends time.Duration
		starts               []time.Duration
	}{
		"--max-duration after it":  {longest: time.Hour + 30*time.Second, ends: time.Hour + 30*time.Second, starts: at(0, 3605, 3615, 3625)},
		"--max-duration within it": {longest: 30 * time.Minute, ends: 30 * time.Minute, starts: at(0)},
		"--deadline after it":      {clock: 61 * time.Minute, ends: 61 * time.Minute, starts: at(0, 3605, 3615, 3625, 3635, 3645, 3655)},
		"--deadline within it":     {clock: 30 * time.Minute, ends: 30 * time.Minute, starts: at(0)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now() // midnight
				s := campaign.Settings{Workers: 1, MaxDuration: tt.longest}
				if tt.clock > 0 {
					s.Deadline = clock(tt.clock)
				}
				r, starts := steer(t, 10, s, func(s *campaign.Steering) {
					st := after(t, s, 5*time.Second, "pause", "")
					if st.Deadline == nil || st.Deadline.Sub(began) != tt.ends {
						t.Errorf("paused, it ends at %v, want %v after %v", st.Deadline, tt.ends, began)
					}
					time.Sleep(time.Hour)
					if st, err := s.Do("resume", ""); err == nil && (st.Deadline == nil || st.Deadline.Sub(began) != tt.ends) {
						t.Errorf("resumed, it ends at %v, want %v after %v", st.Deadline, tt.ends, began)
					}
				})
				e, ok := errors.AsType[*campaign.DeadlineError](r.StoppedBy)
				if !ok || e.At.Sub(began) != tt.ends {
					t.Errorf("stopped by %v, want %v after the start", r.StoppedBy, tt.ends)
				}
				if !slices.Equal(starts, tt.starts) {
					t.Errorf("started at %v, want %v", starts, tt.starts)
				}
			})
		})
	}
}

func TestAnHourOfPauseGivesASendNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := numbered(3)
		_, c := site(t, standin.Options{Groups: groups, Cost: always(10 * time.Second), Faults: []standin.Fault{{Pattern: "main/g0000", Kind: standin.Hang}}})
		began, ended := time.Now(), map[string]time.Duration{}
		s := &campaign.Steering{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pauseForAnHour(t)(s)
		}()
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, Timeout: 4 * time.Minute, Steering: s, Observers: hear(func(e campaign.Send) {
			if e.Kind == dispatcher.Finished {
				ended[e.Result.Job.Key()] = time.Since(began)
			}
		})})
		<-done
		if got := ended[state.Group(groups[0]).Key()]; got != 4*time.Minute || counted(r) != "2 accepted, 1 ambiguous" {
			t.Errorf("the send that hangs ended after %v, want 4m0s; %s", got, counted(r))
		}
	})
}

// Of two groups the guard lets one be mailed within the hour, and one after it.
func TestAnHourOfPauseMovesNoTimeOfTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := numbered(3)
		_, c := site(t, standin.Options{Groups: groups, Threads: 64, Cost: always(10 * time.Second)})
		began, starts := time.Now(), map[string]time.Duration{}
		free := map[state.Group]time.Time{state.Group(groups[1]): began.Add(30 * time.Minute), state.Group(groups[2]): began.Add(2 * time.Hour)}
		s := &campaign.Steering{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pauseForAnHour(t)(s)
		}()
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 4, GuardWait: 3 * time.Hour, Steering: s, Observers: hear(func(e campaign.Send) {
			if e.Kind == dispatcher.Started {
				starts[e.Result.Job.Key()] = time.Since(began)
			}
		})}, campaign.Kept{Past: pastFunc(func(g state.Group) campaign.Known { return campaign.Known{Free: free[g], Exact: true} })})
		<-done
		for i, want := range at(0, 3605, 7200) {
			if got, ok := starts[state.Group(groups[i]).Key()]; !ok || got != want {
				t.Errorf("%s: started at %v (%t), want %v", groups[i].Group, got, ok, want)
			}
		}
		if counted(r) != "3 accepted" {
			t.Error(counted(r))
		}
	})
}

func TestAnHourOfPauseLeavesTheHistoryOfARunWithoutIt(t *testing.T) {
	for _, workers := range []int{1, 4} {
		var kept [2]string
		for i, do := range []func(*campaign.Steering){func(*campaign.Steering) {}, pauseForAnHour(t)} {
			synctest.Test(t, func(t *testing.T) {
				cost := standin.HeavyTail(7)
				_, c := site(t, standin.Options{Groups: standin.Generate(300, 7), Threads: 64, Guard: -1, Cost: func(g standin.Group) time.Duration {
					return 20 * cost(g) // so that the pause comes in the middle
				}})
				path := filepath.Join(t.TempDir(), "history.tsv")
				withHistory(t, path, func(h *state.History) campaign.Result {
					s := &campaign.Steering{}
					done := make(chan struct{})
					go func() {
						defer close(done)
						do(s)
					}()
					r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: workers, Steering: s}, campaign.Kept{History: h})
					<-done
					if got := counted(r); got != "300 accepted" || len(r.Document.Steered) != 2*i {
						t.Errorf("%s, steered %v", got, r.Document.Steered)
					}
					return r
				})
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				kept[i] = string(text)
			})
		}
		if kept[0] != kept[1] {
			t.Errorf("%d workers: the history is\n%.2000s\nand with a pause\n%.2000s", workers, kept[0], kept[1])
		}
	}
}

// What was in flight at a pause may move the limit, which is none all the same until the run goes on.
func TestInAPauseTheLimitIsNoneWhateverMovesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: standin.Generate(40, 3), Threads: 16, Cost: always(time.Second), MaxPrepared: 2})
		var moved []int
		s := campaign.Settings{
			URL: siteURL, Workers: 8, Retries: 2, Steering: &campaign.Steering{}, StateDir: t.TempDir(), Installation: soakedInstallation(),
			Observers: hear(func(e campaign.Limited) { moved = append(moved, e.Sends) }),
		}
		var within int
		done := make(chan struct{})
		go func() {
			defer close(done)
			after(t, s.Steering, 500*time.Millisecond, "pause", "")
			time.Sleep(time.Minute)
			within = len(moved)
			after(t, s.Steering, 0, "resume", "")
		}()
		r, err := campaign.Run(t.Context(), campaign.Digest(c, time.UTC), s)
		<-done
		if got := counted(r); err != nil || got != "40 accepted" {
			t.Errorf("got %s, %v", got, err)
		}
		if within > 0 {
			t.Errorf("in the pause the limit became %v", moved[:within])
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
			list := d.Limits
			if len(list) < 3 || list[0].Sends != 8 || list[1].Sends != 0 || list[2].At.Sub(list[1].At) < time.Minute || list[2].Sends == 0 || list[2].Sends == 8 {
				t.Errorf("%s: the limits are %v, want 8, none for a minute, and what was found meanwhile", name, list)
			}
		}
	})
}

func TestAStopIsNotAnsweredWithTheEndThatWasForecastBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steer(t, 30, campaign.Settings{Workers: 1}, func(s *campaign.Steering) {
			s.Left = func() time.Duration { return time.Hour }
			if st := after(t, s, time.Second, "status", ""); st.Ends == nil {
				t.Error("no end is forecast")
			}
			if st := after(t, s, time.Second, "stop", ""); st.Ends != nil || st.Stopping == "" {
				t.Errorf("got %v, stopping %q", st.Ends, st.Stopping)
			}
		})
	})
}
