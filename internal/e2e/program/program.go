// Package program lets tests run senddigest as a process of its own: a test binary whose TestMain is [Main] is the program
// when [Command] starts it. It is for tests alone.
package program

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/process"
)

// Token is the token of a test's site. Nothing but the configuration file may ever hold it.
const Token = "s3cretTokenOfTheScripts"

// Patience is how long a test waits for something that comes at once where all is well.
const Patience = 2 * time.Minute

// RaceEnd is the value of GORACE by which a process under the race detector ends at once, and not a second late.
const RaceEnd = "atexit_sleep_ms=0"

// marker is set in the environment of a process that is a program: to nothing else than the one that it is.
const marker = "SENDDIGEST_TEST_PROGRAM"

const senddigest, sendprofile = "senddigest", "sendprofile"

// Main runs the tests, or the program where [Command] started this process. It does not return.
func Main(m *testing.M) {
	BeProgram()
	os.Exit(m.Run())
}

// BeProgram runs the program and ends with it, in a process that [Command] started. Elsewhere it does nothing.
func BeProgram() {
	switch os.Getenv(marker) {
	case senddigest:
		os.Exit(command.Main(command.Senddigest(), process.OS("")))
	case sendprofile:
		os.Exit(command.Main(command.Sendprofile(), process.OS("")))
	}
}

// Environ is the environment of a process that is the program. No proxy of this machine has a say in it.
func Environ() []string {
	return append(os.Environ(), marker+"="+senddigest, "NO_PROXY=*", "GORACE="+RaceEnd)
}

// BeProfile has an environment of [Environ] make the process sendprofile.
func BeProfile(env []string) []string { return append(env, marker+"="+sendprofile) }

// Command is the program, to be started: with a state directory of its own, and with two workers, since what --workers auto
// finds depends on the machine's load. It skips the test under -short.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	SkipIfShort(t)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(Environ(), "SENDDIGEST_WORKERS=2", "XDG_STATE_HOME="+t.TempDir())
	return cmd
}

// Profile is sendprofile, to be started, in the same way.
func Profile(t testing.TB, args ...string) *exec.Cmd {
	cmd := Command(t, args...)
	cmd.Env = append(BeProfile(Environ()), "XDG_STATE_HOME="+t.TempDir())
	return cmd
}

// SkipIfShort skips, under -short, a test that starts processes or takes seconds of real time.
func SkipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: neither processes nor real time")
	}
}

// ExitCode is the code that a process ended with, by the error of its Wait; -1 where it did not end by itself.
func ExitCode(err error) int {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// WriteConfig writes a configuration file of GroupServer with this token.
func WriteConfig(path, token string) error {
	text := "[config-default]\nwebservice = default\n\n[webservice-default]\ntoken = " + token + "\n"
	return os.WriteFile(path, []byte(text), 0o600)
}
