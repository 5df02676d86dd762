package fleet_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/groupserver/senddigest/internal/e2e/program"
)

// startDemo starts the demo with a folder of its own for temporary files, which the server's user may enter.
func startDemo(t *testing.T) (m *machine, dir string) {
	t.Helper()
	program.SkipIfShort(t)
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, fs.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	// What is set for the real site is not the demo's.
	w := &world{t: t, config: "/nowhere", env: []string{"TMPDIR=" + dir, "SENDDIGEST_WORKERS=none", "SENDDIGEST_QUEUE_DSN=none"}}
	return w.start(t.TempDir(), "demo"), dir
}

var workerProcess = regexp.MustCompile(`worker \d is process (\d+)`)

// leavesNothing fails where a process or a file of the demo is left.
func leavesNothing(t *testing.T, m *machine, dir string) {
	t.Helper()
	found := workerProcess.FindAllStringSubmatch(m.output.String(), -1)
	if len(found) == 0 {
		t.Errorf("no worker was started:\n%s", m.output.String())
	}
	for _, p := range found {
		pid, _ := strconv.Atoi(p[1])
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func TestTheDemoMailsEachGroupOnceAlthoughAWorkerIsKilled(t *testing.T) {
	t.Parallel()
	m, dir := startDemo(t)
	code := m.code()
	for _, want := range []string{"worker 2 is killed", "run: 400 of 400 groups accepted", "the site mailed 400 digests, 0 of them twice; ", "and 0 times two for one group"} {
		if !strings.Contains(m.output.String(), want) {
			t.Errorf("it says nothing of %q", want)
		}
	}
	if !regexp.MustCompile("; at most [1-6] requests were in flight,").MatchString(m.output.String()) {
		t.Error("it says nothing of 6 requests in flight, or of fewer")
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit code %d\n%s", code, m.output.String())
	}
	leavesNothing(t, m, dir)
}

func TestADemoThatIsInterruptedLeavesNothing(t *testing.T) {
	t.Parallel()
	m, dir := startDemo(t)
	(&world{t: t}).until("the sends begin", func() bool { return strings.Contains(m.output.String(), "run: Sending") })
	_ = m.Process.Signal(os.Interrupt)
	if code := m.code(); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, m.output.String())
	}
	leavesNothing(t, m, dir)
}
