package standin_test

import (
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
)

func TestGenerate(t *testing.T) {
	for _, n := range []int{0, 1, 500, 200_000} {
		groups := standin.Generate(n, 1)
		if len(groups) != n {
			t.Fatalf("got %d groups, want %d", len(groups), n)
		}
		seen := make(map[standin.Group]bool, n)
		sites := make(map[string]int)
		for _, g := range groups {
			for _, c := range []byte(g.Site + g.Group) {
				if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
					t.Fatalf("%v: byte %q", g, c)
				}
			}
			if g.Site == "" || g.Group == "" || seen[g] {
				t.Fatalf("%v: empty or twice", g)
			}
			seen[g] = true
			sites[g.Site]++
		}
		if n < 500 {
			continue
		}
		if len(sites) != 4 {
			t.Errorf("sites: got %v, want 4", sites)
		}
		if !slices.Equal(groups, standin.Generate(n, 1)) {
			t.Error("the same seed gives other groups")
		}
		if slices.Equal(groups, standin.Generate(n, 2)) {
			t.Error("another seed gives the same groups")
		}
	}
}

// The demo of 500 groups must last 7 to 9 s with 4 threads: 30 s of server time, none of it in one huge send.
func TestHeavyTail(t *testing.T) {
	const seeds = 100
	var all time.Duration
	for seed := range uint64(seeds) {
		cost := standin.HeavyTail(seed)
		var sum, longest time.Duration
		quick := 0
		for _, g := range standin.Generate(500, seed) {
			d := cost(g)
			if d != standin.HeavyTail(seed)(g) {
				t.Fatal("not the same twice")
			}
			if d < 2*time.Millisecond {
				t.Fatalf("seed %d, %v: %v", seed, g, d)
			}
			if d <= 6*time.Millisecond {
				quick++
			}
			sum += d
			longest = max(longest, d)
		}
		all += sum
		if seed < 8 && (sum < 27*time.Second || sum > 32*time.Second) {
			t.Errorf("seed %d: got %v of server time, want 27 to 32 s", seed, sum)
		}
		if sum < 18*time.Second || sum > 45*time.Second || longest > 4*time.Second || quick < 360 {
			t.Errorf("seed %d: %v of server time, longest %v, %d quick ones", seed, sum, longest, quick)
		}
	}
	if mean := all / seeds; mean < 28*time.Second || mean > 32*time.Second {
		t.Errorf("mean server time: got %v, want about 30 s", mean)
	}
}
