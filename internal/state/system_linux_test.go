package state_test

import (
	"runtime"
	"syscall"
	"testing"
)

// withoutRights calls f as the user nobody. Only this thread changes its user, and the kernel takes root's power over
// files from it with that; it ends with the goroutine, since it is never unlocked.
func withoutRights(f func()) {
	runtime.LockOSThread()
	const nobody = 65534
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, nobody, 0, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
	f()
}

// smallDisk is a disk of two pages, where this user may mount one.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Logf("no disk of our own: %v", err)
		return "", false
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	return dir, true
}
