package progress_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A screen is as much of a terminal as a display uses: it wraps, goes to the beginning of the line at \r, erases the
// rest of it at ESC [ K, and begins a new one at \n. Anything else that does not print is noted as odd.
type screen struct {
	width int

	mu      sync.Mutex
	rows    []row
	column  int
	odd     []string
	history []string // what it showed after each write
}

type row struct {
	text    []rune
	wrapped bool // goes on in the next
}

func newScreen(width int) *screen { return &screen{width: width, rows: make([]row, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := string(p); text != ""; {
		if rest, ok := strings.CutPrefix(text, "\x1b[K"); ok {
			last := s.last()
			last.text = last.text[:min(s.column, len(last.text))]
			text = rest
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch {
		case r == '\r':
			s.column = 0
		case r == '\n':
			s.rows, s.column = append(s.rows, row{}), 0
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			s.odd = append(s.odd, fmt.Sprintf("%q", r))
		default:
			s.put(r)
		}
	}
	s.history = append(s.history, s.show())
	return len(p), nil
}

func (s *screen) last() *row { return &s.rows[len(s.rows)-1] }

func (s *screen) put(r rune) {
	if s.column == s.width {
		s.last().wrapped = true
		s.rows, s.column = append(s.rows, row{}), 0
	}
	last := s.last()
	if s.column < len(last.text) {
		last.text[s.column] = r
	} else {
		last.text = append(last.text, r)
	}
	s.column++
}

// show gives the lines on the screen, wrapped ones joined; the last is where the cursor stands.
func (s *screen) show() string {
	var b strings.Builder
	for i, r := range s.rows {
		b.WriteString(string(r.text))
		if !r.wrapped && i < len(s.rows)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// now is what the screen shows.
func (s *screen) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.show()
}

// look fails the test unless the screen has at all times been one that a person can read: whole messages, each in its
// line, and below them at most one status line, not wrapped.
func (s *screen) look(t *testing.T, messages ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, odd := range slices.Compact(slices.Clone(s.odd)) {
		t.Errorf("the terminal was told %s", odd)
	}
	for _, shown := range s.history {
		lines := strings.Split(shown, "\n")
		last := len(lines) - 1
		for _, line := range lines[:last] {
			if !slices.Contains(messages, line) {
				t.Fatalf("the line %q is no message; the screen was\n%s", line, shown)
			}
		}
		if status := lines[last]; len([]rune(status)) >= s.width {
			t.Fatalf("the status line %q has %d columns of %d", status, len([]rune(status)), s.width)
		} else if status != "" && !isStatus(status) {
			t.Fatalf("%q is no status line; the screen was\n%s", status, shown)
		}
	}
}

func isStatus(line string) bool {
	var done, total int
	n, _ := fmt.Sscanf(line, "%d of %d groups", &done, &total)
	return n == 2
}

// The screen is put on trial too.
func TestTheScreenShowsWhatATerminalWould(t *testing.T) {
	for _, tt := range []struct {
		name, write, want string
	}{
		{"text", "abc", "abc"},
		{"lines", "abc\ndef\n", "abc\ndef\n"},
		{"\\r alone erases nothing", "abcdef\rxy", "xycdef"},
		{"\\r and ESC [ K erase the line", "abcdef\r\x1b[K", ""},
		{"ESC [ K erases the rest", "abcdef\rxy\x1b[K", "xy"},
		{"what wraps is one line", "abcdefghijklmno\nx", "abcdefghijklmno\nx"},
		{"and cannot be taken back", "abcdefghijklmno\r\x1b[Kx", "abcdefghijx"},
		{"a full line does not wrap yet", "abcdefghij\r\x1b[K", ""},
		{"wide text", "grün ツ\r\x1b[Kx", "x"},
	} {
		s := newScreen(10)
		_, _ = s.Write([]byte(tt.write))
		if got := s.now(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
