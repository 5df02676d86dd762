package campaign

import (
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// What becomes of ambiguous sends: those of the run itself, and those that an earlier run left.
//
// Two requests for one group that overlap are mailed twice. So a group is sent to again only when the first request has
// surely ended: the server may have it in its queue or be at work on it until then. Afterwards the server's own duplicate
// check makes the repeat harmless, as long as its guard of the group stands (docs/groupserver.md section 5).

// DefaultSettle is the usual Settings.Settle.
const DefaultSettle = 10 * time.Minute

// settleTime is how long after its start an ambiguous send to anybody may be repeated. Who raised the time for one try
// beyond the usual knows that sends take so long there.
func (s *Settings) settleTime() time.Duration {
	if s.Timeout > DefaultSettle {
		return max(s.Settle, s.Timeout)
	}
	return s.Settle
}

// settleAfter is how long after its start an ambiguous send to the group with that key may be repeated.
func (r *run) settleAfter(key string) time.Duration {
	if r.history == nil {
		return r.settleTime()
	}
	return max(r.settleTime(), 2*r.history.Longest(key))
}

// settle decides whether an ambiguous send of this run is repeated before the run ends, and from when on.
func (r *run) settle(result dispatcher.Result) (at time.Time, ok bool) {
	if r.campaign.Guard == nil || r.SkipAmbiguous || r.Settle <= 0 {
		return time.Time{}, false
	}
	at = result.Start.Add(max(r.settleAfter(result.Job.Key()), r.Timeout))
	lost := result.Start
	if result.Lost != nil {
		lost = result.Lost.Start
	}
	ends := r.ends.Load()
	inTime := ends == nil || at.Before(ends.At)
	return at, inTime && r.campaign.Guard.Harmless(lost, at)
}
