package observe

import (
	"context"
	"strings"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/ping"
)

// Who monitors runs hears of those alone that had the lock and knew what to send to. A second run beside a first has
// no say: the file and the check are the first one's, which will tell of itself.

// A Monitor tells a monitor that a run begins. It tells of the end by [Monitor.End], since the exit code is not known
// before all files are written.
type Monitor struct {
	Options *ping.Options // nil: nobody is told
	pinger  *ping.Pinger
}

// Observe tells that the run begins, without waiting for that.
func (m *Monitor) Observe(e campaign.Event) {
	if _, ok := e.(campaign.Listing); ok && m.Options != nil {
		m.pinger = ping.Start(*m.Options)
	}
}

// End tells how a run ended, with its report behind some words. Its error says that nobody heard it.
func (m *Monitor) End(ctx context.Context, result campaign.Result, code int, words string) error {
	if m.pinger == nil {
		return nil
	}
	var text strings.Builder
	text.WriteString(words)
	_ = result.Document.WriteSummary(&text) // a builder takes everything
	return m.pinger.End(ctx, code, text.String())
}
