package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/groupserver/senddigest/internal/printable"
)

// The rules of the lock
//
//   - Who holds it is the kernel's word alone (flock(2)): the lock is gone with the process, however that ended.
//     Neither the age of a file nor what stands in it is ever a reason to refuse.
//   - There are two files: one named after the token, which all sites of an installation share, and one after the
//     site's address, for when two configurations give it different tokens. Everyone takes them in this order, and
//     gives both back when the second is taken, so nobody waits in a circle.
//   - A lock file is never removed: another process could be about to lock it, and would then hold a lock that
//     nobody else sees. If somebody else removed one, it shows after locking, and the new file is locked instead.
//   - The file says who holds the lock. That is written when both locks are held, and blanked when they are given back.
//     So what a killed holder left is wrong from the moment when the next one has the lock until it has signed itself;
//     whoever reads that sees a process that is gone, and reads again.
//   - A name that the next holder finds there is that of one that was killed. Where no journal tells what that one had
//     under way, see [Lock.Doubt].
//   - A file keeps its size, so that it can be signed on a full disk.
//   - A signal that interrupts a system call says nothing about the lock: the call is made again.

// Holder says who holds a lock.
type Holder struct {
	PID   int       `json:"pid"`
	Run   string    `json:"run"`
	Since time.Time `json:"since"` // when it had the lock, however long it had waited
	URL   string    `json:"url"`
	// Doubt is when it was learnt that sends may be under way of which no journal tells; zero: there are none.
	Doubt time.Time `json:"doubt,omitzero"`
}

// HeldError is a lock that another process holds. What is not known of that one is zero.
type HeldError struct{ Holder }

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return "another run holds the lock"
	}
	return printable.Line(fmt.Sprintf("another run holds the lock: %s for %s, process %d, since %s",
		e.Run, e.URL, e.PID, e.Since.Local().Format("2006-01-02 15:04:05")))
}

// Lock is held until Unlock, or until the process ends.
type Lock struct {
	files  []*lockFile
	holder Holder
	signed bool
}

type lockFile struct {
	kernelLock
	// note is where the holder is named. It stays open as long as the lock is held: where flock is made of fcntl
	// locks (some network file systems), closing any descriptor of the file would let go of it.
	note *os.File
}

const (
	lockPoll   = 250 * time.Millisecond // how often a taken lock is tried again while waiting for it
	holderPoll = 10 * time.Millisecond  // how often a holder's name is read again that cannot be right
	holderWait = 20                     // how often that at most
)

// Lock takes the lock of an installation. The holder is named by sign, which is called when the lock is had, at the time
// since. While another process holds the lock, Lock waits for it, at most for wait, and then fails with a [*HeldError].
// When ctx ends first, its cause is the error. All else is a [*DirError]: the directory cannot be used, so nobody else
// can have a lock in it.
func (d *Dir) Lock(ctx context.Context, in Installation, sign func(since time.Time) Holder, wait time.Duration) (*Lock, error) {
	if in.IsZero() {
		return nil, dirError(d.path, errors.New("nothing is known of the installation to lock"))
	}
	end := time.Now().Add(wait)
	for unlikely := 0; ; {
		l, taken, err := d.tryLock(in, sign)
		if err != nil || taken == "" {
			return l, err
		}
		pause := min(lockPoll, time.Until(end))
		if pause <= 0 {
			holder := readHolder(taken)
			if alive(holder.PID) || unlikely == holderWait {
				// A process that cannot be seen may hold it all the same, from within a container.
				return nil, &HeldError{holder}
			}
			unlikely++
			pause = holderPoll
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// tryLock takes all locks of an installation, or none: then it says which one is taken.
func (d *Dir) tryLock(in Installation, sign func(since time.Time) Holder) (l *Lock, taken string, err error) {
	l = &Lock{}
	for _, name := range in.locks() {
		path := d.file(name)
		f, err := d.lockOne(path)
		if err != nil || f == nil {
			_ = l.Unlock()
			if err != nil {
				return nil, "", dirError(path, err)
			}
			return nil, path, nil
		}
		l.files = append(l.files, f)
	}
	h := sign(time.Now())
	for _, f := range l.files {
		h.Doubt = later(h.Doubt, d.doubt(readHolder(f.note.Name())))
	}
	l.sign(h)
	return l, "", nil
}

// doubt says since when there may be sends under way of which no journal tells, by what the last holder left.
func (d *Dir) doubt(last Holder) time.Time {
	if last.PID == 0 { // it has given the lock back, and perhaps a doubt with it
		return last.Doubt
	}
	path, err := d.find(last.Run)
	if err != nil {
		return time.Now() // it had no journal
	}
	switch s, err := summarize(path); {
	case err != nil || s.Aside:
		return time.Now()
	case !s.Listed:
		return last.Doubt // it had sent nothing
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// noteSize is how much room a holder's name has in a lock file, in bytes; a longer one makes its own.
const noteSize = 1 << 10

// sign writes who holds the lock; the zero Holder: nobody.
func (l *Lock) sign(h Holder) {
	l.holder, l.signed = h, true
	var text []byte
	if h != (Holder{}) {
		text, _ = json.Marshal(h) // numbers, texts and times: it cannot fail
	}
	page := bytes.Repeat([]byte(" "), max(noteSize, len(text)+1))
	copy(page, text)
	page[len(page)-1] = '\n'
	for _, f := range l.files {
		if _, err := f.note.WriteAt(page, 0); err != nil {
			_ = f.note.Truncate(0) // no name is better than a wrong one
			continue
		}
		_ = f.note.Truncate(int64(len(page)))
	}
}

// Doubt says since when sends may be under way of which no journal tells, because a holder of the lock was killed whose
// journal had been set aside, or that had none. Zero: there are none such. A nil Lock knows of none.
func (l *Lock) Doubt() time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.holder.Doubt
}

// Settled says that the journal of the holder tells of the doubt from here on.
func (l *Lock) Settled() {
	if h := l.holder; !h.Doubt.IsZero() {
		h.Doubt = time.Time{}
		l.sign(h)
	}
}

// lockOne locks one file. It gives nil where another process has the lock.
func (d *Dir) lockOne(path string) (*lockFile, error) {
	for {
		lock := d.kernelLock(path, flock.SetPermissions(0o600))
		ok, err := lock.TryLock()
		if err != nil || !ok {
			return nil, err
		}
		note, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil && sameFile(lock, note) {
			return &lockFile{lock, note}, nil
		}
		if note != nil {
			_ = note.Close()
		}
		_ = lock.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		// Somebody removed the file before we had the lock, so it may exist anew.
	}
}

func sameFile(lock kernelLock, note *os.File) bool {
	a, errA := lock.Stat()
	b, errB := note.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Running tells whether a process is at work on a run: no end of it is on record, and the installation's lock is held in
// its name. It takes no lock that anybody could miss: what it looks at is a lock whose file names this very run, and if
// nobody held that any more, who takes it next tries again (see the rules).
func (d *Dir) Running(s *Summary) bool {
	if !s.Finished.IsZero() {
		return false
	}
	for _, name := range s.Installation.locks() {
		path := d.file(name)
		if readHolder(path).Run != s.Run {
			continue
		}
		lock := d.kernelLock(path, flock.SetFlag(os.O_RDONLY))
		free, err := lock.TryRLock()
		if err == nil && !free {
			return true
		}
		_ = lock.Close()
	}
	return false
}

// readHolder says who holds a lock, as far as its file tells.
func readHolder(path string) Holder {
	var h Holder
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}

// Unlock gives the lock back. A second call does nothing.
func (l *Lock) Unlock() error {
	var failed []error
	if l.signed && len(l.files) > 0 {
		l.sign(Holder{Doubt: l.holder.Doubt})
	}
	for _, f := range slices.Backward(l.files) {
		failed = append(failed, f.kernelLock.Unlock(), f.note.Close())
	}
	l.files = nil
	return errors.Join(failed...)
}
