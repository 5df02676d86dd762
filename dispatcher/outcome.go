package dispatcher

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// Outcome is what became of a job. Its text is the word that reports use.
type Outcome uint8

// The outcomes. The zero value is Ambiguous: a send of which nothing is known may have been delivered.
const (
	Ambiguous    Outcome = iota // it may have been delivered, it may still be under way
	Accepted                    // confirmed
	UnknownGroup                // the service knows no such target; nothing was delivered; a warning, not a failure
	Rejected                    // the service refused the request
	NotOK                       // the service answered with an error
	Unexpected                  // something else than the service answered
	Unreachable                 // the request never left whole
	NotAttempted                // the run stopped first
	Skipped                     // left out on purpose
	outcomes
)

var outcomeNames = [outcomes]string{
	Ambiguous: "ambiguous", Accepted: "accepted", UnknownGroup: "unknown_group", Rejected: "rejected",
	NotOK: "not_ok", Unexpected: "unexpected", Unreachable: "unreachable", NotAttempted: "not_attempted",
	Skipped: "skipped",
}

// Outcomes lists every outcome, in the order in which reports count them.
func Outcomes() []Outcome {
	return []Outcome{
		Accepted, UnknownGroup, Rejected, NotOK, Unexpected, Unreachable, Ambiguous, NotAttempted, Skipped,
	}
}

func (o Outcome) String() string {
	if o >= outcomes {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// Failed reports whether a job with this outcome counts as failed. What the run never tried is not a failure of
// the job, and neither is a target that no longer exists.
func (o Outcome) Failed() bool {
	switch o {
	case Accepted, UnknownGroup, NotAttempted, Skipped:
		return false
	default:
		return true
	}
}

// Verdict is what one try made of a job. A run keeps one of each job, so the small fields are together.
type Verdict struct {
	Outcome Outcome
	// NotDelivered is proof that the try delivered nothing, which stays with the job: another try is harmless.
	NotDelivered bool
	Retry        bool             // another try may do better; it is made only where NotDelivered is proven
	Health       ratelimit.Health // what the answer tells of the service itself, whatever became of the job
	Status       int              // the service's code; 0 if it gave none
	Reason       string           // short, and the same for all jobs that ended for one cause; empty if accepted
	Err          error            // the whole story; nil for Accepted and UnknownGroup
	Stop         error            // no other job can do better: end the run for this cause
	Pause        time.Duration    // the service asked the whole run to wait, which is for the limiter to see to; 0: it did not
}

// Failed reports whether the job counts as failed.
func (v Verdict) Failed() bool { return v.Outcome.Failed() }

// Repeatable reports whether the job may be tried again by itself: another try may do better, and it is proven that this one
// delivered nothing. An ambiguous one never is, whatever else the verdict says.
func (v Verdict) Repeatable() bool {
	return v.Retry && v.NotDelivered && v.Outcome != Ambiguous && v.Stop == nil
}

// idle reports whether the service had nothing to do for the job: it knows no such target, or left it out.
func (v Verdict) idle() bool { return v.Outcome == Skipped || v.Outcome == UnknownGroup }

// PanicError is a panic of a [SendFunc]. Its text names the panic's value only; Stack is for a log.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic while sending: %v", e.Value) }

// Unwrap gives the panic's value where that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
