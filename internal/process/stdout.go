package process

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The rules of standard output
//
//   - What was asked for there and could not be written is an error, exit code 73. The command looks for it once, after all else.
//   - Where it was closed, Go's runtime has opened /dev/null in its place before anything of ours runs, so no file of ours
//     gets its number, and everything seems to be written. Such a /dev/null is opened for reading and writing, and so is
//     that of a program which wants the exit code alone (Python's subprocess.DEVNULL, Node's "ignore"): nothing tells
//     one from the other. So it is an error for a document, and none where the exit code is an answer of its own.

// An Output is standard output that remembers why it could not be written.
type Output struct {
	W   io.Writer
	Err error // the first one
}

func (o *Output) Write(text []byte) (int, error) {
	n, err := o.W.Write(text)
	if o.Err == nil {
		o.Err = err
	}
	return n, err
}

// Document is standard output for what is of use only to who reads it.
func (p Process) Document() io.Writer {
	if o, ok := p.Stdout.(*Output); ok && closed(o.W) {
		return nowhere{}
	}
	return p.Stdout
}

// closed tells whether w is what Go puts in the place of a closed standard output.
func closed(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	if err != nil || nullErr != nil || !os.SameFile(info, null) {
		return false
	}
	mode, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && mode&unix.O_ACCMODE == unix.O_RDWR
}

var errNowhere = errors.New("it was closed, or leads to /dev/null as if it had been; redirect it to a file")

// nowhere is a standard output that nobody can read.
type nowhere struct{}

func (nowhere) Write([]byte) (int, error) { return 0, errNowhere }
