package screen_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/screen"
)

func TestTheScreenShowsWhatATerminalWould(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, write, want string
	}{
		{"text", "abc", "abc"},
		{"lines", "abc\ndef\n", "abc\ndef"},
		{"lines as a terminal's driver ends them", "abc\r\ndef\r\n", "abc\ndef"},
		{"\\r alone erases nothing", "abcdef\rxy", "xycdef"},
		{"\\r and ESC [ K erase the line", "abcdef\r\x1b[K", ""},
		{"ESC [ K erases the rest", "abcdef\rxy\x1b[K", "xy"},
		{"ESC [ J erases what is below too", "abc\ndef\nghi\x1b[2A\rx\x1b[J", "x"},
		{"up and over it", "abc\ndef\nghi\x1b[2A\rx", "xbc\ndef\nghi"},
		{"up is not beyond the screen", "a\nb\nc\nd\ne\x1b[9A\rx", "a\nb\nx\nd\ne"},
		{"what wraps is one line", "abcdefghijklmno\nx", "abcdefghijklmno\nx"},
		{"and cannot be taken back", "abcdefghijklmno\r\x1b[Kx", "abcdefghijx"},
		{"a full line does not wrap yet", "abcdefghij\r\x1b[K", ""},
		{"where it must not wrap, the last column is written over", "\x1b[?7labcdefghijklmno\x1b[?7h", "abcdefghio"},
		{"a wide letter that has no room wraps whole", "abcdefghiツ\r\x1b[Kx", "abcdefghix"},
		{"marks stay with their letter", "e\u0301a\rx", "xa"},
		{"colours are not text", "\x1b[31mred\x1b[m", "red"},
	} {
		s := screen.New(10, 3, false)
		for _, c := range []byte(tt.write) { // cut in all places
			_, _ = s.Write([]byte{c})
		}
		if diff := cmp.Diff(s.Text(), tt.want); diff != "" {
			t.Errorf("%s: got -, want +:\n%s", tt.name, diff)
		}
		if faults := s.Faults(); faults != nil {
			t.Errorf("%s: %v", tt.name, faults)
		}
	}
}

func TestTheScreenNotesWhatIsLeftWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		write string
		want  []string
	}{
		{"\x1b[?25l", []string{"the cursor is hidden"}},
		{"\x1b[?25l\x1b[?25h", nil},
		{"\x1b[?7l", []string{"lines do not wrap"}},
		{"\x1b[33m", []string{"the color is 33"}},
		{"\x1b[2J\a", []string{`the terminal was told "\x1b[2J"`, `the terminal was told '\a'`}},
		{"\x1b[3", []string{`"\x1b[3" is unfinished`}},
		{"\x1bc", []string{`the terminal was told "\x1b"`}},
	} {
		s := screen.New(10, 3, false)
		_, _ = s.Write([]byte(tt.write))
		if got := s.Faults(); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.write, got, tt.want)
		}
	}
}

func TestANarrowerScreenBreaksItsLinesOrCutsThem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		reflow bool
		want   string
	}{
		{"cut", false, "abcd\nxf\nkl"},
		{"broken anew", true, "abcdefg\nxf\nkl"},
	} {
		s := screen.New(10, 8, tt.reflow)
		_, _ = s.Write([]byte("abcdefg\nef\nkl\x1b[1A\r"))
		s.Resize(4, 8)
		_, _ = s.Write([]byte("x"))
		if diff := cmp.Diff(s.Text(), tt.want); diff != "" {
			t.Errorf("%s: got -, want +:\n%s", tt.name, diff)
		}
	}
	s := screen.New(10, 8, true)
	_, _ = s.Write([]byte("abcdefghijklm"))
	s.Resize(5, 8)
	if got := s.Below(); got != "klm" {
		t.Errorf("below the cursor of a broken line there is %q, want its end", got)
	}
	s.Resize(20, 8)
	_, _ = s.Write([]byte("n"))
	if got := s.Text(); got != "abcdefghijklmn" {
		t.Errorf("got %q, want the line whole again", got)
	}
}
