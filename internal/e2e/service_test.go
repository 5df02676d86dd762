package e2e_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// A manager is what a run under systemd is told to talk to.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t, path, conn}
}

// until reads what the manager is told, up to the word that begins as wanted.
func (m *manager) until(wanted string) (told []string) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(program.Patience)); err != nil {
		m.t.Fatal(err)
	}
	for buffer := make([]byte, 4096); ; {
		n, err := m.conn.Read(buffer)
		if err != nil {
			m.t.Fatalf("%v; was told %q, waits for %q", err, told, wanted)
		}
		told = append(told, string(buffer[:n]))
		if strings.HasPrefix(told[len(told)-1], wanted) {
			return told
		}
	}
}

// rest reads what the manager was told by a process that has ended.
func (m *manager) rest() []string {
	m.t.Helper()
	conn, err := net.Dial("unixgram", m.path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("END")); err != nil {
		m.t.Fatal(err)
	}
	told := m.until("END")
	return told[:len(told)-1]
}

// service is the program as the manager starts it, for a site of n groups that fails in the way of the fault.
func service(t *testing.T, m *manager, n int, fault string, args ...string) *exec.Cmd {
	t.Helper()
	options := standin.Options{
		Token: program.Token, Threads: 2, Groups: standin.Generate(n, 1),
		Cost: func(standin.Group) time.Duration { return 20 * time.Millisecond },
	}
	if fault != "" {
		f, err := standin.ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		options.Faults = append(options.Faults, f)
	}
	site := standin.New(options)
	server, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		site.Close()
	})
	config := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := program.WriteConfig(config, program.Token); err != nil {
		t.Fatal(err)
	}
	cmd := program.Command(t, append(args, server.URL)...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "SENDDIGEST_CONFIG="+config)
	return cmd
}

func TestTheServiceManagerIsToldOfTheStartTheWayAndTheEnd(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	if out, err := service(t, m, 20, "").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	told := m.rest()
	if !slices.ContainsFunc(told, func(word string) bool { return strings.HasPrefix(word, "READY=1\nSTATUS=0 of 20 groups") }) {
		t.Errorf("ready is not told when the list is there: %q", told)
	}
	if last := told[len(told)-1]; !strings.HasPrefix(last, "STATUS=20 of 20 groups accepted at http://127.0.0.1:") {
		t.Errorf("told last %q", last)
	}
}

func TestTheServiceManagerIsToldWhereTheLivePageIs(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	if out, err := service(t, m, 20, "", "--listen", "127.0.0.1:0").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	ready := regexp.MustCompile(`^READY=1\nSTATUS=0 of 20 groups .*; live page: http://127\.0\.0\.1:\d+/$`)
	if told := m.rest(); !slices.ContainsFunc(told, ready.MatchString) {
		t.Errorf("got %q", told)
	}
}

func TestTheServiceManagerIsToldOfASignalAndAskedForTheTimeThatTheGraceIs(t *testing.T) {
	for asked, more := range map[string][]string{
		"450000000":  nil,                                            // half a minute is for the last words
		"1050000000": {"--listen", "127.0.0.1:0", "--linger", "10m"}, // which the page may stay
	} {
		t.Run(asked, func(t *testing.T) { askedForTime(t, asked, more...) })
	}
}

func askedForTime(t *testing.T, asked string, more ...string) {
	t.Parallel()
	m := newManager(t)
	cmd := service(t, m, 2000, "", append(more, "--grace", "7m")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.until("READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + asked)
	if code := program.ExitCode(cmd.Wait()); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
	told := m.rest()
	if last := told[len(told)-1]; !regexp.MustCompile(`^STATUS=\d+ of 2000 groups accepted at .* not attempted`).MatchString(last) {
		t.Errorf("told last %q", last)
	}
}

// systemd takes a service for failed that ends with 0 and was never ready.
func TestARunThatHasNothingToSendIsReadyToo(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	if out, err := service(t, m, 0, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if told := m.rest(); !strings.Contains(strings.Join(told, "\n"), "READY=1\n") {
		t.Errorf("told %q", told)
	}
}

func TestARunThatCannotBeginIsNeverReady(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	if code := program.ExitCode(service(t, m, 5, "list=wrong-token").Run()); code != 77 {
		t.Errorf("exit code %d, want 77", code)
	}
	told := m.rest()
	if strings.Contains(strings.Join(told, "\n"), "READY=1") || !strings.Contains(told[len(told)-1], "no digest sent") {
		t.Errorf("told %q", told)
	}
	if strings.Contains(strings.Join(told, "\n"), program.Token) {
		t.Errorf("the token was told: %q", told)
	}
}

func TestAServiceManagerThatIsGoneEndsNothing(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	cmd := service(t, m, 5, "")
	if err := m.conn.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "senddigest: warning: the service manager cannot be told of this run: ") {
		t.Errorf("%v: %s", err, out)
	}
}
