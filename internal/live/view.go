package live

import (
	"bytes"
	"io"
	"maps"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

const (
	every = time.Second // at most so often a report is made
	share = 20          // and at most for one in so many parts of the time
)

// A table has the results of all jobs of a run so far, in the order of the plan.
type table struct {
	results []dispatcher.Result
	places  map[dispatcher.Job]int
}

// A view is what there is to be seen of a run at one moment. What is made of its document for one reader is kept for the next.
type view struct {
	document *report.Document
	moment   report.Moment
	metrics  metrics.Run
	final    bool // the run has ended

	at    time.Time     // when it was made; zero: it was not
	cost  time.Duration // what making it took
	page  []byte        // nil: nobody asked yet, as the next
	json  []byte
	parts []report.Part
	data  []byte
}

// see calls f with what is to be seen now. Nothing of it may be used afterwards.
func (p *Page) see(f func(*view) error) error {
	p.making.Lock()
	defer p.making.Unlock()
	v := &p.view
	if !v.final && (p.hasEnded() || time.Since(v.at) >= max(every, share*v.cost)) {
		p.look()
	}
	begun := time.Now()
	err := f(v)
	v.cost = max(v.cost, time.Since(begun))
	return err
}

func (p *Page) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noted.result != nil
}

// look makes a new view.
func (p *Page) look() {
	begun := time.Now()
	p.mu.Lock()
	n := p.noted
	p.noted.ended = nil
	n.open, n.waits = maps.Clone(n.open), maps.Clone(n.waits)
	p.mu.Unlock()

	v := view{at: begun, moment: report.Moment{Left: -1}}
	if v.final = n.result != nil; v.final {
		v.document = n.result.Document.Nameless()
		p.table = table{}
	} else {
		v.document = p.table.document(n, begun).Nameless()
		if p.Left != nil {
			v.moment.Left = p.Left()
		}
		if p.Status != nil {
			v.moment.Status = p.Status()
		}
	}
	v.metrics = metrics.Run{Program: v.document.Program(), Document: v.document, Sends: &n.sends}
	if p.Traffic != nil {
		v.metrics.Sent, v.metrics.Received = p.Traffic()
	}
	if v.final && p.ExitCode != nil {
		v.metrics.ExitCode = p.ExitCode(*n.result)
	}
	v.cost = time.Since(begun)
	p.view = v
}

// document makes the report of what was noted until now.
func (t *table) document(n noted, now time.Time) *report.Document {
	n.meta.State = report.Running
	if n.plan == nil {
		n.meta.Error = "the run has no list yet"
	} else if t.places == nil {
		t.begin(n.plan)
	}
	for _, r := range n.ended {
		t.put(r)
	}
	for job, r := range n.open {
		if _, waits := n.waits[job]; waits {
			r.Verdict = dispatcher.Verdict{Outcome: dispatcher.NotAttempted, Reason: "waits for another try: " + r.Reason}
			r.Attempts, r.Worker = 0, 0
		} else {
			r.Verdict, r.Took = dispatcher.Verdict{Outcome: dispatcher.Ambiguous}, 0
		}
		t.put(r)
	}
	return report.New(&dispatcher.Report{Started: n.meta.Started, Finished: now, Results: t.results, Peak: n.sends.Peak()}, n.meta)
}

// begin makes the rows of a plan.
func (t *table) begin(plan *campaign.Plan) {
	t.places = make(map[dispatcher.Job]int, plan.Listed())
	for _, g := range plan.Groups {
		t.put(dispatcher.Result{Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.NotAttempted}})
	}
	for _, r := range plan.Left() {
		t.put(r)
	}
	for _, g := range plan.Idle() {
		t.put(dispatcher.Result{Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.Skipped, Reason: state.IdleReason}})
	}
}

// put puts a result in the place of its job, which is a new one's if it has none.
func (t *table) put(r dispatcher.Result) {
	i, known := t.places[r.Job]
	if !known {
		i = len(t.results)
		t.places[r.Job] = i
		t.results = append(t.results, dispatcher.Result{})
	}
	t.results[i] = r
}

// html is the whole page.
func (v *view) html() ([]byte, error) {
	if v.page != nil {
		return v.page, nil
	}
	var b bytes.Buffer
	write := func(w io.Writer) error { return v.document.WriteLive(w, v.moment) }
	if v.final {
		write = v.document.WriteHTML
	}
	err := write(&b)
	v.page = b.Bytes()
	return v.page, err
}

// report is the report as JSON.
func (v *view) report() ([]byte, error) {
	if v.json != nil {
		return v.json, nil
	}
	var b bytes.Buffer
	err := v.document.WriteJSON(&b)
	v.json = b.Bytes()
	return v.json, err
}

// pieces are the parts of the page that change, or of the report that it becomes at last.
func (v *view) pieces() (parts []report.Part, err error) {
	if v.parts == nil && v.final {
		v.parts, err = v.document.FinalParts()
	} else if v.parts == nil {
		v.parts, err = v.document.LiveParts(v.moment)
	}
	return v.parts, err
}

// rows are the table of a run that has ended.
func (v *view) rows() (data []byte, err error) {
	if v.data == nil {
		v.data, err = v.document.Data()
	}
	return v.data, err
}
