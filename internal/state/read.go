package state

import (
	"bufio"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

var errTooLong = errors.New("it is too long for a record")

// lineReader reads whole lines. A line is good until the next is read.
type lineReader struct {
	r    *bufio.Reader
	line int // number of the last one
	long []byte
}

// next gives the next line without its end. io.EOF: there is no whole line any more.
func (l *lineReader) next() ([]byte, error) {
	l.line++
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	l.long = l.long[:0]
	tooLong := false
	for err == bufio.ErrBufferFull {
		if tooLong = tooLong || len(l.long) > maxRecord; !tooLong {
			l.long = append(l.long, line...)
		}
		line, err = l.r.ReadSlice('\n')
	}
	switch {
	case err != nil:
		return nil, err
	case tooLong:
		return nil, errTooLong
	}
	l.long = append(l.long, line[:len(line)-1]...)
	return l.long, nil
}

// reader folds the records of a file, one after the other. It may read several files, but then a [Run] is good until the
// next is read.
type reader struct {
	timesOnly bool // nobody will ask for reasons and errors

	path   string
	lines  lineReader
	run    Run
	names  strings.Builder
	record record
	texts  []uint32          // the numbers of the texts that the list has had, in the run
	shared map[string]uint32 // the numbers of all texts of the run

	listing         bool // between list and listed
	groups, skipped int  // how many the list promises
}

// load reads a journal. The path is for its name, and for errors.
func (r *reader) load(f io.Reader, path string) (*Run, error) {
	*r = reader{
		timesOnly: r.timesOnly, path: path, lines: lineReader{r: bufio.NewReaderSize(f, 64<<10)},
		run: Run{entries: r.run.entries[:0], texts: []string{""}}, shared: map[string]uint32{"": 0},
	}
	r.run.name(path)
	for {
		line, err := r.lines.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.take(line)
		}
		switch err.(type) {
		case nil:
		case *VersionError, *DamagedError:
			return nil, err
		default:
			return nil, &DamagedError{path, r.lines.line, err}
		}
	}
	r.finish()
	run := r.run // without all that the reader has besides
	return &run, nil
}

// Why a line cannot be right.
var (
	errOrder    = errors.New("a record that cannot stand here")
	errNumber   = errors.New("a number of nothing in the list")
	errShort    = errors.New("the list does not have as many groups as it says")
	errFinished = errors.New("a record after the last")
	errNoStart  = errors.New("the end of a try that never started")
	errCounts   = errors.New("its counts do not add up to the groups of the list")
)

const (
	longestList = 1 << 20 // the most groups that room is made for before they are there: the number is only a promise
	nameLength  = 16      // bytes of a group's name that room is made for
)

func (r *reader) take(line []byte) error {
	if r.lines.line == 1 {
		return r.run.header(r.path, line)
	}
	if !r.run.Finished.IsZero() {
		return errFinished
	}
	if len(line) > 0 && line[0] == '[' {
		if !r.listing {
			return errOrder
		}
		return r.group(line)
	}
	c := &r.record
	if err := parseRecord(line, c); err != nil {
		return err
	}
	switch {
	case c.List != nil:
		if r.listing || r.run.Listed {
			return errOrder
		}
		r.listing = true
		r.groups, r.skipped = c.n, c.Skipped
		room := min(c.n+c.Skipped, longestList)
		r.run.entries = slices.Grow(r.run.entries, room)
		r.names.Grow(nameLength * room)
		return nil
	case c.Text != nil:
		if !r.listing {
			return errOrder
		}
		r.texts = append(r.texts, r.share(*c.Text))
		return nil
	case c.Open != nil:
		if !r.listing {
			return errOrder
		}
		if c.n >= min(r.groups, len(r.run.entries)) {
			return errNumber
		}
		e := &r.run.entries[c.n]
		e.leave()
		if c.At != nil {
			e.last = c.at()
		}
		if !r.timesOnly {
			e.reason = r.share(c.Reason)
		}
		if c.Since != nil {
			r.lose(c.n, time.Duration(*c.Since), e.reason)
		}
		return nil
	case c.Listed != nil:
		if !r.listing {
			return errOrder
		}
		if len(r.run.entries) != r.groups+r.skipped || c.n != len(r.run.entries) {
			return errShort
		}
		r.listing = false
	case c.Finished != nil:
		if (c.counts != nil) != r.run.Listed {
			return errOrder
		}
		if c.counts != nil && total(*c.counts) != len(r.run.entries) {
			return errCounts
		}
	case c.Limit != nil:
		if !r.run.Listed {
			return errOrder
		}
		r.run.Limits = append(r.run.Limits, Limit{At: r.run.Started.Add(c.at()), Sends: c.n, Crowded: c.Crowded})
	default:
		if !r.run.Listed {
			return errOrder
		}
		if c.n >= r.groups {
			return errNumber
		}
		e := &r.run.entries[c.n]
		if c.End != nil && e.start == never {
			return errNoStart
		}
		r.event(c.n, e)
	}
	r.run.end(c)
	return nil
}

// group takes one group of the list.
func (r *reader) group(line []byte) error {
	g, err := parseGroup(line)
	skipped := len(r.run.entries) >= r.groups
	if err != nil || g.values < 2 || g.values == 4 || (g.values > 2) != skipped {
		return errSyntax
	}
	if r.names.Len() > math.MaxUint32 {
		return errTooLong
	}
	e := entry{
		start: never, last: never, end: never, name: uint32(r.names.Len()), site: r.share(g.site),
		outcome: dispatcher.NotAttempted,
	}
	r.names.WriteString(g.group)
	ok := true
	if skipped {
		e.outcome = dispatcher.Skipped
		if e.reason, ok = r.text(g.reason); !ok {
			return errNumber
		}
	}
	if g.values > 3 {
		e.end = time.Duration(g.at)
		if e.more, ok = r.text(g.in); !ok {
			return errNumber
		}
	}
	if len(r.run.entries) == r.groups+r.skipped {
		return errShort
	}
	r.run.entries = append(r.run.entries, e)
	return nil
}

// text is the number of the text that a group refers to.
func (r *reader) text(n int) (uint32, bool) {
	if n < 0 || n >= len(r.texts) {
		return 0, false
	}
	return r.texts[n], true
}

func total(counts dispatcher.Counts) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

// event takes the start or the end of a try of entry i.
func (r *reader) event(i int, e *entry) {
	c := &r.record
	e.attempts = int32(c.Attempts)
	if c.Start != nil {
		if e.outcome == dispatcher.Ambiguous {
			r.lose(i, e.last, e.reason)
		}
		if e.start == never {
			e.start = c.at()
		}
		e.last, e.worker = c.at(), int32(c.Worker)
		e.leave()
		return
	}
	e.open, e.again, e.end = false, c.Retry, c.at()
	e.outcome, e.status = c.outcome, int32(c.Status)
	if !r.timesOnly { // there may be as many as groups
		e.reason, e.more = r.share(c.Reason), r.share(c.Error)
	}
}

// lose keeps an ambiguous try of entry i, if it is the first.
func (r *reader) lose(i int, start time.Duration, reason uint32) {
	if _, twice := r.run.lost[i]; twice || r.timesOnly {
		return
	}
	if r.run.lost == nil {
		r.run.lost = map[int]lost{}
	}
	r.run.lost[i] = lost{start, reason}
}

// leave makes an entry one of which a try may have left, and nothing more is known.
func (e *entry) leave() {
	e.open, e.again = true, false
	e.outcome, e.status, e.reason, e.more = dispatcher.Ambiguous, 0, 0, 0
}

// share gives the number of a text, the same one each time.
func (r *reader) share(text string) uint32 {
	n, ok := r.shared[text]
	if !ok {
		n = uint32(len(r.run.texts))
		r.shared[text] = n
		r.run.texts = append(r.run.texts, text)
	}
	return n
}

// finish looks at what the whole file says.
func (r *reader) finish() {
	r.run.names = r.names.String()
	if !r.run.Aside {
		if !r.run.Listed {
			r.run.entries = r.run.entries[:0] // its end was torn off, and nothing was sent
		}
		return
	}
	reason := r.share(asideReason)
	for i := range r.run.entries {
		e := &r.run.entries[i]
		// Of an open try the end may be what could not be written, and another may have followed.
		if e.outcome == dispatcher.NotAttempted || e.again || e.open {
			if e.again && e.outcome == dispatcher.Ambiguous {
				r.lose(i, e.last, e.reason)
			}
			e.leave()
			e.reason, e.unsure = reason, true
		}
	}
}
