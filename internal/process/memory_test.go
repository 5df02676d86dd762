package process

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMoreGroupsThanTheMemoryLimitIsForDoNotKeepTheCollectorBusy(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	percent := debug.SetGCPercent(100)
	limit := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	spareMemory()
	runtime.GC()
	if got := debug.SetMemoryLimit(-1); got != memoryLimit {
		t.Fatalf("the limit is %d, want %d", got, memoryLimit)
	}
	groups := make([]byte, memoryLimit)
	for end := time.Now().Add(30 * time.Second); debug.SetMemoryLimit(-1) != math.MaxInt64; runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("the limit is still there")
		}
	}
	runtime.KeepAlive(groups)
	if got := debug.SetGCPercent(100); got != crowdedPercent {
		t.Errorf("GOGC is %d, want %d", got, crowdedPercent)
	}
}
