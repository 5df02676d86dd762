package campaign

import (
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Settle is what becomes of ambiguous sends: those of the run itself, and those that an earlier run left.
//
// Two requests for one group that overlap are mailed twice. So a group is sent to again only when the first request has
// surely ended: the server may have it in its queue or be at work on it until then. Afterwards the server's own duplicate
// check makes the repeat harmless, as long as its guard of the group stands (docs/groupserver.md section 5).
//
// The zero value settles nothing within the run.
type Settle struct {
	// After is how long after its start an ambiguous send may be repeated, longer than any can take on the server. A
	// group whose sends took more than half of it in past runs waits for twice the longest of them. 0: a send of this run
	// is not repeated, one of an earlier run at once.
	After time.Duration
	// Timeout is that of one try. A send of this run, which nobody has looked at, is repeated no sooner.
	Timeout time.Duration
	// Skip leaves what is ambiguous to people. A new run waits for the sends of an earlier one all the same.
	Skip bool
	// Until is when the run starts nothing more; zero: never.
	Until time.Time
}

// settleAfter is how long after its start an ambiguous send to the group with that key may be repeated.
func (s *Settings) settleAfter(key string) time.Duration {
	if s.History == nil {
		return s.Settle.After
	}
	return max(s.Settle.After, 2*s.History.Longest(key))
}

// harmless reports whether a repeat that starts at the time at is harmless, because the server's guard of the group still
// stands then. The group may have been mailed by the ambiguous send that began at lost, or by any later one.
func (s *Settings) harmless(lost, at time.Time) bool {
	return !at.After(s.clock().guardStands(lost, at).Add(-guardMargin))
}

// guardMargin is how long before the end of the server's guard an ambiguous send is repeated at the latest: the repeat may
// have to wait for its turn.
const guardMargin = 3 * time.Hour

// settle decides whether an ambiguous send of this run is repeated before the run ends, and from when on.
func (s *Settings) settle(r dispatcher.Result) (at time.Time, ok bool) {
	if s.Settle.Skip || s.Settle.After <= 0 {
		return time.Time{}, false
	}
	at = r.Start.Add(max(s.settleAfter(r.Job.Key()), s.Settle.Timeout))
	lost := r.Start
	if r.Lost != nil {
		lost = r.Lost.Start
	}
	inTime := s.Settle.Until.IsZero() || at.Before(s.Settle.Until)
	return at, inTime && s.harmless(lost, at)
}
