package program

import (
	"bytes"
	"sync"
)

// An Output is what a process has written, and may be read while it goes on. Its zero value is empty.
type Output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

// Write adds to the output.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown != nil {
		close(o.grown)
		o.grown = nil
	}
	return o.text.Write(p)
}

// String is what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Grown returns a channel that is closed when more is written. Whoever waits for some text calls Grown before String.
func (o *Output) Grown() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown == nil {
		o.grown = make(chan struct{})
	}
	return o.grown
}
