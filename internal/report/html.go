package report

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
)

// The rules of the page
//
//   - It is one file and asks nobody for anything; its policy forbids it to. The policy names the page's own script and
//     style by their digests, so that nothing else runs even if a name of the server's got past the escaping.
//   - What the server named is escaped twice: what does not print as in the text report, what means something to HTML
//     by the template.
//   - Without JavaScript everything is there but the table of all groups.
//   - Colour is never alone: an outcome and a verdict on the mail have a sign and a word, in a picture a shape.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/archive.html
	archiveHTML string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
	//go:embed page/live.js
	liveScript string
)

const (
	htmlCauses  = 50 // the table has all
	htmlNames   = 60 // groups that a cause, or a list, names
	htmlSlowest = 50
)

// A page is what the template is filled with, besides the document.
type page struct {
	*Document
	Policy      string
	Style       template.CSS
	Script      template.JS
	Sign, Mood  string
	Notes, Next []string
	Facts       []fact
	Outcomes    []outcomeCount
	Causes      []dispatcher.Cause
	OtherCauses int // groups with causes that are left out
	Mail        []mailCount
	MailLists   []mailList
	GapText     string
	GapNames    []string
	Nights      *nights
	Timeline    *timeline
	Percentiles []fact
	Histogram   []histogramRow
	Slowest     []*dispatcher.Result
	Among
	Live *live // nil: the page is a report, which does not change
}

// Among is where the report of a run stands among those of others. The zero value is a page by itself.
type Among struct {
	Home   string    // the address of the page that leads to all; empty: there is none
	Others []PastRun // that it can be compared with, by ?with=RUN
	Chosen string    // the one of these that it is compared with; empty: the runs before
}

type fact struct{ Name, Value string }

type outcomeCount struct {
	dispatcher.Outcome
	Groups int
}

type mailCount struct {
	ledger.Mail
	Groups int
}

// A look is how an outcome is shown: its sign, and the class of its colour and shape.
type look struct{ Sign, Class string }

func lookOf(o dispatcher.Outcome) look {
	switch o {
	case dispatcher.Accepted:
		return look{"✓", "good"}
	case dispatcher.UnknownGroup:
		return look{"○", "gone"}
	case dispatcher.Ambiguous:
		return look{"?", "doubt"}
	case dispatcher.NotAttempted:
		return look{"–", "left"}
	case dispatcher.Skipped:
		return look{"·", "left"}
	default:
		return look{"✗", "bad"}
	}
}

// A nameList is the beginning of a list of names, and how many more there are.
type nameList struct {
	Names []string
	More  int
}

// functions are what the template may call.
func (d *Document) functions() template.FuncMap {
	return template.FuncMap{
		"line": printable.Line, "title": printable.Title, "look": lookOf, "clock": clock, "figure": figure, "step": step,
		"mailLook": mailLook, "mailWord": mailWord, "mails": figuresOf,
		"after": func(at time.Time) string { return length(at.Sub(d.meta.Started).Seconds()) },
		"names": func(names []string, all int) nameList {
			names = names[:min(len(names), htmlNames)]
			return nameList{names, all - len(names)}
		},
	}
}

// WriteHTML writes the document as one page that needs nothing else.
func (d *Document) WriteHTML(w io.Writer) error { return d.writePage(w, d.page()) }

// WriteHTMLAmong writes the same page with links to those of other runs.
func (d *Document) WriteHTMLAmong(others Among, w io.Writer) error {
	p := d.page()
	p.Among = others
	return d.writePage(w, p)
}

func (d *Document) writePage(w io.Writer, p *page) error {
	t, err := template.New("").Funcs(d.functions()).Parse(pageHTML)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := t.ExecuteTemplate(out, "top", p); err != nil {
		return err
	}
	if p.Live == nil {
		if err := d.writeData(out); err != nil {
			return err
		}
	}
	if err := t.ExecuteTemplate(out, "bottom", p); err != nil {
		return err
	}
	return out.Flush()
}

// Policy is the Content-Security-Policy of a page, and LivePolicy that of a live one, which asks its own server.
var (
	Policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + digest(pageStyle) +
		"; script-src " + digest(pageScript)
	LivePolicy = Policy + " " + digest(liveScript) + "; connect-src 'self'"
)

func (d *Document) page() *page {
	p := &page{
		Document: d, Policy: Policy,
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Sign: "✓", Mood: "good", Notes: d.notes(d.settledNotes(true), d.mailNote()), Facts: d.facts(), Causes: d.causes(htmlNames),
	}
	switch {
	case d.Counts.Failed() > 0 || d.Error != "":
		p.Sign, p.Mood = "✗", "bad"
	case !d.Complete:
		p.Sign, p.Mood = "–", "doubt"
	}
	if next := d.next(); len(next) > 0 {
		p.Next = next[1:] // the first sets it off from a text
	}
	n := d.Outcomes()
	n[dispatcher.Ambiguous] -= d.inFlight
	for _, o := range dispatcher.Outcomes() {
		if n[o] > 0 || o == dispatcher.Accepted {
			p.Outcomes = append(p.Outcomes, outcomeCount{o, n[o]})
		}
	}
	if d.Ledger != nil {
		counts, _ := d.Mails()
		for i, n := range figuresOf(counts) {
			p.Mail = append(p.Mail, mailCount{ledger.Mails()[i], n})
		}
		p.MailLists, p.Nights = d.mailLists(), d.nights()
		p.GapText, p.GapNames = d.gaps()
	}
	for len(p.Causes) > htmlCauses {
		last := len(p.Causes) - 1
		p.OtherCauses += p.Causes[last].Jobs
		p.Causes = p.Causes[:last]
	}
	sends := d.sends()
	p.Timeline = d.timeline(sends)
	sends = slices.DeleteFunc(sends, d.underWay)
	slices.SortStableFunc(sends, func(a, b *dispatcher.Result) int { return cmp.Compare(b.Took, a.Took) })
	p.Percentiles, p.Histogram = percentiles(d.took), histogram(d.took)
	p.Slowest = sends[:min(len(sends), htmlSlowest)]
	return p
}

// Title is the title of the page.
func (d *Document) Title() string {
	return fmt.Sprintf("%d of %s accepted, run %s", d.Counts.Accepted, d.meta.Things.Count(d.Counts.Groups), d.Run)
}

// figuresOf are the counts of the mail, in the order of reports.
func figuresOf(counts ledger.Counts) (list []int) {
	for _, m := range ledger.Mails() {
		list = append(list, counts[m])
	}
	return list
}

// digest is how a policy names an inline script or style.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// figure is a length of time in a column of them.
func figure(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s" }

func (d *Document) facts() []fact {
	took := length(d.Seconds.Wall)
	if d.Seconds.Paused > 0 {
		took += ", of which operators had it paused for " + length(d.Seconds.Paused)
	}
	list := []fact{
		{"Site", d.URL},
		{"Started", clock(d.Started)},
		{"Ended", clock(d.Finished)},
		{"Took", took},
		{"Workers", fmt.Sprint(d.Workers) + d.atFirst("workers")},
	}
	switch d.meta.State {
	case Running:
		list[2], list[3].Name = fact{"Ended", "not yet; this is of " + clock(d.Finished)}, "Takes, so far"
	case CutOff:
		list[2] = fact{"Ended", "cut off; the last record is of " + clock(d.Finished)}
	}
	rate := "no limit"
	if d.Rate != nil {
		rate = fmt.Sprintf("at most %s per second, %d at once after a lull", strconv.FormatFloat(*d.Rate, 'g', 6, 64), d.Burst)
	}
	list = append(list, fact{"Rate", rate + d.atFirst("rate")}, fact{"Extra tries", strconv.Itoa(d.Counts.Retries)})
	if d.StoppedBy != nil {
		list = append(list, fact{"Stopped by", *d.StoppedBy})
	}
	if d.Seconds.LowerBound > 0 && d.State != Running {
		list = append(list, fact{"No schedule could take less than", length(d.Seconds.LowerBound)})
	}
	if d.Seconds.Forecast != nil {
		list = append(list, fact{"Forecast", length(*d.Seconds.Forecast)})
	}
	if d.Counts.Guarded > 0 {
		list = append(list, fact{"Probably skipped by the server", d.meta.Things.Count(d.Counts.Guarded)})
	}
	if d.Ledger != nil && d.Ledger.Gaps.Posts > 0 {
		list = append(list, fact{"In no digest", posts(d.Ledger.Gaps.Posts) + " in " + d.meta.Things.Count(d.Ledger.Gaps.Groups)})
	}
	return list
}

// sends are the results of what was tried.
func (d *Document) sends() []*dispatcher.Result {
	list := make([]*dispatcher.Result, 0, len(d.results.Results))
	for i := range d.results.Results {
		if r := &d.results.Results[i]; r.Attempts > 0 {
			list = append(list, r)
		}
	}
	return list
}

// percentiles are those of lengths of time that are sorted.
func percentiles(took []time.Duration) []fact {
	if len(took) == 0 {
		return nil
	}
	var list []fact
	for _, percent := range []int{10, 25, 50, 75, 90, 95, 99} {
		list = append(list, fact{strconv.Itoa(percent) + " %", figure(quantile(took, percent))})
	}
	return append(list, fact{"all", figure(took[len(took)-1])})
}

// A histogramRow is the sends that took longer than From, and at most To.
type histogramRow struct {
	From, To   time.Duration
	Sends      int
	Bar, Share float64 // in hundredths of the longest bar, and of all sends
}

// histogram sorts lengths of time, which come sorted, into steps of 1, 2, 5, 10 and so on.
func histogram(took []time.Duration) []histogramRow {
	var list []histogramRow
	from, most, all := time.Duration(0), 0, len(took)
	for i := 0; len(took) > 0; i++ {
		to := [...]time.Duration{1, 2, 5}[i%3] * time.Millisecond
		for range i / 3 {
			to *= 10
		}
		n, _ := slices.BinarySearch(took, to+1)
		if took = took[n:]; n > 0 || list != nil {
			list = append(list, histogramRow{From: from, To: to, Sends: n, Share: 100 * float64(n) / float64(all)})
			most = max(most, n)
		}
		from = to
	}
	for i := range list {
		list[i].Bar = math.Round(1000*float64(list[i].Sends)/float64(most)) / 10
	}
	return list
}

// step is an edge of the histogram.
func step(d time.Duration) string {
	if d < time.Second {
		return strconv.Itoa(int(d/time.Millisecond)) + " ms"
	}
	return strconv.Itoa(int(d/time.Second)) + " s"
}
