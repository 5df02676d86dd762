// Package process is the process as the operating system has it: its streams, its signals, its terminal, its memory.
package process

import (
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Process is what a command needs of the process it runs in.
type Process struct {
	Name           string   // as the program was called, for commands that a person may type; empty: its own name
	Args           []string // without it
	Stdout, Stderr io.Writer
	Getenv         func(string) (string, bool)
	StatusSignals  <-chan os.Signal // those that ask how far a run is; nil: none do
	// HearSignals has the signals that stop a run go to a channel until stop is called; nil: there are none. While nobody
	// hears them, one of them ends the process at once.
	HearSignals func(chan<- os.Signal) (stop func())
	Binary      string // path of the program; empty: not known
	Version     string // as the linker set it; empty: ask the build information
}

// OS is the process as the operating system has it. SIGUSR1 and SIGPIPE end the process no more from then on, so it is
// for the program alone. version is what --version says; empty: ask the build information.
func OS(version string) Process {
	spareMemory()
	status := make(chan os.Signal, 1)
	signal.Notify(status, syscall.SIGUSR1)
	// A reader that has left must not end a run: the write fails instead.
	signal.Ignore(syscall.SIGPIPE)
	binary, _ := os.Executable() // unknown is fine: it only helps to find the configuration file
	return Process{
		Name: os.Args[0], Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv,
		HearSignals: hearSignals, StatusSignals: status, Binary: binary, Version: version,
	}
}

// hearSignals has the signals that stop a run go to a channel.
func hearSignals(c chan<- os.Signal) (stop func()) {
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored: the run is to outlive its terminal
		signal.Notify(c, syscall.SIGHUP)
	}
	return func() { signal.Stop(c) }
}

// VersionText is the linker's, or what the build information has.
func (p Process) VersionText() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development version"
}
