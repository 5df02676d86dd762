package campaign

import (
	"fmt"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// A shortage is what this machine lacked for as many sends at once as there are workers: open files, local ports or
// memory. The zero value is none.
type shortage struct {
	mu       sync.Mutex
	reason   string // what it lacked
	inFlight int    // with how many in flight, when the limit was lowest; 0: it never was lowered
	limit    int    // how many may be in flight since then
	at       time.Time
}

// observe notes what a verdict says this machine lacked, and returns the verdict.
func (m *shortage) observe(v dispatcher.Verdict) dispatcher.Verdict {
	if v.Health == ratelimit.NoRoom {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.reason = v.Reason
	}
	return v
}

// crowded notes how many sends may be in flight because of the shortage, and returns why.
func (m *shortage) crowded(c ratelimit.CrowdState) (why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.InFlight == 0 {
		return "to see whether this machine has room for one more"
	}
	if m.inFlight == 0 || c.Limit < m.limit {
		m.inFlight, m.limit, m.at = c.InFlight, c.Limit, time.Now()
	}
	return fmt.Sprintf("of %d in flight one could not leave this machine: %s", c.InFlight, m.reason)
}

// note returns a line about what was lacking and what to do; empty if nothing was lacking.
func (m *shortage) note() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inFlight == 0 {
		return ""
	}
	return fmt.Sprintf("this machine had no room for %d sends at once: %s; what could not leave was sent again, and from %s on %d may be "+
		"in flight; raise that limit, or lower the number of workers", m.inFlight, m.reason, m.at.Local().Format("15:04"), m.limit)
}
