package fleet

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// LeaveWithin is how long after its attempt was committed a request may leave, by the worker's own clock. Later it must not:
// the attempt is closed as unsent, and asked for anew. A worker that was frozen wakes into this rule.
const LeaveWithin = 5 * time.Second

// An Answer is what the gate says to a worker that wants to start an attempt.
type Answer string

// The answers. Only Go lets a request leave.
const (
	Go      Answer = "go"      // the attempt is on record
	Done    Answer = "done"    // the task is done: there is nothing to do
	Busy    Answer = "open"    // another attempt may still be under way, or the task waits for its time
	Full    Answer = "full"    // as many attempts are in flight as may be
	Pace    Answer = "pace"    // the rate
	Paused  Answer = "paused"  // by an operator, by the site, or because the site is away
	Rest    Answer = "rest"    // the site works for other workers and not for this one: another is to have the task
	Stopped Answer = "stopped" // nothing more starts this night
)

// A Start is the gate's answer about a task.
type Start struct {
	Answer  Answer
	Wait    time.Duration // ask no sooner; 0: it is not known when
	Attempt int64         // of Go, the new one; of Busy, the one under way, 0 if there is none
	Number  int           // of Go: which of the task's attempts it is, from 1
	Site    string        // of Go: to whom
	Name    string
}

// Start asks whether a request for a task may leave. least is the shortest time after which the site is surely done with one
// of this worker's requests. Where the answer does not come back, an attempt may be on record all the same: no request is
// to leave for it, and the worker closes it as unsent.
func (db *DB) Start(ctx context.Context, task int64, worker string, least time.Duration) (s Start, err error) {
	var wait float64
	var attempt *int64
	var number *int
	err = db.one(ctx, "start an attempt",
		"SELECT answer, wait, attempt, number, coalesce(site, ''), coalesce(grp, '') FROM senddigest.start($1, $2, $3)",
		[]any{task, worker, least}, &s.Answer, &wait, &attempt, &number, &s.Site, &s.Name)
	s.Wait = length(wait)
	if attempt != nil {
		s.Attempt = *attempt
	}
	if number != nil {
		s.Number = *number
	}
	return s, err
}

// KeepTime notes how late it is, so that a clock of the database that is set back holds nothing up for as long. Whoever follows
// a night calls it each second or so.
func (db *DB) KeepTime(ctx context.Context, installation int64) error {
	return db.exec(ctx, "look at the clock", "SELECT senddigest.enter($1)", installation)
}

// What follows for a task from the end of an attempt.
const (
	follows   = "done"
	again     = "again"     // another attempt may be made, see night.retries
	undecided = "ambiguous" // whoever plans the night decides
)

// unsent is the outcome of an attempt whose request never left, and from which nothing is learnt.
const unsent = "unsent"

// An End is how an attempt ended. It is put on record by the attempt's number, and no other way; to do so twice does no harm.
type End struct {
	Attempt int64              `json:"attempt"`
	Worker  string             `json:"worker,omitempty"` // who made it: the end of another's changes nothing; empty: it is not looked at
	Unsent  bool               `json:"unsent,omitempty"` // the request never left; all but Attempt and Worker is zero
	Outcome dispatcher.Outcome `json:"outcome"`
	Status  int                `json:"status,omitempty"`
	Reason  string             `json:"reason,omitempty"`
	Detail  string             `json:"detail,omitempty"` // the whole story of an error
	// NotDelivered is proof that nothing was delivered; Repeatable: another attempt may do better as well, after Backoff.
	NotDelivered bool             `json:"not_delivered,omitempty"`
	Repeatable   bool             `json:"repeatable,omitempty"`
	Backoff      time.Duration    `json:"backoff,omitempty"`
	Took         time.Duration    `json:"took"`
	Idle         bool             `json:"idle,omitempty"` // the site had nothing to do for it, so its place is free at once
	Health       ratelimit.Health `json:"health,omitempty"`
	Pause        time.Duration    `json:"pause,omitempty"` // that the site asked for
	Stop         string           `json:"stop,omitempty"`  // why nothing more is to start this night; empty: it may
}

// EndOf is the end of an attempt with a verdict.
func EndOf(attempt int64, v dispatcher.Verdict, took, backoff time.Duration, stop string) End {
	e := End{
		Attempt: attempt, Outcome: v.Outcome, Status: v.Status, Reason: v.Reason, NotDelivered: v.NotDelivered,
		Repeatable: v.Repeatable(), Backoff: backoff, Took: took, Health: v.Health, Pause: v.Pause, Stop: stop,
		Idle: v.Outcome == dispatcher.Skipped || v.Outcome == dispatcher.UnknownGroup,
	}
	if v.Err != nil {
		e.Detail = v.Err.Error()
	}
	return e
}

// health is the word of the tables for what an answer tells of the site.
func health(h ratelimit.Health) string {
	switch h {
	case ratelimit.Up:
		return "up"
	case ratelimit.Down:
		return "down"
	case ratelimit.Failing:
		return "failing"
	case ratelimit.Crowded:
		return "crowded"
	case ratelimit.NoRoom:
		return "noroom"
	}
	return ""
}

// Finish puts the end of an attempt on record. It reports whether the task is to be looked at again, and in how long.
func (db *DB) Finish(ctx context.Context, e End) (wait time.Duration, repeat bool, err error) {
	outcome, verdict := e.Outcome.String(), follows
	switch {
	case e.Unsent:
		outcome, verdict = unsent, again
	case e.Repeatable:
		verdict = again
	case e.Outcome == dispatcher.Ambiguous:
		verdict = undecided
	}
	var s float64
	err = db.one(ctx, "put the end of an attempt on record",
		"SELECT coalesce(verdict, ''), wait FROM senddigest.finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		[]any{
			e.Attempt, outcome, e.Status, text(e.Reason), text(e.Detail), e.NotDelivered, seconds(e.Took),
			verdict, seconds(e.Backoff), !e.Idle && !e.Unsent, health(e.Health), seconds(e.Pause), e.Stop, e.Worker,
		}, &verdict, &s)
	return length(s), verdict == again, err
}
