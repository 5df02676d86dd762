// Package screen is what a person sees of a terminal, for tests: text and escape codes go in, and what the screen then
// shows comes out. It knows as much of a terminal as the program uses, takes a note of everything else, and never
// imports what it judges.
//
// It is our own because github.com/charmbracelet/x/vt, at v0.1.0, does not break lines anew in a narrower window and keeps
// no note of those that wrapped, which is most of what is asked here; in a lower one it loses the cursor's row, and where
// lines must not wrap, a wide letter that has no room. It brings 14 modules along.
package screen

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A Screen is one terminal's. Its methods may be called by several goroutines.
type Screen struct {
	mu            sync.Mutex
	columns, rows int
	reflow        bool
	all           []row // also those that have scrolled off
	x, y          int   // the cursor, y in all; in column x = columns the next letter wraps
	noWrap        bool
	hidden        bool // the cursor is
	colored       bool // a colour was set, ever
	color         string
	odd           []string
	rest          []byte // an unfinished code or letter
}

// A row of the terminal. Of a letter that is two columns wide the second one is empty.
type row struct {
	cells   []string
	wrapped bool // goes on in the next
}

// New makes a screen. Made narrower or wider, one that reflows breaks its lines anew, as most terminals with windows do;
// the others cut them, as xterm and the console do.
func New(columns, rows int, reflow bool) *Screen {
	return &Screen{columns: columns, rows: rows, reflow: reflow, all: make([]row, 1)}
}

// An escape code, or the beginning of one.
var code = regexp.MustCompile(`^\x1b(\[([?0-9;]*)([@-~])?)?`)

// Write is what the terminal is told.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := append(s.rest, p...)
	s.rest = nil
	for len(text) > 0 {
		if text[0] == '\x1b' {
			m := code.FindSubmatch(text)
			if len(m[0]) == len(text) && len(m[3]) == 0 {
				s.rest = slices.Clone(text)
				break
			}
			s.obey(string(m[2]), string(m[3]), string(m[0]))
			text = text[len(m[0]):]
			continue
		}
		if !utf8.FullRune(text) {
			s.rest = slices.Clone(text)
			break
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case r == '\r':
			s.x = 0
		case r == '\n':
			s.down()
			s.x = 0
		case !unicode.IsPrint(r) || r == utf8.RuneError && size == 1:
			s.odd = append(s.odd, fmt.Sprintf("%q", r))
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

// obey does what an escape code says.
func (s *Screen) obey(args, name, whole string) {
	switch {
	case name == "A":
		n, _ := strconv.Atoi(args)
		s.y = max(s.y-max(n, 1), s.top())
		s.x = min(s.x, s.columns-1)
	case name == "K" && args == "":
		s.cut()
	case name == "J" && args == "":
		s.cut()
		clear(s.all[s.y+1:])
	case name == "m":
		s.color = strings.TrimPrefix(args, "0")
		s.colored = s.colored || s.color != ""
	case args == "?7" && (name == "l" || name == "h"):
		s.noWrap = name == "l"
	case args == "?25" && (name == "l" || name == "h"):
		s.hidden = name == "l"
	default:
		s.odd = append(s.odd, fmt.Sprintf("%q", whole))
	}
}

// top is the first row on the screen.
func (s *Screen) top() int { return max(len(s.all)-s.rows, 0) }

// cut empties the row from the cursor on.
func (s *Screen) cut() {
	r := &s.all[s.y]
	r.cells, r.wrapped = r.cells[:min(s.x, len(r.cells))], false
}

func (s *Screen) down() {
	s.y++
	if s.y == len(s.all) {
		s.all = append(s.all, row{})
	}
}

func (s *Screen) put(r rune) {
	wide := columnsOf(r)
	if cells := s.all[s.y].cells; wide == 0 && s.x > 0 && s.x <= len(cells) {
		cells[s.x-1] += string(r)
		return
	}
	wide = max(wide, 1) // a mark without a letter stands alone
	if s.x+wide > s.columns {
		if s.noWrap {
			s.x = s.columns - wide
		} else {
			s.all[s.y].wrapped = true
			s.down()
			s.x = 0
		}
	}
	cells := &s.all[s.y].cells
	for len(*cells) < s.x+wide {
		*cells = append(*cells, " ")
	}
	(*cells)[s.x] = string(r)
	if wide == 2 {
		(*cells)[s.x+1] = ""
	}
	s.x += wide
	if s.noWrap {
		s.x = min(s.x, s.columns-1)
	}
}

// columnsOf is how many a letter takes: the blocks of letters that terminals show wide, as far as tests use them.
func columnsOf(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xff00 && r <= 0xff60,
		r >= 0x1f300 && r <= 0x1f64f:
		return 2
	}
	return 1
}

// Resize makes the window larger or smaller.
func (s *Screen) Resize(columns, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.columns, s.rows = columns, rows
	defer func() { // the cursor stays on the screen; what is too far below it is lost
		s.all = s.all[:min(len(s.all), s.y+rows)]
	}()
	if !s.reflow {
		for i := range s.all {
			s.all[i].cells = s.all[i].cells[:min(len(s.all[i].cells), columns)]
		}
		s.x = min(s.x, columns-1)
		return
	}
	for len(s.all) > s.y+1 && len(s.all[len(s.all)-1].cells) == 0 {
		s.all = s.all[:len(s.all)-1]
	}
	old, x, y := s.all, s.x, s.y
	s.all = nil
	for i := 0; i < len(old); i++ {
		var cells []string
		at := -1 // where in the line the cursor is
		for ; ; i++ {
			if i == y {
				at = len(cells) + x
			}
			cells = append(cells, old[i].cells...)
			if !old[i].wrapped || i == len(old)-1 {
				break
			}
		}
		first := len(s.all)
		for len(cells) > columns {
			s.all = append(s.all, row{cells: slices.Clone(cells[:columns]), wrapped: true})
			cells = cells[columns:]
		}
		s.all = append(s.all, row{cells: slices.Clone(cells)})
		if at >= 0 {
			s.y = min(first+at/columns, len(s.all)-1)
			s.x = at - (s.y-first)*columns
		}
	}
}

func (r row) String() string { return strings.TrimRight(strings.Join(r.cells, ""), " ") }

// Text gives the lines, also those that have scrolled off; a line that wrapped is one. Empty rows at the end are none.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return text(s.all)
}

// Above gives the lines above the cursor's row, Below the cursor's row and those below it.
func (s *Screen) Above() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return text(s.all[:s.y])
}

// Below gives the cursor's row and the lines below it.
func (s *Screen) Below() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return text(s.all[s.y:])
}

func text(rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		if r.wrapped {
			b.WriteString(strings.Join(r.cells, ""))
			continue
		}
		b.WriteString(r.String() + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// Wrapped gives the rows from the cursor's on that go on in the next.
func (s *Screen) Wrapped() (wrapped []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all[s.y:] {
		if r.wrapped {
			wrapped = append(wrapped, r.String())
		}
	}
	return wrapped
}

// Faults says what is wrong with the terminal as it was left: a cursor that is hidden, lines that do not wrap, a colour
// that is still set, and everything that it was told and that is not text, or not known here.
func (s *Screen) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []string
	for _, odd := range s.odd {
		faults = append(faults, "the terminal was told "+odd)
	}
	if s.hidden {
		faults = append(faults, "the cursor is hidden")
	}
	if s.noWrap {
		faults = append(faults, "lines do not wrap")
	}
	if s.color != "" {
		faults = append(faults, "the color is "+s.color)
	}
	if len(s.rest) > 0 {
		faults = append(faults, fmt.Sprintf("%q is unfinished", s.rest))
	}
	return faults
}

// Colored tells whether a colour was ever used.
func (s *Screen) Colored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.colored
}
