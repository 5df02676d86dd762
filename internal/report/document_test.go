package report_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
	"pgregory.net/rapid"
)

func TestSecondsAreThoseOfTheSends(t *testing.T) {
	const ms = time.Millisecond
	lengths := func(took ...time.Duration) []dispatcher.Result {
		results := every(len(took), accepted)
		for i := range results {
			results[i].Took = took[i]
		}
		return results
	}
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * ms
	}
	for _, tt := range []struct {
		name    string
		workers int
		rate    float64
		results []dispatcher.Result
		want    report.Seconds
	}{
		{"no sends", 2, 10, nil, report.Seconds{}},
		{"groups left out are no sends", 1, 10, []dispatcher.Result{left(job{}, dispatcher.Skipped, "")}, report.Seconds{}},
		{"one send is every percentile", 4, 0, lengths(2 * time.Second), report.Seconds{P50: 2, P95: 2, P99: 2, Max: 2, LowerBound: 2}},
		{"percentiles are of the nearest rank", 100, 0, lengths(hundred...), report.Seconds{P50: .05, P95: .095, P99: .099, Max: .1, LowerBound: .1}},
		{"the longest binds", 4, 100, lengths(ms, ms, 300*ms), report.Seconds{P50: .001, P95: .3, P99: .3, Max: .3, LowerBound: .3}},
		{"the workers bind", 2, 100, lengths(300*ms, 200*ms, 300*ms), report.Seconds{P50: .3, P95: .3, P99: .3, Max: .3, LowerBound: .4}},
		{"the rate binds", 2, 5, lengths(ms, ms, ms), report.Seconds{P50: .001, P95: .001, P99: .001, Max: .001, LowerBound: .6}},
		{"no worker counts as one", 0, 0, lengths(ms, ms), report.Seconds{P50: .001, P95: .001, P99: .001, Max: .001, LowerBound: .002}},
		{"half a millisecond is rounded up", 1, 0, lengths(500 * time.Microsecond), report.Seconds{P50: .001, P95: .001, P99: .001, Max: .001, LowerBound: .001}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := meta()
			m.Workers, m.Rate = tt.workers, tt.rate
			got := report.New(ended(0, nil, tt.results...), m).Seconds
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRetriesAreTheTriesAfterTheFirst(t *testing.T) {
	results := every(3, accepted)
	results[0].Attempts, results[1].Attempts = 3, 2
	results = append(results, left(job{"main", "late"}, dispatcher.NotAttempted, "stopped"))
	if got := report.New(ended(0, nil, results...), meta()).Counts.Retries; got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}

// drawRun makes a run as a pool of workers behind a token bucket makes it: each job goes to the worker that is free
// first, and starts when the bucket has a token for it.
func drawRun(t *rapid.T) (*dispatcher.Report, report.Meta) {
	m := meta()
	m.Workers = rapid.IntRange(1, 6).Draw(t, "workers")
	m.Burst = rapid.IntRange(1, 5).Draw(t, "burst")
	m.Rate = rapid.SampledFrom([]float64{0, 0.5, 3, 100}).Draw(t, "rate")
	listing := time.Duration(rapid.IntRange(0, 3000).Draw(t, "listing ms")) * time.Millisecond
	lengths := rapid.SliceOfN(rapid.IntRange(0, 90_000), 0, 30).Draw(t, "ms")

	var interval time.Duration
	if m.Rate > 0 {
		interval = time.Duration(float64(time.Second) / m.Rate)
	}
	free := make([]time.Duration, m.Workers)
	for i := range free {
		free[i] = listing
	}
	finished, full := listing, listing // full: when the bucket would be full again
	var results []dispatcher.Result
	for i, ms := range lengths {
		worker := slices.Index(free, slices.Min(free))
		start := max(free[worker], full-time.Duration(m.Burst-1)*interval)
		full = max(full, start) + interval
		o := rapid.SampledFrom(dispatcher.Outcomes()).Draw(t, "outcome")
		if o == dispatcher.NotAttempted || o == dispatcher.Skipped {
			results = append(results, left(job{"main", string(rune('a' + i))}, o, "left"))
			continue
		}
		took := time.Duration(ms) * time.Millisecond
		r := sent(job{"main", string(rune('a' + i))}, dispatcher.Verdict{Outcome: o}, start, took, worker+1)
		r.Attempts = rapid.IntRange(1, 3).Draw(t, "attempts")
		results = append(results, r)
		free[worker] = start + took
		finished = max(finished, free[worker])
	}
	return ended(finished, nil, results...), m
}

func TestFiguresOfAnyRunFitTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run, m := drawRun(t)
		d := report.New(run, m)

		c := d.Counts
		sum := c.Accepted + c.UnknownGroup + c.Rejected + c.NotOK + c.Unexpected + c.Unreachable + c.Ambiguous + c.NotAttempted + c.Skipped
		if sum != c.Groups || c.Groups != len(run.Results) {
			t.Fatalf("%d groups, the outcomes add up to %d, and there are %d results", c.Groups, sum, len(run.Results))
		}
		failed, inCauses := 0, 0
		for g := range d.Groups() {
			switch g.Outcome {
			case "rejected", "not_ok", "unexpected", "unreachable", "ambiguous":
				failed++
			}
		}
		for _, cause := range d.Causes {
			inCauses += cause.Groups
		}
		if c.Failed() != failed {
			t.Fatalf("%d failed, want %d", c.Failed(), failed)
		}
		if want := c.Groups - c.Accepted - c.Skipped; inCauses != want {
			t.Fatalf("the causes have %d groups, want %d", inCauses, want)
		}

		var longest, total, sends float64
		for _, r := range run.Results {
			if r.Attempts > 0 {
				longest = max(longest, r.Took.Seconds())
				total += r.Took.Seconds()
				sends++
			}
		}
		s := d.Seconds
		if !slices.IsSorted([]float64{0, s.P50, s.P95, s.P99, s.Max}) {
			t.Fatalf("percentiles go down: %+v", s)
		}
		if want := math.Round(longest*1000) / 1000; s.Max != want {
			t.Fatalf("max: got %v, want %v", s.Max, want)
		}
		want, slack := max(longest, total/float64(m.Workers)), 0.0
		if m.Rate > 0 {
			want = max(want, sends/m.Rate)
			slack = float64(m.Burst) / m.Rate // what a full bucket lets go at once
		}
		const millisecond = 0.001 // figures are rounded to it
		if math.Abs(s.LowerBound-want) > millisecond {
			t.Fatalf("lower bound: got %v, want %v", s.LowerBound, want)
		}
		if s.LowerBound > s.Wall+slack+millisecond {
			t.Fatalf("the run took %v s, less than its lower bound of %v s", s.Wall, s.LowerBound)
		}
	})
}

// Counts is also a type of its own, for those who build one.
func TestFailedCountsWhatFailed(t *testing.T) {
	all := report.Counts{
		Groups: 1 << 0, Accepted: 1 << 1, UnknownGroup: 1 << 2, Rejected: 1 << 3, NotOK: 1 << 4, Unexpected: 1 << 5,
		Unreachable: 1 << 6, Ambiguous: 1 << 7, NotAttempted: 1 << 8, Skipped: 1 << 9, Retries: 1 << 10,
	}
	if got, want := all.Failed(), 0b1111_1000; got != want {
		t.Errorf("got %b, want %b", got, want)
	}
}
