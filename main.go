// Senddigest sends a GroupServer site's daily digests. See README.md.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/groupserver/senddigest/internal/command"
)

// version is set by the linker in builds from a checkout, see Makefile.
var version string

func main() {
	if os.Getenv("GOGC") == "" {
		// The machine's memory is the site's: a sixth less of it for 200,000 groups, for a few more collections.
		debug.SetGCPercent(40)
	}
	// Room for two: the first stops the run, the second cuts what is in flight.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	status := make(chan os.Signal, 1)
	signal.Notify(status, syscall.SIGUSR1)
	// A reader that has left must not end a run: the write fails instead.
	signal.Ignore(syscall.SIGPIPE)
	binary, _ := os.Executable() // unknown is fine: it only helps to find the configuration file
	os.Exit(command.Main(command.Process{
		Name: os.Args[0], Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv,
		Signals: signals, StatusSignals: status, ResetSignals: func() { signal.Stop(signals) }, Binary: binary, Version: version,
	}))
}
