package canary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// Visitors let an adaptive limit hear what visitors of a site wait, by one light page of it.
type Visitors struct {
	Page      *url.URL
	Options   Options
	W         io.Writer // what is to be said of the page goes there; it must not wait
	Program   string    // who says it
	Verbose   bool      // say also what the page takes, and that it cannot be had
	Mandatory bool      // somebody asked for this page by name: say that it cannot be had
}

// Watch tells limit what the page takes while nothing is sent, and returns. From then on it tells what it takes until over is
// called, or ctx ends. Where the page cannot be had, limit hears nothing.
func (v *Visitors) Watch(ctx context.Context, limit *ratelimit.Adaptive) (over func()) {
	light := New(v.Page, v.Options)
	usual, err := light.Baseline(ctx)
	if err != nil {
		if e, ok := errors.AsType[*PageError](err); ok && (v.Verbose || v.Mandatory) {
			fmt.Fprintf(v.W, "%s: warning: what visitors wait is not known: %v; %s\n", v.Program, e, e.Hint())
		}
		return func() {}
	}
	if v.Verbose {
		fmt.Fprintf(v.W, "%s takes %v while nothing is sent; how many sends are in flight depends on that\n",
			v.Page.Redacted(), usual.Round(100*time.Microsecond))
	}
	limit.Baseline(usual)
	return light.Start(ctx, limit.Canary)
}
