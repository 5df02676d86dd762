package command

import (
	"context"
	"strings"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/observe"
	"github.com/groupserver/senddigest/internal/ping"
)

// userAgent is how the program calls itself.
func (p command) userAgent() string { return p.program.Name + "/" + strings.Fields(p.VersionText())[0] }

func (p command) pings(s *config.Settings) *ping.Options {
	if s.PingURL == nil {
		return nil
	}
	roots, _ := hooks.Authorities(s.CACert) // the session has read it
	return &ping.Options{URL: s.PingURL, UserAgent: p.userAgent(), Roots: roots}
}

// pingEnd tells the monitor how a run ended. That nobody heard it is a line in the log and nothing else.
func (p command) pingEnd(c *session, s *config.Settings, m *observe.Monitor, result campaign.Result, code int, unwritten error) {
	words := ""
	if unwritten != nil {
		words = p.message(unwritten)
	}
	ctx := c.abort // a signal ends the run, the next one this
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx) // one more ends the process
	}
	if err := m.End(ctx, result, code, words); err != nil {
		observe.NewLog(c.queue, s.LogLevel, s.LogJSON).Warn("the monitor was not told how the run ended", "error", err.Error())
	}
}
