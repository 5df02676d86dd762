package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
)

// nightly are the settings of a run of a world, as cron's are.
func (w *world) nightly(dir string) campaign.Settings {
	return campaign.Settings{
		URL: siteURL, StateDir: dir, Installation: soakedInstallation(), Workers: 2, Retries: 2, Timeout: 4 * time.Minute,
		Settle: 10 * time.Minute, GuardWait: campaign.GuardWait, Ledger: w,
	}
}

// night makes a run of a world.
func (w *world) night(t *testing.T, s campaign.Settings) campaign.Result {
	t.Helper()
	r, err := campaign.Run(t.Context(), w.campaign(time.UTC), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// postDaily gives each group a post at each of some hours before now.
func (w *world) postDaily(hours ...int) {
	for _, g := range w.all {
		for _, h := range hours {
			g.posts = append(g.posts, time.Now().Add(-time.Duration(h)*time.Hour))
		}
		g.sorted()
	}
}

func TestTheReportSaysOfEachGroupWhatBecameOfItsMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 12, time.UTC)
		w.postDaily(12)
		idle, nobody, guarded, missing := w.groups[0], w.groups[1], w.groups[2], w.groups[3]
		w.all[idle].posts = nil
		w.all[nobody].subscribed = false
		w.all[guarded].rows = []time.Time{time.Now().Add(-5 * time.Hour)} // longer than it is waited for
		w.all[guarded].posts = append(w.all[guarded].posts, time.Now().Add(-time.Hour))
		w.all[missing].members = false
		r := w.night(t, w.nightly(t.TempDir()))
		for g, want := range map[state.Group]string{idle: "nothing", nobody: "nothing", guarded: "swallowed", missing: "missing", w.groups[4]: "mailed"} {
			if got := mailOf(r, g.Key()); got != want {
				t.Errorf("%s: got %q, want %s", g.Key(), got, want)
			}
		}
		var text strings.Builder
		if err := r.Document.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"12 of 12 groups accepted", "; 8 mailed", "main/group002", "main/group003"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the report does not say %q:\n%s", want, text.String())
			}
		}
		if len(r.Warnings) != 2 {
			t.Errorf("warned of %q", r.Warnings)
		}
	})
}

func TestNobodyIsWarnedOfGroupsWhosePostsTheLastDigestHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 12, time.UTC)
		w.postDaily(12)
		dir := t.TempDir()
		w.night(t, w.nightly(dir))
		time.Sleep(8 * time.Hour)
		w.all[w.groups[1]].posts = append(w.all[w.groups[1]].posts, time.Now().Add(-time.Hour))
		r := w.night(t, w.nightly(dir))
		for _, g := range w.groups {
			if got := mailOf(r, g.Key()); got != "swallowed" {
				t.Errorf("%s: got %q", g.Key(), got)
			}
		}
		if len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "1 group had") || !strings.HasSuffix(r.Warnings[0], ": main/group001") {
			t.Errorf("warned of %q", r.Warnings)
		}
	})
}

// The same group is missing each night: it is said once, and stands in each report.
func TestAMissingDigestIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 8, time.UTC)
		w.all[w.groups[3]].members = false
		dir := t.TempDir()
		for night := range 3 {
			w.postDaily(12)
			r := w.night(t, w.nightly(dir))
			if got, want := len(r.Warnings), max(0, 1-night); got != want {
				t.Errorf("night %d: warned of %q", night, r.Warnings)
			}
			if got := mailOf(r, w.groups[3].Key()); got != "missing" {
				t.Errorf("night %d: %q", night, got)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

func TestALostAnswerIsSettledInSecondsByADigestThatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 3, time.UTC)
		w.postDaily(12)
		w.all[w.groups[1]].posts = nil
		calls := map[state.Group]int{}
		w.faults = func(g state.Group) fault {
			calls[g]++
			if g != w.groups[2] && calls[g] == 1 {
				return lostAfter
			}
			return fine
		}
		began := time.Now()
		r := w.night(t, w.nightly(t.TempDir()))
		if r.Document.Counts.Accepted != 3 || time.Since(began) > 2*time.Minute {
			t.Errorf("%+v after %v", r.Document.Counts, time.Since(began))
		}
		if a, b := mailOf(r, w.groups[0].Key()), mailOf(r, w.groups[1].Key()); a != "mailed" || b != "nothing" {
			t.Errorf("got %q and %q", a, b)
		}
		if calls[w.groups[0]] != 1 || calls[w.groups[1]] != 1 {
			t.Errorf("%v requests: what is known is not sent again", calls)
		}
	})
}

// Nothing is in the tables while a request may be at work, or never was: the group waits and is sent to again.
func TestSilenceOfTheTablesKeepsTheTimeToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 1, time.UTC)
		w.postDaily(12)
		calls := 0
		w.faults = func(state.Group) fault {
			if calls++; calls == 1 {
				return lostBefore
			}
			return fine
		}
		began := time.Now()
		r := w.night(t, w.nightly(t.TempDir()))
		if r.Document.Counts.Accepted != 1 || calls != 2 || time.Since(began) < 10*time.Minute {
			t.Errorf("%+v, %d requests, %v", r.Document.Counts, calls, time.Since(began))
		}
		if got := mailOf(r, w.groups[0].Key()); got != "mailed" {
			t.Errorf("got %q", got)
		}
	})
}

func TestALedgerThatFailsCostsOneLineAndNoDigest(t *testing.T) {
	for _, named := range []bool{false, true} {
		for _, when := range []string{"before", "during"} {
			t.Run(fmt.Sprintf("%s, named %v", when, named), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(1, 6, time.UTC)
					w.postDaily(12)
					gone := errors.New("the database is away")
					if when == "before" {
						w.breakDatabase(gone)
					}
					calls := 0
					w.faults = func(state.Group) fault {
						if calls++; calls == 3 {
							w.broken = gone
							return lostBefore
						}
						return fine
					}
					s := w.nightly(t.TempDir())
					s.LedgerNamed = named
					var lines []string
					s.Observers = append(hear(func(e campaign.Warned) { lines = append(lines, "warned: "+e.Text) }),
						hear(func(e campaign.Noted) { lines = append(lines, "noted: "+e.Text) })...)
					r := w.night(t, s)
					kind := "noted: "
					if named {
						kind = "warned: "
					}
					if len(lines) != 1 || !strings.HasPrefix(lines[0], kind) || !strings.Contains(lines[0], "away") {
						t.Errorf("got %q", lines)
					}
					if r.Document.Counts.Accepted != 6 || len(r.Warnings) > 0 {
						t.Errorf("%+v, %q", r.Document.Counts, r.Warnings)
					}
					for _, g := range w.groups {
						if n := len(w.all[g].rows); n != 1 {
							t.Errorf("%s: mailed %d times", g.Key(), n)
						}
					}
					if l := r.Document.Ledger; when == "before" && l != nil || when == "during" && (l == nil || l.Unknown != 6) {
						t.Errorf("the report says %+v", l)
					}
				})
			})
		}
	}
}

// The script took six hours last night and went evenly through the list. Nobody tells us so.
func TestTheFirstNightAfterTheScriptLosesNoDigestAndNeedsNoOption(t *testing.T) {
	for _, hours := range []int{1, 3, 6, 8} {
		t.Run(fmt.Sprintf("%d h", hours), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1, 360, time.UTC)
				begin := time.Now()
				for i, g := range w.groups {
					at := begin.Add(time.Duration(hours) * time.Hour * time.Duration(i+1) / 360)
					w.all[g].rows = []time.Time{at}
					for h := -20; h < 60; h += 6 {
						w.all[g].posts = append(w.all[g].posts, begin.Add(time.Duration(h)*time.Hour))
					}
				}
				dir := t.TempDir()
				for night := range 4 {
					time.Sleep(time.Until(begin.Add(time.Duration(night+1) * 24 * time.Hour)))
					w.night(t, w.nightly(dir))
				}
				lost := 0
				for _, g := range w.groups {
					if len(w.all[g].rows) != 4 { // the script's and three nights with posts; none on the last
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%d of 360 digests are lost", lost)
				}
			})
		})
	}
}

func TestWhoHasSomethingToMailGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 40, time.UTC)
		for i, g := range w.groups {
			if i%10 == 9 {
				w.all[g].posts = []time.Time{time.Now().Add(-12 * time.Hour)}
			}
		}
		for order, want := range map[schedule.Order]string{
			schedule.Auto: "[main/group009 main/group019 main/group029 main/group039]",
			schedule.Name: "[main/group000 main/group001 main/group002 main/group003]",
		} {
			s := w.nightly(t.TempDir())
			s.Order = order
			plan, err := campaign.Preview(t.Context(), w.campaign(time.UTC), s)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, g := range plan.Groups[:4] {
				keys = append(keys, g.Key())
			}
			if got := fmt.Sprint(keys); got != want {
				t.Errorf("%s: %s", order, got)
			}
		}
	})
}

func TestIdleGroupsAreLeftOutAndAskedAboutOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 50, time.UTC)
		dir := t.TempDir()
		w.postDaily(12)
		w.night(t, w.nightly(dir)) // the server's clock is known from now on
		time.Sleep(48 * time.Hour)
		for i, g := range w.groups {
			if i < 5 {
				w.all[g].posts = append(w.all[g].posts, time.Now().Add(-6*time.Hour))
			}
		}
		w.all[w.groups[20]].posts = append(w.all[w.groups[20]].posts, time.Now().Add(2*time.Second)) // while the run goes
		asked := w.asked
		s := w.nightly(dir)
		s.SkipIdle = true
		plan, err := campaign.Preview(t.Context(), w.campaign(time.UTC), s)
		if err != nil || len(plan.Groups) != 5 || len(plan.Idle()) != 45 || plan.Listed() != 50 {
			t.Fatalf("%v, %d groups, %d idle", err, len(plan.Groups), len(plan.Idle()))
		}
		r := w.night(t, s)
		if got := w.asked - asked; got != 6 {
			t.Errorf("%d requests, want 6", got)
		}
		if c := r.Document.Counts; c.Groups != 50 || c.Accepted != 6 || c.Skipped != 44 {
			t.Errorf("got %+v", c)
		}
		if l := r.Document.Ledger; l == nil || l.Mailed != 6 || l.Nothing != 44 {
			t.Errorf("got %+v", l)
		}
		// The journal says the same.
		archive, err := campaign.OpenArchive(w.campaign(time.UTC), dir, soakedInstallation())
		if err != nil {
			t.Fatal(err)
		}
		d, err := archive.Document(0, nil)
		if err != nil || d.Counts != r.Document.Counts || *d.Ledger != *r.Document.Ledger {
			t.Errorf("%v: the journal has %+v, %+v", err, d.Counts, d.Ledger)
		}
	})
}

// Without an answer at the end all that were left out are sent to.
func TestIdleGroupsAreSentToWhenTheyCannotBeAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 20, time.UTC)
		dir := t.TempDir()
		w.postDaily(12)
		w.night(t, w.nightly(dir))
		time.Sleep(48 * time.Hour)
		w.all[w.groups[0]].posts = append(w.all[w.groups[0]].posts, time.Now().Add(-time.Hour))
		w.faults = func(state.Group) fault {
			w.broken = errors.New("away")
			return fine
		}
		s := w.nightly(dir)
		s.SkipIdle = true
		if c := w.night(t, s).Document.Counts; c.Accepted != 20 || c.Skipped != 0 {
			t.Errorf("got %+v", c)
		}
	})
}

// killed makes a run that ends after a time as by SIGKILL: the journal is as it was then.
func (w *world) killed(t *testing.T, s campaign.Settings, after time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	abort, cut := context.WithCancel(t.Context())
	s.Abort = abort
	left := make(chan func(*testing.T), 1)
	kill := time.AfterFunc(after, func() {
		left <- snapshot(t, s.StateDir)
		stop(errKilled)
		cut()
	})
	if _, err := campaign.Run(ctx, w.campaign(time.UTC), s); err != nil && !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if !kill.Stop() {
		(<-left)(t)
	}
}

var errKilled = errors.New("killed")

func TestWhatAKilledRunLeftOpenNeedsNoWaitWhereTheTablesTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 30, time.UTC)
		w.postDaily(12)
		dir := t.TempDir()
		w.killed(t, w.nightly(dir), 21*time.Second) // some twenty groups are done, two under way
		time.Sleep(5 * time.Second)
		s := w.nightly(dir)
		s.Resume = campaign.Resume
		began := time.Now()
		r := w.night(t, s)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the resumed run took %v", took)
		}
		if c := r.Document.Counts; c.Accepted+c.Skipped != 30 {
			t.Errorf("got %+v", c)
		}
		for _, g := range w.groups {
			if n := len(w.all[g].rows); n != 1 {
				t.Errorf("%s: mailed %d times", g.Key(), n)
			}
		}
	})
}

func TestInAnotherZoneTheSecondNightKnowsTheServersClock(t *testing.T) {
	for _, name := range []string{"Pacific/Auckland", "America/St_Johns"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := time.LoadLocation(name)
				if err != nil {
					t.Fatal(err)
				}
				w := newWorld(1, 20, zone)
				dir := t.TempDir()
				for night := range 3 {
					w.postDaily(12)
					w.all[w.groups[0]].posts = nil
					r := w.night(t, w.nightly(dir))
					l := r.Document.Ledger
					if l == nil || l.Mailed != 19 || l.Nothing != 1 {
						t.Errorf("night %d: %+v", night, l)
					}
					time.Sleep(time.Until(time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)))
				}
			})
		})
	}
}

func TestAnExplanationSaysWhatAGroupGotAndWouldGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 12, time.UTC)
		w.postDaily(12)
		dir := t.TempDir()
		w.all[w.groups[1]].members = false
		w.night(t, w.nightly(dir))
		time.Sleep(22 * time.Hour)
		w.all[w.groups[0]].posts = append(w.all[w.groups[0]].posts, time.Now().Add(-time.Hour))
		w.all[w.groups[2]].posts = append(w.all[w.groups[2]].posts, time.Now().Add(-time.Hour))
		w.all[w.groups[2]].rows = []time.Time{time.Now().Add(-20 * time.Hour)}
		w.all[w.groups[3]].subscribed = false
		w.all[w.groups[3]].rows = nil
		for _, tt := range []struct {
			group string
			next  string
			text  []string
		}{
			{"group000", "mail", []string{"accepted, mailed", "down since", "1 since the last digest", "would have it mailed"}},
			{"group001", "nothing", []string{"no digest though there was something to mail", "none, ever"}},
			{"group002", "hold", []string{"skips the group in silence", "would hold it back until"}},
			{"group003", "nothing", []string{"nobody is set to get digests"}},
			{"nowhere", "unlisted", []string{"does not list the group", "none of them knows the group"}},
		} {
			x, err := campaign.Explain(t.Context(), w.campaign(time.UTC), w.nightly(dir), state.Group{Site: "main", Group: tt.group})
			if _, unlisted := errors.AsType[*campaign.UnlistedError](err); unlisted != (tt.next == "unlisted") || err != nil && !unlisted {
				t.Fatalf("%s: %v", tt.group, err)
			}
			var b strings.Builder
			if err := x.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			if x.Next != tt.next {
				t.Errorf("%s: next %q, want %s", tt.group, x.Next, tt.next)
			}
			for _, want := range tt.text {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%s: no %q in\n%s", tt.group, want, b.String())
				}
			}
			if lines := strings.Count(b.String(), "\n"); lines > 14 {
				t.Errorf("%d lines", lines)
			}
		}
	})
}

func TestAnExplanationWithoutTheTablesTellsWhatTheRunsKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 3, time.UTC)
		dir := t.TempDir()
		s := w.nightly(dir)
		s.Ledger = nil
		w.night(t, s)
		x, err := campaign.Explain(t.Context(), w.campaign(time.UTC), s, w.groups[0])
		if err != nil || x.Ledger != nil || x.LedgerError == "" || len(x.Runs) != 1 || x.Next != "swallowed" {
			t.Errorf("%v, %+v", err, x)
		}
	})
}

func TestAMistypedGroupIsToldThoseThatItMayBe(t *testing.T) {
	listed := []state.Group{{Site: "main", Group: "trees"}, {Site: "main", Group: "lakes"}, {Site: "parks", Group: "Trees"}, {Site: "wood", Group: "ponds"}}
	for _, tt := range []struct{ mistyped, alike string }{
		{"main/tress", "main/trees"},
		{"Main/LAKES", "main/lakes"},
		{"main/ponds", "wood/ponds"},
		{"park/trees", "main/trees parks/Trees"},
		{"main/hills", ""},
	} {
		site, group, _ := strings.Cut(tt.mistyped, "/")
		if got := strings.Join(campaign.Alike(state.Group{Site: site, Group: group}, listed), " "); got != tt.alike {
			t.Errorf("%s: got %q, want %q", tt.mistyped, got, tt.alike)
		}
	}
}

// In the night that the clocks change the guard is an hour longer or shorter than 21.6 hours, and the ledger's rows say so by the
// server's clock.
func TestTheLedgersGuardEndsByTheServersClockWhenTheClocksChange(t *testing.T) {
	for _, tt := range []struct{ zone, row, run, free string }{
		{"Europe/Berlin", "2000-10-29 01:00", "2000-10-29 22:00", "2000-10-29 22:37"},
		{"Europe/Berlin", "2000-03-26 01:00", "2000-03-26 22:00", "2000-03-26 22:37"},
		{"Pacific/Auckland", "2000-03-19 01:00", "2000-03-19 22:00", "2000-03-19 22:37"},
		{"Pacific/Auckland", "2000-10-01 01:00", "2000-10-01 22:00", "2000-10-01 22:37"},
	} {
		t.Run(tt.zone+" "+tt.row, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := time.LoadLocation(tt.zone)
				if err != nil {
					t.Fatal(err)
				}
				at := func(text string) time.Time {
					t.Helper()
					at, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
					if err != nil {
						t.Fatal(err)
					}
					return at
				}
				w := newWorld(1, 8, zone)
				time.Sleep(time.Until(at(tt.run)))
				w.postDaily(12)
				for _, g := range w.groups {
					w.all[g].rows = []time.Time{at(tt.row)}
				}
				r, err := campaign.Run(t.Context(), w.campaign(zone), w.nightly(t.TempDir()))
				if err != nil || r.Document.Ledger.Mailed != 8 {
					t.Fatalf("%v, %+v", err, r.Document.Ledger)
				}
				for _, g := range w.groups {
					if got := w.all[g].rows[1]; got.Before(at(tt.free)) || got.After(at(tt.free).Add(time.Minute)) {
						t.Errorf("%s: mailed at %v, want after %s", g.Key(), got.In(zone), tt.free)
					}
				}
			})
		})
	}
}

// Digests from after now: GroupServer's clock is not ours, and nobody knows yet which it is.
func TestAPlanHasWhyTheGuardIsNotReckonedWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 8, time.UTC)
		w.postDaily(12)
		w.all[w.groups[0]].rows = []time.Time{time.Now().Add(5 * time.Hour)}
		plan, err := campaign.Preview(t.Context(), w.campaign(time.UTC), w.nightly(t.TempDir()))
		if err != nil || !strings.Contains(plan.Why, "of another zone") || plan.Clock == nil || plan.Clock.Known {
			t.Errorf("%v, %q, %v", err, plan.Why, plan.Clock)
		}
	})
}

// idleNight makes a first night, by which the server's clock is known, and waits until nobody has anything to mail. It returns
// the settings of a run that leaves idle groups out.
func (w *world) idleNight(t *testing.T) campaign.Settings {
	t.Helper()
	s := w.nightly(t.TempDir())
	w.postDaily(12)
	w.night(t, s)
	time.Sleep(48 * time.Hour)
	s.SkipIdle = true
	return s
}

// A group that was mailed by hand yesterday has nothing to mail when the run begins, and has when it ends. Its guard is up for
// half an hour then.
func TestAnIdleGroupThatBecomesDueIsHeldBackForItsGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 20, time.UTC)
		s := w.idleNight(t)
		w.all[w.groups[0]].posts = append(w.all[w.groups[0]].posts, time.Now().Add(-time.Hour))
		late := w.all[w.groups[7]]
		late.rows = append(late.rows, time.Now().Add(-21*time.Hour))
		late.posts = append(late.posts, time.Now().Add(time.Second))
		r := w.night(t, s)
		if got := mailOf(r, w.groups[7].Key()); got != "mailed" {
			t.Errorf("got %q after %v", got, r.Document.Seconds.Wall)
		}
	})
}

func TestMaxFailuresCountsAllSendsOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 20, time.UTC)
		s := w.idleNight(t)
		for i, g := range w.groups {
			at := time.Second // while the run goes
			if i < 3 {
				at = -time.Hour
			}
			w.all[g].posts = append(w.all[g].posts, time.Now().Add(at))
		}
		w.faults = func(state.Group) fault { return failing }
		s.Retries, s.Workers, s.MaxFailures = 0, 1, campaign.Share{N: 5}
		if c := w.night(t, s).Document.Counts; c.NotOK != 5 || c.NotAttempted != 15 {
			t.Errorf("got %+v", c)
		}
	})
}

func TestARunThatDoesNotFitReportsIdleGroupsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 20, time.UTC)
		s := w.idleNight(t)
		for _, g := range w.groups[:5] {
			w.all[g].posts = append(w.all[g].posts, time.Now().Add(-time.Hour))
		}
		s.RequireFit, s.MaxDuration = true, time.Second
		if c := w.night(t, s).Document.Counts; c.Groups != 20 || c.NotAttempted != 20 {
			t.Errorf("got %+v", c)
		}
	})
}

// The newest run was killed, so that it is not on record whom it mailed. Somebody then mailed five groups by hand, four hours later.
func TestAKilledRunDoesNotMoveTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 30, time.UTC)
		s := w.nightly(t.TempDir())
		w.postDaily(12)
		w.night(t, s)
		time.Sleep(24 * time.Hour)
		w.killed(t, s, 20*time.Second) // some of the groups
		w.under.Wait()
		for _, g := range w.groups[:5] { // these had nothing to mail then
			rows := w.all[g].rows
			w.all[g].rows = append(rows[:1:1], rows[0].Add(28*time.Hour))
		}
		time.Sleep(24 * time.Hour)
		plan, err := campaign.Preview(t.Context(), w.campaign(time.UTC), s)
		if err != nil || !plan.Clock.Known || plan.Clock.Ahead() != 0 {
			t.Errorf("%v, known %v, ahead by %v", err, plan.Clock.Known, plan.Clock.Ahead())
		}
	})
}
