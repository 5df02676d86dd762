package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// How long a send takes in the benchmarks, and how many there are: enough for beginning and end not to count.
const (
	benchCost   = 100 * time.Millisecond
	benchGroups = 600
)

// BenchmarkFleet is how much of what may be in flight, and of a rate, a fleet uses. Its last lines are ratios, which the
// machine's speed has little to do with: 1 is as much as is possible, or as the other.
func BenchmarkFleet(b *testing.B) {
	const limit = 8
	var embedded, one float64
	b.Run("embedded", func(b *testing.B) {
		for b.Loop() {
			w := benchWorld(b)
			u, err := hooks.ParseURL(w.url)
			if err != nil {
				b.Fatal(err)
			}
			transport := hooks.NewTransport(hooks.TransportOptions{})
			transport.Proxy = nil
			c := campaign.Digest(hooks.New(u, hooks.NewToken(program.Token), hooks.Options{Transport: transport}), nil)
			list, err := c.List(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			dispatcher.Run(b.Context(), list.Entries, func(ctx context.Context, g state.Group) dispatcher.Verdict { return c.Send(ctx, g) }, dispatcher.Options{Workers: limit})
			embedded = w.pace(b)
		}
		b.ReportMetric(embedded, "groups/s")
		b.ReportMetric(embedded*benchCost.Seconds()/limit, "of-the-limit")
	})
	for _, workers := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			var pace float64
			for b.Loop() {
				w := benchWorld(b)
				w.night(b, workers, "--workers", fmt.Sprint(limit))
				pace = w.pace(b)
			}
			if workers == 1 {
				one = pace
			}
			b.ReportMetric(pace, "groups/s")
			b.ReportMetric(pace*benchCost.Seconds()/limit, "of-the-limit")
			b.ReportMetric(pace/embedded, "of-embedded")
			b.ReportMetric(pace/one, "of-one-worker")
		})
	}
	b.Run("rate=40", func(b *testing.B) {
		var pace float64
		for b.Loop() {
			w := benchWorld(b)
			w.night(b, 2, "--workers", "16", "--rate", "40")
			pace = w.pace(b)
		}
		b.ReportMetric(pace, "groups/s")
		b.ReportMetric(pace/40, "of-the-rate")
	})
}

func benchWorld(b *testing.B) *world {
	b.Helper()
	return newWorld(b, standin.Options{Groups: some(benchGroups), Threads: 32, Cost: always(benchCost)})
}

// night makes a night with so many workers.
func (w *world) night(b *testing.B, workers int, options ...string) {
	b.Helper()
	var all []*machine
	for range workers {
		all = append(all, w.work(b.TempDir()))
	}
	m := w.run(b.TempDir(), options...)
	if code := m.code(); code != 0 {
		b.Fatalf("exit code %d:\n%s", code, m.output.String())
	}
	for _, m := range all {
		m.kill()
	}
	w.judge(some(benchGroups), 32)
}

// pace is how many sends a second started, between a tenth of them and nine tenths.
func (w *world) pace(b *testing.B) float64 {
	b.Helper()
	starts := w.site.Starts()
	if len(starts) < benchGroups {
		b.Fatalf("only %d sends", len(starts))
	}
	from, to := len(starts)/10, len(starts)*9/10
	return float64(to-from) / starts[to].Sub(starts[from]).Seconds()
}
