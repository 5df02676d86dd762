package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/history"
	"github.com/groupserver/senddigest/internal/journal"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

// The site runs in a process of its own, so that CPU and memory are the client's alone. It answers at once and
// has a thread for each worker: what is measured is what a send costs us, not the site.
const (
	siteProcess = "SENDDIGEST_BENCH_SITE" // holds the number of groups in the process that is the site
	siteThreads = 64
)

// serveBench is the whole life of the site's process: it ends with its standard input.
func serveBench(groups string) int {
	var n int
	if _, err := fmt.Sscan(groups, &n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	site := standin.New(standin.Options{
		Groups: standin.Generate(n, 1), Threads: siteThreads, Guard: -1, NoLog: true,
	})
	server, err := site.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Close()
	site.Close()
	return 0
}

// benchSite starts the site's process and returns its URL.
func benchSite(b testing.TB, groups int) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", siteProcess, groups))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line) + "/"
}

// wholeRun is a run as the command makes it with --no-state, report included.
func wholeRun(b testing.TB, site string, workers int, limit ratelimit.Rate) int {
	b.Helper()
	return campaignRun(b, campaign.Settings{URL: site, Workers: workers, Rate: limit, Burst: 1})
}

// remembered is a run as the command makes it with all that it keeps: a journal, and the history of earlier runs, which
// order and forecast come from. Only the runs before are not looked at, or the guard would hold everybody back.
func remembered(b testing.TB, site string, workers int, state string) {
	b.Helper()
	dir, err := journal.Open(state)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(state, "history.tsv")
	costs, err := history.Load(path)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	writer, err := dir.Begin(journal.Header{
		Campaign: "digest", Run: campaign.RunID(now), URL: site, Started: now, Workers: workers,
		Installation: journal.Installation{Token: "0123456789abcdef"},
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	campaignRun(b, campaign.Settings{URL: site, Workers: workers, Burst: 1, Started: now, Journal: writer, History: costs})
	if err := writer.Close(); err != nil {
		b.Fatal(err)
	}
	if err := costs.Save(path); err != nil {
		b.Fatal(err)
	}
}

func campaignRun(b testing.TB, settings campaign.Settings) int {
	b.Helper()
	site := settings.URL
	u, err := hooks.ParseURL(site)
	if err != nil {
		b.Fatal(err)
	}
	client := hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{
		Transport: hooks.NewTransport(hooks.TransportOptions{}),
	})
	result := campaign.Run(context.Background(), client, settings)
	if err := result.Document.WriteJSON(io.Discard); err != nil {
		b.Fatal(err)
	}
	c := result.Document.Counts
	if c.Accepted != c.Groups || c.Groups == 0 {
		b.Fatalf("%d of %d accepted", c.Accepted, c.Groups)
	}
	return c.Groups
}

// Whole runs by workers: groups per second, and what a group costs in allocations and bytes.
func BenchmarkRun(b *testing.B) {
	const groups = 5000
	site := benchSite(b, groups)
	for _, workers := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			sent := 0
			for b.Loop() {
				sent += wholeRun(b, site, workers, 0)
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "groups/s")
		})
	}
}

// The cost of a send above that of a bare net/http client that makes the same POSTs, in one run: the ratio of
// processor time is the figure that counts.
func BenchmarkSendCPU(b *testing.B) {
	const groups, workers = 20_000, 16
	site := benchSite(b, groups)
	state := b.TempDir()
	remembered(b, site, workers, state) // the night before
	var plain, kept, bare time.Duration
	measure := func(sum *time.Duration, run func()) {
		begin := processorTime(b)
		run()
		*sum += processorTime(b) - begin
	}
	for b.Loop() {
		measure(&plain, func() { wholeRun(b, site, workers, 0) })
		measure(&bare, func() { bareClient(b, site, groups, workers) })
		measure(&kept, func() { remembered(b, site, workers, state) })
	}
	sends := float64(b.N * groups)
	b.ReportMetric(float64(bare.Microseconds())/sends, "µs-cpu/bare-send")
	b.ReportMetric(float64(plain.Microseconds())/sends, "µs-cpu/send")
	b.ReportMetric(float64(plain)/float64(bare), "×bare")
	b.ReportMetric(float64(kept)/float64(bare), "×bare-with-state")
}

// processorTime is what this process has used until now.
func processorTime(b testing.TB) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// bareClient is what one would write in ten minutes: a pool of goroutines that post a form and read the answer.
func bareClient(b testing.TB, site string, groups, workers int) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	client := &http.Client{Transport: transport}
	list := standin.Generate(groups, 1)
	var next, failed atomic.Int64
	var pool sync.WaitGroup
	for range workers {
		pool.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				resp, err := client.PostForm(site+"gs-group-messages-topic-digest-send.html", url.Values{
					"form.siteId": {list[i].Site}, "form.groupId": {list[i].Group},
					"form.token": {standin.DefaultToken}, "form.actions.send": {"Send"},
				})
				if err != nil {
					failed.Add(1)
					continue
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				_ = resp.Body.Close()
			}
		})
	}
	pool.Wait()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d bare sends failed", n)
	}
}

// The memory of a run of 200,000 groups with the JSON report and the journal, as the whole program: the most that the
// process held at any time. A second night has the first one's journal to read, a resumed run has it to go on with.
func BenchmarkMemory(b *testing.B) {
	const groups, workers = 200_000, 16
	site := benchSite(b, groups)
	config := filepath.Join(b.TempDir(), "gsconfig.ini")
	text := "[config-default]\nwebservice = default\n[webservice-default]\ntoken = " + standin.DefaultToken + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	night := func(b *testing.B, state string, code int, args ...string) (peak int64) {
		b.Helper()
		cmd := exec.Command(os.Args[0], append([]string{
			"-c", config, "-w", fmt.Sprint(workers), "--report", filepath.Join(state, "report.json"), site,
		}, args...)...)
		cmd.Env = append(os.Environ(), programProcess+"=1", "XDG_STATE_HOME="+state)
		if out, err := cmd.CombinedOutput(); exitCode(err) != code {
			b.Fatalf("%v: %s", err, out)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			b.Fatal("no resource usage on this system")
		}
		return usage.Maxrss // KiB on Linux
	}
	for _, bb := range []struct {
		name  string
		first []string // options of the night before; nil: there was none
		code  int      // its exit code
		args  []string
	}{
		{name: "first-night"},
		{name: "second-night", first: []string{"--guard-wait", "0"}},
		{name: "no-state", args: []string{"--no-state"}},
		{name: "resume", first: []string{"--max-duration", "2s"}, code: 75, args: []string{"--resume"}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var most int64
			for b.Loop() {
				state := b.TempDir()
				if bb.first != nil {
					night(b, state, bb.code, bb.first...)
				}
				most = max(most, night(b, state, 0, bb.args...))
			}
			b.ReportMetric(float64(most)/1024, "MiB-peak")
			b.ReportMetric(0, "ns/op")
		})
	}
}
