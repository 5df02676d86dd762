package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/testdata/groupserver"
)

// body is an answer of a real server.
func body(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(groupserver.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// outcomes is the report of a run: how many groups had which outcome.
func outcomes(t *testing.T, path string) map[string]int {
	t.Helper()
	var report struct {
		Groups []struct{ Outcome string }
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, g := range report.Groups {
		counts[g.Outcome]++
	}
	return counts
}

// Each server does to connections what servers and proxies were seen to do. What one send is answered depends on no
// other send, nothing is said but our own summary, and the token stands nowhere.
func TestNoSendDependsOnWhatHappenedOnItsConnectionBefore(t *testing.T) {
	t.Parallel()
	ok, echo, missing := body(t, "send-ok.html"), body(t, "send-nonascii-groupid.html"), body(t, "not-found-404.html")
	say := func(c net.Conn, text string) bool { _, err := io.WriteString(c, text); return err == nil }
	whole := head("200 OK", "text/html", len(ok)) + ok
	for _, row := range []struct {
		name   string
		groups int
		answer func(c net.Conn, group string, number int) (open bool)
		want   map[string]int
		code   int
	}{
		{
			"a page that is longer than it says, and echoes the token", 100,
			func(c net.Conn, _ string, _ int) bool {
				return say(c, head("200 OK", "text/html", len(echo)-1500)+echo)
			},
			map[string]int{"rejected": 100},
			1,
		},
		{
			"a line end beyond the answer", 100,
			func(c net.Conn, _ string, _ int) bool { return say(c, whole+"\r\n") },
			map[string]int{"accepted": 100},
			0,
		},
		{
			"closed after the answer", 400,
			func(c net.Conn, _ string, _ int) bool { say(c, whole); return false },
			map[string]int{"accepted": 400},
			0,
		},
		{
			// The pause between two requests was as long as the server's patience: it closes as the second one comes.
			"closed at the idle limit", 60,
			func(c net.Conn, _ string, number int) bool { return number == 1 && say(c, whole) },
			map[string]int{"accepted": 60},
			0,
		},
		{
			"answered twice", 100,
			func(c net.Conn, group string, _ int) bool {
				if strings.HasSuffix(group, "0") {
					return say(c, head("404 Not Found", "text/html", len(missing))+missing+whole)
				}
				return say(c, whole+head("404 Not Found", "text/html", len(missing))+missing)
			},
			map[string]int{"accepted": 90, "not_ok": 10},
			1,
		},
	} {
		for _, workers := range []string{"4", "auto"} {
			t.Run(row.name+"/workers="+workers, func(t *testing.T) {
				t.Parallel()
				s := startRaw(t, row.groups, row.answer)
				report := filepath.Join(t.TempDir(), "report.json")
				out, err := program.Command(t, "--config", s.config, "--workers", workers, "--report", report, s.url).CombinedOutput()
				if code := program.ExitCode(err); code != row.code || row.code == 0 && len(out) > 0 {
					t.Errorf("exit code %d, want %d: %s", code, row.code, out)
				}
				if got := outcomes(t, report); fmt.Sprint(got) != fmt.Sprint(row.want) {
					t.Errorf("got %v, want %v", got, row.want)
				}
				text, _ := os.ReadFile(report)
				if said := string(out) + string(text); strings.Contains(said, standin.DefaultToken) || strings.Contains(said, "nsolicited") {
					t.Errorf("it said %s", said)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.conns != s.requests || len(s.sends) != row.groups {
					t.Errorf("%d requests, %d of them sends, over %d connections", s.requests, len(s.sends), s.conns)
				}
				if (workers == "auto") != (s.page > 0) {
					t.Errorf("%d requests for the front page", s.page)
				}
			})
		}
	}
}

// nginx reloads so: from then on other processes accept, and each connection of the old ones is closed after its
// current answer, at once where there is none.
func TestAServerThatIsReloadedInMidRunCostsNoSend(t *testing.T) {
	t.Parallel()
	const groups, reloads = 1500, 5
	ok := body(t, "send-ok.html")
	var mu sync.Mutex
	answered := 0
	idle := map[net.Conn]bool{} // kept connections of the newest processes
	s := startRaw(t, groups, func(c net.Conn, _ string, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		answered++
		if answered%(groups/reloads) == 0 {
			for other := range idle {
				_ = other.Close()
			}
			clear(idle)
			_ = reply(c, "text/html", ok) // the current answer
			return false
		}
		idle[c] = true
		return reply(c, "text/html", ok) == nil
	})
	report := filepath.Join(t.TempDir(), "report.json")
	out, err := program.Command(t, "--config", s.config, "--workers", "8", "--report", report, s.url).CombinedOutput()
	if got := outcomes(t, report); err != nil || len(out) > 0 || got["accepted"] != groups {
		t.Errorf("%v, %v: %s", err, got, out)
	}
}

// stuck is a stream that nobody reads and that takes nothing more: a terminal after Ctrl-S, a pager, a log shipper that
// hangs.
func stuck(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Write(func(fd uintptr) bool {
		var full error
		for full == nil { // it does not block, so there is an end
			_, full = syscall.Write(int(fd), make([]byte, 1))
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// ending is the exit code of a program that is to end by itself, and is killed when it does not.
func ending(cmd *exec.Cmd) int {
	late := time.AfterFunc(program.Patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	return program.ExitCode(cmd.Wait())
}

func TestARunNeedsNobodyWhoReadsStandardError(t *testing.T) {
	t.Parallel()
	const groups = 3000
	ok := body(t, "send-ok.html")
	s := startRaw(t, groups, func(c net.Conn, _ string, _ int) bool {
		_, err := io.WriteString(c, head("200 OK", "text/html", len(ok))+ok+"\r\n")
		return err == nil
	})
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := program.Command(t, "--config", s.config, "--workers", "4", "--report", report, s.url)
	cmd.Stderr = stuck(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if code := ending(cmd); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if got := outcomes(t, report); got["accepted"] != groups {
		t.Errorf("%v, want %d accepted", got, groups)
	}
}

// Whatever there is to say: the first signal ends the run and writes its report, and the second one ends the program.
func TestTwoSignalsEndARunWhoseStandardErrorNobodyReads(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{"silent": nil, "verbose": {"-v"}, "debug": {"--log-level", "debug"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const groups = 100
			ok := body(t, "send-ok.html")
			s := startRaw(t, groups, func(c net.Conn, group string, _ int) bool {
				return group > "g00090" || reply(c, "text/html", ok) == nil // the last are never answered
			})
			m, report := newManager(t), filepath.Join(t.TempDir(), "report.json")
			cmd := program.Command(t, append(options, "--config", s.config, "--workers", "1", "--report", report, s.url)...)
			cmd.Stderr, cmd.Env = stuck(t), append(cmd.Env, "NOTIFY_SOCKET="+m.path)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for range 92 {
				select {
				case <-s.sends:
				case <-time.After(program.Patience):
					_ = cmd.Process.Kill()
					t.Fatalf("the sends do not come")
				}
			}
			terminate := func() {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			terminate()
			m.until("STOPPING=1")
			terminate()
			if code := ending(cmd); code != 143 {
				t.Errorf("exit code %d, want 143", code)
			}
			want := map[string]int{"accepted": 91, "ambiguous": 1, "not_attempted": 8}
			if got := outcomes(t, report); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
