package dispatcher

import (
	"context"
	"sync"
	"time"
)

// A queue is the lineup of a run, for its workers to wait at.
//
// One worker at a time may call ready and take (who holds the run's admission); the others may call again and done.
type queue struct {
	changed chan struct{} // holds a value when ready should look again
	empty   chan struct{} // closed once no job is left and none can come back

	mu     sync.Mutex
	lineup *Lineup
}

func newQueue(lineup *Lineup) *queue {
	return &queue{lineup: lineup, changed: make(chan struct{}, 1), empty: make(chan struct{})}
}

// ready waits until a job may be taken. It reports false when none is left and none can come back, or when ctx
// has ended.
func (q *queue) ready(ctx context.Context) bool {
	for {
		at, left := q.next()
		var timer <-chan time.Time // nil: none waits for its time
		if wait := time.Until(at); left && (at.IsZero() || wait <= 0) {
			return ctx.Err() == nil
		} else if left {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-q.changed:
		case <-q.empty:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (q *queue) next() (at time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lineup.Next()
}

// take takes the next job, or with probe one from anywhere. Since ready has said that there is one, it may have been
// withdrawn.
func (q *queue) take(limit int, probe bool) (job int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if at, left := q.lineup.Next(); !left || at.After(now) {
		return 0, false
	}
	if probe {
		return q.lineup.Probe(now, limit), true
	}
	return q.lineup.Take(now, limit), true
}

// waits reports whether a job waits for its time.
func (q *queue) waits(job int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lineup.Waits(job)
}

// withdraw takes a job out that waits. It reports false where it does not: it is under way, or has ended.
func (q *queue) withdraw(job int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.lineup.Withdraw(job) {
		return false
	}
	q.lookForEnd()
	return true
}

// again gives a job back, to be taken again from a time on.
func (q *queue) again(job int, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lineup.Again(job, at)
	select {
	case q.changed <- struct{}{}:
	default: // who waits has not looked since the last word
	}
}

// done says that a job will not come back.
func (q *queue) done(job int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lineup.Done(job)
	q.lookForEnd()
}

// lookForEnd closes empty once no job is left. The caller holds mu, and has just ended a job.
func (q *queue) lookForEnd() {
	if q.lineup.Empty() {
		close(q.empty)
	}
}
