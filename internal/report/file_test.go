package report_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

// writeError fails the test unless err is a WriteError for path.
func writeError(t *testing.T, err error, path, want string) {
	t.Helper()
	e, ok := errors.AsType[*report.WriteError](err)
	if !ok {
		t.Fatalf("got %v, want a WriteError", err)
	}
	if e.Path != path {
		t.Errorf("got path %s, want %s", e.Path, path)
	}
	if got := err.Error(); got != path+" could not be written: "+want {
		t.Errorf("got %q, want %q behind the path", got, want)
	}
	if strings.Contains(err.Error(), "/.") {
		t.Errorf("got %q, want no temporary name", err)
	}
}

// onlyFile fails the test if dir holds anything but a file of this name, or nothing for an empty name.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != name {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	if name != "" && len(entries) == 0 {
		t.Errorf("%s is gone", name)
	}
}

func sample() *report.Document {
	return report.New(ended(3*time.Second, nil, every(3, database)...), meta())
}

// unwritable is a document that has no form in JSON: no number there is infinite.
func unwritable() *report.Document {
	m := meta()
	m.Rate = math.Inf(1)
	return report.New(ended(0, nil), m)
}

func TestWriteFileWritesTheFormatOfTheEnding(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string][]byte{
		"run.json": jsonOf(t, sample()), "run.txt": text(t, sample()), "run": jsonOf(t, sample()), "run.txt.json": jsonOf(t, sample()),
		"run.html": htmlOf(t, sample()),
	} {
		path := filepath.Join(dir, name)
		if err := sample().WriteFile(path); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A monitoring system reads the report as another user, whatever the umask of cron is.
func TestWriteFileLetsEverybodyRead(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "run.json")
	if err := sample().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o644 {
		t.Errorf("got mode %v, want 0644", got)
	}
}

func TestWriteFileTakesAPathInTheWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := sample().WriteFile("run.json"); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, dir, "run.json")
}

func TestWriteFileReplacesAFileWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.txt")
	if err := os.WriteFile(path, bytes.Repeat([]byte("old\n"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sample().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := text(t, sample()); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	onlyFile(t, dir, "run.txt")
}

func TestWriteFileWithoutItsFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "missing", "run.json")
	writeError(t, sample().WriteFile(path), path, "no such file or directory")
	onlyFile(t, dir, "")
	if err := sample().WriteFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want it to be fs.ErrNotExist", err)
	}
}

func TestWriteFileOntoAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.json")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	writeError(t, sample().WriteFile(path), path, "is a directory")
	onlyFile(t, dir, "run.json")
}

func TestWriteFileBelowAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file", "run.json")
	writeError(t, sample().WriteFile(path), path, "not a directory")
	onlyFile(t, dir, "file")
}

func TestWriteFileThatFailsHalfWayLeavesWhatWasThere(t *testing.T) {
	for _, old := range []string{"", "the report of yesterday\n"} {
		dir := t.TempDir()
		path, name := filepath.Join(dir, "run.json"), ""
		if old != "" {
			name = "run.json"
			if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		writeError(t, unwritable().WriteFile(path), path, "json: unsupported value: +Inf")
		onlyFile(t, dir, name)
		if got, err := os.ReadFile(path); old != "" && string(got) != old {
			t.Errorf("got %q, %v, want %q", got, err, old)
		}
	}
}

// The names of the groups are asked for while the report is being written, which is the time to look.
func TestTheOldReportStandsUntilTheNewOneIsWhole(t *testing.T) {
	const old = "the report of yesterday\n"
	path := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	looks := 0
	m := meta()
	m.Names = func(j dispatcher.Job) (site, group string) {
		looks++
		if got, err := os.ReadFile(path); string(got) != old {
			t.Errorf("got %q, %v, want %q", got, err, old)
		}
		return names(j)
	}
	d := report.New(ended(time.Second, nil, every(1000, database)...), m) // more than fits a buffer
	if err := d.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if looks < 1000 {
		t.Errorf("%d looks, want 1000", looks)
	}
}

func TestReadersNeverSeeHalfAReport(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.json")
	long := report.New(ended(time.Second, nil, every(2000, database)...), meta())
	short := report.New(ended(time.Second, nil), meta())
	wholes := [][]byte{jsonOf(t, long), jsonOf(t, short)}
	if err := long.WriteFile(path); err != nil {
		t.Fatal(err)
	}

	var over atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !over.Load() {
				got, err := os.ReadFile(path)
				if err != nil || !bytes.Equal(got, wholes[0]) && !bytes.Equal(got, wholes[1]) {
					t.Errorf("a reader got %d bytes, %v: neither of the whole reports", len(got), err)
					return
				}
			}
		})
	}
	for range 20 {
		for _, d := range []*report.Document{short, long} {
			if err := d.WriteFile(path); err != nil {
				t.Error(err)
			}
		}
	}
	over.Store(true)
	readers.Wait()
	onlyFile(t, dir, "run.json")
}

func TestStdoutErrorNamesStandardOutput(t *testing.T) {
	if err := report.StdoutError(nil); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	broken := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
	err := report.StdoutError(broken)
	if got, want := err.Error(), "standard output could not be written: broken pipe"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want it to be EPIPE", err)
	}
}
