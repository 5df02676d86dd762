package command

import (
	"context"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/ping"
	"github.com/groupserver/senddigest/internal/progress"
)

// A session is what every command has that asks something of a site: a client, what may stop it, and a way to
// standard error on which messages and progress do not mix.
type session struct {
	client *hooks.Client
	// When ctx ends nothing more starts, when abort ends what is in flight is cut.
	ctx, abort context.Context
	stop       context.CancelCauseFunc
	ends       *campaign.DeadlineError // when ctx ends for lack of time, and why; nil: it does not
	timer      *time.Timer             // for that; nil: none
	display    *progress.Display
	queue      *progress.Queue
	service    *service // of a run
	unwatch    func()

	traffic *hooks.Traffic
	sends   metrics.Sends
	ping    *ping.Pinger // nil: nobody is told
}

// session begins one, and says what is dangerous about the options.
func (p Process) session(site *url.URL, s *config.Settings) (*session, error) {
	traffic := new(hooks.Traffic)
	client, err := p.client(site, s, traffic)
	if err != nil {
		return nil, err
	}
	queue := progress.NewQueue(p.Stderr)
	c := &session{client: client, traffic: traffic, queue: queue, display: progress.New(queue, p.terminal())}
	p.warn(c.display, site, s)
	c.ctx, c.abort, c.stop, c.unwatch = p.stops(c.display)
	c.endBy(deadline(s, time.Now()))
	return c, nil
}

// endBy lets nothing more start from a time on. Of several times the earliest counts; nil is none.
func (c *session) endBy(e *campaign.DeadlineError) {
	if e == nil || c.ends != nil && !e.At.Before(c.ends.At) {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.ends, c.timer = e, time.AfterFunc(time.Until(e.At), func() { c.stop(e) })
}

// silence ends what the session says while it goes: all of it is on standard error then, and nothing follows. Signals
// are still heard.
func (c *session) silence() {
	c.display.Close()
	c.queue.Close()
}

// close ends the session.
func (c *session) close() {
	c.silence()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.unwatch()
}
