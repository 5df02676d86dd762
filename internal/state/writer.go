package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
)

// syncEvery is how often what is new in the file is brought to the disk.
const syncEvery = time.Second

// Writer writes the journal of one run. It observes each [dispatcher.Event], before anybody else: an event is
// on file when Observe returns. Its methods may be called by several goroutines.
//
// A Writer never stops a run. When it fails it sets the journal aside, see the package's rules, and from then on does
// nothing; Err and Close say why.
type Writer struct {
	dir      *Dir
	run      string
	setAside func(*JournalWriteError)
	started  time.Time
	file     file

	quit  chan struct{} // closed by Close
	done  chan struct{} // closed when the goroutine has ended
	close sync.Once

	mu       sync.Mutex // for all below
	path     string
	dirty    bool                 // something is not on the disk
	buf      bytes.Buffer         // what is written next
	enc      *json.Encoder        // writes to buf
	jobs     map[key]int          // the number of each group that is sent to; nil before the list
	outcomes []dispatcher.Outcome // of each group that is sent to, as far as it has come
	skips    []Skip
	early    []Steer       // what an operator changed before the list, and is not written yet
	mails    []ledger.Mail // of each group that is sent to; nil: not known
	left     []ledger.Mail // of each of skips; nil: nothing is known of any
	gaps     ledger.Gaps
	closed   bool
	err      *JournalWriteError
}

// Begin makes the journal of a run and writes its header. If the journal has to be set aside later, setAside is
// called, at most once, by whichever goroutine notices it; it must be quick and not call the Writer. nil means no one asks.
// Errors are [*DirError].
func (d *Dir) Begin(h Header, setAside func(*JournalWriteError)) (*Writer, error) {
	path := d.file(h.Run + suffix)
	if !ValidRun(h.Run) {
		return nil, dirError(path, errRunName)
	}
	if h.Campaign != d.campaign {
		return nil, dirError(path, fmt.Errorf("a run of campaign %.40q among those of %s", h.Campaign, d.campaign))
	}
	head, err := h.line()
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
		dir: d, run: h.Run, path: path, setAside: setAside, started: h.Started, file: f, dirty: true,
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false) // the file is for people as well
	go w.sync()
	return w, nil
}

// Path is where the journal is. It changes when the journal is set aside.
func (w *Writer) Path() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.path
}

// add puts a record, or the array of a group, behind what is to be written.
func (w *Writer) add(r any) { _ = w.enc.Encode(r) } // it has numbers, texts and lengths of time: it cannot fail

// flush writes what was added, by one write(2).
func (w *Writer) flush() error {
	_, err := w.file.Write(w.buf.Bytes())
	w.buf.Reset()
	return err
}

// since is a time as records have it.
func (w *Writer) since(at time.Time) *seconds { return new(seconds(at.Sub(w.started))) }

// Observe writes one event.
func (w *Writer) Observe(e dispatcher.Event) {
	w.change(func() error {
		res := &e.Result
		i, known := w.jobs[keyOf(res.Job.Key())]
		if !known {
			return fmt.Errorf("%q is not in the list", res.Job.Key())
		}
		var r record
		switch e.Kind {
		case dispatcher.Started:
			w.outcomes[i] = dispatcher.Ambiguous
			r = record{Start: &i, At: w.since(res.Start), Worker: res.Worker}
		case dispatcher.Retrying, dispatcher.Settling, dispatcher.Finished:
			outcome := res.Outcome
			if int(outcome) >= len(dispatcher.Counts{}) {
				outcome = dispatcher.Ambiguous // what has no name is known by nobody
			}
			w.outcomes[i] = outcome
			ended := res.Start.Add(res.Took)
			if res.Start.IsZero() { // not tried in this run: what became of an earlier try was found out elsewhere
				ended = time.Now()
			}
			r = record{
				End: &i, At: w.since(ended), Outcome: outcome.String(), Status: res.Status, Reason: clip(res.Reason),
				Retry: e.Kind != dispatcher.Finished, NotDelivered: res.NotDelivered,
			}
			if res.Err != nil {
				r.Error = clip(res.Err.Error())
			}
		default:
			return nil
		}
		if res.Attempts != 1 {
			r.Attempts = res.Attempts
		}
		w.add(r)
		return w.flush()
	})
}

// Limit writes how many sends may be in flight from now on, where that is found in the course of the run. crowded is why,
// see [Limit].
func (w *Writer) Limit(sends, crowded int) {
	w.change(func() error {
		if w.jobs == nil {
			return nil // nothing is sent yet
		}
		w.add(record{Limit: &sends, At: w.since(time.Now()), Crowded: crowded})
		return w.flush()
	})
}

// Steer writes what an operator changed. Before there is a list it is kept: it is written behind the list, where older readers
// bear it, or before the end of a run that had none.
func (w *Writer) Steer(s Steer) {
	w.change(func() error {
		if w.jobs == nil {
			w.early = append(w.early, s)
			return nil
		}
		w.addSteer(s)
		return w.flush()
	})
}

func (w *Writer) addSteer(s Steer) {
	w.add(record{Limit: &s.Sends, At: w.since(s.At), Steer: s.What, From: s.From, To: s.To})
}

// addEarly adds what an operator changed before there was a list.
func (w *Writer) addEarly() {
	for _, s := range w.early {
		w.addSteer(s)
	}
	w.early = nil
}

// mostGaps is how many groups with posts that were in no digest a journal names: so many as people read, and no more than a line
// may hold.
const mostGaps = 100

// Judge keeps what the service's own tables told of the run, for its last record.
func (w *Writer) Judge(mails iter.Seq2[Group, ledger.Mail], gaps ledger.Gaps) {
	w.change(func() error {
		w.mails, w.gaps = make([]ledger.Mail, len(w.jobs)), gaps
		left := map[Group]ledger.Mail{}
		for g, m := range mails {
			if i, known := w.jobs[keyOf(g.Key())]; known {
				w.mails[i] = m
			} else if m != ledger.NotAsked {
				left[g] = m
			}
		}
		if len(left) > 0 {
			w.left = make([]ledger.Mail, len(w.skips))
			for i := range w.skips {
				w.left[i] = left[w.skips[i].Group]
			}
		}
		return nil
	})
}

// Finish writes how the run ended. It is called once, after the last event.
func (w *Writer) Finish(e Ending) {
	w.change(func() error {
		w.addEarly()
		r := record{
			Finished: w.since(e.At), StoppedBy: clip(e.StoppedBy), Error: clip(e.Error),
			Mail: ledger.Letters(w.mails), LeftMail: ledger.Letters(w.left),
		}
		if e.Paused > 0 {
			r.Paused = new(seconds(e.Paused))
		}
		w.addGaps(&r)
		w.add(r)
		if w.jobs != nil {
			var counts dispatcher.Counts
			counts[dispatcher.Skipped] = len(w.skips)
			for i, o := range w.outcomes {
				if w.mails != nil && idle(o, w.mails[i]) {
					o = dispatcher.Skipped
				}
				counts[o]++
			}
			appendCounts(&w.buf, &counts)
		}
		return w.flush()
	})
}

// addGaps adds to the last record what was found of posts that were in no digest.
func (w *Writer) addGaps(r *record) {
	if w.gaps.Posts == 0 {
		return
	}
	r.Gaps = []int{len(w.gaps.Groups), w.gaps.Posts}
	for _, g := range w.gaps.Groups[:min(len(w.gaps.Groups), mostGaps)] {
		if i, known := w.jobs[keyOf(Group(g).Key())]; known {
			r.GapGroups = append(r.GapGroups, i)
		} else if i := slices.IndexFunc(w.skips, func(s Skip) bool { return s.Group == Group(g) }); i >= 0 {
			r.LeftGaps = append(r.LeftGaps, i)
		}
	}
	if w.gaps.Later > 0 {
		r.Later = (*seconds)(&w.gaps.Later)
	}
}

// idle reports whether a group was left out because it had nothing to mail.
func idle(o dispatcher.Outcome, m ledger.Mail) bool {
	return o == dispatcher.NotAttempted && m == ledger.Nothing
}

// change writes something, unless the journal is closed or was set aside, and sets it aside where that fails.
func (w *Writer) change(write func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.err != nil {
		return
	}
	w.dirty = true
	w.failed(write())
}

// failed sets the journal aside for err, if it is the first. The caller holds mu.
func (w *Writer) failed(err error) {
	if err == nil || w.err != nil {
		return
	}
	aside := w.dir.file(w.run + asideMark + suffix)
	w.err = &JournalWriteError{Path: w.path, Err: err}
	if os.Rename(w.path, aside) == nil {
		w.err.Path, w.err.Marked = aside, true
		w.path = aside
	}
	w.jobs, w.outcomes, w.buf = nil, nil, bytes.Buffer{}
	if w.setAside != nil {
		w.setAside(w.err)
	}
}

// sync brings the file to the disk once a second, until Close.
func (w *Writer) sync() {
	defer close(w.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.syncNow()
		case <-w.quit:
			return
		}
	}
}

// syncNow brings to the disk what is not there. Events are written meanwhile.
func (w *Writer) syncNow() {
	w.mu.Lock()
	dirty := w.dirty && w.err == nil
	w.dirty = false
	w.mu.Unlock()
	if !dirty {
		return
	}
	// What the kernel could not write it may have dropped, so a second sync that works would prove nothing.
	err := w.file.Sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed(err)
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
	w.close.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		close(w.quit)
		<-w.done
		w.syncNow()
		err := w.file.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed(err)
	})
	return w.Err()
}
