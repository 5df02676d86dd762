package night

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/printable"
)

// StopControl is the word for a night that an operator stopped, beside those of [campaign.StopWord].
const StopControl = "control"

// stopEnded is the word for a night that another run ended while this one had groups left.
const stopEnded = "ended"

// StoppedError is a night that an operator stopped.
type StoppedError struct{ Word string }

func (e *StoppedError) Error() string {
	switch e.Word {
	case StopControl:
		return "an operator stopped the night"
	case stopEnded:
		return "another run of the night ended it"
	case fleet.Superseded:
		return "the next night began before this one was over"
	}
	return "the night was stopped: " + e.Word
}

// StopWord is for [campaign.StopWord].
func (e *StoppedError) StopWord() string { return e.Word }

// ExitCode is that of a run that left groups: run again.
func (e *StoppedError) ExitCode() int { return 75 }

// LeftError is a run that has left the night to others.
type LeftError struct{ Cause error }

func (e *LeftError) Error() string { return e.Cause.Error() + "; the night goes on without this run" }

func (e *LeftError) Unwrap() error { return e.Cause }

// NoWorkersError is a night that nobody sends: no worker has lived for so long.
type NoWorkersError struct{ For time.Duration }

func (e *NoWorkersError) Error() string {
	return fmt.Sprintf("no worker has lived for %s", printable.Span(e.For))
}

// StopWord is for [campaign.StopWord].
func (*NoWorkersError) StopWord() string { return "no_workers" }

// ExitCode is that of a run that left groups: run again.
func (*NoWorkersError) ExitCode() int { return 75 }

// Hint says what to do.
func (*NoWorkersError) Hint() string { return startWorker }

const startWorker = "start one on a machine of the site: senddigest-fleet work URL, or the service senddigest-fleet-worker@NAME"

// causeOf is the cause that a word of the tables stands for.
func causeOf(word string) error {
	switch word {
	case campaign.StopWord(campaign.ErrToken):
		return campaign.ErrToken
	case campaign.StopWord(dispatcher.ErrMaxFailures):
		return dispatcher.ErrMaxFailures
	}
	return &StoppedError{word}
}
