package process

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// memoryLimit bounds softly what the Go runtime holds. The machine's memory is the site's, and so is its
	// processor: below the limit the collector runs as seldom as Go has it by itself. 200,000 groups stay within it,
	// also when they are resumed (BenchmarkMemory).
	memoryLimit = 112 << 20

	// crowded is how much may be live under the limit. Closer to it the collector would run all the time: with 70 MiB
	// live and a limit of 60 MiB a run took five times the processor time.
	crowded = memoryLimit / 8 * 7

	// crowdedPercent is GOGC without the limit.
	crowdedPercent = 40
)

// spareMemory sets the limit, unless the environment sets one, and lifts it when the program is crowded.
func spareMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(memoryLimit)
	afterCollections(func() (again bool) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Uint64() < crowded {
			return true
		}
		debug.SetGCPercent(crowdedPercent)
		debug.SetMemoryLimit(math.MaxInt64)
		return false
	})
}

// afterCollections calls f after each collection of garbage, on a goroutine of the runtime, until it returns false.
func afterCollections(f func() (again bool)) {
	type garbage struct{ _ *garbage }
	runtime.AddCleanup(new(garbage), func(f func() bool) {
		if f() {
			afterCollections(f)
		}
	}, f)
}
