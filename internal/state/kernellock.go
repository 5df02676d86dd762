package state

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/gofrs/flock"
)

// A kernelLock is what the lock needs of a [*flock.Flock].
type kernelLock interface {
	TryLock() (bool, error)
	TryRLock() (bool, error)
	Unlock() error
	Close() error
	Stat() (fs.FileInfo, error)
}

// kernelLock makes a lock of a file, which is not taken yet and is interrupted by no signal.
func (d *Dir) kernelLock(path string, options ...flock.Option) kernelLock {
	return uninterrupted{d.newLock(path, options...)}
}

// uninterrupted makes a call again that a signal interrupted (EINTR). On network file systems and those in user space
// flock(2) can be, also where it does not wait. Package os does the same for its own system calls, flock does not.
type uninterrupted struct{ kernelLock }

func (u uninterrupted) TryLock() (bool, error)  { return untilDone(u.kernelLock.TryLock) }
func (u uninterrupted) TryRLock() (bool, error) { return untilDone(u.kernelLock.TryRLock) }

func (u uninterrupted) Unlock() error {
	_, err := untilDone(func() (bool, error) { return false, u.kernelLock.Unlock() })
	return err
}

func untilDone(call func() (bool, error)) (bool, error) {
	for {
		if ok, err := call(); !errors.Is(err, syscall.EINTR) {
			return ok, err
		}
	}
}
