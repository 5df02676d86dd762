package fleet_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
)

func TestAMachineThatDoesNotReachItsSiteLeavesTheNightToTheOthers(t *testing.T) {
	t.Parallel()
	groups := some(10)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4})
	w.must("workers", "2") // the installation is there
	w.work(t.TempDir())
	first := w.start(t.TempDir(), "run", "--give-up-after", "3s", "http://127.0.0.1:1/")
	w.until("the first run has the turn", func() bool { // a process that asks may be slower than the run gives up
		all, err := w.db.Statuses(t.Context(), "")
		return err == nil && len(all) == 1 && len(all[0].Nights) == 1 && all[0].Nights[0].Led
	})
	second := w.run(t.TempDir())
	if code := first.code(); code == 0 || code == 75 {
		t.Errorf("the run without a list ends with %d:\n%s", code, first.output.String())
	}
	if code := second.code(); code != 0 {
		t.Errorf("the run of another machine ends with %d:\n%s", code, second.output.String())
	}
	w.judge(groups, 2)
}

func TestWithoutAnotherMachineANightWithoutAListIsSaidToHaveBeenLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, standin.Options{Groups: some(3), Threads: 4})
	if code := w.start(t.TempDir(), "run", "--give-up-after", "1s", "http://127.0.0.1:1/").code(); code != 76 {
		t.Errorf("the run ends with %d", code)
	}
	if status := w.must("status"); !strings.Contains(status, "no run follows it: the last one ended with 76") {
		t.Errorf("got\n%s", status)
	}
}

// What is in flight when a night is stopped, and has no answer, is as much left as what had not begun.
func TestResumeGoesOnWithAllThatAStoppedNightLeft(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "while its run waits", true: "whose run is killed"}[killed], func(t *testing.T) {
			t.Parallel()
			const cut = "3s"
			groups := some(6)
			var sends atomic.Int64
			w := newWorld(t, standin.Options{Groups: groups, Threads: 8, Cost: func(standin.Group) time.Duration {
				if sends.Add(1) > 2 {
					return 0
				}
				return 4 * time.Second // later than the answer is waited for
			}})
			w.work(t.TempDir(), "--timeout", cut)
			first := w.start(t.TempDir(), "run", "--timeout", cut, "--settle", "10s", "--workers", "2", w.url)
			w.until("two are in flight", func() bool { return len(w.site.Starts()) == 2 })
			w.must("stop")
			if killed {
				first.kill()
			}
			resumed := w.start(t.TempDir(), "run", "--resume", "--timeout", cut, "--settle", "10s", w.url)
			if code := first.code(); !killed && code != 75 {
				t.Errorf("the night that was stopped ends with %d:\n%s", code, first.output.String())
			}
			if code := resumed.code(); code != 0 {
				t.Errorf("--resume ends with %d:\n%s", code, resumed.output.String())
			}
			w.judge(groups, 2)
		})
	}
}

func TestANightThatIsStillAtWorkWhenTheNextIsDueIsFollowedByThat(t *testing.T) {
	t.Parallel()
	people := []string{"ada", "bob", "cyd", "dan"}
	w := newWorld(t, standin.Options{People: people, Threads: 4, Cost: always(300 * time.Millisecond)})
	w.work(t.TempDir())
	first := w.run(t.TempDir(), "--campaign", "profile", "--workers", "1")
	w.until("it is at work", func() bool { return w.mailed() > 0 })
	if _, err := w.db.Pool().Exec(t.Context(), "UPDATE senddigest.night SET started = started - interval '8 days'"); err != nil {
		t.Fatal(err)
	}
	next := w.run(t.TempDir(), "--campaign", "profile")
	for _, m := range []*machine{first, next} {
		if code := m.code(); code != 0 {
			t.Errorf("%v ends with %d:\n%s", m.Args, code, m.output.String())
		}
	}
	for who, n := range w.site.Mails() {
		if n != 2 {
			t.Errorf("%v had %d notifications of two months", who, n)
		}
	}
}

// A send that is refused takes no time, so it would be the first to ask for each group.
func TestAWorkerThatDoesNotReachItsSiteTakesNoGroupFromTheOthers(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(map[bool]string{false: "beside another", true: "before another comes"}[late], func(t *testing.T) {
			t.Parallel()
			groups := some(40)
			w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: always(100 * time.Millisecond)})
			cut := w.start(t.TempDir(), "work", "--timeout", timeout.String(), "--log-level", "info", "http://127.0.0.1:1/")
			w.must("workers", "2") // the installation is there
			live := 1
			if !late {
				w.work(t.TempDir())
				live++
			}
			w.until("the workers live", func() bool { return strings.Count(w.must("status"), ": lives, ") == live })
			run := w.run(t.TempDir(), "--retries", "1")
			if late {
				w.until("the site is taken for away", func() bool { return strings.Contains(w.must("status"), "away") })
				w.work(t.TempDir())
			}
			if code := run.code(); code != 0 {
				t.Errorf("the run ends with %d:\n%s", code, run.output.String())
			}
			w.judge(groups, 2)
			if !strings.Contains(cut.output.String(), "the site works for other workers and not for this one") {
				t.Errorf("its log says nothing of that:\n%s", cut.output.String())
			}
			if status := w.must("status"); !strings.Contains(status, "the site has not worked for it for ") {
				t.Errorf("got\n%s", status)
			}
		})
	}
}
