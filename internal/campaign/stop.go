package campaign

import (
	"errors"
	"os"
	"syscall"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// The causes that stop a run. Each is the cause of the one context that a run is under, and reads well as the
// reason of the groups that it left.

// ErrToken stops a run whose token was refused.
var ErrToken = errors.New("the site refused the token")

// SignalError stops a run for a signal. The standard library's own cause does not tell one signal from another.
type SignalError struct{ Signal os.Signal }

// Leaves reports whether a run that ends for that leaves what is not done to the others of its [Queue]: a signal is for one
// process.
func Leaves(cause error) bool {
	_, ok := errors.AsType[*SignalError](cause)
	return ok
}

func (e *SignalError) Error() string {
	if name := signalName(e.Signal); name != "" {
		return "stopped by " + name
	}
	return "stopped by a signal"
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGHUP:
		return "SIGHUP"
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return ""
}

// StopWord is the contract's word for what stopped a run; empty for nil. A cause of another package has the word itself.
func StopWord(cause error) string {
	type worded interface {
		error
		StopWord() string
	}
	if e, ok := errors.AsType[worded](cause); ok {
		return e.StopWord()
	}
	if _, ok := errors.AsType[*SignalError](cause); ok {
		return "signal"
	}
	if _, ok := errors.AsType[*DeadlineError](cause); ok {
		return "deadline"
	}
	if _, ok := errors.AsType[*FitError](cause); ok {
		return "deadline"
	}
	if _, ok := errors.AsType[*ratelimit.DownError](cause); ok {
		return "site_down"
	}
	switch {
	case errors.Is(cause, ErrToken):
		return "token"
	case errors.Is(cause, dispatcher.ErrMaxFailures):
		return "max_failures"
	}
	return ""
}
