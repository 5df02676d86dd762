package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/screen"
	"github.com/groupserver/senddigest/internal/standin"
)

// A seat is a person before a terminal on which the program runs. The person sees the screen, never an escape code.
type seat struct {
	*screen.Screen

	t        *testing.T
	cmd      *exec.Cmd
	terminal *os.File
	changed  chan struct{} // the screen was written to
	read     chan struct{} // all that was written was read
	ended    chan error
}

// A desk is what a seat is made of.
type desk struct {
	columns, rows int
	reflow        bool
	env           []string
	before        []string // a program that starts ours, with its arguments
}

// A terminalSite has groups that fail at once, one that is gone, and others that take for ever.
func terminalSite(t *testing.T) *victim {
	t.Helper()
	dir := t.TempDir()
	v := &victim{
		started: make(chan standin.Group, 100), config: filepath.Join(dir, "gsconfig.ini"), state: filepath.Join(dir, "state"),
	}
	name := func(name string) standin.Group { return standin.Group{Site: "main", Group: name} }
	fails, err := standin.ParseFault("main/a-fails=500")
	if err != nil {
		t.Fatal(err)
	}
	v.site = standin.New(standin.Options{
		Groups: []standin.Group{
			name("a-fails"), name("b-is-gone"), name("c-is-quick"), name("d-is-quick"),
			name("e-hangs"), name("f-hangs-and-has-a-name-that-is-so-long-that-it-fits-no-terminal-of-eighty-columns"), name("g-waits"),
		},
		Unknown: []standin.Group{name("b-is-gone")},
		Cost:    func(g standin.Group) time.Duration { v.started <- g; return 0 },
		Faults:  []standin.Fault{fails, {Pattern: "main/*hangs*", Kind: standin.Hang}},
	})
	server, err := v.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); v.site.Close() })
	v.url = server.URL
	if err := program.WriteConfig(v.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	return v
}

// sit starts the program on a terminal.
func sit(t *testing.T, v *victim, d desk, args ...string) *seat {
	t.Helper()
	s := &seat{
		Screen: screen.New(d.columns, d.rows, d.reflow), t: t,
		changed: make(chan struct{}, 1), read: make(chan struct{}), ended: make(chan error, 1),
	}
	s.cmd = program.Command(t, append([]string{"-v", "-w", "2", "--retries", "0", "--config", v.config, "--state-dir", v.state}, append(args, v.url)...)...)
	if len(d.before) > 0 {
		shell := exec.Command(d.before[0], slices.Concat(d.before[1:], s.cmd.Args)...)
		shell.Env, s.cmd = s.cmd.Env, shell
	}
	s.cmd.Env = append(append(s.cmd.Environ(), "TERM=xterm", "NO_COLOR="), d.env...)
	terminal, err := pty.StartWithSize(s.cmd, &pty.Winsize{Cols: uint16(d.columns), Rows: uint16(d.rows)})
	if err != nil {
		t.Fatal(err)
	}
	s.terminal = terminal
	go func() {
		defer close(s.read)
		for buffer := make([]byte, 4096); ; {
			n, err := terminal.Read(buffer)
			_, _ = s.Write(buffer[:n]) // a screen takes everything
			select {
			case s.changed <- struct{}{}:
			default:
			}
			if err != nil { // nobody has the terminal open any more
				return
			}
		}
	}()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		_ = terminal.Close()
		<-s.read
	})
	return s
}

// sees waits until the screen shows what all the patterns match.
func (s *seat) sees(what string, shows func() string, patterns ...string) {
	s.t.Helper()
	late := time.After(program.Patience)
	for {
		text, missing := shows(), ""
		for _, p := range patterns {
			if !regexp.MustCompile(p).MatchString(text) {
				missing = p
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-s.changed:
		case <-late:
			s.t.Fatalf("%s: the screen does not show %q; it is\n%s", what, missing, s.Text())
		}
	}
}

// leaves waits until the program has ended, and all of it is on the screen.
func (s *seat) leaves() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		<-s.read
		s.ended <- err
		return err
	case <-time.After(program.Patience):
		s.t.Fatalf("the program did not end; the screen is\n%s", s.Text())
		return nil
	}
}

// sound fails the test if the terminal was left in a state in which nobody can work with it.
func (s *seat) sound(when string) {
	s.t.Helper()
	for _, fault := range s.Faults() {
		s.t.Errorf("%s: %s", when, fault)
	}
}

func (s *seat) resize(columns, rows int) {
	s.t.Helper()
	s.Resize(columns, rows)
	if err := pty.Setsize(s.terminal, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		s.t.Fatal(err)
	}
}

// display is what is to be seen at the end of the site's first groups, by the width of the terminal.
var display = map[int][]string{
	120: {
		`\n\[#{22}-{18}\] 4 of 7 groups, 57%, [\d.]+/[sm], \d+:\d\d, about \d+:\d\d left\n`,
		`\n2 accepted, 1 not_ok, 1 unknown, 2 in flight\n`,
		`\n    \d:\d\d  main/e-hangs(\n|$)`, `\n    \d:\d\d  main/f-hangs-and-has-a-name-that-is-so-long-that-it-fits-no-terminal-of-eighty-columns(\n|$)`,
	},
	80: {
		`\n\[#+-+\] 4 of 7 groups, 57%, [\d.]+/[sm], \d+:\d\d, about \d+:\d\d left\n`,
		`\n2 accepted, 1 not_ok, 1 unknown, 2 in flight\n`,
		`\n    \d:\d\d  main/e-hangs(\n|$)`, `\n    \d:\d\d  main/f-hangs-and-has-a-name-that-is-so-long-that-it-fits-no-termin\.\.\.(\n|$)`,
	},
	40: {
		`\n\[#+-+\] 4/7, 57%, .*\d:\d\d left\n`, `\n2 accepted, 1 failed, 2 in flight\n`,
		`\n    \d:\d\d  main/e-hangs(\n|$)`, `\n    \d:\d\d  main/f-hangs-and-has-a-nam\.\.\.(\n|$)`,
	},
}

const failure = `(?m)^main/a-fails: not_ok: 500 Internal Server Error`

func TestATerminalOfAnyWidthShowsWhatTheRunDoes(t *testing.T) {
	t.Parallel()
	for width, lines := range display {
		t.Run(fmt.Sprintf("width=%d", width), func(t *testing.T) {
			t.Parallel()
			s := sit(t, terminalSite(t), desk{columns: width, rows: 24})
			s.sees("while it runs", s.Below, lines...)
			s.sees("above it", s.Above, `(?m)^Retrieving the list of groups\nSending the digest to each of 7 groups, 2 at a time$`, failure)
			s.sound("while it runs")
			if wrapped := s.Wrapped(); wrapped != nil {
				t.Errorf("%q wrapped", wrapped)
			}
			if !s.Colored() {
				t.Error("there are no colours")
			}
			interrupt(s)
			if text := s.Text(); strings.Contains(text, "[#") || strings.Contains(text, "main/e-hangs\n") {
				t.Errorf("lines of the display are left; the screen is\n%s", text)
			}
		})
	}
}

// interrupt ends a run as a person does: a first Ctrl-C, a look, and a second one.
func interrupt(s *seat) {
	s.t.Helper()
	s.presses("\x03")
	s.sees("after the first Ctrl-C", s.Above, `senddigest: stopped by SIGINT: nothing more starts; once more to cut what is in flight`, `2 in flight, which may take up to 4:00`)
	s.sees("after the first Ctrl-C", s.Below, `waiting for what is in flight`)
	s.sound("after the first Ctrl-C")
	s.presses("\x03")
	if got := program.ExitCode(s.leaves()); got != 130 {
		s.t.Errorf("ended with %d, want 130", got)
	}
	s.sees("at the end", s.Text, `(?m)^2 of 7 groups accepted at `)
	s.sound("at the end")
}

func (s *seat) presses(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.terminal, keys); err != nil {
		s.t.Fatal(err)
	}
}

// A window is made narrower and wider while the run goes on. Some terminals break their lines anew, others cut them.
func TestAfterAResizeNothingIsLeftOfTheLinesBefore(t *testing.T) {
	t.Parallel()
	for _, reflow := range []bool{true, false} {
		t.Run(fmt.Sprintf("reflow=%t", reflow), func(t *testing.T) {
			t.Parallel()
			s := sit(t, terminalSite(t), desk{columns: 120, rows: 30, reflow: reflow})
			for _, width := range []int{120, 40, 80, 40, 120} {
				s.resize(width, 30)
				s.sees(fmt.Sprintf("at %d columns", width), s.Below, display[width]...)
				if n := strings.Count(s.Text(), "main/e-hangs"); n != 1 {
					t.Errorf("at %d columns the lines are there %d times; the screen is\n%s", width, n, s.Text())
				}
			}
			interrupt(s)
			if n := strings.Count(s.Text(), "[#"); n != 0 {
				t.Errorf("lines of the display are left; the screen is\n%s", s.Text())
			}
		})
	}
}

func TestNoColorIsRespected(t *testing.T) {
	t.Parallel()
	s := sit(t, terminalSite(t), desk{columns: 80, rows: 24, env: []string{"NO_COLOR=1"}})
	s.sees("while it runs", s.Below, display[80]...)
	interrupt(s)
	if s.Colored() {
		t.Error("there are colours")
	}
}

func TestADumbTerminalGetsPlainLines(t *testing.T) {
	t.Parallel()
	s := sit(t, terminalSite(t), desk{columns: 80, rows: 24, env: []string{"TERM=dumb"}})
	s.sees("while it runs", s.Above, failure, `(?m)^4 of 7 groups \(57%\), 1 failed, 1 unknown, 2 in flight, \d:\d\d, about \d:\d\d left$`)
	s.presses("\x03")
	s.sees("after Ctrl-C", s.Above, `2 in flight, which may take up to 4:00`)
	s.presses("\x03")
	_ = s.leaves()
	s.sound("at the end")
	if s.Colored() || strings.Contains(s.Text(), "[#") {
		t.Errorf("the screen is\n%s", s.Text())
	}
}

// Whatever ends the program, the terminal is left as it was found: the cursor to be seen, long lines wrapping, no colour.
// What is printed next stands in a row of its own.
func TestHoweverTheProgramDiesTheTerminalCanBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signal syscall.Signal
		what   string
	}{{syscall.SIGKILL, ""}, {syscall.SIGQUIT, "SIGQUIT: quit"}, {syscall.SIGSEGV, "SIGSEGV: segmentation violation"}} {
		t.Run(tt.signal.String(), func(t *testing.T) {
			t.Parallel()
			s := sit(t, terminalSite(t), desk{columns: 80, rows: 24})
			s.sees("while it runs", s.Below, display[80]...)
			if err := s.cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			_ = s.leaves()
			s.noFaultBut("\t")
			_, _ = s.Write([]byte("\r\n$ the prompt\r\n"))
			s.sees("after it died", s.Text, `(?m)^`+regexp.QuoteMeta(tt.what)+`$`, failure)
		})
	}
	t.Run("SIGTERM", func(t *testing.T) {
		t.Parallel()
		s := sit(t, terminalSite(t), desk{columns: 80, rows: 24}, "--grace", "1s")
		s.sees("while it runs", s.Below, display[80]...)
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if got := program.ExitCode(s.leaves()); got != 143 {
			t.Errorf("ended with %d, want 143", got)
		}
		s.sees("at the end", s.Text, `(?m)^2 of 7 groups accepted at `)
		s.sound("at the end")
		if strings.Contains(s.Text(), "[#") {
			t.Errorf("lines of the display are left; the screen is\n%s", s.Text())
		}
	})
}

// Whoever closes a terminal, with a shell in it or without: what was in flight ends, and the report is there.
func TestClosingTheTerminalEndsTheRunInOrder(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{"alone": nil, "in a shell": {"bash", "--norc", "-i", "-c", `"$@"; true`, "bash"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := terminalSite(t)
			site := standin.New(standin.Options{
				Groups: standin.Generate(6, 1),
				Cost:   func(g standin.Group) time.Duration { v.started <- g; return 300 * time.Millisecond },
			})
			server, err := site.Start()
			if err != nil {
				t.Fatal(err)
			}
			pings := make(chan string, 2)
			monitor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { pings <- r.URL.Path }))
			t.Cleanup(func() { monitor.Close(); server.Close(); site.Close() })
			v.url = server.URL
			path := filepath.Join(t.TempDir(), "run.json")
			s := sit(t, v, desk{columns: 80, rows: 24, before: before}, "--report", path, "--ping-url", monitor.URL)
			<-v.started
			<-v.started
			if err := s.terminal.Close(); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"/start", "/129"} { // the last one comes when everything is written
				select {
				case got := <-pings:
					if got != want {
						t.Errorf("the monitor heard %s, want %s", got, want)
					}
				case <-time.After(program.Patience):
					t.Fatalf("the monitor did not hear %s", want)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"stopped_by": "signal"`, `"accepted": 2,`, `"ambiguous": 0,`} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the report lacks %s: %s", want, text)
				}
			}
		})
	}
}

// noFaultBut is sound for a program that printed some control characters as it died.
func (s *seat) noFaultBut(allowed string) {
	s.t.Helper()
	for _, fault := range s.Faults() {
		if fault != fmt.Sprintf("the terminal was told %q", rune(allowed[0])) {
			s.t.Error(fault)
		}
	}
}

// shell runs a command as an interactive shell does, and takes it to the foreground again when a key is pressed.
const shell = `set -m; "$@"; echo "the shell"; read -r key; fg`

func TestAfterCtrlZFgBringsTheLinesBack(t *testing.T) {
	t.Parallel()
	s := sit(t, terminalSite(t), desk{columns: 80, rows: 24, before: []string{"sh", "-c", shell, "sh"}})
	s.sees("while it runs", s.Below, display[80]...)
	s.presses("\x1a")
	s.sees("stopped", s.Text, `(?m)the shell$`)
	s.presses("\n")
	s.sees("after fg", s.Below, display[80]...)
	s.sees("after fg", s.Above, failure, `(?m)the shell$`)
	interrupt(s)
}

// The system stops no program that nobody could let go on again.
func TestCtrlZWithoutAShellIsNoEndOfTheRun(t *testing.T) {
	t.Parallel()
	s := sit(t, terminalSite(t), desk{columns: 80, rows: 24})
	s.sees("while it runs", s.Below, display[80]...)
	s.presses("\x1a")
	s.sees("and goes on", s.Below, display[80]...)
	interrupt(s)
}

func TestTheTerminalSaysThatTheRateIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := sit(t, terminalSite(t), desk{columns: 80, rows: 24}, "--rate", "1/h")
	s.sees("after the first send", s.Below, `\n\[#+-+\] 1 of 7 groups, 14%, `, `\n1 not_ok, 0 in flight\n`, `\nwaiting for the rate of 1/h$`)
	s.presses("\x03")
	if got := program.ExitCode(s.leaves()); got != 130 {
		t.Errorf("ended with %d, want 130", got)
	}
	s.sound("at the end")
}

// Without a forecast there is no estimate before a twentieth of the groups is done.
func TestTheEstimateComesFromTheForecastWhereThereIsOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := &victim{config: filepath.Join(dir, "gsconfig.ini"), state: filepath.Join(dir, "state")}
	hold := make(chan struct{})
	var second atomic.Bool
	v.site = standin.New(standin.Options{
		Groups: standin.Generate(4, 1), Guard: -1,
		Cost: func(standin.Group) time.Duration {
			if second.Load() {
				<-hold
			}
			return 10 * time.Millisecond
		},
	})
	server, err := v.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); v.site.Close() })
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	v.url = server.URL
	if err := program.WriteConfig(v.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	s := sit(t, v, desk{columns: 80, rows: 24})
	if got := program.ExitCode(s.leaves()); got != 0 {
		t.Fatalf("the first run ended with %d; the screen is\n%s", got, s.Text())
	}
	second.Store(true)
	s = sit(t, v, desk{columns: 80, rows: 24}, "--guard-wait", "0s")
	s.sees("in the second run", s.Below, `\] 0 of 4 groups, 0%, \d:\d\d, about \d+:\d\d left\n`)
	release()
	if got := program.ExitCode(s.leaves()); got != 0 {
		t.Errorf("the second run ended with %d; the screen is\n%s", got, s.Text())
	}
	s.sound("at the end")
}
