package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// lostOnce is a proxy that loses the first answer for each of some groups; the site mails all the same.
func lostOnce(pattern string) standin.Fault {
	return standin.Fault{Pattern: pattern, Kind: standin.Proxy504, Times: 1}
}

// startsOf is when the sends to a group came, since begin.
func startsOf(s *standin.Site, group string, begin time.Time) (at []time.Duration) {
	for _, q := range s.Requests() {
		if q.Hook == standin.Send && q.Group.Group == group {
			at = append(at, q.Arrived.Sub(begin))
		}
	}
	return at
}

func mailedOnce(t *testing.T, s *standin.Site, groups int) {
	t.Helper()
	mails := s.Mails()
	for g, n := range mails {
		if n != 1 {
			t.Errorf("%v was mailed %d times", g, n)
		}
	}
	if len(mails) != groups || s.Overlaps() != 0 {
		t.Errorf("%d groups were mailed, %d sends overlapped, want %d and none", len(mails), s.Overlaps(), groups)
	}
}

// fate is what a report says of one group.
func fate(r campaign.Result, group string) string {
	for g := range r.Document.Groups() {
		if g.Group == group {
			return fmt.Sprintf("%s after %d tries: %s", g.Outcome, g.Attempts, g.Reason)
		}
	}
	return "not in the report"
}

func TestAGroupWhoseAnswerWasLostIsSettledWithinTheRun(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first standin.Kind
	}{
		{"mailed all the same", standin.Proxy504},
		{"never worked on", standin.ResetEarly},
		{"the answer was cut short", standin.CutBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := site(t, standin.Options{
					Groups: numbered(30), Cost: always(time.Minute),
					Faults: []standin.Fault{
						{Pattern: "main/g0001", Kind: tt.first, Times: 1}, {Pattern: "main/g0028", Kind: tt.first, Times: 1},
					},
				})
				begin := time.Now()
				r := run(t.Context(), c, campaign.Settings{
					URL: siteURL, Workers: 1, Settle: 10 * time.Minute, Timeout: 4 * time.Minute,
				})
				if got := counted(r); got != "30 accepted" || r.StoppedBy != nil || !r.Document.Complete {
					t.Errorf("got %s, stopped by %v", got, r.StoppedBy)
				}
				mailedOnce(t, s, 30)
				early, late := startsOf(s, "g0001", begin), startsOf(s, "g0028", begin)
				if len(early) != 2 || len(late) != 2 {
					t.Fatalf("sends at %v and %v, want two each", early, late)
				}
				// While others go a send ends that is under way, so the first one may be a minute late.
				if wait := early[1] - early[0]; wait < 10*time.Minute || wait >= 11*time.Minute {
					t.Errorf("sent again after %v, while others go, want 10m or a minute more", wait)
				}
				if wait := late[1] - late[0]; wait != 10*time.Minute {
					t.Errorf("sent again after %v, at the end of the run, want 10m", wait)
				}
			})
		})
	}
}

func TestASendIsNotRepeatedBeforeTheFirstHasSurelyEnded(t *testing.T) {
	const group = "g0000"
	for _, tt := range []struct {
		name    string
		settle  campaign.Settings
		longest time.Duration // in past runs
		want    time.Duration
	}{
		{"--settle", campaign.Settings{Settle: 10 * time.Minute, Timeout: 4 * time.Minute}, time.Minute, 10 * time.Minute},
		{"--timeout", campaign.Settings{Settle: 10 * time.Minute, Timeout: 15 * time.Minute}, time.Minute, 15 * time.Minute},
		{"twice the longest send", campaign.Settings{Settle: 10 * time.Minute, Timeout: 4 * time.Minute}, 7 * time.Minute, 14 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := site(t, standin.Options{Groups: numbered(1), Faults: []standin.Fault{lostOnce("main/*")}})
				h := state.NewHistory()
				h.List(func(yield func(string) bool) { yield("main/" + group) })
				h.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{
					Job: state.Group{Site: "main", Group: group}, Took: tt.longest, Verdict: dispatcher.Verdict{Outcome: dispatcher.Accepted},
				}})
				h.Learn()
				begin := time.Now()
				tt.settle.URL, tt.settle.Workers = siteURL, 1
				r := run(t.Context(), c, tt.settle, campaign.Kept{History: h})
				if at := startsOf(s, group, begin); counted(r) != "1 accepted" || len(at) != 2 || at[1] != tt.want {
					t.Errorf("%s, sends at %v, want the second at %v", counted(r), at, tt.want)
				}
			})
		})
	}
}

func TestWhatIsNotToBeSettledWithinTheRunStaysAmbiguousAndKeepsNobodyWaiting(t *testing.T) {
	for _, tt := range []struct {
		name   string
		settle campaign.Settings
	}{
		{"left to people", campaign.Settings{Settle: 10 * time.Minute, SkipAmbiguous: true}},
		{"nobody says how long it takes", campaign.Settings{}},
		{"the deadline comes first", campaign.Settings{Settle: 10 * time.Minute, MaxDuration: 10 * time.Minute}},
		{"the server's guard ends first", campaign.Settings{Settle: 19 * time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(3), Faults: []standin.Fault{lostOnce("main/g0001")}})
				tt.settle.URL, tt.settle.Workers = siteURL, 1
				r := run(t.Context(), c, tt.settle)
				if got, want := fate(r, "g0001"), "ambiguous after 1 tries: 504 Gateway Timeout"; got != want || r.Document.Seconds.Wall != 0 {
					t.Errorf("got %q after %v s, want %q at once", got, r.Document.Seconds.Wall, want)
				}
				if !r.Document.Complete || r.StoppedBy != nil {
					t.Errorf("stopped by %v: nothing was left", r.StoppedBy)
				}
			})
		})
	}
}

func TestAStopEndsTheWaitForWhatIsToBeSettled(t *testing.T) {
	for _, cause := range []error{
		&campaign.SignalError{Signal: syscall.SIGTERM}, &campaign.DeadlineError{Option: "--deadline"},
	} {
		t.Run(fmt.Sprint(cause), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(3), Faults: []standin.Fault{lostOnce("main/g0001")}})
				r := run(endsWith(t, time.Minute, cause), c, campaign.Settings{
					URL: siteURL, Workers: 1, Settle: 10 * time.Minute,
				})
				if got, want := fate(r, "g0001"), "ambiguous after 1 tries: 504 Gateway Timeout"; got != want || r.Document.Seconds.Wall != 60 {
					t.Errorf("got %q after %v s, want %q after a minute", got, r.Document.Seconds.Wall, want)
				}
				if !errors.Is(r.StoppedBy, cause) || r.Document.Complete {
					t.Errorf("stopped by %v, want %v: the group was left", r.StoppedBy, cause)
				}
			})
		})
	}
}

func TestAGroupWhoseAnswerWasLostIsNeverCalledUnsentWhateverItsRepeatProves(t *testing.T) {
	const lost = "504 Gateway Timeout"
	for kind, want := range map[standin.Kind]string{
		standin.Error500: "ambiguous after 4 tries: " + lost + "; sent again: 500 Internal Server Error: ",
		standin.NotFound: "ambiguous after 2 tries: " + lost + "; sent again: 404 Not Found",
		standin.Proxy504: "ambiguous after 2 tries: " + lost + "; sent again: " + lost,
		standin.Login:    "ambiguous after 2 tries: " + lost + "; sent again: 200, but not the hook's page",
		standin.Blank:    "unknown_group after 2 tries: ",
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := site(t, standin.Options{Groups: numbered(20), Faults: []standin.Fault{
					lostOnce("main/g0001"), {Pattern: "main/g0001", Kind: kind},
				}})
				r := run(t.Context(), c, campaign.Settings{
					URL: siteURL, Workers: 1, Retries: 2, Settle: 10 * time.Minute,
				})
				if got := fate(r, "g0001"); !strings.HasPrefix(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// A run that resumes another knows as little of the earlier run's lost answers.
func TestAGroupWhoseAnswerWasLostInAnEarlierRunIsNeverCalledUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 3)
		in.site.SetFaults(lostOnce("main/g0001"), standin.Fault{Pattern: "main/g0001", Kind: standin.Error500})
		in.run(1, nil, nil)
		for range 2 { // however often it is resumed
			previous := in.previous(10 * time.Minute)
			previous.Failed = true
			r := in.run(1, nil, previous)
			if got, want := fate(r, "g0001"), "ambiguous after 1 tries: 504 Gateway Timeout; sent again: 500 Internal Server Error"; !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		in.site.SetFaults()
		previous := in.previous(10 * time.Minute)
		previous.Failed = true
		if got, want := counted(in.run(1, nil, previous)), "1 accepted, 2 skipped"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		mailedOnce(t, in.site, 3)
	})
}

// What makes a repeat harmless is the row that the first send left, not one that its repeats never wrote.
func TestTheServersGuardCountsFromTheAnswerThatWasLostFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 2)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0001", Kind: standin.Proxy504})
		in.run(1, nil, nil)
		time.Sleep(10 * time.Hour)
		previous := in.previous(10 * time.Minute)
		previous.Failed = true
		// It settles once more within the run, twelve hours after the first.
		in.settle.Settle = 2 * time.Hour
		if got, want := fate(in.run(1, nil, previous), "g0001"), "ambiguous after 2 tries: 504 Gateway Timeout; sent again: 504 Gateway Timeout"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(8 * time.Hour) // the last send was 8 hours ago, and the first 20
		in.site.SetFaults()
		previous = in.previous(10 * time.Minute)
		previous.Failed = true
		r := in.run(1, nil, previous)
		if got := fate(r, "g0001"); !strings.HasSuffix(got, "was left alone, since the server's guard is over") {
			t.Errorf("got %q, want it left alone", got)
		}
		mailedOnce(t, in.site, 2)
	})
}

func TestWithinARunTheGuardCountsFromTheAnswerThatAnEarlierRunLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 2)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0001", Kind: standin.Proxy504})
		in.run(1, nil, nil)
		time.Sleep(17 * time.Hour)
		previous := in.previous(2 * time.Hour) // once more it would be after 19 hours
		previous.Failed = true
		if got, want := fate(in.run(1, nil, previous), "g0001"), "ambiguous after 1 tries: 504 Gateway Timeout; sent again: 504 Gateway Timeout"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		mailedOnce(t, in.site, 2)
	})
}

// It may have been mailed as early as the run began of which the journal does not tell.
func TestASendOfWhichNobodyKnowsWhenItBeganIsNotRepeatedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 2)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0001", Kind: standin.NotFound})
		in.run(1, nil, nil)
		if err := in.dir.Distrust(state.NewInstallation("a digest", nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(19 * time.Hour)
		previous := in.previous(10 * time.Minute)
		previous.Failed = true
		if got := fate(in.run(1, nil, previous), "g0001"); !strings.HasSuffix(got, "was left alone, since the server's guard is over") {
			t.Errorf("got %q, want it left alone", got)
		}
	})
}

func TestARunThatIsCutAgainAndAgainSettlesEachGroupInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 12)
		in.settle = campaign.Settings{Settle: 10 * time.Minute}
		in.site.SetFaults(lostOnce("main/*"))
		var previous *campaign.Previous
		for range 5 { // each ends in the middle of the wait for some, and of the repeat of others
			ctx, stop := context.WithTimeoutCause(t.Context(), 5*time.Minute+30*time.Second, &campaign.DeadlineError{Option: "--deadline"})
			in.runUntil(ctx, 1, nil, previous)
			stop()
			previous = in.previous(10 * time.Minute)
		}
		if got := in.run(1, nil, previous).Document.Counts; got.Ambiguous != 0 || got.Accepted+got.Skipped != 12 {
			t.Errorf("got %+v", got)
		}
		mailedOnce(t, in.site, 12)
	})
}
