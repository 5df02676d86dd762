// Package live is the page of a run that goes on: the report so far, for a browser, a program and a scraper. A [Page]
// observes the run, and is the handler that shows it; package web serves it.
//
// A run never waits for those who look. It holds the page's lock to note one event, and a reader holds it to take what was
// noted since; all else is done by the goroutines of requests: the report is made of that at most once a second, less often
// where making it takes long, and only while somebody looks. A browser that does not read what it asked for is dropped.
package live

import (
	"slices"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/report"
)

// Options of a page. The zero value works.
type Options struct {
	// Left reports how long the run is expected to go on, negative where nobody knows; nil: nobody does.
	Left func() time.Duration
	// Status reports what the run does or waits for, in one line; nil: nothing.
	Status func() string
	// Traffic reports the bytes that were sent and received; nil: 0.
	Traffic func() (sent, received int64)
	// ExitCode is the program's for a run that has ended; nil: 0.
	ExitCode func(campaign.Result) int
}

// A Page is the live page of one run. It is a [campaign.Observer], and its Handler answers requests from then on, also
// before the run begins and after it has ended.
type Page struct {
	Options
	over    chan struct{} // closed when the run has ended, or Close was called
	streams chan struct{} // has room for one stream of events each

	mu     sync.Mutex // of what the run notes, see noted
	noted  noted
	closed bool

	making sync.Mutex // of what readers make of that
	table  table
	view   view
}

// noted is what the run has noted.
type noted struct {
	meta   report.Meta
	plan   *campaign.Plan                       // nil: there is none yet
	ended  []dispatcher.Result                  // jobs that ended since a reader took them
	open   map[dispatcher.Job]dispatcher.Result // jobs that were tried, and have not ended
	waits  map[dispatcher.Job]struct{}          // of these, the ones that wait for another try
	sends  metrics.Sends
	result *campaign.Result // nil: the run goes on
}

// New makes the page of a run of which this is known before it begins.
func New(meta report.Meta, o Options) *Page {
	return &Page{
		Options: o, over: make(chan struct{}), streams: make(chan struct{}, streams),
		noted: noted{meta: meta, open: map[dispatcher.Job]dispatcher.Result{}, waits: map[dispatcher.Job]struct{}{}},
	}
}

// Observe implements [campaign.Observer].
func (p *Page) Observe(e campaign.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &p.noted
	n.sends.Observe(e)
	switch e := e.(type) {
	case campaign.Began:
		n.meta = e.Meta
		if e.Workers == 0 { // it begins with one, and changes
			n.meta.Limits = []report.Limit{{At: e.Started, Sends: 1}}
		}
	case campaign.Planned:
		n.plan = e.Plan
	case campaign.Limited:
		n.meta.Limits = append(n.meta.Limits[:len(n.meta.Limits):len(n.meta.Limits)], e.Limit)
	case campaign.Steered:
		n.steered(e)
	case campaign.Send:
		n.send(e.Event)
	case campaign.Ended:
		n.result = &e.Result
		n.ended, n.open, n.waits = nil, nil, nil // the report has all
		p.close()
	}
}

// steered notes what an operator changed. A reader may have the lists: they are never written to again.
func (n *noted) steered(e campaign.Steered) {
	m := &n.meta
	m.Steered = append(slices.Clip(m.Steered), e.Steer)
	if len(m.Limits) == 0 {
		m.Limits = []report.Limit{{At: m.Started, Sends: m.Workers}}
	}
	if m.Limits[len(m.Limits)-1].Sends != e.Sends {
		m.Limits = append(slices.Clip(m.Limits), report.Limit{At: e.At, Sends: e.Sends})
	}
}

func (n *noted) send(e dispatcher.Event) {
	job := e.Result.Job
	switch e.Kind {
	case dispatcher.Started:
		delete(n.waits, job)
		n.open[job] = e.Result
	case dispatcher.Retrying, dispatcher.Settling:
		n.waits[job] = struct{}{}
		n.open[job] = e.Result
	case dispatcher.Finished:
		delete(n.waits, job)
		delete(n.open, job)
		n.ended = append(n.ended, e.Result)
	}
}

// Close ends the streams of events. A page whose run has ended needs none.
func (p *Page) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
}

func (p *Page) close() {
	if !p.closed {
		p.closed = true
		close(p.over)
	}
}
