package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTheServerIsThatOfThePathOrTheNewestOfDebians(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	install := func(dir string, mode os.FileMode, names ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(root, dir, name), nil, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	install("usr/bin", 0o755, "psql")
	install("local/bin", 0o755, "initdb", "postgres")
	install("debian/9.6/bin", 0o755, "initdb", "postgres")
	install("debian/10/bin", 0o755, "initdb", "postgres")
	install("debian/15/bin", 0o755, "initdb") // the client's packages alone make the folder
	install("debian/16/bin", 0o644, "initdb", "postgres")
	install("debian/common/bin", 0o755, "initdb", "postgres")
	install("old/9.6/bin", 0o755, "initdb", "postgres")

	under := func(names ...string) (path string) {
		for _, name := range names {
			path += string(filepath.ListSeparator) + filepath.Join(root, name)
		}
		return path
	}
	for _, tt := range []struct {
		name, path, versions, want string
	}{
		{"in the PATH", under("usr/bin", "local/bin"), "debian", "local/bin"},
		{"not in the PATH", under("usr/bin"), "debian", "debian/10/bin"},
		{"no PATH", "", "debian", "debian/10/bin"},
		{"a version of two numbers", "", "old", "old/9.6/bin"},
		{"a folder that is not absolute", ".", "debian", "debian/10/bin"},
		{"nowhere", under("usr/bin"), "usr", ""},
	} {
		got, err := find(tt.path, filepath.Join(root, tt.versions))
		if tt.want == "" {
			if e, ok := errors.AsType[*NotFoundError](err); !ok || e.Hint() == "" {
				t.Errorf("%s: got %q, %v, want an error with a hint", tt.name, got, err)
			}
			continue
		}
		if want := filepath.Join(root, tt.want); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, want)
		}
	}
}

func TestTheFolderIsOneThatASocketAndTheServersUserFindRoomIn(t *testing.T) {
	root := &syscall.Credential{} // as if the server were somebody else's
	private, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(private)
	long := filepath.Join(private, strings.Repeat("x", longestSocket))
	for _, tt := range []struct {
		name, folder string
		as           *syscall.Credential
		want         string
	}{
		{"ours", private, nil, private},
		{"ours, the server somebody else's", private, root, "/tmp"},
		{"everybody's", "/usr", root, "/usr"},
		{"missing", filepath.Join(private, "missing"), root, "/tmp"},
		{"too long", long, nil, "/tmp"},
	} {
		t.Setenv("TMPDIR", tt.folder)
		if got := parent(tt.as); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTheOutputIsBoundedAndAwaitedFromNowOn(t *testing.T) {
	t.Parallel()
	var o output
	write := func(text string) { _, _ = o.Write([]byte(text)) }
	seen := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	write("ready\n")
	ready := o.await("ready")
	if write("rea"); seen(ready) {
		t.Error("an earlier line counted")
	}
	if write("dy\n"); !seen(ready) {
		t.Error("a line that came in two parts did not count")
	}
	late := o.await("end of it")
	line := make([]byte, 1000)
	for range 5 * keptOutput / len(line) {
		write(string(line))
	}
	if n := len(o.String()); n < keptOutput || n > 2*keptOutput {
		t.Errorf("got %d bytes, want %d to %d", n, keptOutput, 2*keptOutput)
	}
	if write("the end of it"); !seen(late) {
		t.Error("a line after much output did not count")
	}
}
