package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/ratelimit"
)

// fewGroups is for how few groups it does not pay to find out what the site bears: they are sent to one at a time before
// that is known.
const fewGroups = 20

// watchVisitors tells a limit what visitors of the site wait: by a light page of it, from before the first send to after
// the last. It gives nil where no page is asked for.
func (p Process) watchVisitors(c *session, site *url.URL, s *config.Settings, limit *ratelimit.Adaptive) func(context.Context, *campaign.Plan) (over func()) {
	if s.Canary == "none" {
		return nil
	}
	page := site
	if s.Canary != "" {
		page, _ = url.Parse(s.Canary) // it was checked when it was read
	}
	return func(ctx context.Context, plan *campaign.Plan) (over func()) {
		if len(plan.Groups) < fewGroups {
			return func() {}
		}
		roots, _ := authorities(s.CACert) // they were read for the client
		transport := hooks.NewTransport(hooks.TransportOptions{
			Workers: 1, ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure,
		})
		bird := canary.New(page, canary.Options{Transport: transport, UserAgent: p.userAgent()})
		usual, err := bird.Baseline(ctx)
		if err != nil {
			if e, ok := errors.AsType[*canary.PageError](err); ok && s.Verbose {
				fmt.Fprintf(c.display, "what visitors wait is not known: %v; %s\n", e, e.Hint())
			}
			return transport.CloseIdleConnections
		}
		if s.Verbose {
			fmt.Fprintf(c.display, "%s takes %v while nothing is sent; how many sends are in flight depends on that\n",
				page.Redacted(), usual.Round(100*time.Microsecond))
		}
		limit.Baseline(usual)
		return bird.Start(ctx, limit.Canary)
	}
}
