package cluster

import (
	"bytes"
	"strings"
	"sync"
)

// keptOutput is how much of the output is kept at least, in bytes.
const keptOutput = 1 << 20

// output keeps what the programs print, the last of it, and waits for a line.
type output struct {
	mu      sync.Mutex
	text    []byte
	from    int // the awaited text is looked for from here on
	awaited string
	seen    chan struct{} // nil: nothing is awaited
}

// await returns a channel that is closed when the text is printed from now on. Text that was awaited before is not any more.
func (o *output) await(text string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from, o.awaited, o.seen = len(o.text), text, make(chan struct{})
	return o.seen
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.seen != nil {
		if bytes.Contains(o.text[o.from:], []byte(o.awaited)) {
			close(o.seen)
			o.seen = nil
		}
		o.from = max(o.from, len(o.text)-len(o.awaited)+1) // the rest may be the text's beginning
	}
	if drop := len(o.text) - keptOutput; drop > keptOutput {
		o.text = append(o.text[:0], o.text[drop:]...)
		o.from = max(o.from-drop, 0)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// tail is what an error message holds of the output.
func (o *output) tail() string {
	const lines = 20
	all := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
