package command

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/live"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/web"
)

// lastLook is how long browsers have to take the report of a run that has ended, if no --linger gives them more.
const lastLook = 2 * time.Second

// A livePage is the page of a run, and who serves it. nil is a run without.
type livePage struct {
	*live.Page
	server *web.Server
}

// livePage serves the page of a run where one is asked for. An address that is refused is an error; one that cannot be had,
// such as another program's, is a warning: no night fails for its page.
func (p command) livePage(c *session, s *config.Settings) (*livePage, error) {
	if s.Listen == "" {
		return nil, nil
	}
	meta := c.campaign.Meta()
	meta.URL, meta.Started = s.URL, time.Now()
	meta.Workers, meta.Rate, meta.Burst = s.Workers, float64(s.Rate), s.Burst
	page := live.New(meta, live.Options{
		Left: c.display.Left, Status: c.display.Waits,
		Traffic:  func() (sent, received int64) { return c.traffic.Sent(), c.traffic.Received() },
		ExitCode: func(r campaign.Result) int { return runCode(r, r.Unwritten) },
	})
	server, err := p.listen(c, s, page.Handler())
	if server == nil {
		return nil, err
	}
	if s.Verbose {
		fmt.Fprintf(c.display, "live page: %s\n", server.URL())
	}
	return &livePage{page, server}, nil
}

// listen serves a page. Without a server and an error there is none, and all else goes on.
func (p command) listen(c *session, s *config.Settings, page http.Handler) (*web.Server, error) {
	server, err := web.Start(c.ctx, s.Listen, s.ListenAnywhere, page)
	if err == nil {
		return server, nil
	}
	if _, refused := errors.AsType[*web.AddressError](err); refused {
		return nil, listenError(err)
	}
	fmt.Fprintf(c.display, "%s: warning: no live page at %s: %s\n", p.program.Name, printable.Line(s.Listen), printable.Line(err.Error()))
	return nil, nil
}

// listenError is the error of an address that is refused.
func listenError(err error) error {
	e, _ := errors.AsType[*web.AddressError](err)
	if e.Reachable {
		return &usageError{"--listen " + e.Error(), "name a loopback address such as 127.0.0.1:8377, or add --listen-anywhere if every machine that reaches it may read the page"}
	}
	return &usageError{"--listen " + e.Error(), "127.0.0.1:8377 would do; port 0 is a free one"}
}

// observers adds the page to those that observe the run.
func (l *livePage) observers(others ...campaign.Observer) []campaign.Observer {
	if l == nil {
		return others
	}
	return append(others, l.Page)
}

// status adds where the page is to what a service manager is told of the run.
func (l *livePage) status(run func() string) func() string {
	if l == nil {
		return run
	}
	return func() string { return run() + "; live page: " + l.server.URL() }
}

// linger is how long the page stays after the run; 0 where there is none.
func (l *livePage) linger(s *config.Settings) time.Duration {
	if l == nil {
		return 0
	}
	return s.Linger
}

// close takes the page away, after the time that it is to stay. A signal ends that.
func (l *livePage) close(c *session, s *config.Settings, ended bool) {
	if l == nil {
		return
	}
	if ended && s.Linger > 0 {
		c.stopped.back.Store(true) // a signal ends the page, and no run
		if s.Verbose {
			fmt.Fprintf(c.queue, "the page stays at %s for %v, or until a signal\n", l.server.URL(), s.Linger)
		}
		timer := time.NewTimer(s.Linger)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.ctx.Done():
		}
	}
	l.Page.Close()
	l.server.Close(lastLook)
}
