package campaign_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// guardWait is the default of --guard-wait.
const guardWait = 3 * time.Hour

// installation is a site with its duplicate check, the state directory of its runs, and a calendar.
type installation struct {
	*testing.T
	site   *standin.Site
	client *hooks.Client
	pipe   *standin.PipeListener
	dir    *state.Dir
	first  time.Time // the midnight before the first night, in the server's time zone
	cost   time.Duration
	settle campaign.Settings // of the next runs, as far as it says what becomes of ambiguous sends
	runs   int
	seen   int // requests that are accounted for
}

// newInstallation makes one with so many groups. It is called inside the bubble.
func newInstallation(t *testing.T, groups int) *installation {
	return newInstallationAt(t, groups, time.Now().UTC().Truncate(24*time.Hour))
}

// newInstallationAt makes one whose calendar and server are in the time zone of its first midnight. It sleeps until then.
func newInstallationAt(t *testing.T, groups int, first time.Time) *installation {
	time.Sleep(time.Until(first))
	in := &installation{T: t, pipe: standin.Pipe(), first: first, cost: time.Minute}
	in.site = standin.New(standin.Options{
		Groups: numbered(groups), Threads: 16, Cost: func(standin.Group) time.Duration { return in.cost }, Zone: first.Location(),
	})
	server := in.site.Serve(in.pipe)
	transport := hooks.NewTransport(hooks.TransportOptions{})
	transport.Proxy, transport.DialContext = nil, in.pipe.DialContext
	in.client = client(t, transport)
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in.dir = dir
	t.Cleanup(func() {
		server.Close()
		in.site.Close()
	})
	return in
}

// until lets the clock go on to a time of a night, counted from 1.
func (in *installation) until(night int, clock string) {
	in.Helper()
	midnight := in.first.AddDate(0, 0, night)
	at, err := time.ParseInLocation("2006-01-02 15:04", midnight.Format(time.DateOnly)+" "+clock, midnight.Location())
	if err != nil {
		in.Fatal(err)
	}
	if wait := time.Until(at); wait < 0 {
		in.Fatalf("it is %v already", time.Now())
	} else {
		time.Sleep(wait)
	}
}

// script sends to all groups one after the other, as the Python script does.
func (in *installation) script() {
	c := http.Client{Transport: &http.Transport{DialContext: in.pipe.DialContext, DisableKeepAlives: true}}
	for _, g := range numbered(in.groups()) {
		answer, err := c.PostForm(strings.TrimSuffix(siteURL, "/")+standin.SendPath, url.Values{
			"form.siteId": {g.Site}, "form.groupId": {g.Group}, "form.token": {standin.DefaultToken}, "form.actions.send": {"Send"},
		})
		if err != nil || answer.StatusCode != 200 {
			in.Fatal(answer, err)
		}
		_ = answer.Body.Close()
	}
	in.swallowed()
}

func (in *installation) groups() int {
	list, err := in.client.DigestGroups(in.Context())
	if err != nil {
		in.Fatal(err)
	}
	return len(list.Entries)
}

// guarding is what a run is to do about the server's guard, by what the journals tell.
type guarding struct {
	wait    time.Duration
	assumed state.Assumed
}

// run makes a run with a journal. Without guarding it knows nothing of the runs before.
func (in *installation) run(workers int, guard *guarding, previous *campaign.Previous) campaign.Result {
	in.Helper()
	r := in.runUntil(in.Context(), workers, guard, previous)
	if r.Err != nil || r.StoppedBy != nil {
		in.Fatal(r.Err, r.StoppedBy)
	}
	return r
}

func (in *installation) runUntil(ctx context.Context, workers int, guard *guarding, previous *campaign.Previous) campaign.Result {
	in.Helper()
	in.runs++
	now := time.Now()
	where := state.NewInstallation("a digest", nil)
	s, kept := in.settle, campaign.Kept{Previous: previous}
	s.URL, s.Workers = siteURL, workers
	if guard != nil {
		recent, failed := in.dir.Recent(where, now.Add(-24*time.Hour))
		if len(failed) > 0 {
			in.Fatal(failed)
		}
		s.GuardWait, kept.Past, kept.Assumed = guard.wait, campaign.PastOf(recent), guard.assumed
	}
	kept.Run = fmt.Sprintf("%s-%04x", now.UTC().Format("20060102T150405Z"), in.runs)
	journal, err := in.dir.Begin(state.Header{
		Campaign: "digest", Run: kept.Run, URL: siteURL, Installation: where, Started: now, Workers: workers,
	}, nil)
	if err != nil {
		in.Fatal(err)
	}
	kept.Journal = journal
	r := campaign.RunOn(ctx, campaign.Digest(in.client, in.first.Location()), s, kept)
	if err := r.Unwritten; err != nil {
		in.Fatal(err)
	}
	return r
}

// swallowed are the groups, of those sent to since it was last asked, that the site confirmed and did not mail.
func (in *installation) swallowed() []string {
	var groups []string
	all := in.site.Requests()
	for _, q := range all[in.seen:] {
		if q.Hook == standin.Send && q.Status == 200 && !q.Mailed && !q.Ended.IsZero() && q.Fault.String() == "" {
			groups = append(groups, q.Group.Group)
		}
	}
	in.seen = len(all)
	return groups
}

// Three nights of one site: a long one in which part fails and is sent late, a short one that starts early, and a
// slow one that starts late. Who was late the night before comes more than 2.4 hours earlier the next.
func threeNights(t *testing.T, guarded bool) (swallowed [3]int) {
	guard := func() *guarding {
		if !guarded {
			return nil
		}
		return &guarding{wait: guardWait}
	}
	in := newInstallation(t, 240)

	in.until(1, "02:00")
	in.site.SetFaults(
		standin.Fault{Pattern: "main/g000?", Kind: standin.Error500, Times: 1},
		standin.Fault{Pattern: "main/g02*", Kind: standin.Proxy504, Times: 1}, // mailed, and nobody knows
	)
	in.run(1, guard(), nil) // until 06:00
	in.site.SetFaults()
	run, err := in.dir.Load(in.newest())
	if err != nil {
		t.Fatal(err)
	}
	in.swallowed()
	in.settle = campaign.Settings{Settle: 10 * time.Minute, SkipAmbiguous: true}
	in.run(2, guard(), &campaign.Previous{Run: run, Failed: true, Ended: time.Now()})
	swallowed[0] = len(in.swallowed())

	in.until(2, "01:15")
	in.cost = 10 * time.Second
	in.run(8, guard(), nil)
	swallowed[1] = len(in.swallowed())

	in.until(3, "02:30")
	in.cost = 2 * time.Minute
	in.run(3, guard(), nil)
	swallowed[2] = len(in.swallowed())
	return swallowed
}

func (in *installation) newest() string {
	in.Helper()
	runs, err := in.dir.Runs(state.NewInstallation("a digest", nil))
	if err != nil || len(runs) == 0 {
		in.Fatal(runs, err)
	}
	return runs[0].Run
}

func TestNightsOfAnyLengthAndOrderSwallowNoDigest(t *testing.T) {
	for guarded, want := range map[bool][3]int{false: {0, 149, 0}, true: {0, 0, 0}} {
		t.Run(fmt.Sprintf("guard=%v", guarded), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := threeNights(t, guarded); got != want {
					t.Errorf("swallowed in each night: got %v, want %v", got, want)
				}
			})
		})
	}
}

// The numbers of docs/migration.md: a script that takes six hours from 02:00 on, and then we, at 02:00, with four workers.
func TestMigratingFromASixHourScriptLosesNoDigestThatWaitingSaves(t *testing.T) {
	const groups = 360
	for _, tt := range []struct {
		name      string
		assume    bool
		wait      time.Duration
		swallowed [3]int // in each of our nights
		guarded   int    // of the first, as its report says
		ends      string // the first night
	}{
		{"unprepared", false, guardWait, [3]int{169, 0, 0}, 0, "03:30"},
		{"--assume-previous 02:00+6h", true, guardWait, [3]int{37, 0, 0}, 37, "05:01"},
		{"--assume-previous 02:00+6h --guard-wait 4h", true, 4 * time.Hour, [3]int{0, 0, 0}, 0, "05:38"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInstallation(t, groups)
				in.until(1, "02:00")
				began := time.Now()
				in.script()
				if took := time.Since(began); took != 6*time.Hour {
					t.Fatalf("the script took %v", took)
				}
				var swallowed [3]int
				for night := range swallowed {
					in.until(night+2, "02:00")
					guard := &guarding{wait: guardWait}
					if night == 0 {
						guard.wait = tt.wait
						if tt.assume {
							guard.assumed = state.Assumed{Start: began, Length: 6 * time.Hour}
						}
					}
					r := in.run(4, guard, nil)
					lost := in.swallowed()
					swallowed[night] = len(lost)
					// Who could have been sent: the digest of the night before is 21.6 hours old within the time that
					// a group may be held back.
					if night == 0 && tt.assume {
						for i, g := range numbered(groups) {
							free := began.Add(time.Duration(i+1)*time.Minute + standin.DefaultGuard + time.Minute)
							if !free.After(r.Document.Started.Add(tt.wait)) && slices.Contains(lost, g.Group) {
								t.Errorf("%s was swallowed, and could have been sent at %v", g.Group, free)
							}
						}
					}
					if night == 0 {
						if got := r.Document.Finished.Format("15:04"); got != tt.ends || r.Document.Counts.Guarded != tt.guarded {
							t.Errorf("the first night ended at %s with %d guarded, want %s and %d", got, r.Document.Counts.Guarded, tt.ends, tt.guarded)
						}
					}
					if got := counted(r); got != fmt.Sprintf("%d %v", groups, dispatcher.Accepted) {
						t.Errorf("night %d: %s", night+1, got)
					}
				}
				if diff := cmp.Diff(swallowed, tt.swallowed); diff != "" {
					t.Errorf("swallowed in each night: got -, want +:\n%s", diff)
				}
				t.Logf("of %d digests, swallowed in each night: %v", groups, swallowed)
			})
		})
	}
}

// previous is how to go on with the newest run, which is to settle after a time what that left ambiguous.
func (in *installation) previous(settle time.Duration) *campaign.Previous {
	in.Helper()
	in.settle = campaign.Settings{Settle: settle}
	run, err := in.dir.Load(in.newest())
	if err != nil {
		in.Fatal(err)
	}
	return &campaign.Previous{Run: run, Ended: time.Now()}
}

func TestWhatMayHaveBeenMailedIsNotForgottenByARunThatEndsBeforeItsRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const settle = time.Hour
		in := newInstallation(t, 3)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0001", Kind: standin.Proxy504, Times: 1})
		began := time.Now().Add(time.Minute) // of the second group's send
		in.run(1, nil, nil)

		// The run that goes on has no time for it.
		r := in.runUntil(deadline(t, time.Minute), 1, nil, in.previous(settle))
		if got := outcomes(r)["g0001"]; got != "ambiguous" {
			t.Errorf("not sent again, it is %s, want ambiguous", got)
		}

		r = in.run(1, nil, in.previous(settle))
		if got, want := counted(r), "1 accepted, 2 skipped"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		at := in.site.Starts()
		if got := at[len(at)-1].Sub(began); got != settle {
			t.Errorf("sent again %v after it began, want %v", got, settle)
		}
	})
}

func TestAGroupThatOneRunDoesNotFindListedIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInstallation(t, 4)
		all := numbered(4)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0003", Kind: standin.Proxy504})
		in.run(1, nil, nil)
		in.site.SetGroups(all[2])
		in.runUntil(deadline(t, time.Minute), 1, nil, in.previous(time.Hour))
		in.site.SetGroups(all...)

		previous := in.previous(time.Hour)
		in.settle.SkipAmbiguous = true
		r := in.run(1, nil, previous)
		if got, want := counted(r), "1 ambiguous, 3 skipped"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for g, n := range in.site.Mails() {
			if n != 1 {
				t.Errorf("%v was mailed %d times", g, n)
			}
		}
		if got := len(in.site.Starts()); got != 4 {
			t.Errorf("%d sends, want 4", got)
		}
	})
}

// pastFunc is a function that is a past.
type pastFunc func(state.Group) campaign.Known

func (f pastFunc) Of(g state.Group) campaign.Known { return f(g) }

func TestAnyRunWaitsForSendsThatMayStillBeUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := site(t, standin.Options{Groups: numbered(3)})
		first := numbered(3)[0]
		r := run(t.Context(), c, campaign.Settings{URL: siteURL, Workers: 1, Settle: 10 * time.Minute}, campaign.Kept{
			Past: pastFunc(func(g state.Group) (k campaign.Known) {
				if g == state.Group(first) {
					k.Open = time.Now().Add(-4 * time.Minute)
				}
				return k
			}),
		})
		for g := range r.Document.Groups() {
			if waited := g.Start >= (6 * time.Minute).Seconds(); waited != (g.Group == first.Group) || g.Outcome != "accepted" {
				t.Errorf("%s/%s: %s after %v s", g.Site, g.Group, g.Outcome, g.Start)
			}
		}
	})
}

func TestWhatARunWithoutAJournalMayHaveSentIsNotSentAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const settle = 10 * time.Minute
		in := newInstallation(t, 3)
		in.site.SetFaults(standin.Fault{Pattern: "main/g0001", Kind: standin.Error500})
		in.run(1, nil, nil)
		in.site.SetFaults()
		in.site.SetGroups(numbered(4)...)
		if err := in.dir.Distrust(state.NewInstallation("a digest", nil)); err != nil {
			t.Fatal(err)
		}
		in.script()
		began := time.Now()
		previous := in.previous(settle)
		previous.Failed = true
		r := in.run(1, nil, previous)
		if got, want := counted(r), "1 accepted, 3 skipped"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		at := in.site.Starts()
		if got := at[len(at)-1].Sub(began); got != settle {
			t.Errorf("sent again after %v, want %v", got, settle)
		}
		for g, n := range in.site.Mails() {
			if n != 1 {
				t.Errorf("%v was mailed %d times", g, n)
			}
		}
	})
}
