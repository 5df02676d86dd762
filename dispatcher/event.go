package dispatcher

import "time"

// Kind of an [Event].
type Kind uint8

// The kinds of event. Each try begins with Started and ends with one of the others; each job that was tried ends with
// Finished, once. Where a run is stopped while a job waits for another try, its Finished comes after its Retrying or its
// Settling.
const (
	Started  Kind = iota + 1 // a try is about to leave; of the result, its verdict is not known yet
	Retrying                 // it has ended, the result says how, and the job waits for another
	Settling                 // it was ambiguous, and the job waits until another one does no harm, see Options.Settle
	Finished                 // the job has ended, and the result says how
)

// Event is one step in the life of a job. [Options.Observe] hears of it before the dispatcher goes on: of Started before
// the request leaves, of a try's end before that worker makes its next.
type Event struct {
	Kind     Kind
	Result   Result
	InFlight int       // sends under way once this has happened
	Next     time.Time // of Retrying and Settling: when the next try starts at the earliest; otherwise zero
}
