package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// summarize reads the first and the last record of a file. What it could learn before an error it gives with it.
func summarize(path string) (Summary, error) {
	var s Summary
	s.Run, s.Aside, _ = runOf(filepath.Base(path))
	f, err := os.Open(path)
	if err != nil {
		return s, dirError(path, err)
	}
	defer func() { _ = f.Close() }()
	lines := lineReader{r: bufio.NewReaderSize(f, 4<<10)}
	head, err := lines.next()
	switch {
	case err == io.EOF:
		return s, nil // killed at birth
	case err != nil:
		return s, &DamagedError{path, 1, err}
	}
	if err := s.header(path, head); err != nil {
		return s, err
	}
	last, err := lastLine(f, int64(len(head)+1))
	if err != nil {
		return s, &DamagedError{path, 0, err}
	}
	if len(last) == 0 || last[0] == '[' {
		return s, nil // the list is not whole
	}
	var r record
	if !parseRecord(last, &r) {
		return s, &DamagedError{path, 0, errSyntax}
	}
	s.end(&r)
	return s, nil
}

// header takes the first line in.
func (s *Summary) header(path string, line []byte) error {
	h, version, err := parseHeader(line)
	if err != nil {
		return &DamagedError{path, 1, err}
	}
	run := s.Run
	s.Header = h
	s.Run = run // the file's name leads to it, whatever a newer header may say
	s.Last = h.Started
	if version > Version {
		return &VersionError{path, version}
	}
	if h.Run != run {
		return &DamagedError{path, 1, fmt.Errorf("it is of run %.40q", h.Run)}
	}
	return nil
}

// end takes a record in that may be the last.
func (s *Summary) end(r *record) {
	switch r.kind {
	case listedRecord:
		s.Listed = true
	case startRecord, endRecord:
		s.Listed = true
		s.Last = s.Started.Add(r.at)
	case finishedRecord:
		s.Listed = r.counted
		s.Last = s.Started.Add(r.at)
		s.Finished = s.Last
		s.StoppedBy, s.Error = string(r.stoppedBy), string(r.error)
		s.Counts = r.counts
	}
}

// lastLine gives the last whole line of a file, if there is one after its first from bytes.
func lastLine(f *os.File, from int64) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	for chunk := int64(4 << 10); ; chunk *= 4 {
		start := max(size-chunk, from)
		tail := make([]byte, max(size-start, 0))
		if _, err := f.ReadAt(tail, start); err != nil && err != io.EOF {
			return nil, err
		}
		whole := tail[:bytes.LastIndexByte(tail, '\n')+1]
		if len(whole) > 0 {
			line := whole[:len(whole)-1]
			before := bytes.LastIndexByte(line, '\n')
			if before >= 0 || start == from {
				return line[before+1:], nil
			}
		}
		if start == from {
			return nil, nil
		}
		// A line is never so long. What follows the last one may be: a power cut can leave a tail of zeros.
		if chunk > 64*maxRecord {
			return nil, errTooLong
		}
	}
}

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

// Run is a journal that was read whole.
type Run struct {
	Summary
	// Entries are the groups of the list: those that were to be sent to in dispatch order, then those left out.
	Entries []Entry
	index   map[string]int // made by the first Entry
}

// Load reads the journal of a run. Its error is a [*RunError], [*VersionError] or [*DamagedError].
func (d *Dir) Load(run string) (*Run, error) {
	path, err := d.find(run)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &RunError{run, d.path, err}
	}
	defer func() { _ = f.Close() }()
	return load(f, path)
}

// load reads a journal. The path is for its name, and for errors.
func load(f io.Reader, path string) (*Run, error) {
	r := &reader{path: path, lines: lineReader{r: bufio.NewReaderSize(f, 64<<10)}, shared: map[string]string{}}
	r.run.Run, r.run.Aside, _ = runOf(filepath.Base(path))
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
	return &r.run, nil
}

// reader folds the records of a file, one after the other.
type reader struct {
	path   string
	lines  lineReader
	run    Run
	values []value
	record record
	texts  []string
	shared map[string]string // one copy of each text that many groups share

	listing         bool // between list and listed
	groups, skipped int  // how many the list promises
}

// Why a line cannot be right.
var (
	errOrder    = errors.New("a record that cannot stand here")
	errNumber   = errors.New("a number of nothing in the list")
	errShort    = errors.New("the list does not have as many groups as it says")
	errFinished = errors.New("a record after the last")
)

// longestList is the most groups that room is made for before they are there: the number is only a promise.
const longestList = 1 << 20

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
	if !parseRecord(line, c) {
		return errSyntax
	}
	switch c.kind {
	case listRecord:
		if r.listing || r.run.Listed {
			return errOrder
		}
		r.listing = true
		r.groups, r.skipped = c.n, c.skipped
		r.run.Entries = make([]Entry, 0, min(c.n+c.skipped, longestList))
		return nil
	case textRecord:
		if !r.listing {
			return errOrder
		}
		r.texts = append(r.texts, string(c.text))
		return nil
	case openRecord:
		if !r.listing {
			return errOrder
		}
		if c.n >= min(r.groups, len(r.run.Entries)) {
			return errNumber
		}
		e := &r.run.Entries[c.n]
		e.leave("")
		if c.timed {
			e.Last = r.run.Started.Add(c.at)
		}
		return nil
	case listedRecord:
		if !r.listing {
			return errOrder
		}
		if len(r.run.Entries) != r.groups+r.skipped || c.n != len(r.run.Entries) {
			return errShort
		}
		r.listing = false
	case finishedRecord:
		if c.counted != r.run.Listed {
			return errOrder
		}
	default:
		if !r.run.Listed {
			return errOrder
		}
		if c.n >= r.groups {
			return errNumber
		}
		r.event(&r.run.Entries[c.n])
	}
	r.run.end(c)
	return nil
}

// group takes one group of the list.
func (r *reader) group(line []byte) error {
	s := scanner{b: line}
	var ok bool
	r.values, ok = s.array(r.values)
	v := r.values
	skipped := len(r.run.Entries) >= r.groups
	if !ok || len(v) < 2 || v[0].kind != '"' || v[1].kind != '"' || (len(v) > 2) != skipped {
		return errSyntax
	}
	e := Entry{Group: Group{r.share(v[0].text), string(v[1].text)}, Outcome: dispatcher.NotAttempted}
	if skipped {
		e.Outcome = dispatcher.Skipped
		if e.Reason, ok = r.text(v[2]); !ok {
			return errNumber
		}
	}
	if len(v) > 3 {
		var at time.Duration
		if len(v) < 5 || !v[4].seconds(&at) {
			return errSyntax
		}
		if e.In, ok = r.text(v[3]); !ok {
			return errNumber
		}
		e.End = r.run.Started.Add(at)
	}
	if len(r.run.Entries) == r.groups+r.skipped {
		return errShort
	}
	r.run.Entries = append(r.run.Entries, e)
	return nil
}

// text is the text that a group refers to.
func (r *reader) text(v value) (string, bool) {
	var n int
	if !v.int(&n) || n >= len(r.texts) {
		return "", false
	}
	return r.texts[n], true
}

// event takes the start or the end of a try.
func (r *reader) event(e *Entry) {
	c := &r.record
	at := r.run.Started.Add(c.at)
	e.Attempts = c.attempts
	if c.kind == startRecord {
		if e.Start.IsZero() {
			e.Start = at
		}
		e.Last, e.Worker = at, c.worker
		e.leave("")
		return
	}
	e.Open, e.Again, e.End = false, c.retry, at
	e.Outcome, e.Status = c.outcome, c.status
	e.Reason, e.Error = r.share(c.reason), r.share(c.error)
}

// leave makes an entry one of which a try may have left, and nothing more is known.
func (e *Entry) leave(reason string) {
	e.Open, e.Again = true, false
	e.Outcome, e.Status, e.Reason, e.Error = dispatcher.Ambiguous, 0, reason, ""
}

// share gives text as a string, the same one each time.
func (r *reader) share(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	if s, ok := r.shared[string(text)]; ok {
		return s
	}
	s := string(text)
	r.shared[s] = s
	return s
}

// asideReason is why a group is ambiguous that a journal does not know of because it was set aside.
const asideReason = "it may have been sent to after the journal was set aside"

// finish looks at what the whole file says.
func (r *reader) finish() {
	if !r.run.Aside {
		if !r.run.Listed {
			r.run.Entries = nil // its end was torn off, and nothing was sent
		}
		return
	}
	for i := range r.run.Entries {
		e := &r.run.Entries[i]
		// Of an open try the end may be what could not be written, and another may have followed.
		if e.Outcome == dispatcher.NotAttempted || e.Again || e.Open {
			e.leave(asideReason)
			e.Last = time.Time{}
		}
	}
}

// Entry gives what is known of the group with that key. A group that is not in the list was not sent to, unless the
// journal was set aside before the list was whole: then any group is ambiguous. Not for use by several goroutines.
func (r *Run) Entry(key string) (Entry, bool) {
	if r.index == nil {
		r.index = make(map[string]int, len(r.Entries))
		for i := range r.Entries {
			r.index[r.Entries[i].Key()] = i
		}
	}
	if i, ok := r.index[key]; ok {
		return r.Entries[i], true
	}
	if r.Aside { // a run without a journal may have come after it, with a newer list
		return Entry{Outcome: dispatcher.Ambiguous, Open: true, Reason: asideReason}, true
	}
	return Entry{}, false
}

// CutError is what stopped a run of which no end is on record.
type CutError struct{}

func (*CutError) Error() string { return "the run was cut off" }

// StopError is what stopped a run, as its journal has it.
type StopError struct {
	Word string // the report's word
	Text string
}

func (e *StopError) Error() string { return e.Text }

// Report makes the dispatcher's report of the run again. Its jobs are of type [Group].
func (r *Run) Report() *dispatcher.Report {
	report := &dispatcher.Report{Started: r.Started, Finished: r.Last, Results: make([]dispatcher.Result, len(r.Entries))}
	switch {
	case r.Finished.IsZero():
		report.StoppedBy = &CutError{}
	case r.StoppedBy != "":
		report.StoppedBy = &StopError{r.StoppedBy, r.Error}
	case r.Listed && r.Error != "":
		report.StoppedBy = errors.New(r.Error)
	}
	for i := range r.Entries {
		e := &r.Entries[i]
		v := dispatcher.Verdict{Outcome: e.Outcome, Status: e.Status, Reason: e.Reason}
		if e.Error != "" {
			v.Err = errors.New(e.Error)
		}
		switch {
		case e.Outcome == dispatcher.NotAttempted && report.StoppedBy != nil:
			v.Reason = report.StoppedBy.Error()
		case e.Open && e.Reason == "":
			v.Reason = (&CutError{}).Error()
		}
		result := dispatcher.Result{Job: e.Group, Verdict: v, Attempts: e.Attempts, Worker: e.Worker, Start: e.Start}
		if e.Attempts > 0 && e.End.After(e.Start) {
			result.Took = e.End.Sub(e.Start)
		}
		report.Results[i] = result
	}
	return report
}

// LastAccepted says when each group of an installation was last accepted, or may have been, as far as that was at
// since or later, by key: who asks wants to know how old the latest digest is at least. Of a send of unknown fate it
// is when the wait for its answer ended, or else when it started. It reads no file of a run that ended before. Files
// that cannot be read are left out and named in the error; the map is good all the same.
func (d *Dir) LastAccepted(in Installation, since time.Time) (map[string]time.Time, error) {
	accepted := map[string]time.Time{}
	err := d.recent(in, since, func(e *Entry) {
		at, ok := e.Accepted()
		if !ok && e.Outcome == dispatcher.Ambiguous {
			at, ok = e.Last, true
			if e.End.After(at) {
				at = e.End
			}
		}
		if ok && !at.Before(since) && at.After(accepted[e.Key()]) {
			accepted[e.Key()] = at
		}
	})
	return accepted, err
}

// LastOpen says when the last try of unknown fate started of each group of an installation, as far as that was at
// since or later, by key: the server may still be at work on it. Errors are as in LastAccepted.
func (d *Dir) LastOpen(in Installation, since time.Time) (map[string]time.Time, error) {
	opened := map[string]time.Time{}
	err := d.recent(in, since, func(e *Entry) {
		if e.Outcome == dispatcher.Ambiguous && !e.Last.Before(since) && e.Last.After(opened[e.Key()]) {
			opened[e.Key()] = e.Last
		}
	})
	return opened, err
}

// recent calls f with each entry of the runs that had not ended at since.
func (d *Dir) recent(in Installation, since time.Time, f func(*Entry)) error {
	runs, err := d.Runs(in)
	failed := []error{err}
	for i := range runs {
		s := &runs[i]
		if s.Err != nil {
			failed = append(failed, s.Err)
		}
		if s.Err != nil || !s.Listed || s.Last.Before(since) {
			continue
		}
		run, err := d.Load(s.Run)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for i := range run.Entries {
			f(&run.Entries[i])
		}
	}
	return errors.Join(failed...)
}
