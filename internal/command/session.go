package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/ledger/postgres"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/observe"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/progress"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/internal/web"
)

// A session is what every command has that asks something of a site: a client, what may stop it, and a way to
// standard error on which messages and progress do not mix.
type session struct {
	client   *hooks.Client
	campaign campaign.Campaign
	// When ctx ends nothing more starts, when abort ends what is in flight is cut.
	ctx, abort context.Context
	stopped    *word // what is said of a signal
	display    *progress.Display
	queue      *progress.Queue
	patience   context.Context // when it ends, standard error is not waited for any longer
	unwatch    func()

	traffic *hooks.Traffic
	sends   metrics.Sends
	ledger  *postgres.Reader // nil: none
}

// session begins one, says what is dangerous about the options, and adds to them what follows from the site and the
// environment.
func (p command) session(site *url.URL, s *config.Settings) (*session, error) {
	if s.Listen != "" { // before the night, in a dry run, too
		if err := web.Judge(s.Listen, s.ListenAnywhere); err != nil {
			return nil, listenError(err)
		}
	}
	traffic := new(hooks.Traffic)
	client, err := p.client(site, s, traffic)
	if err != nil {
		return nil, err
	}
	queue := progress.NewQueue(p.Stderr)
	c := &session{
		client: client, campaign: p.program.campaign(client, s), traffic: traffic,
		queue: queue, display: progress.New(queue, p.Terminal()),
	}
	if !s.Verbose {
		c.display.Quiet()
	}
	p.warn(c.display, site, s)
	c.stopped = &word{w: c.display}
	c.ctx, c.abort, c.unwatch = p.Stops(c.stopped, p.program.Name, p.afterSignal())
	c.patience = later(c.abort, flushTime)
	log.SetOutput(&observe.StrayLog{Log: observe.NewLog(c.display, s.LogLevel, s.LogJSON), Scrub: client.Scrub})

	s.URL, s.Abort, s.Grace = hooks.SiteName(site), c.abort, cmp.Or(s.Grace, s.Timeout)
	s.StateDir = p.stateDir(s)
	c.openLedger(s)
	if !s.NoState {
		s.Installation = state.NewInstallation(s.Token.Digest(), site)
	}
	return c, nil
}

// A word is a writer until it is taken back.
type word struct {
	w    io.Writer
	back atomic.Bool
}

func (o *word) Write(p []byte) (int, error) {
	if o.back.Load() {
		return len(p), nil
	}
	return o.w.Write(p)
}

// openLedger gives the run the site's database, if there is one to read.
func (c *session) openLedger(s *config.Settings) {
	switch db := s.Database; {
	case db.Mode == config.LedgerOff:
	case db.Err != nil && s.Verbose:
		fmt.Fprintf(c.display, "%s\n", printable.Line("it is not read what was mailed: "+db.Err.Error()))
	case db.Err == nil:
		c.ledger = postgres.New(db.DSN)
		s.Ledger, s.LedgerNamed = c.ledger, db.Mode == config.LedgerNamed
	}
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
	if c.ledger != nil {
		c.ledger.Close()
	}
	c.display.Close()
	c.queue.Close(c.patience)
	c.unwatch()
}

// flushTime is how long standard error may take to show what was said when the program was told to cut what is in flight. A
// terminal that was stopped shows nothing.
const flushTime = time.Second

// later ends so long after ctx.
func later(ctx context.Context, after time.Duration) context.Context {
	late, end := context.WithCancel(context.Background())
	context.AfterFunc(ctx, func() { time.AfterFunc(after, end) })
	return late
}
