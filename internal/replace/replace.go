// Package replace writes files whole or not at all.
package replace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// File makes what write writes the file at path: it goes into a temporary file in the same folder, to the disk, and only
// then under its name. A file that stood there stays until then, and stays for good when anything fails. The file has
// exactly the rights of mode, whatever the umask is. Errors do not name the file: the caller knows it, and the temporary
// one's name tells nobody anything.
func File(path string, mode fs.FileMode, write func(io.Writer) error) error {
	// Without the folder renameio would write where TMPDIR leads to.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return cause(err)
	}
	defer func() { _ = f.Cleanup() }()
	if err := write(f); err != nil {
		return cause(err)
	}
	return cause(f.CloseAtomicallyReplace())
}

// cause takes the temporary file's name out of an error.
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
