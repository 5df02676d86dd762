package dispatcher

import "github.com/groupserver/senddigest/ratelimit"

// startTogether notes that a worker's send starts. The caller holds r.mu.
func (r *run[J]) startTogether(worker int) {
	r.together[worker] = 1
	inFlight := 0
	for _, most := range r.together {
		inFlight += min(most, 1)
	}
	for w, most := range r.together {
		if most > 0 {
			r.together[w] = max(most, inFlight)
		}
	}
}

// alongside returns the most sends that were in flight at any time of the one that a worker has just ended, itself included.
// It comes before the permit is given back, so that a send that starts on that permit does not count this one.
func (r *run[J]) alongside(worker int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := r.together[worker]
	r.together[worker] = 0
	return most
}

// alone is the health that a crowding answer means where no other send was in flight.
func alone(crowding ratelimit.Health) ratelimit.Health {
	if crowding == ratelimit.Crowded {
		return ratelimit.Failing
	}
	return ratelimit.Unknown
}

// crowded decides whether a try counts that had no room beside others in flight, at the service or here. It does not: it
// delivered nothing, and the limiter has fewer in flight from now on. A job that has no room more often than there are
// workers uses up its tries. The caller holds r.mu.
func (r *run[J]) crowded(i int, health ratelimit.Health) bool {
	if !health.Crowding() || r.crowds[i] == r.options.Workers {
		return false
	}
	r.crowds[i]++
	r.uncounted[i]++
	return true
}
