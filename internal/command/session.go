package command

import (
	"context"
	"io"
	"log"
	"net/url"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/metrics"
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
	patience   context.Context  // when it ends, standard error is not waited for any longer
	events     *campaign.Stream // of a run
	unwatch    func()

	traffic *hooks.Traffic
	sends   metrics.Sends
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
	if !s.Verbose {
		c.display.Quiet()
	}
	p.warn(c.display, site, s)
	c.ctx, c.abort, c.stop, c.unwatch = p.stops(c.display)
	c.patience = later(c.abort, flushTime)
	log.SetOutput(&strayLog{p.log(c.display, s), client.Scrub})
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

// silence ends what the session shows while it goes. It returns when all of that is on standard error, which may be one
// that nobody reads: then the second signal ends the wait.
func (c *session) silence() {
	c.display.Close()
	c.queue.Flush(c.patience)
}

// conclude says the last of a run, as patiently.
func (c *session) conclude(text string) {
	_, _ = io.WriteString(c.queue, text) // a queue takes everything
	c.queue.Flush(c.patience)
}

// close ends the session. Signals are heard until all that it said is on standard error.
func (c *session) close() {
	log.SetOutput(io.Discard)
	c.display.Close()
	c.queue.Close(c.patience)
	if c.timer != nil {
		c.timer.Stop()
	}
	c.unwatch()
}

// later ends so long after ctx.
func later(ctx context.Context, after time.Duration) context.Context {
	late, end := context.WithCancel(context.Background())
	context.AfterFunc(ctx, func() { time.AfterFunc(after, end) })
	return late
}
