package metrics

import (
	"sort"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
)

// bounds are the upper ends of the histogram's buckets. 60 s is nginx's own patience, 240 s the usual --timeout.
var bounds = [...]time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 4 * time.Minute, 10 * time.Minute,
}

// Sends watches the sends of one run. Its zero value is a run without any.
type Sends struct {
	flying, peak int
	buckets      [len(bounds) + 1]int // tries up to each bound; the last: above all
	sum          time.Duration
}

// Peak is the most that were in flight at once.
func (s *Sends) Peak() int { return s.peak }

// Observe counts a try when it has ended.
func (s *Sends) Observe(event campaign.Event) {
	e, ok := event.(campaign.Send)
	if !ok {
		return
	}
	// A job that is given up while it waits for another try ends without one.
	ended := e.InFlight < s.flying
	s.flying = e.InFlight
	s.peak = max(s.peak, e.InFlight)
	if ended {
		took := e.Result.Took
		s.buckets[sort.Search(len(bounds), func(i int) bool { return took <= bounds[i] })]++
		s.sum += took
	}
}
