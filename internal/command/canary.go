package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/ratelimit"
)

// It does not pay to find out what the site bears for so few groups, or, where no earlier run has, for so short a run: it
// is over before that is known.
const (
	fewGroups = 5
	shortRun  = 30 * time.Second
)

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
	var header http.Header
	if page.Scheme == site.Scheme && page.Host == site.Host {
		header = s.Header // it is the site's, and may be a secret
	}
	return func(ctx context.Context, plan *campaign.Plan) (over func()) {
		short := plan.Forecast != nil && plan.Forecast.Expected < shortRun && limit.Found().Sends < 2
		if len(plan.Groups) < fewGroups || short {
			return func() {}
		}
		roots, _ := authorities(s.CACert) // they were read for the client
		transport := hooks.NewTransport(hooks.TransportOptions{
			ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure,
		})
		bird := canary.New(page, canary.Options{Transport: transport, UserAgent: p.userAgent(), Header: header})
		var measured atomic.Bool
		c.display.Waiting(func() string {
			if measured.Load() {
				return ""
			}
			return "what the site's page takes while nothing is sent"
		})
		usual, err := bird.Baseline(ctx)
		measured.Store(true)
		if err != nil {
			if e, ok := errors.AsType[*canary.PageError](err); ok && (s.Verbose || s.Canary != "") {
				fmt.Fprintf(c.display, "%s: warning: what visitors wait is not known: %v; %s\n", program, e, e.Hint())
			}
			return func() {}
		}
		if s.Verbose {
			fmt.Fprintf(c.display, "%s takes %v while nothing is sent; how many sends are in flight depends on that\n",
				page.Redacted(), usual.Round(100*time.Microsecond))
		}
		limit.Baseline(usual)
		return bird.Start(ctx, limit.Canary)
	}
}
