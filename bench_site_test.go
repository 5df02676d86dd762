package main

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
)

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
