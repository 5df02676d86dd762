package command

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

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
		HearSignals: hearSignals, StatusSignals: status, HearSuspend: hearSuspend, Suspend: suspend,
		Binary: binary, Version: version,
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

// hearSuspend has Ctrl-Z go to a channel.
func hearSuspend(c chan<- os.Signal) (stop func()) {
	signal.Notify(c, syscall.SIGTSTP)
	return func() { signal.Stop(c) }
}

// suspendTime is more than the system takes to stop the process. Where no shell could let it go on, it is not stopped.
const suspendTime = 100 * time.Millisecond

// suspend does what Ctrl-Z does where nobody hears it.
func suspend() {
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, syscall.SIGCONT)
	defer signal.Stop(goesOn)
	// Not SIGTSTP: Go ignores it from the first Notify on, also after Stop and Reset. To the system both are one, and
	// unlike SIGSTOP it stops nothing that no shell could let go on.
	_ = syscall.Kill(os.Getpid(), syscall.SIGTTIN) // nothing is lost where that fails
	select {
	case <-goesOn:
	case <-time.After(suspendTime):
	}
}
