package journal

import (
	"bytes"
	"os"
	"time"
)

// File is what a Writer writes to.
type File = file

// Creates makes d create its journals by f.
func (d *Dir) Creates(f func(path string) (File, error)) { d.create = f }

// LoadBytes reads a journal that was never a file.
func LoadBytes(name string, text []byte) (*Run, error) {
	return (&reader{}).load(bytes.NewReader(text), name)
}

// ParseLine tells whether a line reads as a record.
func ParseLine(line []byte) bool {
	var r record
	if parseRecord(line, &r) {
		return true
	}
	s := scanner{b: line}
	_, ok := s.array(nil)
	return ok
}

// AppendString and AppendSeconds write values.
func AppendString(s string) []byte         { return appendString(nil, s) }
func AppendSeconds(d time.Duration) []byte { return appendSeconds(nil, d) }

// ParseSeconds reads one.
func ParseSeconds(text []byte) (time.Duration, bool) { return parseSeconds(text) }

// LockPaths are the lock files of an installation.
func (d *Dir) LockPaths(in Installation) []string {
	var paths []string
	for _, name := range in.locks() {
		paths = append(paths, d.path+string(os.PathSeparator)+name)
	}
	return paths
}
