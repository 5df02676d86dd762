package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
	"go.uber.org/goleak"
)

// Some tests need a second process. It is this test binary again, with one of these in childVariable.
const (
	childVariable = "STATE_TEST_CHILD"
	childLocks    = "lock" // DIR RUN: takes the lock, says "locked", waits for the end of its input
	childFills    = "fill" // DIR RUN: writes a run to a file that may not grow for ever
	childSaves    = "save" // PATH: saves a history that is larger than any file may be
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case childLocks:
		holdLock(os.Args[1], os.Args[2])
	case childFills:
		fillFile(os.Args[1], os.Args[2])
	case childSaves:
		fmt.Println(saveToFullDisk(os.Args[1]))
	default:
		goleak.VerifyTestMain(m)
	}
}

func holdLock(dir, run string) {
	d, err := state.Open(dir)
	if err == nil {
		_, err = d.Lock(context.Background(), here, holder(run), 0)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// fillFile writes a run of many groups to a file that may have 4096 bytes, and says what became of it.
func fillFile(dir, run string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	d, err := state.Open(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(fillJournal(d, run))
}

// fillJournal writes a run that is too long for its disk, and gives what its owner is told.
func fillJournal(d *state.Dir, run string) string {
	told := 0
	w, err := d.Begin(header(run), func(*state.JournalWriteError) { told++ })
	if err != nil {
		return err.Error()
	}
	list := groups(20)
	w.List(list, nil)
	for _, g := range list {
		r := started(g, time.Second)
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Verdict = dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: 500, Reason: strings.Repeat("long ", 60)}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	}
	w.Finish(state.Ending{At: epoch.Add(time.Minute)})
	err = w.Close()
	e, ok := errors.AsType[*state.JournalWriteError](err)
	if !ok || !e.Marked {
		return fmt.Sprintf("Close: %v", err)
	}
	return fmt.Sprintf("told %d times: %v", told, e.Err)
}

// A child is another process.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	says *bufio.Reader
}

func start(t *testing.T, mode string, args ...string) *child {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(exe, args...)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+mode)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.says = bufio.NewReader(out)
	t.Cleanup(c.kill)
	return c
}

func (c *child) line() string {
	text, _ := c.says.ReadString('\n')
	return strings.TrimSuffix(text, "\n")
}

// kill is kill -9. The child is gone when it returns.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

var (
	here  = state.Installation{Token: "0011223344556677", Site: "8899aabbccddeeff"}
	epoch = time.Date(2026, 11, 23, 2, 0, 0, 123, time.UTC)
)

const run1 = "20261123T020000Z-7f3a"

func holder(run string) func(time.Time) state.Holder {
	return func(since time.Time) state.Holder {
		return state.Holder{PID: os.Getpid(), Run: run, Since: since, URL: "https://groups.example.com/"}
	}
}

func header(run string) state.Header {
	return state.Header{
		Campaign: "digest", Run: run, URL: "https://groups.example.com/", Installation: here, Started: epoch,
		Workers: 4, Rate: 2.5, Burst: 1,
	}
}

func groups(n int) []state.Group {
	list := make([]state.Group, n)
	for i := range list {
		list[i] = state.Group{Site: "main", Group: fmt.Sprintf("group-%03d", i)}
	}
	return list
}

// started is the result of a first try that began so long after the run.
func started(g state.Group, at time.Duration) dispatcher.Result {
	return dispatcher.Result{Job: g, Attempts: 1, Worker: 1, Start: epoch.Add(at)}
}

func open(t *testing.T) *state.Dir {
	t.Helper()
	d, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func begin(t *testing.T, d *state.Dir, h state.Header) *state.Writer {
	t.Helper()
	w, err := d.Begin(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func load(t *testing.T, d *state.Dir, run string) *state.Run {
	t.Helper()
	r, err := d.Load(run)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func all(r *state.Run) []state.Entry { return slices.Collect(r.All()) }
