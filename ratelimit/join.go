package ratelimit

import "context"

// Join makes one limiter of several: all must let a send start at the same moment, and each hears how it went. So
// what one of them learns while a send waits for another still holds that send. They are asked in order: a token
// bucket comes last, so that it gives a token only to a send that nothing else holds.
func Join(gates ...Gate) Gate { return joined(gates) }

type joined []Gate

// Acquire waits until all gates let a send start.
func (j joined) Acquire(ctx context.Context) (Permit, error) { return acquire(ctx, j.ask) }

// Limit is the lowest of the gates' limits.
func (j joined) Limit() (lowest int) {
	for _, gate := range j {
		if limit := gate.Limit(); limit > 0 && (lowest == 0 || limit < lowest) {
			lowest = limit
		}
	}
	return lowest
}

// Down is what the first gate says that watches the service.
func (j joined) Down() Health {
	for _, gate := range j {
		if health := gate.Down(); health != Unknown {
			return health
		}
	}
	return Unknown
}

func (j joined) ask() (Permit, hold, error) {
	permits := make([]Permit, 0, len(j))
	all := func(f Feedback) {
		for _, p := range permits {
			p(f)
		}
	}
	for _, gate := range j {
		permit, hold, err := gate.ask()
		if permit == nil {
			all(Feedback{})
			return nil, hold, err
		}
		permits = append(permits, permit)
	}
	return all, hold{}, nil
}
