package state

import (
	"bytes"
	"syscall"
)

// File is what a Writer writes to.
type File = file

// Creates makes d create its journals by f.
func (d *Dir) Creates(f func(path string) (File, error)) { d.create = f }

// LoadBytes reads a journal that was never a file.
func LoadBytes(name string, text []byte) (*Run, error) {
	return read(bytes.NewReader(text), name)
}

// ParseLine tells whether a line reads as a record.
func ParseLine(line []byte) bool {
	var r record
	if parseRecord(line, &r) == nil {
		return true
	}
	_, err := parseGroup(line)
	return err == nil
}

// Seconds is a length of time as records have it.
type Seconds = seconds

// LockPaths are the lock files of an installation.
func (d *Dir) LockPaths(in Installation) []string {
	var paths []string
	for _, name := range in.locks() {
		paths = append(paths, d.file(name))
	}
	return paths
}

// InterruptsEachLockCall has signals interrupt each call to the system about a lock of d so many times before it is done.
// It counts the interruptions.
func (d *Dir) InterruptsEachLockCall(times int) (interrupted *int) {
	interrupted = new(int)
	since := 0 // the last call that was done
	d.flock = func(fd, how int) error {
		if since++; since <= times {
			*interrupted++
			return syscall.EINTR
		}
		since = 0
		return syscall.Flock(fd, how)
	}
	return interrupted
}
