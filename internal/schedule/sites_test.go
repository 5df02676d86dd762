package schedule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// evening is when the runs of these tests begin.
var evening = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// noise is by how much a history is off, as the standard deviation of the logarithm.
const noise = 0.4

// aSite makes up a site: what its history says of each group, and how long each really takes. Most groups take little,
// a few very long: log-normal about a second.
func aSite(seed uint64, groups int, sigma float64) (listed []Job, truth []time.Duration) {
	random := rand.New(rand.NewPCG(seed, 1))
	listed, truth = make([]Job, groups), make([]time.Duration, groups)
	for i := range listed {
		takes := math.Exp(sigma * random.NormFloat64())
		truth[i] = time.Duration(takes * float64(time.Second))
		remembered := time.Duration(takes * math.Exp(noise*random.NormFloat64()) * float64(time.Second))
		listed[i] = Job{Estimate: remembered, Spread: noise, Known: true}
	}
	return listed, truth
}

// run makes the run of a plan in which jobs, by number, take so long.
func (p *Plan) run(truth []time.Duration) time.Duration { return p.each(truth, nil) }

// each is run, and tells of each start.
func (p *Plan) each(truth []time.Duration, started func(place int, at time.Duration)) time.Duration {
	took := make([]time.Duration, len(truth))
	for place, i := range p.sequence {
		took[place] = truth[i]
	}
	return p.site().simulate(dispatcher.NewLineup(len(took), p.now, p.Rule()), p.now, took, started)
}

// lowerBound is the time that no order of these sends can beat.
func lowerBound(truth []time.Duration, workers int) time.Duration {
	var sum time.Duration
	for _, d := range truth {
		sum += d
	}
	return max(slices.Max(truth), sum/time.Duration(workers))
}

// ratios are lengths of runs over their lower bounds.
type ratios []float64

func (r ratios) mean() float64 {
	sum := 0.0
	for _, x := range r {
		sum += x
	}
	return sum / float64(len(r))
}

func (r ratios) p95() float64 {
	sorted := slices.Sorted(slices.Values(r))
	return sorted[rank(len(sorted), 95)]
}

func (r ratios) String() string {
	return fmt.Sprintf("%.1f %% (%.1f %%)", 100*(r.mean()-1), 100*(r.p95()-1))
}

// 600 sites of 100 to 2,000 groups with 2 to 16 workers: the bounds hold for longest first, and docs/options.md has the table.
// make schedule-table prints it.
func TestLongestFirstComesWithinAPercentOfTheLowerBoundOnHeavyTailedSites(t *testing.T) {
	t.Parallel()
	const sites = 150 // for each number of workers
	pools := []int{2, 4, 8, 16}
	orders := []Order{Name, Mixed, Longest}
	over := map[Order]map[int]ratios{}
	for _, order := range orders {
		over[order] = map[int]ratios{}
	}
	seed := uint64(0)
	for _, workers := range pools {
		for range sites {
			seed++
			random := rand.New(rand.NewPCG(seed, 2))
			groups := int(100 * math.Pow(20, random.Float64()))
			listed, truth := aSite(seed, groups, 1+random.Float64())
			bound := lowerBound(truth, workers)
			for _, order := range orders {
				length := New(evening, listed, Settings{Order: order, Workers: workers}).run(truth)
				if length < bound {
					t.Fatalf("site %d: %s takes %v, less than the bound %v", seed, order, length, bound)
				}
				over[order][workers] = append(over[order][workers], float64(length)/float64(bound))
			}
		}
	}

	var all ratios
	var table strings.Builder
	table.WriteString("| `--order` | 2 workers | 4 | 8 | 16 |\n| --- | --- | --- | --- | --- |\n")
	for _, order := range orders {
		fmt.Fprintf(&table, "| `%s` |", order)
		for _, workers := range pools {
			fmt.Fprintf(&table, " %v |", over[order][workers])
		}
		table.WriteString("\n")
	}
	fmt.Fprint(t.Output(), table.String())
	for _, workers := range pools {
		all = append(all, over[Longest][workers]...)
	}
	if len(all) < 400 || all.mean() > 1.01 || all.p95() > 1.05 {
		t.Errorf("%d sites: longest first is at %.4f of the bound on average and %.4f at the 95th percentile, want at most 1.01 and 1.05",
			len(all), all.mean(), all.p95())
	}
	t.Logf("longest first: %.4f on average, %.4f at the 95th percentile, %.4f at most", all.mean(), all.p95(), slices.Max(all))
	page, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table.String()) {
		t.Error("docs/options.md has another table than make schedule-table prints")
	}
}
