package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

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
//   - A name that the next holder finds there is that of one that was killed. Where no journal tells what that one had
//     under way, see [Lock.Doubt].
//   - A file keeps its size, so that it can be signed on a full disk.
//   - A signal that interrupts a system call says nothing about the lock: the call is made again. On network file systems
//     and those in user space that happens also where the call does not wait.
//   - Who only looks whether a lock is held has it for a moment ([Dir.Running]). So a lock counts as taken when it was
//     taken twice, with a pause between.

// Holder says who holds a lock.
type Holder struct {
	PID   int       `json:"pid"`
	Run   string    `json:"run"`
	Since time.Time `json:"since"` // when it had the lock, however long it had waited
	URL   string    `json:"url"`
	Queue bool      `json:"queue,omitempty"` // others send for it, and keep a record of that: it sends nothing itself
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

// Hint says what to do about it.
func (e *HeldError) Hint() string { return "--lock-wait TIME waits for it" }

// Lock is held until Unlock, or until the process ends.
type Lock struct {
	files  []*os.File // the lock files, each locked
	holder Holder
}

const (
	lockPoll = 250 * time.Millisecond // how often a taken lock is tried again while waiting for it
	lockLook = 100 * time.Millisecond // how long it is waited for at least; to look at one takes microseconds
)

// Lock takes the lock of an installation. The holder is named by sign, which is called when the lock is had, at the time
// since. While another process holds the lock, Lock waits for it, at most for wait, and then fails with a [*HeldError].
// When ctx ends first, its cause is the error. All else is a [*DirError]: the directory cannot be used, so nobody else
// can have a lock in it.
func (d *Dir) Lock(ctx context.Context, in Installation, sign func(since time.Time) Holder, wait time.Duration) (*Lock, error) {
	if in.IsZero() {
		return nil, dirError(d.path, errors.New("nothing is known of the installation to lock"))
	}
	end := time.Now().Add(max(wait, lockLook))
	for {
		l, err := d.tryLock(in, sign)
		if _, held := errors.AsType[*HeldError](err); !held {
			return l, err
		}
		pause := min(lockPoll, time.Until(end))
		if pause <= 0 {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tryLock takes all locks of an installation, or none.
func (d *Dir) tryLock(in Installation, sign func(since time.Time) Holder) (*Lock, error) {
	l := &Lock{}
	for _, name := range in.locks() {
		f, err := d.lockFile(d.file(name))
		if err != nil {
			_ = l.release()
			return nil, err
		}
		l.files = append(l.files, f)
	}
	h := sign(time.Now())
	for _, f := range l.files {
		if doubt := d.doubt(readHolder(f.Name())); doubt.After(h.Doubt) {
			h.Doubt = doubt
		}
	}
	l.sign(h)
	return l, nil
}

// doubt says since when there may be sends under way of which no journal tells, by what the last holder left.
func (d *Dir) doubt(last Holder) time.Time {
	if last.PID == 0 { // it has given the lock back, and perhaps a doubt with it
		return last.Doubt
	}
	if last.Queue {
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

// noteSize is how much room a holder's name has in a lock file, in bytes; a longer one makes its own.
const noteSize = 1 << 10

// sign writes who holds the lock; the zero Holder means nobody.
func (l *Lock) sign(h Holder) {
	l.holder = h
	var text []byte
	if h != (Holder{}) {
		text, _ = json.Marshal(h) // numbers, texts and times: it cannot fail
	}
	text = fmt.Appendf(text, "%*s\n", max(noteSize-len(text)-1, 0), "")
	for _, f := range l.files {
		n, err := f.WriteAt(text, 0)
		if err != nil {
			n = 0 // no name is better than a wrong one
		}
		_ = f.Truncate(int64(n))
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

// lockFile opens and locks a file.
func (d *Dir) lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, dirError(path, err)
		}
		locked, err := d.lock(f, syscall.LOCK_EX)
		if locked && stands(f) {
			return f, nil
		}
		_ = f.Close()
		switch {
		case err != nil:
			return nil, dirError(path, err)
		case !locked:
			return nil, &HeldError{readHolder(path)}
		}
		// Somebody removed the file before we had the lock, so it may exist anew.
	}
}

// stands tells whether the name of a file still leads to it.
func stands(f *os.File) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(f.Name())
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// lock locks a file as how says, or reports false where another process has the lock. To close the file lets go of it.
func (d *Dir) lock(f *os.File, how int) (bool, error) {
	for {
		switch err := d.flock(int(f.Fd()), how|syscall.LOCK_NB); err {
		case nil:
			return true, nil
		case syscall.EWOULDBLOCK:
			return false, nil
		case syscall.EINTR:
		default:
			return false, err
		}
	}
}

// Running tells whether a process is at work on a run: no end of it is on record, and the installation's lock is held in
// its name.
func (d *Dir) Running(s *Summary) bool {
	if !s.Finished.IsZero() {
		return false
	}
	h, held := d.Holder(s.Installation)
	return held && h.Run == s.Run
}

// HolderOf is [Dir.Holder] of the directory at dir, which need not be there. campaign is as of [Dir.For].
func HolderOf(dir, campaign string, in Installation) (h Holder, held bool) {
	return (&Dir{path: dir, flock: syscall.Flock}).For(campaign).Holder(in)
}

// Holder says whether the lock of an installation is held, and by whom.
func (d *Dir) Holder(in Installation) (h Holder, held bool) {
	for _, name := range in.locks() {
		path := d.file(name)
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		free, err := d.lock(f, syscall.LOCK_SH)
		_ = f.Close()
		if err == nil && !free {
			return readHolder(path), true
		}
	}
	return Holder{}, false
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
	l.sign(Holder{Doubt: l.holder.Doubt})
	return l.release()
}

func (l *Lock) release() error {
	var failed []error
	for _, f := range slices.Backward(l.files) {
		failed = append(failed, f.Close())
	}
	l.files = nil
	return errors.Join(failed...)
}
