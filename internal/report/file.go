package report

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/groupserver/senddigest/internal/replace"
)

// A Format is a way to write a document.
type Format func(*Document, io.Writer) error

// FormatOf is the format that a file's ending asks for: ".txt" for text, ".html" for HTML, anything else for JSON.
func FormatOf(path string) Format {
	switch filepath.Ext(path) {
	case ".txt":
		return (*Document).WriteText
	case ".html":
		return (*Document).WriteHTML
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
	if e, ok := err.(*fs.PathError); ok { // it says /dev/stdout once more
		err = e.Err
	}
	return &WriteError{"standard output", err}
}

// WriteFile writes the document whole or not at all, see [replace.File]. Its error is a [*WriteError].
func (d *Document) WriteFile(path string) error {
	mode := reportMode
	if d.meta.Private {
		mode = privateMode
	}
	err := replace.File(path, mode, func(w io.Writer) error { return FormatOf(path)(d, w) })
	if err != nil {
		return &WriteError{path, err}
	}
	return nil
}

const (
	reportMode  fs.FileMode = 0o644 // lets a monitoring system read the report; it names groups, and holds no secret
	privateMode fs.FileMode = 0o600 // where the names are personal data
)
