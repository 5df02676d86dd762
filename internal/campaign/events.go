package campaign

import (
	"iter"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// An Event is one step of a run. Whoever wants to know how a run goes observes the one stream of its events: the journal,
// which is first, the display, the log, the metrics, the service manager, the monitor.
//
// The order is Locking and Locked where another run holds the lock; Queueing where another machine's has its turn; Began; Listing, and Unlisted each time that the list could
// not be had; Planned where there is a list and the run starts; Measuring perhaps; Sending; then sends, and what happens
// beside them; Ended. Stopping may come at any time between Listing and Ended.
type Event interface{ event() }

// An Observer observes the events of a run: one at a time, in order, and before the run goes on. It must be quick, and must
// not call back into the run.
type Observer interface{ Observe(Event) }

// ObserverFunc is a function that is an [Observer].
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// A Stream passes each event on to several observers, in their order. Events may come from several goroutines.
type Stream struct {
	mu        sync.Mutex
	observers []Observer
}

// NewStream makes a stream.
func NewStream(observers ...Observer) *Stream { return &Stream{observers: observers} }

// Observe passes an event on to all observers.
func (s *Stream) Observe(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.observers {
		o.Observe(e)
	}
}

type (
	// Warned is something that the operator has to know, in one line. It may come at any time.
	Warned struct{ Text string }

	// Noted is something that an operator may want to know who asks, in one line. It may come at any time.
	Noted struct{ Text string }

	// Locking is a run that waits for another of the same installation to give the lock back.
	Locking struct {
		Held *state.HeldError
		For  time.Duration // at most
	}

	// Locked is the end of that wait, with the lock or without.
	Locked struct{}

	// Queueing is a run that waits while another machine's has its turn.
	Queueing struct{}

	// Began is a run that has the lock, or goes on without, and what a report of it says besides its results.
	Began struct{ report.Meta }

	// Listing is the first request for the list.
	Listing struct{ Things printable.Noun } // what is listed

	// Unlisted is a list that could not be had, and is asked for again.
	Unlisted struct {
		Err   error
		Again time.Time // when
		Until time.Time // when the run gives up; zero: never
	}

	// Planned is a run that starts: it is known what is sent to, and the journal has it on file.
	Planned struct{ *Plan }

	// Measuring is the time before the first send in which it is found out what visitors wait while nothing is sent.
	Measuring struct{}

	// Sending comes right before the first send.
	Sending struct {
		// Waits reports what keeps a send from starting now, in words that follow "waiting for"; none where nothing does.
		// It is a question and no event, since its answer changes with each send: so many events would cost more than the
		// sends. Several goroutines may call it at once, at any time, but no observer within Observe.
		Waits func() []string
	}

	// Send is a step in the life of one send, by the dispatcher.
	Send struct{ dispatcher.Event }

	// Limited is a change of the number of sends that may be in flight.
	Limited struct {
		report.Limit
		Why string
	}

	// Steered is what an operator changed, or stopped. It may come at any time between Began and Ended.
	Steered struct {
		report.Steer
		Sends int            // how many sends may be in flight now; 0 while the operator has the run paused
		Rate  ratelimit.Rate // how many may start a second; 0: no limit
	}

	// Paused is a pause that the site asked for: nothing starts until it is over.
	Paused struct{ For time.Duration }

	// Down is a site that has stopped answering, or fails every send: one send tries again at a time, until Up.
	Down struct{ ratelimit.BreakerState }

	// Up is a site that is back.
	Up struct{}

	// Extended is a run that sends to some more than was planned: they had nothing to mail when it was, and have now.
	Extended struct{ Groups int }

	// Judged is what the service's own tables tell of a run after its last send.
	Judged struct {
		Settled []dispatcher.Result                 // of sends whose answers were lost, and that were done
		Mails   iter.Seq2[state.Group, ledger.Mail] // of all
		Gaps    ledger.Gaps
	}

	// Stopping is a run in which nothing more starts.
	Stopping struct {
		Cause error
		Grace time.Duration // for what is in flight, which is cut then; 0: as long as it needs
		Left  bool          // it is the queue's, which goes on: the run waits for nothing
	}

	// Ended is the end of a run, and what became of it. Its record is complete, and it still has the lock. Nothing follows.
	Ended struct {
		Result
		At time.Time
	}
)

func (Warned) event()    {}
func (Noted) event()     {}
func (Extended) event()  {}
func (Judged) event()    {}
func (Locking) event()   {}
func (Locked) event()    {}
func (Queueing) event()  {}
func (Began) event()     {}
func (Listing) event()   {}
func (Unlisted) event()  {}
func (Planned) event()   {}
func (Measuring) event() {}
func (Sending) event()   {}
func (Send) event()      {}
func (Limited) event()   {}
func (Steered) event()   {}
func (Paused) event()    {}
func (Down) event()      {}
func (Up) event()        {}
func (Stopping) event()  {}
func (Ended) event()     {}
