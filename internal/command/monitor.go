package command

import (
	"context"
	"strings"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/ping"
)

// Who monitors runs hears of those alone that had the lock and knew what to send to. A second run beside a first has
// no say: the file and the check are the first one's, which will tell of itself.

// userAgent is how the program calls itself.
func (p Process) userAgent() string { return program + "/" + strings.Fields(p.version())[0] }

// A monitor hears of the beginning of a run. It hears of the end by pingEnd, since the exit code is not known before all
// files are written.
type monitor struct {
	options *ping.Options // nil: nobody is told
	pinger  *ping.Pinger
}

func (p Process) pings(s *config.Settings) *ping.Options {
	if s.PingURL == nil {
		return nil
	}
	roots, _ := authorities(s.CACert) // the session has read it
	return &ping.Options{URL: s.PingURL, UserAgent: p.userAgent(), Roots: roots}
}

// Observe tells that the run begins, without waiting for that.
func (m *monitor) Observe(e campaign.Event) {
	if _, ok := e.(campaign.Listing); ok && m.options != nil {
		m.pinger = ping.Start(*m.options)
	}
}

// pingEnd tells the monitor how a run ended. That nobody heard it is a line in the log and nothing else.
func (p Process) pingEnd(c *session, s *config.Settings, m *monitor, result campaign.Result, code int, writing error) {
	if m.pinger == nil {
		return
	}
	var text strings.Builder
	if writing != nil {
		text.WriteString(message(writing))
	}
	_ = result.Document.WriteText(&text) // a builder takes everything
	ctx := c.abort                       // a signal ends the run, the next one this
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx) // one more ends the process
	}
	if err := m.pinger.End(ctx, code, text.String()); err != nil {
		p.log(c.queue, s).Warn("the monitor was not told how the run ended", "error", err.Error())
	}
}

// measure writes the metrics of a run that ends with this code, if its own file does not change it.
func (c *session) measure(s *config.Settings, result campaign.Result, code int) error {
	if s.MetricsFile == "" {
		return nil
	}
	return metrics.Run{
		Document: result.Document, ExitCode: code, Sends: &c.sends,
		Sent: c.traffic.Sent(), Received: c.traffic.Received(),
	}.WriteFile(s.MetricsFile)
}
