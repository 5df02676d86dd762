package command

import (
	"errors"
	"os"
	"syscall"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/demo"
	"github.com/groupserver/senddigest/internal/gsconfig"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// The exit codes, those of sysexits.h where it has one. README's table says when each occurs.
const (
	exitOK       = 0
	exitFailed   = 1   // at least one group failed
	exitUsage    = 64  // a bad option or URL
	exitGone     = 69  // the site stopped answering and the run gave up
	exitFault    = 70  // a fault of the program or of the machine that is none of the others
	exitNoWrite  = 73  // a report or the journal could not be written
	exitNotNow   = 75  // another run holds the lock, or the deadline or --max-failures left groups
	exitNoList   = 76  // the list of groups could not be had, or made no sense
	exitNoAccess = 77  // the site refused the token
	exitConfig   = 78  // the configuration file, set, section or token is missing or wrong
	exitSignal   = 128 // and the signal's number: SIGHUP 129, SIGINT 130, SIGTERM 143; with groups left
)

// runCode is the exit code of a run. Where several apply: the signal's, 77, 69, 75, 1, 73. Without a list
// (76, 77) nothing else can.
func runCode(r campaign.Result, writing error) int {
	if e, ok := errors.AsType[*campaign.SignalError](r.StoppedBy); ok {
		return signalCode(e.Signal)
	}
	switch {
	case errors.Is(r.StoppedBy, campaign.ErrToken):
		return exitNoAccess
	case is[*ratelimit.DownError](r.StoppedBy):
		return exitGone
	case isDeadline(r.StoppedBy), errors.Is(r.StoppedBy, dispatcher.ErrMaxFailures):
		return exitNotNow
	case is[coded](r.StoppedBy):
		return codeOf(r.StoppedBy)
	case r.Err != nil:
		return codeOf(r.Err)
	case r.Document.Counts.Failed() > 0:
		return exitFailed
	case r.StoppedBy != nil:
		return codeOf(r.StoppedBy)
	case writing != nil:
		return exitNoWrite
	}
	return exitOK
}

func signalCode(s os.Signal) int {
	n, _ := s.(syscall.Signal) // all of the system's are
	return exitSignal + int(n)
}

// isDeadline tells whether the run's time was over, or an operator's patience: --resume goes on.
func isDeadline(err error) bool {
	return is[*campaign.ControlError](err) || is[*campaign.DeadlineError](err) || is[*campaign.FitError](err)
}

// codeOf is the exit code of an error that ended the program before a send. What is not known here is a fault.
func codeOf(err error) int {
	if e, ok := errors.AsType[*campaign.SignalError](err); ok {
		return signalCode(e.Signal)
	}
	if e, ok := errors.AsType[coded](err); ok {
		return e.ExitCode()
	}
	switch {
	case is[*gsconfig.Error](err):
		return exitConfig
	case is[*hooks.RejectedError](err):
		return exitNoAccess
	case is[*campaign.ListError](err):
		return exitNoList
	case is[*report.WriteError](err):
		return exitNoWrite
	case is[*state.HeldError](err), isDeadline(err):
		return exitNotNow
	case isUsage(err):
		return exitUsage
	}
	return exitFault
}

// A coded error brings its exit code with it: one of a package that this one does not know.
type coded interface {
	error
	ExitCode() int
}

// isUsage tells whether another command line would end better: an option, the URL, or a run that cannot be had.
func isUsage(err error) bool {
	return is[*usageError](err) || is[*demo.FaultError](err) || is[*demo.ListenError](err) || is[*config.ValueError](err) || is[*hooks.URLError](err) || is[*campaign.ResumeError](err) || is[*campaign.RunError](err) || is[*campaign.UnlistedError](err) ||
		is[*state.DirError](err) || is[*state.RunError](err) || is[*state.VersionError](err) || is[*state.DamagedError](err)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// hintOf says what to do about an error, if there is something: the command's own, or what a campaign knows.
func (p Program) hintOf(err error) string {
	switch e, ok := errors.AsType[*usageError](err); {
	case ok:
		return e.hint
	case is[*config.ValueError](err), is[*demo.FaultError](err):
		return p.helpHint()
	}
	return campaign.Hint(err)
}
