package standin

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// sites are those of a generated installation, with their share of the groups in percent.
var sites = []struct {
	id    string
	share int
}{{"main", 55}, {"parks", 20}, {"council", 15}, {"schools", 10}}

var (
	places = []string{
		"hilltop", "riverside", "harbour", "station", "market", "north", "south", "east", "west", "old-town",
		"lakeside", "meadow", "mill", "bridge", "castle", "forest", "orchard", "valley", "beach", "airport",
	}
	subjects = []string{
		"neighbours", "gardeners", "cyclists", "parents", "library", "choir", "history", "traffic", "youth", "dogs",
		"events", "forum", "announce", "volunteers", "walkers", "chess", "photos", "swap", "safety", "planning",
	}
)

// Generate makes n different groups on a few sites, the same ones for the same n and seed, in no order, as the list
// hook of a real site gives them. All ids are ASCII.
func Generate(n int, seed uint64) []Group {
	r := rand.New(rand.NewPCG(seed, 1))
	seen := make(map[Group]int, min(n, len(sites)*len(places)*len(subjects)))
	groups := make([]Group, n)
	for i := range groups {
		g := Group{Group: places[r.IntN(len(places))] + "-" + subjects[r.IntN(len(subjects))]}
		p := r.IntN(100)
		for _, site := range sites {
			if g.Site = site.id; p < site.share {
				break
			}
			p -= site.share
		}
		seen[g]++
		if k := seen[g]; k > 1 {
			g.Group = fmt.Sprintf("%s-%d", g.Group, k)
		}
		groups[i] = g
	}
	return groups
}

// tailSalt is chosen so that the small seeds, which people type, give typical nights: for seeds 0 to 7 the 500 groups
// that Generate makes with the same seed come to 27 to 32 s.
const tailSalt = 2

// HeavyTail returns server times as a night shows them, the same for the same seed and group. The list hook names far
// more groups than have a digest to send (docs/groupserver.md section 1), so most sends do nothing:
//
//   - 80 % take 2 to 6 ms, all alike: nothing to send;
//   - 19 % have a digest: log-normal, median 170 ms, sigma 0.6 (so 1 in 20 of them above 450 ms);
//   - 1 % are large: 1 to 3 s.
//
// 500 groups come to some 30 s of server time, give or take 4 s; 4 threads need at least a quarter of that. The
// figures are made up for a demo that can be watched; those of a real site are not established (section 12).
func HeavyTail(seed uint64) func(Group) time.Duration {
	return func(g Group) time.Duration {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%s/%s", g.Site, g.Group)
		r := rand.New(rand.NewPCG(seed^tailSalt, h.Sum64()))
		var ms float64
		switch p := r.Float64(); {
		case p < 0.80:
			ms = 2 + 4*r.Float64()
		case p < 0.99:
			ms = 170 * math.Exp(0.6*r.NormFloat64())
		default:
			ms = 1000 + 2000*r.Float64()
		}
		return time.Duration(ms * float64(time.Millisecond))
	}
}
