package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/ratelimit"
)

// visitors are what campaign asks for --workers auto: they wait for a light page of the site.
type visitors struct {
	program   string
	display   io.Writer
	page      *url.URL
	options   canary.Options
	verbose   bool
	mandatory bool // somebody asked for this page by name
}

func (p command) visitors(c *session, site *url.URL, s *config.Settings) *visitors {
	page := site
	if s.Canary != "" {
		page, _ = url.Parse(s.Canary) // it was checked when it was read
	}
	var header http.Header
	if page.Scheme == site.Scheme && page.Host == site.Host {
		header = s.Header // it is the site's, and may be a secret
	}
	roots, _ := authorities(s.CACert) // they were read for the client
	transport := hooks.NewTransport(hooks.TransportOptions{
		ConnectTimeout: s.ConnectTimeout, Roots: roots, Insecure: s.Insecure,
	})
	return &visitors{
		p.program.Name, c.display, page, canary.Options{Transport: transport, UserAgent: p.userAgent(), Header: header}, s.Verbose, s.Canary != "",
	}
}

// Watch implements [campaign.Visitors].
func (v *visitors) Watch(ctx context.Context, limit *ratelimit.Adaptive) (over func()) {
	light := canary.New(v.page, v.options)
	usual, err := light.Baseline(ctx)
	if err != nil {
		if e, ok := errors.AsType[*canary.PageError](err); ok && (v.verbose || v.mandatory) {
			fmt.Fprintf(v.display, "%s: warning: what visitors wait is not known: %v; %s\n", v.program, e, e.Hint())
		}
		return func() {}
	}
	if v.verbose {
		fmt.Fprintf(v.display, "%s takes %v while nothing is sent; how many sends are in flight depends on that\n",
			v.page.Redacted(), usual.Round(100*time.Microsecond))
	}
	limit.Baseline(usual)
	return light.Start(ctx, limit.Canary)
}
