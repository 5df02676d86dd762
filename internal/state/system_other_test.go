//go:build !linux

package state_test

import "testing"

// withoutRights calls f; the tests need an ordinary user here.
func withoutRights(f func()) { f() }

func smallDisk(*testing.T) (dir string, ok bool) { return "", false }
