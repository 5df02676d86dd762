package progress_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/screen"
	"pgregory.net/rapid"
)

// night is what a display is told of a night in which much happens, up to its 75th second.
func night(d *progress.Display) {
	fmt.Fprintln(d, "Retrieving the list of groups")
	begin(d, 1000)
	begin := func(key string) {
		observe(d, +1, dispatcher.Event{Kind: dispatcher.Started, Result: dispatcher.Result{Job: job(key)}})
	}
	begin("main/a-group-with-a-very-long-name-as-there-are-some-on-every-site-of-some-age-and-in-which-people-write-much")
	time.Sleep(10 * time.Second)
	begin("日本/メーリングリスト-日本語の名前-とても長い名前のグループ-とても長い名前のグループ")
	time.Sleep(4 * time.Second)
	for range 300 {
		start(d, 1)
		time.Sleep(200 * time.Millisecond)
		finish(d, 1, dispatcher.Accepted, "")
	}
	start(d, 5)
	finish(d, 1, dispatcher.UnknownGroup, "gone")
	again(d, 2)
	fail(d, "main/alpha", dispatcher.NotOK, "500 Internal Server Error: database error")
	fail(d, "main/beta", dispatcher.Ambiguous, "504 Gateway Time-out")
	begin("main/quick")
	time.Sleep(time.Second)
	begin("main/quicker")
	waiting(d, "the rate of 5/s")
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
}

var nightMessages = []string{
	"Retrieving the list of groups",
	"main/alpha: not_ok: 500 Internal Server Error: database error",
	"main/beta: ambiguous: 504 Gateway Time-out",
}

var nights = map[int]string{
	120: `
[############----------------------------] 303 of 1000 groups, 30%, 4.6/s, 1:15, about 2:52 left
300 accepted, 1 not_ok, 1 ambiguous, 1 unknown, 2 tried again, 4 in flight
waiting for the rate of 5/s
    1:15  main/a-group-with-a-very-long-name-as-there-are-some-on-every-site-of-some-age-and-in-which-people-write-much
    1:05  日本/メーリングリスト-日本語の名前-とても長い名前のグループ-とても長い名前のグループ
    0:01  main/quick`,
	80: `
[######-----------------] 303 of 1000 groups, 30%, 4.6/s, 1:15, about 2:52 left
300 accepted, 1 not_ok, 1 ambiguous, 1 unknown, 2 tried again, 4 in flight
waiting for the rate of 5/s
    1:15  main/a-group-with-a-very-long-name-as-there-are-some-on-every-site...
    1:05  日本/メーリングリスト-日本語の名前-とても長い名前のグループ-とても...
    0:01  main/quick`,
	60: `
[#####--------------] 303/1000, 30%, 4.6/s, 1:15, 2:52 left
300 accepted, 2 failed, 2 tried again, 4 in flight
waiting for the rate of 5/s
    1:15  main/a-group-with-a-very-long-name-as-there-ar...
    1:05  日本/メーリングリスト-日本語の名前-とても長い...
    0:01  main/quick`,
	40: `
[#-----] 303/1000, 30%, 1:15, 2:52 left
300 accepted, 2 failed, 4 in flight
waiting for the rate of 5/s
    1:15  main/a-group-with-a-very-l...
    1:05  日本/メーリングリスト-日本...
    0:01  main/quick`,
	20: `
303/1000, 2:52 left
2 failed
waiting for the ...
    1:15  main/a...
    1:05  日本/...
    0:01  main/q...`,
	5: `
303.
2 f.
wai.
   .
   .
   .`,
}

func TestATerminalShowsWhatGoesOnAtAnyWidth(t *testing.T) {
	for width, want := range nights {
		t.Run(fmt.Sprintf("width=%d", width), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := watch(width)
				d := progress.New(s, s.terminal())
				night(d)
				if diff := cmp.Diff(s.Below(), want); diff != "" {
					t.Errorf("got -, want +:\n%s", diff)
				}
				if got, want := s.Above(), strings.Join(nightMessages, "\n"); got != want {
					t.Errorf("above it: got %q, want %q", got, want)
				}
				d.Close()
				fmt.Fprintln(d, "the summary")
				if got, want := s.Text(), strings.Join(nightMessages, "\n")+"\nthe summary"; got != want {
					t.Errorf("after Close: got %q, want %q", got, want)
				}
				s.look(t, append(nightMessages, "the summary")...)
			})
		})
	}
}

// The first lines are the most important ones.
func TestALowTerminalShowsFewerLines(t *testing.T) {
	for _, tt := range []struct{ rows, want int }{{1, 0}, {2, 0}, {3, 1}, {4, 2}, {5, 3}, {8, 6}, {0, 6}} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(80)
			if tt.rows > 0 { // otherwise it does not know
				s.Resize(80, tt.rows)
			}
			s.rows = tt.rows
			d := progress.New(s, s.terminal())
			night(d)
			want := strings.Join(strings.Split(nights[80], "\n")[:tt.want+1], "\n")
			if diff := cmp.Diff(s.Below(), want); diff != "" {
				t.Errorf("%d rows: got -, want +:\n%s", tt.rows, diff)
			}
			d.Close()
			s.look(t, nightMessages...)
		})
	}
}

// The window may change its size while the run goes on, and breaks its lines anew then, or cuts them.
func TestTheLinesFollowTheSizeOfTheWindow(t *testing.T) {
	for _, reflow := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(80)
			s.Screen = screen.New(80, 24, reflow)
			d := progress.New(s, s.terminal())
			begin(d, 1000)
			for i := range 12 {
				observe(d, +1, dispatcher.Event{Kind: dispatcher.Started, Result: dispatcher.Result{Job: job(fmt.Sprintf("main/%d", i))}})
				fail(d, fmt.Sprintf("main/%d", i), dispatcher.NotOK, "500")
			}
			time.Sleep(2 * time.Second)
			var messages []string
			for i := range 12 {
				messages = append(messages, fmt.Sprintf("main/%d: not_ok: 500", i))
			}
			for _, tt := range []struct {
				columns int
				want    string
			}{
				{80, "\n[----------------------------------------] 12 of 1000 groups, 1%, 5.3/s, 0:02\n12 not_ok, 0 in flight"},
				{40, "\n[------------] 12/1000, 1%, 4.8/s, 0:02\n12 not_ok, 0 in flight"},
				{20, "\n[---------] 12/1000\n12 failed"},
				{120, ""},
				{30, ""},
				{80, ""},
			} {
				s.resize(tt.columns, 24)
				time.Sleep(200 * time.Millisecond)
				synctest.Wait()
				if got := s.Below(); tt.want != "" && got != tt.want {
					t.Errorf("reflow=%t, %d columns: got\n%s\nwant\n%s", reflow, tt.columns, got, tt.want)
				}
				if got := s.Above(); got != strings.Join(messages, "\n") {
					t.Errorf("reflow=%t, %d columns: the messages are\n%s", reflow, tt.columns, got)
				}
			}
			d.Close()
			if got := s.Text(); got != strings.Join(messages, "\n") {
				t.Errorf("reflow=%t, after Close: got %q", reflow, got)
			}
			s.look(t, messages...)
		})
	}
}

// A window may have become narrower since it was asked.
func TestWhereAWindowIsNarrowerThanItSaysTheLinesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watch(80)
		s.Resize(60, 24)
		d := progress.New(s, s.terminal())
		night(d)
		if n := strings.Count(s.Below(), "\n"); n != 6 {
			t.Errorf("%d lines, want 6; the screen is\n%s", n, s.Text())
		}
		d.Close()
		s.look(t, nightMessages[0], nightMessages[1], nightMessages[2])
	})
}

// An event is one thing that happens to a display.
type event struct {
	what          int
	key           string
	columns, rows int
	pause         time.Duration // before the next
}

// What groups are called, and error pages say.
var letters = []rune("abc XYZ/-é\u0301語ツ😀\x1b\r\n\a\x00\u202e\u200d\ufffd[2JK")

func drawEvent(r *rapid.T) event {
	return event{
		what: rapid.IntRange(0, 6).Draw(r, "what"), key: rapid.StringOfN(rapid.RuneFrom(letters), 1, 60, -1).Draw(r, "key"),
		columns: rapid.IntRange(1, 130).Draw(r, "columns"), rows: rapid.IntRange(1, 12).Draw(r, "rows"),
		pause: time.Duration(rapid.IntRange(0, 5000).Draw(r, "ms")) * time.Millisecond,
	}
}

// happens tells the display of an event, and gives the message that it makes, if it makes one.
func (e event) happens(d *progress.Display, s *watched) string {
	switch e.what {
	case 0:
		observe(d, +1, dispatcher.Event{Kind: dispatcher.Started, Result: dispatcher.Result{Job: job(e.key)}})
	case 1:
		start(d, 1)
		finish(d, 1, dispatcher.Accepted, "")
	case 2:
		start(d, 1)
		fail(d, e.key, dispatcher.NotOK, e.key)
		return printable.Line(e.key) + ": not_ok: " + printable.Line(e.key)
	case 3:
		fmt.Fprintf(d, "message %+q\n", e.key)
		return fmt.Sprintf("message %+q", e.key)
	case 4:
		s.resize(e.columns, e.rows)
	case 5:
		d.Observe(campaign.Paused{For: time.Minute})
		return "the site asked for a pause of 1:00; nothing starts until it is over"
	}
	return ""
}

// Whatever happens, in whatever order, in a window of whatever size.
func TestMessagesAndLinesNeverMix(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		events := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 30).Draw(r, "events")
		reflow := rapid.Bool().Draw(r, "reflow")
		total := rapid.IntRange(0, 3000).Draw(r, "total")
		s := watch(80)
		s.Screen = screen.New(80, 24, reflow)
		var messages []string
		synctest.Test(t, func(*testing.T) {
			d := progress.New(s, s.terminal())
			begin(d, total)
			for _, e := range events {
				messages = append(messages, e.happens(d, s))
				time.Sleep(e.pause)
				synctest.Wait()
			}
			d.Close()
		})
		if faults := s.Faults(); faults != nil {
			r.Error(faults)
		}
		for _, shown := range s.history {
			if shown.wrapped != nil || shown.below != "" && !strings.HasPrefix(shown.below, "\n") {
				r.Fatalf("the screen was\n%s\n%s", shown.above, shown.below)
			}
		}
		if !reflow { // what was cut is gone
			return
		}
		if diff := cmp.Diff(squeeze(s.Text()), squeeze(strings.Join(messages, ""))); diff != "" {
			r.Errorf("messages: got -, want +:\n%s", diff)
		}
	})
}

// squeeze leaves out all blanks: a terminal has none at the end of a line, nor where a wide letter did not fit.
func squeeze(text string) string { return strings.Join(strings.Fields(text), "") }
