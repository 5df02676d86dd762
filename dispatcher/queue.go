package dispatcher

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// A queue hands out the jobs of a run by their number: first those that wait, for another try or because they are
// held back, and whose time has come, then the others in dispatch order.
//
// One worker at a time may call ready and take (who holds the run's admission); the others may call again and done.
type queue struct {
	changed chan struct{} // holds a value when ready should look again
	empty   chan struct{} // closed once no job is left and none can come back

	mu      sync.Mutex
	fresh   []int   // jobs that nobody has taken and that need not wait, in dispatch order
	waiting delayed // jobs that wait for their time
	busy    int     // jobs that are under way; each may come back
}

// newQueue makes a queue of so many jobs. notBefore says until when a job is held back; nil: none is.
func newQueue(jobs int, notBefore func(job int) time.Time) *queue {
	q := &queue{fresh: make([]int, 0, jobs), changed: make(chan struct{}, 1), empty: make(chan struct{})}
	now := time.Now()
	for job := range jobs {
		if notBefore != nil {
			if at := notBefore(job); at.After(now) {
				q.waiting = append(q.waiting, delayedJob{job, at})
				continue
			}
		}
		q.fresh = append(q.fresh, job)
	}
	heap.Init(&q.waiting)
	return q
}

// ready waits until a job may be taken. It reports false when none is left and none can come back, or when ctx
// has ended.
func (q *queue) ready(ctx context.Context) bool {
	for {
		fresh, due := q.look()
		var timer <-chan time.Time // nil: none waits for its time
		if wait := time.Until(due); fresh || !due.IsZero() && wait <= 0 {
			return ctx.Err() == nil
		} else if !due.IsZero() {
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

// look tells whether a job is left that need not wait, and when the time comes of the first of those that wait; zero:
// none waits.
func (q *queue) look() (fresh bool, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		due = q.waiting[0].at
	}
	return len(q.fresh) > 0, due
}

// take takes the next job; ready has said that there is one.
func (q *queue) take() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy++
	// Whose time had come when ready looked is taken even if a clock was put back since.
	if len(q.waiting) > 0 && (len(q.fresh) == 0 || !q.waiting[0].at.After(time.Now())) {
		job, _ := heap.Pop(&q.waiting).(delayedJob)
		return job.number
	}
	job := q.fresh[0]
	q.fresh = q.fresh[1:]
	return job
}

// again gives a job back, to be taken again once a time has passed.
func (q *queue) again(job int, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	heap.Push(&q.waiting, delayedJob{job, time.Now().Add(after)})
	select {
	case q.changed <- struct{}{}:
	default: // who waits has not looked since the last word
	}
}

// done says that a job will not come back.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if q.busy == 0 && len(q.fresh) == 0 && len(q.waiting) == 0 {
		close(q.empty)
	}
}

// rest gives the jobs that the run did not come to, once all workers have ended, in dispatch order.
func (q *queue) rest() []int {
	left := slices.Clone(q.fresh)
	for _, job := range q.waiting {
		left = append(left, job.number)
	}
	slices.Sort(left)
	return left
}

type delayedJob struct {
	number int
	at     time.Time
}

// delayed is a heap of jobs, the one whose time comes first on top.
type delayed []delayedJob

func (d delayed) Len() int { return len(d) }

func (d delayed) Less(i, j int) bool {
	return cmp.Or(d[i].at.Compare(d[j].at), cmp.Compare(d[i].number, d[j].number)) < 0
}

func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }

func (d *delayed) Push(x any) {
	job, _ := x.(delayedJob)
	*d = append(*d, job)
}

func (d *delayed) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
