package control_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/groupserver/senddigest/internal/control"
)

// asNobody calls f in a thread that is nobody's, and ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		const nobody = 65534
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}

func TestAnotherUserIsKeptOutByTheModeAndWhereThatDoesNotCountByHisName(t *testing.T) {
	// Not t.TempDir: others than the owner may not even look into that.
	dir, err := os.MkdirTemp("/tmp", "control-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.sock")
	listen(t, path)
	asNobody(t, func() {
		if _, err := control.Ask(context.Background(), []string{path}, "status", ""); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
			t.Errorf("by the mode: got %v", err)
		}
	})
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		_, err := control.Ask(context.Background(), []string{path}, "status", "")
		if e, ok := errors.AsType[*control.RefusedError](err); !ok || !strings.HasPrefix(e.Problem, "permission denied") || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("by the name: got %v", err)
		}
	})
	ask(t, "status", path) // its owner is answered as before
}
