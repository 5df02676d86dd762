package progress_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/ratelimit"
)

func begins(d *progress.Display, key string) {
	observe(d, +1, dispatcher.Event{Kind: dispatcher.Started, Result: dispatcher.Result{Job: job(key)}})
}

// A site of 8 groups of an hour and 40 of 3 minutes, with 4 workers: 2½ hours.
var (
	night48 = func(groups int) campaign.Planned {
		p := plan(groups)
		p.Forecast, p.Work = &schedule.Forecast{Expected: 150 * time.Minute}, 10*time.Hour
		p.Cost = func(key string) time.Duration {
			if strings.HasPrefix(key, "main/big") {
				return time.Hour
			}
			return 3 * time.Minute
		}
		return p
	}
	big4 = []string{"main/big1", "main/big2", "main/big3", "main/big4"}
)

func TestTheForecastIsWhatIsExpectedAtFirstAndTheRunsOwnPaceLater(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*progress.Display)
		want string // what is left
	}{
		{"at once", func(*progress.Display) {}, "2:30:00"},
		{"half an hour into the first, which are big", func(d *progress.Display) {
			for _, key := range big4 {
				begins(d, key)
			}
			time.Sleep(30 * time.Minute)
		}, "2:00:00"},
		{"when they end as expected", func(d *progress.Display) {
			for _, key := range big4 {
				begins(d, key)
			}
			time.Sleep(time.Hour)
			for _, key := range big4 {
				end(d, dispatcher.Finished, key, dispatcher.Accepted, "")
			}
		}, "1:30:00"},
		{"when they take longer than expected", func(d *progress.Display) {
			for _, key := range big4 {
				begins(d, key)
			}
			time.Sleep(2 * time.Hour)
		}, "2:42:00"},
		{"when they take half", func(d *progress.Display) {
			for _, key := range big4 {
				begins(d, key)
			}
			time.Sleep(30 * time.Minute)
			for _, key := range big4 {
				end(d, dispatcher.Finished, key, dispatcher.Accepted, "")
			}
		}, "0:54:00"},
		{"what is tried again is not done", func(d *progress.Display) {
			begins(d, "main/big1")
			end(d, dispatcher.Retrying, "main/big1", dispatcher.NotOK, "500")
		}, "2:30:00"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := progress.New(io.Discard, nil)
			d.Quiet()
			d.Observe(night48(48))
			tt.do(d)
			want := ", about " + strings.TrimPrefix(tt.want, "0:") + " left"
			if got := d.Status(); !strings.HasSuffix(got, want) {
				t.Errorf("%s: got %q, want %q at its end", tt.name, got, want)
			}
		})
	}
}

// With a list that is longer than its forecast thinks, too, there is never less than nothing left.
func TestWithAForecastTheEstimateIsNeverNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(io.Discard, nil)
		d.Quiet()
		d.Observe(night48(100))
		for i := range 99 {
			key := fmt.Sprintf("main/big%d", i)
			begins(d, key)
			time.Sleep(time.Minute)
			end(d, dispatcher.Finished, key, dispatcher.Accepted, "")
		}
		if got := d.Status(); !strings.HasSuffix(got, ", about 0:00 left") {
			t.Errorf("got %q", got)
		}
	})
}

func TestTheSpeedIsThatOfLate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		groups int
		every  time.Duration
		idle   time.Duration
		want   string
	}{
		{"none yet", 0, 0, time.Second, "0 of 9000 groups, 0%, 0:01"},
		{"from the first seconds on", 4, 500 * time.Millisecond, 0, "4 of 9000 groups, 0%, 2.0/s, 0:02"},
		{"steady", 500, 500 * time.Millisecond, 0, "500 of 9000 groups, 5%, 2.0/s, 4:10, about 1:10:50 left"},
		{"many", 5000, 50 * time.Millisecond, 0, "5000 of 9000 groups, 55%, 20/s, 4:10, about 3:20 left"},
		{"slow", 40, 10 * time.Second, 0, "40 of 9000 groups, 0%, 7.1/m, 6:40"},
		{"very slow", 2, 10 * time.Minute, 5 * time.Minute, "2 of 9000 groups, 0%, 25:00"},
		{"less and less", 500, 500 * time.Millisecond, 30 * time.Second, "500 of 9000 groups, 5%, 45/m, 4:40, about 1:19:20 left"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(120)
			d := progress.New(s.Screen, s.terminal()) // what it showed before is not looked at
			begin(d, 9000)
			for range tt.groups {
				start(d, 1)
				time.Sleep(tt.every)
				finish(d, 1, dispatcher.Accepted, "")
			}
			time.Sleep(tt.idle)
			fmt.Fprintln(d) // the lines come anew with a message
			if _, got, _ := strings.Cut(strings.Split(s.Below(), "\n")[1], "] "); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
			d.Close()
		})
	}
}

func TestTheLinesSayWhyTheRunWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*progress.Display)
		want string
	}{
		{"nothing", func(*progress.Display) {}, ""},
		{"a source", func(d *progress.Display) { waiting(d, "the rate of 5/s") }, "the rate of 5/s"},
		{"several", func(d *progress.Display) {
			waiting(d, "the rate of 5/s", "a lighter group")
		}, "the rate of 5/s and a lighter group"},
		{"the site comes first", func(d *progress.Display) {
			waiting(d, "the rate of 5/s")
			d.Observe(campaign.Down{BreakerState: ratelimit.BreakerState{Open: true, Since: time.Now(), Probe: time.Now().Add(time.Minute)}})
		}, "the site, which is asked again in 0:59"},
		{"a pause", func(d *progress.Display) { d.Observe(campaign.Paused{For: time.Minute}) }, "the end of the pause that the site asked for, in 0:59"},
		{"an operator", func(d *progress.Display) {
			waiting(d, "the rate of 5/s")
			d.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: "pause"}})
		}, "control to resume it, paused since " + time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Local().Format("15:04 MST")},
		{"an operator no more", func(d *progress.Display) {
			d.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: "pause"}})
			d.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: "resume"}, Sends: 4})
		}, ""},
		{"a pause that is over", func(d *progress.Display) { d.Observe(campaign.Paused{For: time.Second / 2}) }, ""},
		{"what visitors wait", func(d *progress.Display) { d.Observe(campaign.Measuring{}) }, "what the site's page takes while nothing is sent"},
		{"not after that", func(d *progress.Display) { d.Observe(campaign.Measuring{}); waiting(d) }, ""},
		{"the last sends", func(d *progress.Display) { start(d, 2); d.Observe(campaign.Stopping{Grace: time.Minute}) }, "what is in flight, for 0:59 at most"},
		{"nothing after them", func(d *progress.Display) { d.Observe(campaign.Stopping{Grace: time.Minute}) }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(80)
			d := progress.New(s, s.terminal())
			begin(d, 100)
			tt.do(d)
			time.Sleep(time.Second)
			synctest.Wait()
			_, got, _ := strings.Cut(s.Below(), "\nwaiting for ")
			got, _, _ = strings.Cut(got, "\n")
			if got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
			d.Close()
		})
	}
}

// What knows why a run waits has a lock, and news for the display.
func TestASourceMayHaveALockThatIsHeldWhileTheDisplayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		d := progress.New(s, s.terminal())
		lock := make(chan struct{}, 1) // to the bubble, a goroutine that waits for a mutex does not wait
		d.Observe(campaign.Sending{Waits: func() []string {
			lock <- struct{}{}
			<-lock
			return []string{"something"}
		}})
		begin(d, 100)
		lock <- struct{}{}
		time.Sleep(time.Second) // the display asks meanwhile
		d.Observe(campaign.Paused{For: time.Minute})
		<-lock
		d.Close()
	})
}

func TestColoursSayNothingThatTheTextDoesNot(t *testing.T) {
	var text [2]string
	for i, color := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(80)
			terminal := s.terminal()
			terminal.Color = color
			d := progress.New(s, terminal)
			night(d)
			d.Observe(campaign.Paused{For: time.Minute})
			text[i] = s.Text()
			d.Close()
			if got := s.Colored(); got != color {
				t.Errorf("colours were used: %t, want %t", got, color)
			}
			s.look(t, append(nightMessages, "the site asked for a pause of 1:00; nothing starts until it is over")...)
		})
	}
	if text[0] != text[1] {
		t.Errorf("without colours\n%s\nwith colours\n%s", text[0], text[1])
	}
}

func TestWhileTheTerminalIsAnothersOnlyMessagesAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		terminal := s.terminal()
		var mu sync.Mutex
		ours := true
		terminal.Ours = func() bool { mu.Lock(); defer mu.Unlock(); return ours }
		background := func(is bool) { mu.Lock(); defer mu.Unlock(); ours = !is }
		d := progress.New(s, terminal)
		begin(d, 100)
		shows := func(when, want string) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if got := s.Text(); got != want {
				t.Errorf("%s: got %q, want %q", when, got, want)
			}
		}
		const lines = "\n[----------------------------------------] 0 of 100 groups, 0%, 0:0"
		shows("at first", lines+"1\n0 in flight")
		_, _ = io.WriteString(s, "\x1b[J$ bg\n") // the shell's prompt erases what is below it
		background(true)
		shows("in the background", "$ bg")
		fmt.Fprintln(d, "a message")
		shows("with a message", "$ bg\na message")
		_, _ = io.WriteString(s, "$ fg\n")
		background(false)
		shows("in the foreground", "$ bg\na message\n$ fg\n"+lines+"4\n0 in flight")
		d.Close()
		shows("after the end", "$ bg\na message\n$ fg")
		s.look(t, "$ bg", "a message", "$ fg")
	})
}

// A terminal that was stopped gets the messages when it goes on, and not hundreds of lines that are long old.
func TestATerminalThatIsBehindIsNotGivenMoreLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		out := &slow{free: make(chan struct{}), Writer: s}
		q := progress.NewQueue(out)
		d := progress.New(q, s.terminal())
		begin(d, 100)
		time.Sleep(time.Minute)
		fmt.Fprintln(d, "a message")
		time.Sleep(time.Hour)
		close(out.free)
		synctest.Wait()
		if n := s.writes(); n > 3 {
			t.Errorf("%d writes, want those of the first lines and of the message", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, want := s.Text(), "a message\n\n[----------------------------------------] 0 of 100 groups, 0%, 1:01:01\n0 in flight"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		d.Close()
		q.Close(t.Context())
		s.look(t, "a message")
	})
}

// slow takes nothing until it is let go.
type slow struct {
	free chan struct{}
	io.Writer
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.free
	return s.Writer.Write(p)
}

func TestAFlushWaitsForTheStreamAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{free: make(chan struct{}), Writer: io.Discard}
		q := progress.NewQueue(out)
		_, _ = io.WriteString(q, "text")
		began := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		q.Flush(soon)
		if took := time.Since(began); took != time.Second {
			t.Errorf("a stream that is stopped was waited for for %v, want 1s", took)
		}
		q.Flush(soon)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it was waited for when it need not be any longer, until %v", took)
		}
		go func() { time.Sleep(time.Minute); close(out.free) }()
		q.Flush(t.Context())
		if took := time.Since(began); took != time.Second+time.Minute {
			t.Errorf("it was waited for for %v, want as long as it was stopped", took)
		}
		q.Flush(t.Context())
		if took := time.Since(began); took != time.Second+time.Minute {
			t.Errorf("an idle one was waited for, until %v", took)
		}
		q.Close(t.Context())
	})
}

// Who must end cannot wait for a terminal that shows nothing.
func TestAQueueIsClosedBeforeAStoppedStreamInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{free: make(chan struct{}), Writer: io.Discard}
		q := progress.NewQueue(out)
		_, _ = io.WriteString(q, "text")
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		q.Close(soon)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want 1s", took)
		}
		close(out.free)
		q.Close(t.Context())
	})
}

func TestATerminalShowsHowManyGroupsWaitToBeSettledWhateverElseTheRunWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		d := progress.New(s, s.terminal())
		begin(d, 100)
		waiting(d, "the rate of 5/s")
		start(d, 1)
		settle(d, "main/a", time.Hour)
		time.Sleep(time.Second)
		synctest.Wait()
		want := "\nwaiting for the rate of 5/s\n1 group waits until " + in(time.Hour) + " to be settled"
		if got := s.Below(); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
		d.Close()
	})
}

func TestNamesThatArePrivateAreNeverShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		d := progress.New(s, s.terminal())
		p := plan(100)
		p.Private, p.Things = true, printable.NewNoun("person", "people")
		d.Observe(p)
		begins(d, "anna")
		begins(d, "bert")
		begins(d, "carl")
		fail(d, "bert", dispatcher.NotOK, "500")
		settle(d, "carl", time.Hour)
		time.Sleep(2 * time.Second) // anna is slow
		synctest.Wait()
		want := "not_ok: 500\nambiguous: 504; sent again at " + in(time.Hour) + " at the earliest"
		if got := s.Above(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := s.Text() + d.Status(); strings.Contains(got, "anna") || !strings.Contains(got, "1 of 100 people") {
			t.Errorf("got %q", got)
		}
		d.Close()
	})
}
