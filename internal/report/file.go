package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Format is a way to write a document.
type Format func(*Document, io.Writer) error

// FormatOf is the format that a file's ending asks for: ".txt" for text, anything else for JSON.
func FormatOf(path string) Format {
	if filepath.Ext(path) == ".txt" {
		return (*Document).WriteText
	}
	return (*Document).WriteJSON
}

// A WriteError is output that was asked for and could not be written. Nothing is lost by it but that.
type WriteError struct {
	Path string // or "standard output"
	Err  error
}

func (e *WriteError) Error() string { return fmt.Sprintf("%s could not be written: %v", e.Path, e.Err) }
func (e *WriteError) Unwrap() error { return e.Err }

// StdoutError makes a WriteError of what went wrong on standard output; nil stays nil.
func StdoutError(err error) error {
	if err == nil {
		return nil
	}
	return &WriteError{"standard output", cause(err)}
}

// WriteFile writes the document whole or not at all: into a temporary file in the same folder, to the disk, and
// only then under its name. A file that stood there stays until then. Its error is a [*WriteError].
func (d *Document) WriteFile(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return &WriteError{path, cause(err)}
	}
	err = FormatOf(path)(d, f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(reportMode)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return &WriteError{path, cause(err)}
	}
	return nil
}

// reportMode lets a monitoring system read the report; it names groups, and holds no secret.
const reportMode = 0o644

// cause takes the temporary file's name out of an error; the user asked for another.
func cause(err error) error {
	switch e := err.(type) { // only the outermost error holds the name
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		if errors.Is(e.Err, fs.ErrExist) {
			return syscall.EISDIR // what os.Rename means by that: a file would have been replaced
		}
		return e.Err
	}
	return err
}
