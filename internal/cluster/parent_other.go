//go:build !linux

package cluster

import "syscall"

// endWithParent does nothing where the kernel knows no such thing: after a kill the server stays.
func endWithParent(*syscall.SysProcAttr) {}
