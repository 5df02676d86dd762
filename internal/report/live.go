package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// A live page shows so many sends that ended last, and of those in flight the oldest.
const newest, oldest = 10, 20

// A Moment is what the live page of a run that goes on shows besides its document, whose Finished is the time of it.
type Moment struct {
	Left   time.Duration // until the run is expected to end; negative: nobody knows
	Status string        // what the run does or waits for, in a line; empty: nothing is to be said
}

// live is what the template of a live page is filled with besides that of a report.
type live struct {
	Moment
	Script  template.JS
	Flights []*dispatcher.Result // the oldest first
	Younger int                  // how many more are in flight
	Newest  []*dispatcher.Result // the newest first
	now     time.Time
	began   time.Time
}

// Going says since when the run goes, and when it will end.
func (l *live) Going() string {
	text := "Running since " + clock(l.began)
	if l.Left >= 0 {
		text += "; ends about " + l.now.Add(l.Left).UTC().Format("15:04") + " UTC"
	}
	return text
}

// Age is how long a send has been in flight.
func (l *live) Age(start time.Time) string {
	return length(max(l.now.Sub(start), 0).Truncate(time.Second).Seconds())
}

// livePage is the page of a run that goes on.
func (d *Document) livePage(m Moment) *page {
	p := d.page()
	p.Policy = LivePolicy
	p.Live = &live{Moment: m, Script: template.JS(liveScript), now: d.results.Finished, began: d.Started}
	p.Notes = slices.Concat(d.steeredNotes(), d.meta.Notes) // the others say that it goes on
	p.Sign, p.Mood = "…", "left"
	for _, r := range d.sends() {
		if d.underWay(r) {
			p.Live.Flights = append(p.Live.Flights, r)
		} else {
			p.Live.Newest = append(p.Live.Newest, r)
		}
	}
	slices.SortStableFunc(p.Live.Flights, func(a, b *dispatcher.Result) int { return a.Start.Compare(b.Start) })
	p.Live.Younger = max(len(p.Live.Flights)-oldest, 0)
	p.Live.Flights = p.Live.Flights[:len(p.Live.Flights)-p.Live.Younger]
	slices.SortStableFunc(p.Live.Newest, func(a, b *dispatcher.Result) int {
		return cmp.Or(b.Start.Add(b.Took).Compare(a.Start.Add(a.Took)), cmp.Compare(a.Job.Key(), b.Job.Key()))
	})
	p.Live.Newest = p.Live.Newest[:min(len(p.Live.Newest), newest)]
	return p
}

// liveParts are the parts of a live page that change, by the names of the template.
var liveParts = []string{"lead", "now", "run", "causes", "timeline", "times", "slowest"}

// A Part is a piece of a page: the first element that its selector finds is to be replaced by its HTML.
type Part struct {
	Selector string `json:"selector"`
	HTML     string `json:"html"`
}

// WriteLive writes the page of a run that goes on. It is the page of the report, kept up to date by the events of the server
// that it comes from, and without the table of all groups.
func (d *Document) WriteLive(w io.Writer, m Moment) error { return d.writePage(w, d.livePage(m)) }

// LiveParts are the parts of that page that change.
func (d *Document) LiveParts(m Moment) ([]Part, error) { return d.parts(d.livePage(m), liveParts) }

// FinalParts are the parts of a live page whose run has ended: they make the report of it.
func (d *Document) FinalParts() ([]Part, error) { return d.parts(d.page(), []string{"lead", "main"}) }

func (d *Document) parts(p *page, names []string) ([]Part, error) {
	t, err := template.New("").Funcs(d.functions()).Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, name := range names {
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, name, p); err != nil {
			return nil, err
		}
		part := Part{fmt.Sprintf("section[aria-labelledby=%s]", name), b.String()}
		switch name {
		case "lead":
			part.Selector = "body > header"
		case "main":
			part.Selector = "main"
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// Data is what the script of the page makes the table of all groups of, as JSON.
func (d *Document) Data() ([]byte, error) {
	var b bytes.Buffer
	err := d.writeTable(&b)
	return b.Bytes(), err
}
