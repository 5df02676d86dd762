package dispatcher

import "github.com/groupserver/senddigest/ratelimit"

// together counts, for the send of each worker, the most sends that were in flight at any time of it; 0: the worker sends
// nothing. Workers are numbered from 1.
type together []int

// start notes that a worker's send starts.
func (t together) start(worker int) {
	t[worker] = 1
	inFlight := 0
	for _, most := range t {
		inFlight += min(most, 1)
	}
	for w, most := range t {
		if most > 0 {
			t[w] = max(most, inFlight)
		}
	}
}

// end notes that a worker's send has ended, and returns its count. It comes before the permit is given back, so that a
// send that starts on that permit does not count this one.
func (t together) end(worker int) int {
	most := t[worker]
	t[worker] = 0
	return most
}

// alongside is the most sends that were in flight at any time of the one that a worker has just ended, itself included.
func (r *run[J]) alongside(worker int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.together.end(worker)
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
