package progress

import (
	"bytes"
	"context"
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
	busy    bool       // something is being written
	changed *sync.Cond // something waits, is written, or the queue was closed
	done    chan struct{}
}

// NewQueue makes a queue before out. Close must follow.
func NewQueue(out io.Writer) *Queue {
	q := &Queue{out: out, done: make(chan struct{})}
	q.changed = sync.NewCond(&q.mu)
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
	q.changed.Broadcast()
	return len(p), nil
}

// Idle tells whether everything that was taken is written.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.busy && q.waiting.Len() == 0
}

// Flush waits until everything that was taken is written, or ctx ends.
func (q *Queue) Flush(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock() // Flush has not looked yet, or waits
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for ctx.Err() == nil && (q.busy || q.waiting.Len() > 0) {
		q.changed.Wait()
	}
}

// Close waits until everything that was taken is written, or ctx ends. Then the queue's goroutine stays behind, in a
// write to a stream that takes nothing.
func (q *Queue) Close(ctx context.Context) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.changed.Broadcast()
	select {
	case <-q.done:
	case <-ctx.Done():
	}
}

func (q *Queue) drain() {
	defer close(q.done)
	var text bytes.Buffer
	for {
		q.mu.Lock()
		for q.waiting.Len() == 0 && !q.closed {
			q.changed.Wait()
		}
		text, q.waiting = q.waiting, text
		closed := q.closed
		q.busy = text.Len() > 0
		q.mu.Unlock()
		if text.Len() == 0 && closed {
			return
		}
		_, _ = text.WriteTo(q.out) // where it goes there is nobody else to tell
		text.Reset()
		q.mu.Lock()
		q.busy = false
		q.mu.Unlock()
		q.changed.Broadcast()
	}
}
