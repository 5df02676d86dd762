package control_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/control"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it was asked.
func echo(action, value string) (any, error) {
	if action == "fail" {
		return nil, errors.New("it cannot be done")
	}
	return []string{action, value}, nil
}

func listen(t *testing.T, paths ...string) *control.Server {
	t.Helper()
	s, err := control.Listen(paths, echo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, action string, paths ...string) string {
	t.Helper()
	got, err := control.Ask(t.Context(), paths, action, "1")
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestASocketIsForItsOwnerAtAllItsPathsAndGoneWithTheServer(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")}
	s := listen(t, paths...)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if got := ask(t, "workers", path); got != `["workers","1"]` {
			t.Errorf("got %s", got)
		}
	}
	if _, err := control.Ask(t.Context(), paths, "fail", ""); err == nil || err.Error() != "it cannot be done" || errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	s.Close()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if _, err := control.Ask(t.Context(), paths, "status", ""); !errors.Is(err, control.ErrNobody) {
		t.Errorf("got %v", err)
	}
}

func TestASocketThatWasLeftOverIsNobodyAndIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	if _, err := control.Ask(t.Context(), []string{path}, "status", ""); !errors.Is(err, control.ErrNobody) {
		t.Errorf("got %v", err)
	}
	listen(t, path)
	ask(t, "status", path)
}

func TestAPathThatIsTooLongForAnAddressDoesAsWell(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.sock")
	s := listen(t, path)
	ask(t, "status", path)
	s.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWhoGetsNoAnswerIsToldWhetherThereStillMayBeOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accept := func(then func(net.Conn)) (wait func()) {
		var server sync.WaitGroup
		server.Go(func() {
			if conn, err := listener.Accept(); err == nil {
				then(conn)
				_ = conn.Close()
			}
		})
		return server.Wait
	}
	ended := accept(func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }) // a reset: something was not read
	if _, err := control.Ask(t.Context(), []string{path}, "status", ""); !errors.Is(err, control.ErrNobody) {
		t.Errorf("of a run that ends: got %v", err)
	}
	ended()

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	silent := accept(func(net.Conn) { <-ctx.Done() })
	_, err = control.Ask(ctx, []string{path}, "pause", "")
	if e, ok := errors.AsType[*control.SilentError](err); !ok || !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("of a run that says nothing: got %v", err)
	}
	_ = listener.Close() // nobody waits in Accept for one who failed to connect
	silent()
}

// The server answers while those are connected who say nothing, and it has a place left.
func TestSeveralWhoAskAtOnceAreAllAnsweredThoughOthersSayNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	listen(t, path)
	var silent []net.Conn
	for range 7 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		silent = append(silent, conn)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := control.Ask(context.Background(), []string{path}, "status", ""); err != nil || string(got) != `["status",""]` {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	all.Wait()
	for _, conn := range silent { // who was dropped has an answer that says so
		_ = conn.SetReadDeadline(time.Now())
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("all were answered only after a silent one was dropped: %d, %v", n, err)
		}
	}
}

// Each of two answers waits for the other.
func TestTwoAreServedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	met := make(chan struct{})
	s, err := control.Listen([]string{path}, func(string, string) (any, error) {
		select {
		case met <- struct{}{}:
		case <-met:
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := control.Ask(context.Background(), []string{path}, "status", ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	listen(t, path)
	for request, want := range map[string]string{
		strings.Repeat("x", 1<<16) + "\n":        "too long",
		"hello\n":                                "one line of JSON",
		`{"control":2,"action":"status"}` + "\n": "speaks version 1",
		`{"control":1,"action":"fail"}` + "\n":   "it cannot be done",
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(conn, request)
		answer := make([]byte, 1000)
		n, _ := conn.Read(answer)
		if got := string(answer[:n]); !strings.Contains(got, want) {
			t.Errorf("%.40q: got %q, want %q", request, got, want)
		}
		_ = conn.Close()
	}
}

func TestAServerEndsThoughSomebodyIsConnected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	s := listen(t, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	s.Close()
}

func TestAFolderThatTakesNoSocketIsAnError(t *testing.T) {
	if _, err := control.Listen([]string{filepath.Join(t.TempDir(), "gone", "a.sock")}, echo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
