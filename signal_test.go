package main

import (
	"bytes"
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
	var stdout, stderr bytes.Buffer
	said := &watched{buffer: &stderr, lines: make(chan string, 100)}
	cmd := exec.Command(os.Args[0], args[3:]...)
	cmd.Env = program.Environ()
	for _, name := range []string{"SENDDIGEST_CONFIG", "SENDDIGEST_WORKERS", "XDG_STATE_HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &stdout, said
	for site := siteOf(ts); len(site.started) > 0; {
		<-site.started // of an earlier run
	}
	held := make(chan struct{})
	siteOf(ts).held.Store(&held)
	release := sync.OnceFunc(func() { close(held) })
	defer siteOf(ts).held.Store(nil)
	defer release()
	ts.Check(cmd.Start())
	deadline := time.After(program.Patience)
	wait := func(what string, c <-chan struct{}) {
		select {
		case <-c:
		case <-deadline:
			_ = cmd.Process.Kill()
			ts.Fatalf("%s did not come; standard error: %s", what, stderr.String())
		}
	}
	for range sends {
		wait("a send", signalled(siteOf(ts).started))
	}
	for i, name := range signals {
		sig := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": os.Interrupt, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}[name]
		ts.Check(cmd.Process.Signal(sig))
		if i < len(signals)-1 {
			wait("a word about the signal", signalled(said.lines))
		}
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for {
			select {
			case line := <-said.lines:
				if strings.Contains(line, "nothing more starts") {
					return
				}
			case <-ended: // a run that was cut had said it before
				return
			}
		}
	}()
	wait("a word about the signal", heard)
	release()
	wait("the end", ended)
	ts.Check(os.WriteFile(ts.MkAbs("out"), stdout.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), stderr.Bytes(), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("ended with %d, want %d; standard error: %s", got, want, stderr.String())
	}
}

// signalled makes a channel of a kind that wait takes.
func signalled[T any](c <-chan T) <-chan struct{} {
	came := make(chan struct{})
	go func() { <-c; close(came) }()
	return came
}

// watched tells of each write to a buffer.
type watched struct {
	buffer *bytes.Buffer
	lines  chan string
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.buffer.Write(p)
	select {
	case w.lines <- string(p):
	default: // nobody waits for so many
	}
	return n, err
}
