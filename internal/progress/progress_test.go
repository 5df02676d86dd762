package progress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

type job string

func (j job) Key() string { return string(j) }

// flying is how many sends are in flight, as far as each display was told.
var flying = struct {
	sync.Mutex
	in map[*progress.Display]int
}{in: map[*progress.Display]int{}}

// observe tells a display of an event that changes by n how many sends are in flight.
func observe(d *progress.Display, n int, e dispatcher.Event) {
	flying.Lock()
	flying.in[d] += n
	e.InFlight = flying.in[d]
	flying.Unlock()
	d.Observe(campaign.Send{Event: e})
}

// begin tells a display of a run of so many groups.
func begin(d *progress.Display, groups int) { d.Observe(plan(groups)) }

// plan is a run of so many groups.
func plan(groups int) campaign.Planned {
	return campaign.Planned{Plan: &campaign.Plan{Groups: make([]state.Group, groups)}}
}

// waiting tells a display what keeps a send from starting.
func waiting(d *progress.Display, reasons ...string) {
	d.Observe(campaign.Sending{Waits: func() []string { return reasons }})
}

// start tells a display of the start of n sends.
func start(d *progress.Display, n int) {
	for range n {
		observe(d, +1, dispatcher.Event{Kind: dispatcher.Started, Result: dispatcher.Result{Job: job("main/some")}})
	}
}

// finish tells a display of the end of n sends.
func finish(d *progress.Display, n int, o dispatcher.Outcome, reason string) {
	for range n {
		fail(d, "main/some", o, reason)
	}
}

func fail(d *progress.Display, key string, o dispatcher.Outcome, reason string) {
	end(d, dispatcher.Finished, key, o, reason)
}

// again tells a display of the end of n sends that are to be tried again.
func again(d *progress.Display, n int) {
	for range n {
		end(d, dispatcher.Retrying, "main/some", dispatcher.NotOK, "500")
	}
}

func end(d *progress.Display, kind dispatcher.Kind, key string, o dispatcher.Outcome, reason string) {
	observe(d, -1, dispatcher.Event{Kind: kind, Result: dispatcher.Result{
		Job: job(key), Attempts: 1, Verdict: dispatcher.Verdict{Outcome: o, Reason: reason},
	}})
}

// settle tells a display of the end of a send whose answer was lost, and that it may be repeated so much later.
func settle(d *progress.Display, key string, after time.Duration) {
	observe(d, -1, dispatcher.Event{Kind: dispatcher.Settling, Next: time.Now().Add(after), Result: dispatcher.Result{
		Job: job(key), Attempts: 1, Verdict: dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Reason: "504"},
	}})
}

// in is how an instant is shown that is so long after the beginning of fake time.
func in(d time.Duration) string {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Local().Format(time.TimeOnly)
}

// timed notes when each line came.
type timed struct {
	began time.Time
	lines []string
}

func (w *timed) Write(p []byte) (int, error) {
	w.lines = append(w.lines, fmt.Sprintf("%v: %s", time.Since(w.began), strings.TrimSuffix(string(p), "\n")))
	return len(p), nil
}

func TestPlainLinesComeMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &timed{began: time.Now()}
		d := progress.New(out, nil)
		begin(d, 10)
		start(d, 1)
		time.Sleep(5*time.Minute - time.Second)
		d.Close()
		time.Sleep(time.Hour)

		var want []string
		for _, at := range []int{1, 2, 4, 8, 16, 32, 64, 124, 184, 244} { // seconds
			want = append(want, fmt.Sprintf("%v: 0 of 10 groups (0%%), 1 in flight, %d:%02d", time.Duration(at)*time.Second, at/60, at%60))
		}
		if diff := cmp.Diff(out.lines, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestGroupsThatAreHeldBackAreWaitedForWhenNothingElseIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name         string
		begun, ended int
		after        time.Duration // from the beginning
		want         string
	}{
		{"all the others are done", 190, 190, time.Second, "190 of 200 groups (95%), 0 in flight, 0:01, waiting for groups that are held back until " + in(time.Minute) + " at the latest"},
		{"there are others to start", 150, 150, time.Second, "150 of 200 groups (75%), 0 in flight, 0:01, about 0:00 left"},
		{"others are in flight", 1, 0, time.Second, "0 of 200 groups (0%), 1 in flight, 0:01"},
		{"their time has come", 190, 190, time.Minute, "190 of 200 groups (95%), 0 in flight, 1:00, about 0:03 left"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := progress.New(io.Discard, nil)
			d.Quiet()
			p := plan(200)
			p.Waiting, p.Until = 10, time.Now().Add(time.Minute)
			d.Observe(p)
			start(d, tt.begun)
			finish(d, tt.ended, dispatcher.Accepted, "")
			time.Sleep(tt.after)
			if got := d.Status(); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

func TestARunIsNotExpectedToEndBeforeItsRateLetsAllStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, nil)
		d.Quiet()
		p := plan(200)
		p.Forecast = &schedule.Forecast{Expected: 20 * time.Second}
		p.Work, p.Cost = 200*time.Second, func(string) time.Duration { return time.Second }
		d.Observe(p)
		start(d, 50)
		finish(d, 50, dispatcher.Accepted, "")
		time.Sleep(5 * time.Second)
		for _, tt := range []struct {
			rate ratelimit.Rate
			want time.Duration
		}{{0, 15 * time.Second}, {5, 30 * time.Second}, {100, 15 * time.Second}} {
			d.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: "rate"}, Rate: tt.rate})
			if got := d.Left().Round(time.Second); got != tt.want {
				t.Errorf("at %v: %v are left, want %v", tt.rate, got, tt.want)
			}
		}
	})
}

func TestStatusSaysWhatIsWaitedForBeforeThereIsAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, nil)
		d.Quiet()
		for _, tt := range []struct {
			event campaign.Event
			want  string
		}{
			{campaign.Locking{}, "waiting for the lock"},
			{campaign.Locked{}, "waiting for the list of groups"},
			{campaign.Queueing{}, "waiting for the run of another machine"},
			{campaign.Began{}, "waiting for the list of groups"},
			{campaign.Listing{}, "waiting for the list of groups"},
			{
				campaign.Unlisted{Err: errors.New("502"), Again: time.Now().Add(time.Minute)},
				"waiting for the list of groups, which is asked for again at " + in(time.Minute),
			},
		} {
			if d.Observe(tt.event); d.Status() != tt.want {
				t.Errorf("%T: got %q, want %q", tt.event, d.Status(), tt.want)
			}
		}
	})
}

func TestStatusSaysHowFarTheRunIs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		total int
		do    func(*progress.Display)
		after time.Duration // a time at which a plain line comes
		want  string
	}{
		{"nothing yet", 200, func(*progress.Display) {}, time.Second, "0 of 200 groups (0%), 0 in flight, 0:01"},
		{"no groups at all", 0, func(*progress.Display) {}, time.Second, "0 of 0 groups, 0 in flight, 0:01"},
		{
			"in flight", 200, func(d *progress.Display) { start(d, 4); finish(d, 1, dispatcher.Accepted, "") }, time.Second,
			"1 of 200 groups (0%), 3 in flight, 0:01",
		},
		{
			"no guess before a twentieth", 200, func(d *progress.Display) { start(d, 9); finish(d, 9, dispatcher.Accepted, "") }, 8 * time.Second,
			"9 of 200 groups (4%), 0 in flight, 0:08",
		},
		{
			"a guess from a twentieth on", 200, func(d *progress.Display) { start(d, 10); finish(d, 10, dispatcher.Accepted, "") }, 8 * time.Second,
			"10 of 200 groups (5%), 0 in flight, 0:08, about 2:32 left",
		},
		{
			"unknown groups are done", 4, func(d *progress.Display) { start(d, 2); finish(d, 2, dispatcher.UnknownGroup, "gone") }, 64 * time.Second,
			"2 of 4 groups (50%), 2 unknown, 0 in flight, 1:04, about 1:04 left",
		},
		{
			"all done", 3, func(d *progress.Display) { start(d, 3); finish(d, 3, dispatcher.Accepted, "") }, 2 * time.Second,
			"3 of 3 groups (100%), 0 in flight, 0:02",
		},
		{
			"sends that are tried again are not done", 200, func(d *progress.Display) { start(d, 4); again(d, 3); start(d, 1) }, time.Second,
			"0 of 200 groups (0%), 3 tried again, 2 in flight, 0:01",
		},
		{
			"while nothing goes before another try", 200, func(d *progress.Display) { start(d, 1); again(d, 1) }, time.Second,
			"0 of 200 groups (0%), 1 tried again, 0 in flight, 0:01, waiting for the time of another try (groups: 1)",
		},
		{
			"what waits to be settled is not done, and no other guess is needed when nothing else is left", 3, func(d *progress.Display) {
				start(d, 3)
				finish(d, 1, dispatcher.Accepted, "")
				settle(d, "main/a", time.Minute)
				settle(d, "main/b", 11*time.Minute)
			}, time.Second,
			"1 of 3 groups (33%), 0 in flight, 0:01, 2 groups wait until " + in(11*time.Minute) + " to be settled, about 10:59 left",
		},
		{
			"the run does not end before all is settled", 20, func(d *progress.Display) {
				start(d, 12)
				finish(d, 10, dispatcher.Accepted, "")
				settle(d, "main/a", 10*time.Minute)
			}, time.Second,
			"10 of 20 groups (50%), 1 in flight, 0:01, 1 group waits until " + in(10*time.Minute) + " to be settled, about 9:59 left",
		},
		{
			"what is settled is tried again", 2, func(d *progress.Display) {
				start(d, 1)
				settle(d, "main/some", 0)
				start(d, 1)
			}, time.Second,
			"0 of 2 groups (0%), 1 tried again, 1 in flight, 0:01",
		},
		{
			"its time has come and something else holds it up", 1, func(d *progress.Display) {
				start(d, 1)
				settle(d, "main/a", time.Millisecond)
			}, time.Second,
			"0 of 1 groups (0%), 0 in flight, 0:01, 1 group waits to be settled, about 0:00 left",
		},
		{
			"after a stop nothing is settled", 2, func(d *progress.Display) {
				start(d, 2)
				settle(d, "main/a", time.Minute)
				d.Observe(campaign.Stopping{Grace: time.Minute})
			}, time.Second,
			"0 of 2 groups (0%), 1 in flight, 0:01, waiting for what is in flight, for 0:59 at most",
		},
		{
			"while the site is down", 200, func(d *progress.Display) { d.Observe(campaign.Down{BreakerState: ratelimit.BreakerState{Open: true}}) }, time.Second,
			"0 of 200 groups (0%), 0 in flight, 0:01, waiting for the site",
		},
		{
			"when it is back", 200, func(d *progress.Display) {
				d.Observe(campaign.Down{BreakerState: ratelimit.BreakerState{Open: true}})
				d.Observe(campaign.Up{})
			}, time.Second, "0 of 200 groups (0%), 0 in flight, 0:01",
		},
		{
			"hours", 10, func(d *progress.Display) { start(d, 1); finish(d, 1, dispatcher.Accepted, "") }, 64*time.Second + 59*time.Minute,
			"1 of 10 groups (10%), 0 in flight, 1:00:04, about 9:00:36 left",
		},
		{
			"a guess that is long", 1_000_000, func(d *progress.Display) { start(d, 50_000); finish(d, 50_000, dispatcher.Accepted, "") },
			64*time.Second + 300*time.Minute, "50000 of 1000000 groups (5%), 0 in flight, 5:01:04, about 95:20:16 left",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &timed{began: time.Now()}
				d := progress.New(out, nil)
				begin(d, tt.total)
				tt.do(d)
				time.Sleep(tt.after)
				synctest.Wait()
				d.Close()
				if want := fmt.Sprintf("%v: %s", tt.after, tt.want); !slices.Contains(out.lines, want) {
					t.Errorf("got %q, want %q among them", out.lines, want)
				}
			})
		})
	}
}

func TestStatusCountsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &timed{began: time.Now()}
		d := progress.New(out, nil)
		begin(d, len(dispatcher.Outcomes()))
		for _, o := range dispatcher.Outcomes() {
			start(d, 1)
			finish(d, 1, o, "some reason")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		d.Close()
		if got, want := out.lines[len(out.lines)-1], "1s: 9 of 9 groups (100%), 5 failed, 1 unknown, 0 in flight, 0:01"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestFailuresAreToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &timed{began: time.Now()}
		d := progress.New(out, nil)
		begin(d, 100)
		for _, o := range dispatcher.Outcomes() {
			time.Sleep(10 * time.Millisecond)
			start(d, 1)
			fail(d, "main/"+o.String(), o, "its reason")
		}
		start(d, 1)
		settle(d, "main/lo\tst", 10*time.Minute) // no failure yet
		d.Close()
		want := []string{
			"30ms: main/rejected: rejected: its reason",
			"40ms: main/not_ok: not_ok: its reason",
			"50ms: main/unexpected: unexpected: its reason",
			"60ms: main/unreachable: unreachable: its reason",
			"70ms: main/ambiguous: ambiguous: its reason",
			`90ms: main/lo\tst: ambiguous: 504; sent again at ` + in(10*time.Minute) + " at the earliest",
		}
		if diff := cmp.Diff(out.lines, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestADisplaySaysWhyARunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &timed{began: time.Now()}
		d := progress.New(out, nil)
		begin(d, 100)
		d.Observe(campaign.Down{BreakerState: ratelimit.BreakerState{Open: true, Since: time.Now().Add(-20 * time.Second), Probe: time.Now().Add(40 * time.Second)}})
		d.Observe(campaign.Up{})
		d.Observe(campaign.Paused{For: 90 * time.Second})
		d.Observe(campaign.Stopping{Grace: 4 * time.Minute}) // nothing is in flight that might
		start(d, 2)
		d.Observe(campaign.Stopping{Grace: 4 * time.Minute})
		d.Close()
		want := []string{
			"0s: the site has not answered for 0:20; in 0:40 one send tries again, and no other until it answers",
			"0s: the site answers again",
			"0s: the site asked for a pause of 1:30; nothing starts until it is over",
			"0s: 2 in flight, which may take up to 4:00",
		}
		if diff := cmp.Diff(out.lines, want); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// A run of a hundred is halfway after 50 s, and paused for an hour.
func TestADisplayTellsOfAnOperatorAndLeavesAPauseOutOfItsEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &timed{began: time.Now()}
		d := progress.New(out, nil)
		begin(d, 100)
		time.Sleep(50 * time.Second)
		finish(d, 50, dispatcher.Accepted, "")
		steer := func(what, from, to string, sends int) {
			d.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: what, From: from, To: to}, Sends: sends})
		}
		steer("workers", "4", "1", 1)
		steer("pause", "", "", 0)
		for range 2 {
			time.Sleep(30 * time.Minute)
			if left := d.Left(); left != 50*time.Second {
				t.Errorf("paused: %v left, want 50s", left)
			}
			if !strings.Contains(d.Status(), "waiting for control to resume it") { // as systemd shows it
				t.Errorf("got %q", d.Status())
			}
		}
		steer("resume", "", "", 1)
		if left := d.Left(); left != 50*time.Second || strings.Contains(d.Status(), "control") {
			t.Errorf("resumed: %v left, %q", left, d.Status())
		}
		d.Close()
		said := strings.Join(out.lines, "\n")
		for _, want := range []string{"workers 4 → 1, by control", "paused, by control", "resumed, by control"} {
			if !strings.Contains(said, want) {
				t.Errorf("%q is not said:\n%s", want, said)
			}
		}
	})
}

func TestADisplayThatOnlyCountsSaysNothingUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := progress.New(&out, nil)
		if got, want := d.Status(), "waiting for the list of groups"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		d.Quiet()
		begin(d, 20)
		start(d, 3)
		fail(d, "main/alpha", dispatcher.NotOK, "500")
		again(d, 1)
		d.Observe(campaign.Down{BreakerState: ratelimit.BreakerState{Open: true}})
		d.Observe(campaign.Paused{For: time.Minute})
		time.Sleep(time.Minute)
		if got, want := d.Status(), "1 of 20 groups (5%), 1 failed, 1 tried again, 1 in flight, 1:00, waiting for the site, about 19:00 left"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		d.Observe(campaign.Stopping{Grace: time.Minute})
		time.Sleep(10 * time.Second)
		if got, want := d.Status(), "1 of 20 groups (5%), 1 failed, 1 tried again, 1 in flight, 1:10, waiting for what is in flight, for 0:50 at most"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		d.Close()
		if out.Len() > 0 {
			t.Errorf("got %q, want nothing", &out)
		}
	})
}

// What goes to a file is made of lines alone: nobody can read a log full of \r.
func TestPlainOutputHoldsNoControls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := progress.New(&out, nil)
		fmt.Fprintln(d, "before")
		begin(d, 10)
		time.Sleep(time.Minute)
		fmt.Fprintln(d, "a message")
		start(d, 1)
		fail(d, "main/\x1b[2Jbad\r", dispatcher.NotOK, "500 \x1b[2J")
		d.Close()
		fmt.Fprintln(d, "after")
		got := out.String()
		if strings.ContainsAny(got, "\r\x1b") {
			t.Errorf("got %q", got)
		}
		for _, want := range []string{"before\n", "a message\n", "main/\\x1b[2Jbad\\r: not_ok: 500 \\x1b[2J\n", "after\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
		}
	})
}

func TestMessagesFromManyGoroutinesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, each = 8, 25
		s := watch(80)
		d := progress.New(s, s.terminal())
		begin(d, writers*each)
		var all sync.WaitGroup
		var messages []string
		for w := range writers {
			for i := range each {
				messages = append(messages, fmt.Sprintf("message %d of %d", i, w), fmt.Sprintf("main/g%d-%d: unreachable: connection refused", w, i))
			}
			all.Go(func() {
				for i := range each {
					start(d, 1)
					fmt.Fprintf(d, "message %d of %d\n", i, w)
					time.Sleep(time.Duration(37*w+i) * time.Millisecond)
					fail(d, fmt.Sprintf("main/g%d-%d", w, i), dispatcher.Unreachable, "connection refused")
				}
			})
		}
		all.Wait()
		d.Close()
		s.look(t, messages...)
		got := strings.Split(s.Text(), "\n")
		slices.Sort(got)
		slices.Sort(messages)
		if diff := cmp.Diff(got, messages); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

// A group is called what somebody called it, and an error page says what it likes.
func TestNoIdMovesTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		d := progress.New(s, s.terminal())
		begin(d, 10)
		time.Sleep(time.Second)
		start(d, 3)
		fail(d, "main/\x1b[2J\x1b[Hgone", dispatcher.NotOK, "500")
		fail(d, "main/two\nlines\r", dispatcher.NotOK, "500")
		fail(d, "main/plain", dispatcher.NotOK, "500 \x1b]0;title\a \xff\u202e")
		time.Sleep(time.Second)
		d.Close()
		s.look(t,
			`main/\x1b[2J\x1b[Hgone: not_ok: 500`, `main/two\nlines\r: not_ok: 500`,
			`main/plain: not_ok: 500 \x1b]0;title\a \xff\u202e`)
	})
}

// The bubble fails the test if a goroutine is left.
func TestCloseEndsTheDisplay(t *testing.T) {
	for _, terminal := range []*progress.Terminal{nil, watch(80).terminal()} {
		for _, tt := range []struct {
			name string
			do   func(*progress.Display)
		}{
			{"that never began", func(*progress.Display) {}},
			{"that began and showed nothing", func(d *progress.Display) { begin(d, 1) }},
			{"that has shown something", func(d *progress.Display) { begin(d, 1); time.Sleep(time.Second); synctest.Wait() }},
			{"twice", func(d *progress.Display) { begin(d, 1); d.Close() }},
		} {
			t.Run(fmt.Sprintf("%s, terminal=%t", tt.name, terminal != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var out bytes.Buffer
					d := progress.New(&out, terminal)
					tt.do(d)
					d.Close()
					written := out.Len()
					time.Sleep(time.Hour)
					if got := out.String()[written:]; got != "" {
						t.Errorf("got %q after Close, want nothing", got)
					}
					if terminal == nil {
						return
					}
					if got := out.String(); got != "" && !strings.HasSuffix(got, "\r\x1b[J") {
						t.Errorf("got %q, want the lines taken away", got)
					}
				})
			})
		}
	}
}

// Observers are told before the display begins where a run has no list to wait for.
func TestWithoutBeginOnlyFailuresAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := progress.New(&out, watch(80).terminal())
		start(d, 2)
		finish(d, 1, dispatcher.Accepted, "")
		fail(d, "main/alpha", dispatcher.Unreachable, "connection refused")
		d.Close()
		if got, want := out.String(), "main/alpha: unreachable: connection refused\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// Who reads the progress may go; the run goes on.
func TestABrokenOutputIsForTheWriterAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(broken{}, watch(80).terminal())
		begin(d, 2)
		start(d, 1)
		fail(d, "main/alpha", dispatcher.NotOK, "500")
		time.Sleep(time.Second)
		if _, err := fmt.Fprintln(d, "a message"); !errors.Is(err, errBroken) {
			t.Errorf("got %v, want %v", err, errBroken)
		}
		d.Close()
	})
}
