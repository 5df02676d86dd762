package progress

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// queueSize bounds what waits to be written, in bytes.
const queueSize = 1 << 20

// A Queue is a writer that never keeps anybody waiting: a terminal that was stopped or a full pipe must not hold
// up a run, or make it deaf to signals. What finds no room is dropped, and how much that was is said once there
// is room again. The queue owns one goroutine, which Close waits for.
type Queue struct {
	out io.Writer

	mu      sync.Mutex
	waiting bytes.Buffer
	dropped int // writes
	closed  bool
	more    *sync.Cond // something waits, or the queue was closed
	done    chan struct{}
}

// NewQueue makes a queue before out. Close must follow.
func NewQueue(out io.Writer) *Queue {
	q := &Queue{out: out, done: make(chan struct{})}
	q.more = sync.NewCond(&q.mu)
	go q.drain()
	return q
}

// Write takes p as a whole, or drops it as a whole. It never fails: nobody could be told.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.waiting.Len()+len(p) > queueSize {
		q.dropped++
		return len(p), nil
	}
	if q.dropped > 0 {
		fmt.Fprintf(&q.waiting, "(%d messages could not be shown)\n", q.dropped)
		q.dropped = 0
	}
	q.waiting.Write(p)
	q.more.Signal()
	return len(p), nil
}

// Close waits until everything that was taken is written.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Signal()
	<-q.done
}

func (q *Queue) drain() {
	defer close(q.done)
	var text bytes.Buffer
	for {
		q.mu.Lock()
		for q.waiting.Len() == 0 && !q.closed {
			q.more.Wait()
		}
		text, q.waiting = q.waiting, text
		closed := q.closed
		q.mu.Unlock()
		if text.Len() == 0 && closed {
			return
		}
		_, _ = text.WriteTo(q.out) // where it goes there is nobody else to tell
		text.Reset()
	}
}
