package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
)

// syncEvery is how often the file is brought to the disk while there is something new in it.
const syncEvery = time.Second

// Writer writes the journal of one run. It is a [dispatcher.Observer], and has to be the first of them: an event is
// on file when Observe returns. Its methods may be called by several goroutines.
//
// A Writer never stops a run. When it fails it sets the journal aside, see the package's rules, and from then on does
// nothing; Err and Close say why.
type Writer struct {
	dir      *Dir
	run      string
	setAside func(*JournalWriteError)
	started  time.Time

	dirty chan struct{} // holds a value while something is not on the disk
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // for all below
	path    string
	file    file
	buf     []byte
	jobs    map[key]uint32 // the number of each group that is sent to
	states  []byte         // of each group that is sent to: its outcome, or untried, or open
	skipped int
	listed  bool
	closed  bool
	err     *JournalWriteError
}

const (
	untried = 254
	open    = 253
)

var _ dispatcher.Observer = (*Writer)(nil)

// Begin makes the journal of a run and writes its header. If the journal has to be set aside later, setAside is
// called, at most once, from whichever goroutine notices it; it must be quick and not call the Writer. It may be nil.
// Errors are [*DirError].
func (d *Dir) Begin(h Header, setAside func(*JournalWriteError)) (*Writer, error) {
	path := filepath.Join(d.path, h.Run+suffix)
	if !ValidRun(h.Run) {
		return nil, dirError(path, errRunName)
	}
	head, err := appendHeader(nil, h)
	if err == nil && len(head) > maxRecord {
		err = errTooLong
	}
	if err != nil {
		return nil, dirError(path, err)
	}
	f, err := d.create(path)
	if err != nil {
		return nil, dirError(path, err)
	}
	if _, err := f.Write(head); err != nil {
		_ = f.Close()
		_ = os.Remove(path) // nothing was sent
		return nil, dirError(path, err)
	}
	// The name, too, has to survive a power cut. Some file systems cannot sync a directory, and need not.
	if parent, err := os.Open(d.path); err == nil {
		_ = parent.Sync()
		_ = parent.Close()
	}
	w := &Writer{
		dir: d, run: h.Run, path: path, setAside: setAside, started: h.Started, file: f,
		dirty: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	w.dirty <- struct{}{}
	go w.sync()
	return w, nil
}

// Path is where the journal is. It changes when the journal is set aside.
func (w *Writer) Path() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.path
}

// List writes the list: the groups that will be sent to, in dispatch order, those that are left out, and which of the
// former an earlier run left open. It is called once, before the first event.
func (w *Writer) List(groups []Group, skipped []Skip, opened ...LeftOpen) {
	w.change(func() error {
		if w.listed || w.jobs != nil {
			return errors.New("a second list")
		}
		w.jobs = make(map[key]uint32, len(groups))
		w.states = make([]byte, len(groups))
		w.skipped = len(skipped)
		for i, g := range groups {
			k := keyOf(g.Key())
			if _, twice := w.jobs[k]; twice {
				return fmt.Errorf("%q is in the list twice", g.Key())
			}
			w.jobs[k] = uint32(i)
			w.states[i] = untried
		}
		if err := w.writeList(groups, skipped, opened); err != nil {
			return err
		}
		w.listed = true
		return nil
	})
}

// listChunk is how much of the list is written at once. Unlike events it need not be there record by record: nothing
// is sent before it is whole.
const listChunk = 64 << 10

func (w *Writer) writeList(groups []Group, skipped []Skip, opened []LeftOpen) error {
	b := append(w.buf[:0], `{"list":`...)
	b = strconv.AppendInt(b, int64(len(groups)), 10)
	b = strconv.AppendInt(append(b, `,"skipped":`...), int64(len(skipped)), 10)
	b = append(b, '}', '\n')
	start := 0 // of the last record
	record := func(g Group, more func()) error {
		if !utf8.ValidString(g.Site) || !utf8.ValidString(g.Group) {
			return fmt.Errorf("%q is not UTF-8", g.Key())
		}
		start = len(b)
		b = appendString(append(b, '['), g.Site)
		b = appendString(append(b, ','), g.Group)
		more()
		b = append(b, ']', '\n')
		if len(b)-start > maxRecord {
			return fmt.Errorf("%.40q… is too long a name", g.Key())
		}
		if len(b) < listChunk {
			return nil
		}
		_, err := w.file.Write(b)
		b = b[:0]
		return err
	}
	for _, g := range groups {
		if err := record(g, func() {}); err != nil {
			return err
		}
	}
	texts := map[string]int{}
	number := func(text string) int64 {
		n, seen := texts[text]
		if !seen {
			n = len(texts)
			texts[text] = n
			b = append(appendString(append(b, `{"text":`...), clip(text)), '}', '\n')
		}
		return int64(n)
	}
	for _, s := range skipped {
		reason, in := number(s.Reason), int64(0)
		if s.In != "" {
			in = number(s.In)
		}
		err := record(s.Group, func() {
			b = strconv.AppendInt(append(b, ','), reason, 10)
			if s.In != "" {
				b = strconv.AppendInt(append(b, ','), in, 10)
				b = appendSeconds(append(b, ','), s.At.Sub(w.started))
			}
		})
		if err != nil {
			return err
		}
	}
	for _, o := range opened {
		i, known := w.jobs[keyOf(o.Key())]
		if !known {
			return fmt.Errorf("%q is not in the list", o.Key())
		}
		w.states[i] = open
		b = appendOpen(b, int(i), &o, w.started)
	}
	b = strconv.AppendInt(append(b, `{"listed":`...), int64(len(groups)+len(skipped)), 10)
	b = append(b, '}', '\n')
	w.buf = b
	_, err := w.file.Write(b)
	return err
}

// Observe writes one event.
func (w *Writer) Observe(e dispatcher.Event) {
	w.change(func() error {
		i, known := w.jobs[keyOf(e.Result.Job.Key())]
		if !known || !w.listed {
			return fmt.Errorf("%q is not in the list", e.Result.Job.Key())
		}
		r := &e.Result
		switch e.Kind {
		case dispatcher.Started:
			w.states[i] = open
			w.buf = appendStart(w.buf[:0], int(i), r.Start.Sub(w.started), r.Worker, r.Attempts)
		case dispatcher.Retrying, dispatcher.Settling, dispatcher.Finished:
			v := r.Verdict
			if int(v.Outcome) >= len(dispatcher.Counts{}) {
				v.Outcome = dispatcher.Ambiguous // what has no name is known by nobody
			}
			at := r.Start.Add(r.Took).Sub(w.started)
			w.states[i] = byte(v.Outcome)
			w.buf = appendEnd(w.buf[:0], int(i), at, v, r.Attempts, e.Kind != dispatcher.Finished)
		default:
			return nil
		}
		_, err := w.file.Write(w.buf)
		return err
	})
}

// Limit writes how many sends may be in flight from now on, where that is found in the course of the run. crowded is why,
// see [Limit].
func (w *Writer) Limit(sends, crowded int) {
	w.change(func() error {
		if !w.listed {
			return nil // nothing is sent yet
		}
		w.buf = appendLimit(w.buf[:0], sends, crowded, time.Since(w.started))
		_, err := w.file.Write(w.buf)
		return err
	})
}

// Finish writes how the run ended. It is called once, after the last event.
func (w *Writer) Finish(e Ending) {
	w.change(func() error {
		var counts *dispatcher.Counts
		if w.listed {
			counts = w.counts()
		}
		w.buf = appendFinished(w.buf[:0], e.At.Sub(w.started), e, counts)
		_, err := w.file.Write(w.buf)
		return err
	})
}

func (w *Writer) counts() *dispatcher.Counts {
	var c dispatcher.Counts
	for _, state := range w.states {
		switch state {
		case untried:
			c[dispatcher.NotAttempted]++
		case open:
			c[dispatcher.Ambiguous]++
		default:
			c[state]++
		}
	}
	c[dispatcher.Skipped] += w.skipped
	return &c
}

// change writes something, unless the journal is closed or was set aside, and sets it aside where that fails.
func (w *Writer) change(write func() error) {
	w.mu.Lock()
	if w.closed || w.err != nil {
		w.mu.Unlock()
		return
	}
	failed := w.failed(write())
	w.mu.Unlock()
	if failed != nil {
		w.tell(failed)
		return
	}
	w.mark()
}

// failed sets the journal aside for err, if it is the first. The caller holds mu, and tells the owner without it.
func (w *Writer) failed(err error) *JournalWriteError {
	if err == nil || w.err != nil {
		return nil
	}
	aside := filepath.Join(w.dir.path, w.run+asideMark+suffix)
	w.err = &JournalWriteError{Path: w.path, Err: err}
	if os.Rename(w.path, aside) == nil {
		w.err.Path, w.err.Marked = aside, true
		w.path = aside
	}
	w.jobs, w.states, w.buf = nil, nil, nil
	return w.err
}

func (w *Writer) tell(e *JournalWriteError) {
	if w.setAside != nil {
		w.setAside(e)
	}
}

// sync brings the file to the disk a second after something was written, until Close. What was written meanwhile
// goes with it.
func (w *Writer) sync() {
	defer close(w.done)
	timer := time.NewTimer(syncEvery)
	timer.Stop()
	for {
		select {
		case <-w.dirty:
		case <-w.quit:
			return
		}
		timer.Reset(syncEvery)
		select {
		case <-timer.C:
		case <-w.quit:
			timer.Stop()
			w.mark()
			return
		}
		select {
		case <-w.dirty:
		default:
		}
		if !w.syncNow() {
			return
		}
	}
}

// mark notes that something is not on the disk yet.
func (w *Writer) mark() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// syncNow brings the file to the disk. It reports false when the journal is set aside. Events are written meanwhile.
func (w *Writer) syncNow() bool {
	w.mu.Lock()
	f, stopped := w.file, w.err != nil
	w.mu.Unlock()
	if stopped {
		return false
	}
	err := f.Sync()
	if err == nil {
		return true
	}
	// What the kernel could not write it may have dropped, so a second sync that works would prove nothing.
	w.mu.Lock()
	failed := w.failed(err)
	w.mu.Unlock()
	if failed != nil {
		w.tell(failed)
	}
	return false
}

// Err is why the journal was set aside, a [*JournalWriteError]; nil if it was not.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return nil
	}
	return w.err
}

// Close brings everything to the disk and waits for the Writer's goroutine. Its error is that of Err. A second call
// does nothing more.
func (w *Writer) Close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if !first {
		<-w.done
		return w.Err()
	}
	close(w.quit)
	<-w.done
	select {
	case <-w.dirty:
		w.syncNow()
	default:
	}
	if err := w.file.Close(); err != nil {
		w.mu.Lock()
		failed := w.failed(err)
		w.mu.Unlock()
		if failed != nil {
			w.tell(failed)
		}
	}
	return w.Err()
}
