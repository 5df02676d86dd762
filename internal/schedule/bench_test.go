package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What a run of 200,000 groups waits for before its first send: order and forecast, and the answer to a deadline.
func BenchmarkPlan(b *testing.B) {
	const groups = 200_000
	for _, sigma := range []float64{1, 2} {
		listed, _ := aSite(1, groups, sigma)
		for _, deadline := range []bool{false, true} {
			b.Run(fmt.Sprintf("groups=%d/sigma=%g/deadline=%t", groups, sigma, deadline), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					plan := New(evening, slices.Clone(listed), Settings{Workers: 8})
					forecast := plan.Forecast()
					if deadline && forecast.Fit(evening.Add(forecast.Expected/2), 64).Workers < 16 {
						b.Fatal("half the time needs twice the workers")
					}
				}
			})
		}
	}
}

// Rates and rests are other ways through the simulation.
func BenchmarkSimulate(b *testing.B) {
	listed, truth := aSite(1, 20_000, 1.5)
	for _, tt := range []struct {
		name     string
		settings Settings
	}{
		{"plain", Settings{Workers: 16}},
		{"rate", Settings{Workers: 16, Rate: 1}},
		{"throttle", Settings{Workers: 16, Throttle: time.Second}},
		{"mixed", Settings{Workers: 16, Order: Mixed}},
		{"workers=1000", Settings{Workers: 1000}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			plan := New(evening, listed, tt.settings)
			for b.Loop() {
				plan.run(truth)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(listed)), "ns/send")
		})
	}
}
