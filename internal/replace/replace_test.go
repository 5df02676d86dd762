package replace_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groupserver/senddigest/internal/replace"
)

func says(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// only fails the test unless path holds text, and nothing is beside it.
func only(t *testing.T, path, text string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("got %q, %v, want %q", got, err, text)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want one file", entries, err)
	}
}

func TestAFileGetsItsRightsWhateverTheUmaskIs(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for _, mode := range []os.FileMode{0o644, 0o600} {
		path := filepath.Join(t.TempDir(), "file")
		if err := replace.File(path, mode, says("new")); err != nil {
			t.Fatal(err)
		}
		only(t, path, "new")
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("got %v, %v, want %v", info.Mode(), err, mode)
		}
	}
}

func TestTheOldFileStandsUntilTheNewOneIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := replace.File(path, 0o600, says("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	err := replace.File(path, 0o600, func(w io.Writer) error { return errors.Join(says("half")(w), full) })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	only(t, path, "old")
	err = replace.File(path, 0o600, func(w io.Writer) error {
		got, err := os.ReadFile(path)
		if err != nil || string(got) != "old" {
			t.Errorf("got %q, %v while the new file is written, want the old one", got, err)
		}
		return says("new")(w)
	})
	if err != nil {
		t.Fatal(err)
	}
	only(t, path, "new")
}

func TestAnErrorDoesNotNameTheTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"missing/file": syscall.ENOENT, "file/file": syscall.ENOTDIR, ".": syscall.EISDIR,
	} {
		err := replace.File(dir+"/"+name, 0o600, says("text"))
		if err == nil || strings.Contains(err.Error(), "/") {
			t.Errorf("%s: got %v, want %v without a name", name, err, want)
		}
		if name != "." && !errors.Is(err, want) { // of a folder, systems say different things
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}
