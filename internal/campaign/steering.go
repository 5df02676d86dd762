package campaign

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/ratelimit"
)

// MostWorkers is the most sends in flight that may be asked for. More are a slip of the hand.
const MostWorkers = 1000

// Steering steers one run while it goes, for an operator. It is given to the run in [Settings], and is an [Observer] of it.
// Its exported fields are set before. Its methods may be called by several goroutines at any time.
type Steering struct {
	// Ceiling is the most sends in flight where their number is found; below 1: MostWorkers.
	Ceiling int
	// Left reports how long the run is expected to go on, negative where nobody knows; nil: nobody does.
	Left func() time.Duration
	// Open makes the sockets at these paths, by which the run is steered. It is called when the run has the lock; what it
	// returns is called before the lock is given back. nil: there are none.
	Open func(sockets []string) (shut func(), err error)

	doing sync.Mutex // while something is done, taken before mu

	mu     sync.Mutex // never held while an event is observed
	run    *run       // nil: there is none to steer
	hire   func(workers int)
	ended  error // why nothing more starts
	cut    bool  // what is in flight is cut
	ending bool  // nothing more is to be changed: all sends have ended, or there are none
	shut   func()
	paused time.Time
	rest   time.Duration // of the pauses that are over
	status Status
	counts dispatcher.Counts
}

// Status is how a run stands.
type Status struct {
	Run          string     `json:"run"`
	PID          int        `json:"pid"`
	URL          string     `json:"url"`
	Started      time.Time  `json:"started"`
	Groups       int        `json:"groups"` // 0: the list is not there yet
	Done         int        `json:"done"`
	InFlight     int        `json:"in_flight"`
	Accepted     int        `json:"accepted"`
	Failed       int        `json:"failed"` // the ambiguous among them
	Ambiguous    int        `json:"ambiguous"`
	Workers      int        `json:"workers"` // the most in flight now
	Auto         bool       `json:"auto"`    // they are found
	Rate         *float64   `json:"rate"`    // starts a second; nil: no limit
	Deadline     *time.Time `json:"deadline"`
	DeadlineText string     `json:"deadline_text"` // what Deadline is by: a time of day, or "none; --max-duration ends it at 05:00 UTC"
	Paused       *time.Time `json:"paused"`        // by an operator, since when; nil: it is not
	Ends         *time.Time `json:"ends"`          // when it is expected to be over; nil: nobody knows
	Stopping     string     `json:"stopping"`      // why nothing more starts; empty: it does
}

// ControlError stops a run that an operator stopped.
type ControlError struct{}

func (*ControlError) Error() string { return "stopped by control" }

// StopWord is the report's word for it.
func (*ControlError) StopWord() string { return "control" }

// An ActionError is an action that there is not, or that the run cannot do. Its text is one line.
type ActionError struct{ Problem string }

func (e *ActionError) Error() string { return e.Problem }

// ErrNoRun is that there is no run to steer.
var ErrNoRun = &ActionError{"no run is going"}

// ErrEnding is that the run writes its report: its sends have ended, or it makes none, and nothing is left to be changed.
var ErrEnding = &ActionError{"the run is ending: nothing can be changed any more"}

// CheckAction reports whether there is an action of that name, and value is one that it takes: an [*ActionError] if not.
func CheckAction(name, value string) error {
	_, err := actionOf(name, value)
	return err
}

// actionOf returns what an action does to a run; nil is nothing, for status.
func actionOf(name, value string) (do func(*Steering, *run), err error) {
	takes := name == "workers" || name == "rate" || name == "deadline"
	if !takes && value != "" {
		return nil, &ActionError{fmt.Sprintf("%q takes no value", name)}
	}
	switch name {
	case "status":
		return func(*Steering, *run) {}, nil
	case "pause":
		return (*Steering).pause, nil
	case "resume":
		return (*Steering).resume, nil
	case "stop", "cut":
		return func(s *Steering, r *run) { s.stop(r, name) }, nil
	case "workers":
		n, err := strconv.Atoi(value)
		if value != "auto" && (err != nil || n < 1 || n > MostWorkers) {
			return nil, &ActionError{fmt.Sprintf("workers %q is neither a number from 1 to %d nor auto", value, MostWorkers)}
		}
		return func(s *Steering, r *run) { s.workers(r, n) }, nil
	case "rate":
		rate, err := ratelimit.ParseRate(value)
		if err != nil {
			return nil, &ActionError{"rate " + err.Error()}
		}
		return func(s *Steering, r *run) { s.rate(r, rate) }, nil
	case "deadline":
		if value == "none" {
			return func(s *Steering, r *run) { s.deadline(r, nil) }, nil
		}
		clock, err := ParseClock(value)
		if err != nil {
			return nil, &ActionError{fmt.Sprintf("deadline %q %v, nor none", value, err)}
		}
		return func(s *Steering, r *run) { s.deadline(r, &clock) }, nil
	}
	return nil, &ActionError{fmt.Sprintf("%q is no action: there are status, pause, resume, workers, rate, deadline, stop and cut", name)}
}

// Do does an action, and returns how the run stands then. Several are done one after the other. The action is on record
// when Do returns. Its error is an [*ActionError].
func (s *Steering) Do(name, value string) (Status, error) {
	do, err := actionOf(name, value)
	if err != nil {
		return Status{}, err
	}
	s.doing.Lock()
	defer s.doing.Unlock()
	s.mu.Lock()
	r, ending, ended := s.run, s.ending, s.ended
	s.mu.Unlock()
	switch {
	case r == nil:
		return Status{}, ErrNoRun
	case ending && name != "status":
		return Status{}, ErrEnding
	case ended != nil && name != "status" && name != "stop" && name != "cut":
		return Status{}, &ActionError{"the run starts nothing more: " + ended.Error()}
	}
	do(s, r)
	return s.now(r), nil
}

func (s *Steering) pause(r *run) {
	if r.valve.Shut() {
		return
	}
	r.valve.Set(true)
	now := time.Now()
	s.mu.Lock()
	s.paused = now
	s.mu.Unlock()
	s.steered(r, report.Steer{At: now, What: "pause"})
}

func (s *Steering) resume(r *run) {
	if !r.valve.Shut() {
		return
	}
	now := time.Now()
	s.mu.Lock()
	paused := now.Sub(s.paused)
	s.paused, s.rest = time.Time{}, s.rest+paused
	s.mu.Unlock()
	r.breaker.Postpone(paused)
	r.valve.Set(false)
	s.steered(r, report.Steer{At: now, What: "resume"})
}

// rested is how long the run has been paused until now; nil was never.
func (s *Steering) rested(now time.Time) time.Duration {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused.IsZero() {
		return s.rest
	}
	return s.rest + now.Sub(s.paused)
}

// workers lets n sends be in flight, or, with 0, as many as the site is found to bear.
func (s *Steering) workers(r *run, n int) {
	steer := report.Steer{At: time.Now(), What: "workers", From: workersText(r.asked, r.auto()), To: workersText(n, n == 0)}
	most := s.ceiling()
	if n > 0 {
		most = n
	}
	if steer.From == steer.To {
		return
	}
	r.adaptive.Enable(n == 0)
	r.crowd.SetMost(most)
	r.adaptive.AtMost(r.crowd.Limit(), "as many as are allowed")
	s.mu.Lock()
	r.asked = most
	hire := s.hire
	s.mu.Unlock()
	if hire != nil {
		hire(most)
	}
	s.steered(r, steer)
}

func (s *Steering) ceiling() int {
	if s.Ceiling < 1 {
		return MostWorkers
	}
	return s.Ceiling
}

func (s *Steering) rate(r *run, rate ratelimit.Rate) {
	before := r.bucket.Rate()
	if before.String() == rate.String() {
		return
	}
	r.bucket.SetRate(rate)
	s.steered(r, report.Steer{At: time.Now(), What: "rate", From: before.String(), To: rate.String()})
}

func (s *Steering) deadline(r *run, clock *Clock) {
	steer := report.Steer{At: time.Now(), What: "deadline", From: r.timeLimit.clockText(), To: "none"}
	if clock != nil {
		steer.To = timeOfDay(clock.Next(time.Now()))
	}
	if steer.From == steer.To {
		return
	}
	r.timeLimit.move(clock)
	steer.To = r.timeLimit.text()
	s.steered(r, steer)
}

// stop starts nothing more, and with cut ends what is in flight.
func (s *Steering) stop(r *run, how string) {
	s.mu.Lock()
	over := s.cut || how == "stop" && s.ended != nil
	s.cut = s.cut || how == "cut"
	s.mu.Unlock()
	if over {
		return
	}
	s.steered(r, report.Steer{At: time.Now(), What: how})
	r.timeLimit.stop(&ControlError{})
	s.mu.Lock()
	if s.ended == nil {
		s.ended = &ControlError{}
	}
	s.mu.Unlock()
	if how == "cut" {
		r.cut(&ControlError{})
	}
}

// steered reports what was done.
func (s *Steering) steered(r *run, steer report.Steer) {
	r.events.Observe(Steered{steer, r.allowed(), r.bucket.Rate()})
}

// Observe implements [Observer].
func (s *Steering) Observe(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case Planned:
		s.status.Groups = len(e.Groups)
	case Extended:
		s.status.Groups += e.Groups
	case Send:
		s.status.InFlight = e.InFlight
		if e.Kind == dispatcher.Finished {
			s.status.Done++
			s.counts[e.Result.Outcome]++
		}
	case Stopping:
		s.ended = e.Cause
	}
}

// now is how a run stands.
func (s *Steering) now(r *run) Status {
	left := time.Duration(-1)
	if s.Left != nil {
		left = s.Left()
	}
	auto, workers, deadline := r.auto(), r.most(), r.timeLimit.text() // they have locks that are held while events are observed
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Auto, st.Workers, st.DeadlineText = auto, workers, deadline
	st.Run, st.PID, st.URL, st.Started = r.id, os.Getpid(), r.URL, r.started
	st.Accepted, st.Failed, st.Ambiguous = s.counts[dispatcher.Accepted], s.counts.Failed(), s.counts[dispatcher.Ambiguous]
	if rate := float64(r.bucket.Rate()); rate > 0 {
		st.Rate = &rate
	}
	if ends := r.ends.Load(); ends != nil {
		st.Deadline = &ends.At
	}
	if !s.paused.IsZero() {
		st.Paused = new(s.paused)
	}
	if left >= 0 && s.ended == nil && s.paused.IsZero() { // what stops a run is known here before its forecast knows
		st.Ends = new(time.Now().Add(left))
	}
	switch {
	case s.ended != nil:
		st.Stopping = s.ended.Error()
	case s.ending:
		st.Stopping = "the run writes its report"
	}
	return st
}

// beginSteering lets the run be steered.
func (r *run) beginSteering() {
	if r.cut == nil {
		return
	}
	s := r.Steering
	s.mu.Lock()
	s.run, s.shut = r, func() {}
	s.mu.Unlock()
	if s.Open == nil || r.dir == nil || r.lock == nil {
		return
	}
	shut, err := s.Open(r.dir.Sockets(r.Installation))
	if err != nil {
		r.warn("this run cannot be steered: %v", err)
		return
	}
	s.shut = shut
}

// endActions refuses all actions but status from now on, so that the report has all of them.
func (r *run) endActions() {
	if r.cut == nil {
		return
	}
	s := r.Steering
	s.doing.Lock()
	defer s.doing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
}

// endSteering ends what beginSteering began.
func (r *run) endSteering() {
	if r.cut == nil {
		return
	}
	s := r.Steering
	s.shut()
	r.cut(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
}

// steerable makes of a run one that can be steered.
func (r *run) steerable() {
	abort := r.Abort
	if abort == nil {
		abort = context.Background()
	}
	r.Abort, r.cut = context.WithCancelCause(abort)
}

// hiring takes the dispatcher's way to have more workers.
func (s *Steering) hiring(r *run) func(hire func(int)) {
	return func(hire func(int)) {
		s.mu.Lock()
		s.hire = hire
		most := r.asked
		s.mu.Unlock()
		hire(most)
	}
}

// auto reports whether the number of sends in flight is found.
func (r *run) auto() bool { return r.adaptive != nil && r.adaptive.Enabled() }

// most is how many sends may be in flight, but for a pause.
func (r *run) most() int {
	most := r.crowd.Limit()
	if r.auto() {
		most = min(most, r.adaptive.Limit())
	}
	return most
}

// allowed is how many sends may be in flight now.
func (r *run) allowed() int {
	if r.valve.Shut() {
		return 0
	}
	return r.most()
}
