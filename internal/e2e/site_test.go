package e2e_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

// run makes a whole run over real sockets and gives the site, whose log is the judge.
func run(t *testing.T, o standin.Options, s campaign.Settings) (*standin.Site, campaign.Result) {
	t.Helper()
	program.SkipIfShort(t)
	site := standin.New(o)
	server, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	defer server.Close()
	u, err := hooks.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{
		Transport: hooks.NewTransport(hooks.TransportOptions{}),
	})
	s.NoState = true
	result, err := campaign.Run(t.Context(), campaign.Digest(client, nil), s)
	if err := cmp.Or(err, result.Err); err != nil {
		t.Fatal(err)
	}
	return site, result
}

func TestNeverMoreSendsInFlightThanWorkersOverARealSocket(t *testing.T) {
	for _, workers := range []int{1, 3, 8} {
		cost := func(standin.Group) time.Duration { return 5 * time.Millisecond }
		site, result := run(t,
			standin.Options{Groups: standin.Generate(60, 1), Threads: 64, Cost: cost},
			campaign.Settings{Workers: workers})
		if got := site.MaxInFlight(); got > workers {
			t.Errorf("%d workers: %d sends were in flight at once", workers, got)
		}
		if n := result.Document.Counts.Accepted; n != 60 {
			t.Errorf("%d workers: %d accepted", workers, n)
		}
	}
}

// A machine under load delivers late, so that starts which were apart arrive together: the site may see as many
// more as come in this time. Without a limit all sends would come in less.
const jitter = 400 * time.Millisecond

func TestNoWindowSeesMoreStartsThanTheRateAllowsOverARealSocket(t *testing.T) {
	for _, tt := range []struct{ rate, burst, groups int }{{50, 4, 100}, {2000, 1, 3000}} {
		t.Run(fmt.Sprintf("%d per second", tt.rate), func(t *testing.T) {
			rate := float64(tt.rate)
			site, result := run(t,
				standin.Options{Groups: standin.Generate(tt.groups, 1), Threads: 64},
				campaign.Settings{Workers: 16, Rate: ratelimit.Rate(rate), Burst: tt.burst})
			if n := len(site.Starts()); n != tt.groups {
				t.Fatalf("%d sends, want %d", n, tt.groups)
			}
			for window := 50 * time.Millisecond; window < 2*time.Second; window += 50 * time.Millisecond {
				most := int(math.Floor(rate*(window+jitter).Seconds())) + tt.burst
				if got := site.MaxInWindow(window); got > most {
					t.Errorf("%d sends arrived within %v, want at most %d", got, window, most)
				}
			}
			// What the client itself says of its starts has no such slack, but for the 5 ms that it makes up for, for one
			// start that may have been late, and for the report's milliseconds.
			var starts []float64
			for g := range result.Document.Groups() {
				starts = append(starts, g.Start)
			}
			slices.Sort(starts)
			for i := range starts {
				for j := i + tt.burst + 1; j < len(starts); j++ {
					if least := float64(j-i-tt.burst)/rate - 0.005 - 0.002; starts[j]-starts[i] < least {
						t.Fatalf("sends %d to %d started within %.3fs, want at least %.3fs", i, j, starts[j]-starts[i], least)
					}
				}
			}
			t.Logf("%.1f a second", float64(len(starts)-1)/(starts[len(starts)-1]-starts[0]))
		})
	}
}

// The site of "demo --serve-only" in one process, the program in others, as two people would.
func TestDemoServesASiteForOtherProcesses(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			args := []string{"demo", "--serve-only", "--listen", "127.0.0.1:0", "--groups", "30", "--threads", "8"}
			if scheme == "https" {
				args = append(args, "--tls")
			}
			server := program.Command(t, args...)
			stdout, err := server.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Process.Kill() }() // only where the test failed before it ended
			lines := bufio.NewReader(stdout)
			said := map[string]string{}
			for !strings.HasPrefix(said["try"], "senddigest ") {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("the site said %v, then %v", said, err)
				}
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				said[name] = value
			}
			if !strings.HasPrefix(said["url"], scheme+"://127.0.0.1:") {
				t.Errorf("url: %s", said["url"])
			}
			if config, err := os.ReadFile(said["config"]); err != nil || !strings.Contains(string(config), "\ntoken = ") {
				t.Errorf("config: %v", err)
			}

			command := strings.Fields(strings.ReplaceAll(said["try"], " -v", "")) // as it was printed
			for _, prefix := range []string{"", "VirtualHostBase/http/groups.example.com:80/groupserver/Content/initial_site/VirtualHostRoot/"} {
				arg := append([]string{"--skip-ambiguous"}, command[1:]...) // nobody waits here until it is settled
				arg[len(arg)-1] += prefix
				out, err := program.Command(t, arg...).CombinedOutput()
				if code := program.ExitCode(err); code != 1 || !strings.Contains(string(out), "26 of 30 groups accepted at "+scheme+"://") {
					t.Errorf("%v: exit code %d, %s", arg, code, out)
				}
			}

			if err := server.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(lines)
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Wait(); err != nil {
				t.Errorf("the site ended with %v", err)
			}
			// Both tried the two groups that end in a 500 three times. The second run mailed nobody: all had their digest within 21.6 hours.
			if !strings.HasPrefix(string(rest), "served 68 sends, at most 4 at a time; mailed 27 digests, 0 of them twice") &&
				!strings.HasPrefix(string(rest), "served 68 sends, at most 2 at a time; mailed 27 digests, 0 of them twice") {
				t.Errorf("the site's last words: %s", rest)
			}
			if _, err := os.Stat(said["config"]); !os.IsNotExist(err) {
				t.Errorf("the site's configuration file is still there: %v", err)
			}
		})
	}
}
