package notify_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/notify"
)

// manager listens at address as a service manager does.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 4096)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestEachWordIsOneDatagramAsSystemdReadsIt(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@senddigest/%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			conn := manager(t, address)
			s, err := notify.Open(address)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Status("waiting for the list of groups\nREADY=1")
			s.Ready("0 of 20 groups")
			s.Stopping(4*time.Minute + 30*time.Second)
			for _, want := range []string{
				"STATUS=waiting for the list of groups READY=1", // a line break would begin another word
				"READY=1\nSTATUS=0 of 20 groups", "STOPPING=1\nEXTEND_TIMEOUT_USEC=270000000",
			} {
				if got := next(t, conn); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestWithoutAManagerEveryWordIsForNobody(t *testing.T) {
	t.Parallel()
	s, err := notify.Open("")
	if s != nil || err != nil {
		t.Fatalf("got %v, %v, want neither socket nor error", s, err)
	}
	s.Ready("")
	s.Status("at work")
	s.Stopping(time.Minute)
	s.Close()
}

func TestAnAddressThatCannotBeToldIsAnError(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"relative/path", "vsock:2:1234", filepath.Join(t.TempDir(), "nobody")} {
		if s, err := notify.Open(address); err == nil {
			t.Errorf("%s: got %v, want an error", address, s)
		}
	}
}

// The kernel keeps so many datagrams for a reader that does not read; the writer of the next one has to wait.
func TestAManagerThatReadsNothingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	room := 10
	if text, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen"); err == nil {
		room, err = strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
	}
	address := filepath.Join(t.TempDir(), "notify")
	conn := manager(t, address)
	s, err := notify.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range room + 5 {
		s.Status(fmt.Sprint(i))
	}
	if got := next(t, conn); got != "STATUS=0" {
		t.Errorf("got %q first, want what was said first", got)
	}
	s.Ready("") // there is room again
	for next(t, conn) != "READY=1\nSTATUS=" {
	}
}
