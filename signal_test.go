package main

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/rogpeppe/go-internal/testscript"
)

// signalProgram: signal CODE SENDS SIGNAL[,SIGNAL] ARG...: runs the program, waits until the site is at work on
// that many sends, signals the program, and expects it to end with that code. Its output is in files out and err. On a site
// with -cost no send ends before the program has heard the signals.
func signalProgram(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: signal CODE SENDS SIGNAL[,SIGNAL] ARG...")
	}
	want, sends, signals := number(ts, args[0]), number(ts, args[1]), strings.Split(args[2], ",")
	var stdout, stderr program.Output
	cmd := exec.Command(os.Args[0], args[3:]...)
	cmd.Env = program.Environ()
	for _, name := range []string{"SENDDIGEST_CONFIG", "SENDDIGEST_WORKERS", "XDG_STATE_HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &stdout, &stderr
	site := siteOf(ts)
	for len(site.started) > 0 {
		<-site.started // of an earlier run
	}
	held := make(chan struct{})
	site.held.Store(&held)
	defer site.held.Store(nil)
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	deadline := time.After(program.Patience)
	late := func(what string) {
		_ = cmd.Process.Kill()
		ts.Fatalf("%s did not come; standard error: %s", what, &stderr)
	}
	// says waits until standard error is as it is to be, or the program has ended.
	says := func(is func(text string) bool) {
		for grown := stderr.Grown(); !is(stderr.String()); grown = stderr.Grown() {
			select {
			case <-grown:
			case <-ended:
				return
			case <-deadline:
				late("a word about the signal")
			}
		}
	}
	for range sends {
		select {
		case <-site.started:
		case <-ended:
			ts.Fatalf("it ended too early; standard error: %s", &stderr)
		case <-deadline:
			late("a send")
		}
	}
	for i, name := range signals {
		before := len(stderr.String())
		sig := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": os.Interrupt, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}[name]
		ts.Check(cmd.Process.Signal(sig))
		if i < len(signals)-1 { // two at once may be one to the kernel
			says(func(text string) bool { return len(text) > before })
		}
	}
	says(func(text string) bool { return strings.Contains(text, "nothing more starts") })
	release()
	select {
	case <-ended:
	case <-deadline:
		late("the end")
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(stderr.String()), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("ended with %d, want %d; standard error: %s", got, want, &stderr)
	}
}
