package dispatcher

// An Observer is told of each event before the dispatcher goes on: of Started before the request leaves, of
// Finished before that worker takes its next job. Calls come one at a time, so an observer must be quick, and
// must not call back into the run.
type Observer interface {
	Observe(Event)
}

// ObserverFunc is a function that is an [Observer].
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Kind of an [Event].
type Kind uint8

// The kinds of event. Each job that is tried has one of both, in this order.
const (
	Started  Kind = iota + 1 // a send is about to leave; of the result, its verdict is not known yet
	Finished                 // it has ended, and the result says how
)

// Event is one step in the life of a job.
type Event struct {
	Kind   Kind
	Result Result
}
