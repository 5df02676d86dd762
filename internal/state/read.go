package state

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"time"
	"unique"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
)

// longestLine is far more than any line of ours has, in bytes: a power cut can leave a tail of zeros.
const longestLine = 64 * maxRecord

// wholeLines reads the lines of a file that have an end. What stands behind the last one was torn.
func wholeLines(f io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longestLine)
	lines.Split(func(data []byte, atEOF bool) (advance int, line []byte, err error) {
		if end := bytes.IndexByte(data, '\n'); end >= 0 {
			return end + 1, data[:end], nil
		}
		return 0, nil, nil
	})
	return lines
}

// reader folds the records of a file, one after the other.
type reader struct {
	run             *Run
	texts           []string // of the list, by their numbers
	listing         bool     // between list and listed
	groups, skipped int      // how many the list promises
}

// read reads a journal. The path is for its name, and for errors.
func read(f io.Reader, path string) (*Run, error) {
	r := reader{run: &Run{}}
	r.run.name(path)
	lines := wholeLines(f)
	n := 1
	if lines.Scan() {
		if err := r.run.header(path, lines.Bytes()); err != nil {
			return nil, err
		}
		n++
	}
	for ; lines.Scan(); n++ {
		if err := r.take(lines.Bytes()); err != nil {
			return nil, &DamagedError{path, n, err}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, &DamagedError{path, n, err}
	}
	if !r.run.Listed && !r.run.Aside {
		r.run.entries = nil // the end of the list was torn off, and nothing was sent
	}
	return r.run, nil
}

// Why a line cannot be right.
var (
	errOrder    = errors.New("a record that cannot stand here")
	errNumber   = errors.New("a number of nothing in the list")
	errShort    = errors.New("the list is not as long as it says")
	errFinished = errors.New("a record after the last")
	errNoStart  = errors.New("the end of a try that never started")
	errCounts   = errors.New("its counts do not add up to the length of the list")
)

// longestList is the most groups that room is made for before they are there: their number is only a promise.
const longestList = 1 << 20

func (r *reader) take(line []byte) error {
	run := r.run
	if !run.Finished.IsZero() {
		return errFinished
	}
	if len(line) > 0 && line[0] == '[' {
		return r.group(line)
	}
	var c record
	if err := parseRecord(line, &c); err != nil {
		return err
	}
	inOrder := run.Listed
	switch {
	case c.List != nil:
		inOrder = !r.listing && !run.Listed
	case c.Text != nil, c.Open != nil, c.Listed != nil:
		inOrder = r.listing
	case c.Limit != nil && c.Steer != "":
		inOrder = !r.listing // also before there is a list
	case c.Finished != nil:
		inOrder = run.Listed == (c.counts != nil)
	}
	if !inOrder {
		return errOrder
	}
	switch {
	case c.List != nil:
		r.listing, r.groups, r.skipped = true, c.n, c.Skipped
		run.entries = make([]Entry, 0, min(c.n+c.Skipped, longestList))
	case c.Text != nil:
		r.texts = append(r.texts, *c.Text)
	case c.Listed != nil:
		if len(run.entries) != r.groups+r.skipped || c.n != len(run.entries) {
			return errShort
		}
		r.listing = false
	case c.Limit != nil:
		if c.Steer != "" {
			run.Steers = append(run.Steers, Steer{At: run.time(c.At), What: c.Steer, From: c.From, To: c.To, Sends: c.n})
		}
		if n := len(run.Limits); c.Steer == "" || n > 0 && run.Limits[n-1].Sends != c.n || n == 0 && c.n != max(run.Workers, 1) {
			run.Limits = append(run.Limits, Limit{At: run.time(c.At), Sends: c.n, Crowded: c.Crowded})
		}
		if !run.Listed { // or what comes next would seem to follow a list
			return nil
		}
	case c.Finished != nil:
		if c.counts != nil && total(*c.counts) != len(run.entries) {
			return errCounts
		}
		if err := r.judged(&c); err != nil {
			return err
		}
	default:
		if c.n >= min(r.groups, len(run.entries)) {
			return errNumber
		}
		if err := run.event(&run.entries[c.n], &c); err != nil {
			return err
		}
	}
	run.end(&c)
	return nil
}

// group takes one group of the list.
func (r *reader) group(line []byte) error {
	if !r.listing {
		return errOrder
	}
	g, err := parseGroup(line)
	skipped := len(r.run.entries) >= r.groups
	if err != nil || g.values < 2 || g.values == 4 || (g.values > 2) != skipped {
		return errSyntax
	}
	if len(r.run.entries) == r.groups+r.skipped {
		return errShort
	}
	e := Entry{Group: Group{shared(g.Site), g.Group.Group}, Outcome: dispatcher.NotAttempted}
	if skipped {
		if min(g.reason, g.in) < 0 || max(g.reason, g.in) >= len(r.texts) {
			return errNumber
		}
		e.Outcome, e.Reason = dispatcher.Skipped, r.texts[g.reason]
	}
	if g.values > 3 {
		e.In, e.End = r.texts[g.in], r.run.time(g.at)
	}
	r.run.entries = append(r.run.entries, e)
	return nil
}

// judged takes what the service's own tables told.
func (r *reader) judged(c *record) error {
	sent := min(r.groups, len(r.run.entries))
	for _, part := range []struct {
		of      []Entry
		letters string
		gaps    []int
	}{{r.run.entries[:sent], c.Mail, c.GapGroups}, {r.run.entries[sent:], c.LeftMail, c.LeftGaps}} {
		if len(part.letters) > len(part.of) || len(part.gaps) > 0 && slices.Max(part.gaps) >= len(part.of) {
			return errNumber
		}
		for _, i := range part.gaps {
			r.run.Gaps = append(r.run.Gaps, part.of[i].Group)
		}
		for i := range len(part.letters) {
			e := &part.of[i]
			if e.Mail = ledger.MailOf(part.letters[i]); idle(e.Outcome, e.Mail) {
				e.Outcome, e.Reason = dispatcher.Skipped, IdleReason
			}
		}
	}
	if c.Later != nil {
		r.run.GapsLater = time.Duration(*c.Later)
	}
	return nil
}

func total(counts dispatcher.Counts) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

// event takes what an earlier run left of a group, or the start or the end of a try.
func (r *Run) event(e *Entry, c *record) error {
	at := r.time(c.At)
	switch {
	case c.Open != nil:
		e.ambiguous(shared(c.Reason))
		e.Last = at
		if c.Since != nil {
			e.Lost = &dispatcher.Lost{Reason: e.Reason, Start: r.time(c.Since)}
		}
	case c.Start != nil:
		e.lose()
		e.ambiguous("")
		e.Last, e.Worker, e.Attempts = at, c.Worker, c.Attempts
	default:
		if e.Attempts == 0 && !e.Open { // of an open one it may be found out elsewhere what became of it
			return errNoStart
		}
		if e.Attempts > 0 {
			e.Attempts = c.Attempts
		}
		e.Open, e.Again, e.NotDelivered, e.End = false, c.Retry, c.provesNothingSent(), at
		e.Outcome, e.Status, e.Reason, e.Error = c.outcome, c.Status, shared(c.Reason), shared(c.Error)
	}
	return nil
}

// provesNothingSent reports whether the end of a try proves that it delivered nothing. Files of the version before did not
// say so: there it is what that version tried again, or would have.
func (r *record) provesNothingSent() bool {
	switch r.outcome {
	case dispatcher.Rejected, dispatcher.Unreachable:
		return true
	case dispatcher.NotOK:
		return r.NotDelivered || r.Retry || r.Status <= 500
	}
	return r.NotDelivered
}

// shared is text, held once: of the sites, reasons and errors of all groups few are different.
func shared(text string) string { return unique.Make(text).Value() }
