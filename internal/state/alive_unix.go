//go:build unix

package state

import (
	"errors"
	"syscall"
)

// alive tells whether there is a process pid. It may belong to somebody else.
func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
