package main

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// wholeRun is a run as the command makes it with --no-state, report included.
func wholeRun(b *testing.B, site *benchSite, workers int) int {
	b.Helper()
	return campaignRun(b, site, hooks.NewTransport(hooks.TransportOptions{}), workers)
}

func campaignRun(b *testing.B, site *benchSite, transport http.RoundTripper, workers int) int {
	b.Helper()
	u, err := hooks.ParseURL(site.url)
	if err != nil {
		b.Fatal(err)
	}
	client := hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: transport})
	result, err := campaign.Run(b.Context(), campaign.Digest(client, nil), campaign.Settings{URL: site.url, Workers: workers, Burst: 1, NoState: true})
	if err != nil {
		b.Fatal(err)
	}
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
	site := startSiteProcess(b, groups, false)
	for _, workers := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			sent := 0
			for b.Loop() {
				sent += wholeRun(b, site, workers)
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "groups/s")
		})
	}
}

// What a send costs above the same POST of a bare net/http client. Each side is a whole process, as cron starts it, and
// they take turns within one run. The medians of the turns' ratios are the figures that count: what else the machine does
// meets one side of a turn and not the other.
func BenchmarkSendCPU(b *testing.B) {
	const groups, workers = 20_000, 16
	site := startSiteProcess(b, groups, false)
	var list strings.Builder
	for _, g := range standin.Generate(groups, 1) {
		fmt.Fprintln(&list, g.Site, g.Group)
	}
	nights := newNights(b, site, workers)
	before := b.TempDir()
	nights.run(b, before)
	var bare, plain, kept []float64 // seconds, by turn
	for b.Loop() {
		bare = append(bare, processorTime(runBare(b, site, list.String(), workers)))
		plain = append(plain, processorTime(nights.run(b, b.TempDir(), "--no-state")))
		state := b.TempDir() // with one night before, as it is each night
		if err := os.CopyFS(state, os.DirFS(before)); err != nil {
			b.Fatal(err)
		}
		kept = append(kept, processorTime(nights.run(b, state, "--guard-wait", "0")))
	}
	b.ReportMetric(median(bare)*1e6/groups, "µs-cpu/bare-send")
	b.ReportMetric(median(plain)*1e6/groups, "µs-cpu/send")
	b.ReportMetric(median(ratios(plain, bare)), "×bare")
	b.ReportMetric(median(ratios(kept, bare)), "×bare-with-state")
}

func ratios(of, to []float64) []float64 {
	list := make([]float64, len(of))
	for i := range of {
		list[i] = of[i] / to[i]
	}
	return list
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// processorTime is what a process used that has ended, in seconds.
func processorTime(p *os.ProcessState) float64 { return (p.UserTime() + p.SystemTime()).Seconds() }

// bareProcess is set in the process that is the bare client.
const bareProcess = "SENDDIGEST_BENCH_BARE"

// runBare sends to the groups of a list, one a line, with a bare client in a process of its own.
func runBare(b *testing.B, site *benchSite, list string, workers int) *os.ProcessState {
	b.Helper()
	cmd := exec.Command(os.Args[0], site.url, strconv.Itoa(workers))
	cmd.Stdin = strings.NewReader(list)
	cmd.Env = append(os.Environ(), bareProcess+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return cmd.ProcessState
}

// bareClient is what one would write in ten minutes: a pool of goroutines that post a form, each over a connection of
// its own, and read the answer. The groups are on standard input: making them up here would count as the client's work. It
// is the whole life of its process, and returns the exit code.
func bareClient(site, workers string) int {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	pool, _ := strconv.Atoi(workers)
	var list []standin.Group
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		site, group, _ := strings.Cut(lines.Text(), " ")
		list = append(list, standin.Group{Site: site, Group: group})
	}
	var next, failed atomic.Int64
	send := func(g standin.Group) error {
		form := "form.siteId=" + url.QueryEscape(g.Site) + "&form.groupId=" + url.QueryEscape(g.Group) +
			"&form.token=" + url.QueryEscape(standin.DefaultToken) + "&form.actions.send=Send"
		req, err := http.NewRequest(http.MethodPost, site+"gs-group-messages-topic-digest-send.html", strings.NewReader(form))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", resp.Status)
		}
		return nil
	}
	var wait sync.WaitGroup
	for range pool {
		wait.Go(func() {
			for i := next.Add(1); i <= int64(len(list)); i = next.Add(1) {
				if err := send(list[i-1]); err != nil && failed.Add(1) == 1 {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		})
	}
	wait.Wait()
	return int(min(failed.Load(), 1))
}

// What a send costs over TLS on both sides, with a handshake that resumes a session, a whole one, and none: without TLS.
func BenchmarkTLS(b *testing.B) {
	const groups, workers = 5000, 16
	plain, secure := startSiteProcess(b, groups, false), startSiteProcess(b, groups, true)
	for _, handshake := range []string{"none", "resumed", "whole"} {
		b.Run("handshake="+handshake, func(b *testing.B) {
			site := secure
			if handshake == "none" {
				site = plain
			}
			transport := hooks.NewTransport(hooks.TransportOptions{Roots: site.roots})
			if handshake == "whole" {
				transport.TLSClientConfig.ClientSessionCache = nil
			}
			ours, err := ownTime()
			theirs, sent := site.used(b), 0
			for b.Loop() {
				sent += campaignRun(b, site, transport, workers)
			}
			until, errUntil := ownTime()
			if err := errors.Join(err, errUntil); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((until-ours).Microseconds())/float64(sent), "µs-cpu/send")
			b.ReportMetric(float64((site.used(b)-theirs).Microseconds())/float64(sent), "µs-cpu-site/send")
		})
	}
}

// Linux has some 28,000 ports for connections to one address, and keeps one for a minute after its connection was closed
// by our side first. A site that heeds Connection: close is first, and to the machine itself Linux uses ports again after
// a second: so more sends than there are ports leave as fast as they go, and none fails for want of one.
func BenchmarkPorts(b *testing.B) {
	const groups, workers = 40_000, 16
	nights := newNights(b, startSiteProcess(b, groups, false), workers)
	for b.Loop() {
		nights.run(b, b.TempDir(), "--no-state")
	}
	b.ReportMetric(float64(b.N*groups)/b.Elapsed().Minutes(), "sends/min")
}

// Nights are runs of the whole program at one site.
type nights struct {
	site    *benchSite
	config  string
	workers int
}

func newNights(b *testing.B, site *benchSite, workers int) *nights {
	b.Helper()
	config := filepath.Join(b.TempDir(), "gsconfig.ini")
	if err := program.WriteConfig(config, standin.DefaultToken); err != nil {
		b.Fatal(err)
	}
	return &nights{site, config, workers}
}

// run makes a run with a report that all groups are accepted in.
func (n *nights) run(b *testing.B, state string, args ...string) *os.ProcessState {
	b.Helper()
	return n.runTo(b, 0, state, args...)
}

// runTo makes a run that ends with an exit code.
func (n *nights) runTo(b *testing.B, code int, state string, args ...string) *os.ProcessState {
	b.Helper()
	cmd := exec.Command(os.Args[0], append([]string{
		"-c", n.config, "-w", strconv.Itoa(n.workers), "--report", filepath.Join(state, "report.json"), n.site.url,
	}, args...)...)
	cmd.Env = append(program.Environ(), "XDG_STATE_HOME="+state)
	if out, err := cmd.CombinedOutput(); program.ExitCode(err) != code {
		b.Fatalf("%v: %s", err, out)
	}
	return cmd.ProcessState
}

// The memory of a run of 200,000 groups with the JSON report and the journal, as the whole program: the most that the
// process held at any time. A second night has the first one's journal to read, a resumed run has it to go on with.
func BenchmarkMemory(b *testing.B) {
	const groups, workers = 200_000, 16
	nights := newNights(b, startSiteProcess(b, groups, false), workers)
	peak := func(p *os.ProcessState) int64 {
		usage, ok := p.SysUsage().(*syscall.Rusage)
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
					nights.runTo(b, bb.code, state, bb.first...)
				}
				most = max(most, peak(nights.run(b, state, bb.args...)))
			}
			b.ReportMetric(float64(most)/1024, "MiB-peak")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// The site runs in a process of its own, so that CPU and memory are the client's alone. It answers at once and
// has a thread for each worker: what is measured is what a send costs us, not the site.
const (
	siteProcess = "SENDDIGEST_BENCH_SITE" // holds, in the process that is the site, the number of groups and whether TLS is wanted
	siteThreads = 64
)

// serveBench is the whole life of the site's process. It prints its URL and the authority to trust, and then, for each
// line on standard input, the processor time that it has used. It ends with its standard input.
func serveBench(wanted string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var groups int
	var secure bool
	if _, err := fmt.Sscan(wanted, &groups, &secure); err != nil {
		return fail(err)
	}
	site := standin.New(standin.Options{
		Groups: standin.Generate(groups, 1), Threads: siteThreads, Guard: -1, NoLog: true,
	})
	defer site.Close()
	start := site.Start
	if secure {
		start = site.StartTLS
	}
	server, err := start()
	if err != nil {
		return fail(err)
	}
	defer server.Close()
	fmt.Printf("%s %q\n", server.URL, server.CA)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		used, err := ownTime()
		if err != nil {
			return fail(err)
		}
		fmt.Println(used)
	}
	return 0
}

// ownTime is the processor time that this process has used until now.
func ownTime() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// A benchSite is the site's process.
type benchSite struct {
	url   string
	roots *x509.CertPool // that trust it

	in  io.Writer
	out *bufio.Reader
}

// startSiteProcess starts the site's process, which ends with the benchmark.
func startSiteProcess(b *testing.B, groups int, secure bool) *benchSite {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %t", siteProcess, groups, secure))
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
	s := &benchSite{roots: x509.NewCertPool(), in: stdin, out: bufio.NewReader(stdout)}
	var ca string
	if _, err := fmt.Fscanf(s.out, "%s %q\n", &s.url, &ca); err != nil {
		b.Fatal(err)
	}
	s.url += "/"
	s.roots.AppendCertsFromPEM([]byte(ca)) // there is none without TLS
	return s
}

// used is the processor time that the site has used until now.
func (s *benchSite) used(b *testing.B) time.Duration {
	b.Helper()
	var text string
	if _, err := fmt.Fprintln(s.in); err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Fscanln(s.out, &text); err != nil {
		b.Fatal(err)
	}
	used, err := time.ParseDuration(text)
	if err != nil {
		b.Fatal(err)
	}
	return used
}
