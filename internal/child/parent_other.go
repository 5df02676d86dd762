//go:build !linux

package child

import "syscall"

// endWithParent does nothing where the kernel knows no such thing: after a kill the process stays.
func endWithParent(*syscall.SysProcAttr, syscall.Signal) {}
