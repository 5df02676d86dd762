// Package replace writes files whole or not at all.
package replace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File makes what write writes the file at path: it goes into a temporary file in the same folder, to the disk, and only
// then under its name. A file that stood there stays until then, and stays for good when anything fails. The file has
// exactly the rights of mode, whatever the umask is. Errors do not name the file: the caller knows it, and the temporary
// one's name tells nobody anything.
func File(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return cause(err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return cause(err)
	}
	return nil
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
