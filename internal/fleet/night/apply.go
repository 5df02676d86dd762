package night

import (
	"context"
	"errors"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
)

// apply takes in that an attempt of group i has started or ended.
func (f *follower) apply(ctx context.Context, i int, a fleet.Attempt) {
	p, result := &f.state[i], &f.report.Results[i]
	if p.attempt > a.ID { // what is late counts where it is better
		if a.Outcome == dispatcher.Accepted.String() && result.Outcome != dispatcher.Accepted {
			f.close(i, result.Answered(verdictOf(a)))
		}
		return
	}
	if p.attempt < a.ID {
		if a.Unsent() {
			return
		}
		f.start(i, a)
	}
	if !a.Ended {
		return
	}
	ended := *result
	ended.Took = a.Took
	if p.open {
		ended.Verdict = verdictOf(a)
		ended.Doubt()
	} else {
		ended = result.Answered(verdictOf(a)) // it was given up before
	}
	event := dispatcher.Event{Result: ended}
	switch {
	case a.Again && (!a.Done || !a.Last):
		event.Kind, event.Next = dispatcher.Retrying, time.Now().Add(a.Wait)
	case a.Ambiguous && (!a.Last || f.watches && !a.Done):
		event.Kind, event.Next = dispatcher.Settling, time.Now()
		p.repeated(a)
	case a.Ambiguous && !a.Done && f.cause != nil: // whoever goes on with the night decides
	case a.Ambiguous && !a.Done:
		var again bool
		if event.Next, again = f.settle(i, ended, a.Lost); again {
			event.Kind = dispatcher.Settling
			p.repeated(a)
		}
		if err := f.run.DB.Settled(ctx, a.ID, again, time.Until(event.Next)); err != nil {
			f.run.tell(err)
		}
	}
	if event.Kind == 0 {
		f.close(i, ended)
		return
	}
	f.land(p, ended.Worker)
	*result, event.InFlight = ended, f.flying
	f.options.Observe(event)
}

// mostLost is how many attempts of a group may be lost with their workers: it may be the group that ends them.
const mostLost = 5

// settle decides whether an ambiguous attempt is repeated, and from when on: once a group, as [dispatcher.Run] does. That a
// worker died does not count for that.
func (f *follower) settle(i int, result dispatcher.Result, lost bool) (at time.Time, ok bool) {
	p := &f.state[i]
	if f.options.Settle == nil || !lost && p.settled || lost && p.lost >= mostLost {
		return time.Time{}, false
	}
	return f.options.Settle(result)
}

// repeated notes that an ambiguous attempt is repeated.
func (p *progress) repeated(a fleet.Attempt) {
	if a.Lost {
		p.lost++
	} else {
		p.settled = true
	}
}

// start observes the start of an attempt.
func (f *follower) start(i int, a fleet.Attempt) {
	p, result := &f.state[i], &f.report.Results[i]
	lane := 1
	for lane < len(f.lanes) && f.lanes[lane] {
		lane++
	}
	if lane == len(f.lanes) {
		f.lanes = append(f.lanes, false)
	}
	if p.open { // its end was not observed
		f.land(p, result.Worker)
	}
	f.lanes[lane] = true
	*result = result.Begin(lane, time.Now().Add(-a.Age))
	p.attempt, p.open = a.ID, true
	f.flying++
	f.report.Peak = max(f.report.Peak, f.flying)
	f.options.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: *result, InFlight: f.flying})
}

// land takes an attempt out of those in flight.
func (f *follower) land(p *progress, lane int) {
	if p.open {
		p.open = false
		f.lanes[lane] = false
		f.flying--
	}
}

// close ends group i with a result.
func (f *follower) close(i int, result dispatcher.Result) {
	p := &f.state[i]
	f.land(p, result.Worker)
	f.report.Results[i] = result
	if p.done {
		return // its end was observed before, and was another
	}
	p.done = true
	f.left--
	f.options.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: result, InFlight: f.flying})
	if result.Failed() {
		if f.failed++; f.failed == f.options.MaxFailures && f.cause == nil {
			f.stop(dispatcher.ErrMaxFailures)
		}
	}
}

// verdictOf is what the tables have of an attempt's verdict.
func verdictOf(a fleet.Attempt) dispatcher.Verdict {
	v := dispatcher.Verdict{Outcome: outcomeOf(a.Outcome), NotDelivered: a.NotDelivered, Status: a.Status, Reason: a.Reason}
	if a.Detail != "" {
		v.Err = errors.New(a.Detail)
	}
	if a.Unsent() {
		v.Outcome, v.NotDelivered, v.Reason = dispatcher.Unreachable, true, "the request did not leave in time"
	}
	return v
}

func outcomeOf(word string) dispatcher.Outcome {
	for _, o := range dispatcher.Outcomes() {
		if o.String() == word {
			return o
		}
	}
	return dispatcher.Ambiguous
}
