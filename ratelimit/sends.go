package ratelimit

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// sendSense is what sends have told.
type sendSense struct {
	pace    float64   // the ratio that is usual this night; 0: not known
	learned int       // the answers it is from
	recent  []float64 // logarithms of the last ratios at this limit
}

// add takes an answer into account.
func (s *sendSense) add(ratio float64, limit int) {
	s.recent = last(window, s.recent, math.Log(ratio))
	if limit == 1 && len(s.recent) >= learnSends || len(s.recent) == window && s.pace > 0 && s.slowdown(+deviations) < 0.8 {
		s.pace, s.learned = math.Exp(median(s.recent)), len(s.recent)
	}
}

// queue is how many of the sends only wait at the service, at the least.
func (s *sendSense) queue(limit int) float64 {
	if s.pace == 0 || len(s.recent) < enough {
		return 0
	}
	return float64(limit) * (1 - 1/max(1, s.slowdown(-deviations)))
}

// slowdown is the median ratio, off by so many of its standard errors.
func (s *sendSense) slowdown(deviations float64) float64 {
	m := median(s.recent)
	off := make([]float64, len(s.recent))
	for i, r := range s.recent {
		off[i] = math.Abs(r - m)
	}
	// 1.4826: from the median deviation to the standard one. 1.2533: from a mean's standard error to a median's.
	spread := 1.4826 * median(off)
	failing := 1.2533 * spread * math.Sqrt(1/float64(len(s.recent))+1/float64(s.learned))
	return math.Exp(m+deviations*failing) / s.pace
}

func (c *Controller) queues(n float64) string {
	return fmt.Sprintf("of %d sends about %.1f only queue", c.limit, n)
}

func sends(n int) string {
	if n == 1 {
		return "1 send"
	}
	return fmt.Sprintf("%d sends", n)
}

// shareLimit is by how much so many sends may slow a page that shares a processor with them.
func shareLimit(sends int) float64 {
	if sends <= 2 {
		return sharedByTwo
	}
	return sharedByMore
}

// last appends v and keeps n at most.
func last[T any](n int, values []T, v T) []T {
	values = append(values, v)
	return values[max(0, len(values)-n):]
}

// median is 0 for nothing at all.
func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
