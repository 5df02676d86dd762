package progress_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/screen"
)

// A watched screen remembers what it showed after each write. It counts as a terminal for a display.
type watched struct {
	*screen.Screen

	mu            sync.Mutex
	columns, rows int
	history       []shown
}

// What a screen showed: lines that stay, and from the cursor on those of the display.
type shown struct {
	above, below string
	wrapped      []string // of the display's
}

func watch(columns int) *watched {
	return &watched{Screen: screen.New(columns, 24, true), columns: columns, rows: 24}
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Screen.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, shown{w.Above(), w.Below(), w.Wrapped()})
	return n, err
}

// writes is how many there were.
func (w *watched) writes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.history)
}

// terminal is what a display is told of the screen.
func (w *watched) terminal() *progress.Terminal {
	return &progress.Terminal{Size: func() (int, int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.columns, w.rows
	}}
}

// resize changes the window, and with it what the display is told.
func (w *watched) resize(columns, rows int) {
	w.Resize(columns, rows)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.columns, w.rows = columns, rows
}

// look fails the test unless the screen has at all times been one that a person can read: whole messages, each in its
// line, and below them an empty row for the cursor and the display's lines, none of them wrapped.
func (w *watched) look(t *testing.T, messages ...string) {
	t.Helper()
	for _, fault := range w.Faults() {
		t.Error(fault)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.history {
		for line := range strings.SplitSeq(s.above, "\n") {
			if s.above != "" && !slices.Contains(messages, line) {
				t.Fatalf("the line %q is no message; the screen was\n%s\n%s", line, s.above, s.below)
			}
		}
		if s.below != "" && !strings.HasPrefix(s.below, "\n") {
			t.Fatalf("the cursor is not in an empty row; the screen was\n%s\n%s", s.above, s.below)
		}
		if s.wrapped != nil {
			t.Fatalf("%q wrapped; the screen was\n%s\n%s", s.wrapped, s.above, s.below)
		}
	}
}
