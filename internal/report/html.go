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
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// The rules of the page
//
//   - It is one file and asks nobody for anything; its policy forbids it to. The policy names the page's own script and
//     style by their digests, so that nothing else runs even if a name of the server's got past the escaping.
//   - What the server named is escaped twice: what does not print as in the text report, what means something to HTML
//     by the template.
//   - Without JavaScript everything is there but the table of all groups.
//   - Colour is never alone: an outcome has a sign and a word, in the timeline a shape.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
)

const (
	htmlCauses  = 50 // the table has all
	htmlNames   = 60 // groups that a cause, or a list, names
	htmlSlowest = 50
)

// A page is what the template is filled with: words and figures as they are to be read.
type page struct {
	Policy               string
	Style                template.CSS
	Script               template.JS
	Title, Run           string
	Things               printable.Noun
	Sign, Mood           string
	Headline             string
	Notes                []string
	Facts                []fact
	Outcomes             []htmlOutcome
	Groups               int
	Causes               []htmlCause
	NoCause, OtherCauses string // what stands in the place of causes, and for those left out
	Next                 []string
	Compared             *htmlCompared
	Timeline             *timeline
	Percentiles          []fact
	Histogram            []histogramRow
	Slowest              []htmlSlow
}

type fact struct{ Name, Value string }

type htmlOutcome struct {
	Name, Sign, Class string
	Groups            int
}

type htmlCause struct {
	Outcome, Sign, Class, Reason, When string
	Groups                             int
	Names                              []string
	More                               int
}

type htmlSlow struct {
	Took, Group, Outcome, Sign, Class, Start string
	Worker, Attempts                         int
}

// look is how an outcome is shown: its sign, and the class of its colour and shape.
func look(o dispatcher.Outcome) (sign, class string) {
	switch o {
	case dispatcher.Accepted:
		return "✓", "good"
	case dispatcher.UnknownGroup:
		return "○", "gone"
	case dispatcher.Ambiguous:
		return "?", "doubt"
	case dispatcher.NotAttempted:
		return "–", "left"
	case dispatcher.Skipped:
		return "·", "left"
	default:
		return "✗", "bad"
	}
}

// WriteHTML writes the document as one page that needs nothing else.
func (d *Document) WriteHTML(w io.Writer) error {
	t, err := template.New("").Funcs(template.FuncMap{"title": printable.Title}).Parse(pageHTML)
	if err != nil {
		return err
	}
	p := d.page()
	out := bufio.NewWriterSize(w, 64<<10)
	if err := t.ExecuteTemplate(out, "top", p); err != nil {
		return err
	}
	if err := d.writeData(out); err != nil {
		return err
	}
	if err := t.ExecuteTemplate(out, "bottom", p); err != nil {
		return err
	}
	return out.Flush()
}

func (d *Document) page() *page {
	p := &page{
		Policy: "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + digest(pageStyle) +
			"; script-src " + digest(pageScript),
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Things: d.meta.Things, Run: d.Run, Headline: printable.Line(d.Headline()), Groups: d.Counts.Groups, Next: d.next(),
		Title: fmt.Sprintf("%d of %s accepted, run %s", d.Counts.Accepted, d.meta.Things.Count(d.Counts.Groups), d.Run),
		Sign:  "✓", Mood: "good", Compared: d.compared(),
	}
	for _, note := range d.notes() {
		p.Notes = append(p.Notes, printable.Line(note))
	}
	switch {
	case d.Counts.Failed() > 0 || d.Error != "":
		p.Sign, p.Mood = "✗", "bad"
	case !d.Complete:
		p.Sign, p.Mood = "–", "doubt"
	}
	if len(p.Next) > 0 && p.Next[0] == "" {
		p.Next = p.Next[1:]
	}
	p.Facts = d.facts()
	n := d.results.Counts()
	for _, o := range dispatcher.Outcomes() {
		if n[o] > 0 || o == dispatcher.Accepted {
			sign, class := look(o)
			p.Outcomes = append(p.Outcomes, htmlOutcome{o.String(), sign, class, n[o]})
		}
	}
	p.NoCause = "None: every " + d.meta.Things.One() + " that was to be sent to was accepted."
	if d.Error != "" || !d.Complete {
		p.NoCause = "No " + d.meta.Things.One() + " was sent to in vain."
	}
	other := 0
	for i, c := range d.results.Causes(htmlNames) {
		if i >= htmlCauses {
			other += c.Jobs
			p.OtherCauses = d.meta.Things.Count(other)
			continue
		}
		sign, class := look(c.Outcome)
		when := clock(c.First)
		if last := clock(c.Last); last != when {
			when += " to " + last
		}
		p.Causes = append(p.Causes, htmlCause{
			Outcome: c.Outcome.String(), Sign: sign, Class: class, Reason: printable.Line(c.Reason), When: when,
			Groups: c.Jobs, Names: lines(c.Examples), More: c.Jobs - len(c.Examples),
		})
	}
	sends := d.sends()
	p.Timeline = d.timeline(sends)
	slices.SortStableFunc(sends, func(a, b *dispatcher.Result) int { return cmp.Compare(b.Took, a.Took) })
	p.Percentiles, p.Histogram = percentiles(sends), histogram(sends)
	for _, r := range sends[:min(len(sends), htmlSlowest)] {
		sign, class := look(r.Outcome)
		p.Slowest = append(p.Slowest, htmlSlow{
			Took: figure(r.Took), Group: printable.Line(r.Job.Key()), Outcome: r.Outcome.String(), Sign: sign, Class: class,
			Start: length(r.Start.Sub(d.meta.Started).Seconds()), Worker: r.Worker, Attempts: r.Attempts,
		})
	}
	return p
}

// digest is how a policy names an inline script or style.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// lines makes names printable.
func lines(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = printable.Line(name)
	}
	return list
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// figure is a length of time in a column of them.
func figure(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s" }

func (d *Document) facts() []fact {
	list := []fact{
		{"Site", d.URL},
		{"Started", clock(d.Started)},
		{"Ended", clock(d.Finished)},
		{"Took", length(d.Seconds.Wall)},
		{"Workers", fmt.Sprint(d.Workers)},
	}
	switch d.meta.State {
	case Running:
		list[2] = fact{"Ended", "not yet; the last record is of " + clock(d.Finished)}
	case CutOff:
		list[2] = fact{"Ended", "cut off; the last record is of " + clock(d.Finished)}
	}
	rate := "no limit"
	if d.Rate != nil {
		rate = fmt.Sprintf("at most %s per second, %d at once after a lull", strconv.FormatFloat(*d.Rate, 'g', 6, 64), d.Burst)
	}
	list = append(list, fact{"Rate", rate}, fact{"Extra tries", strconv.Itoa(d.Counts.Retries)})
	if d.StoppedBy != nil {
		list = append(list, fact{"Stopped by", *d.StoppedBy})
	}
	if d.Seconds.LowerBound > 0 {
		list = append(list, fact{"No schedule could take less than", length(d.Seconds.LowerBound)})
	}
	if d.Seconds.Forecast != nil {
		list = append(list, fact{"Forecast", length(*d.Seconds.Forecast)})
	}
	if d.Counts.Guarded > 0 {
		list = append(list, fact{"Probably skipped by the server", d.meta.Things.Count(d.Counts.Guarded)})
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

// percentiles are those of sends that are sorted, the longest first.
func percentiles(sends []*dispatcher.Result) []fact {
	if len(sends) == 0 {
		return nil
	}
	var list []fact
	for _, percent := range []int{10, 25, 50, 75, 90, 95, 99} {
		rank := max((len(sends)*percent+99)/100, 1)
		list = append(list, fact{strconv.Itoa(percent) + " %", figure(sends[len(sends)-rank].Took)})
	}
	return append(list, fact{"all", figure(sends[0].Took)})
}

type histogramRow struct {
	Name, Bar, Share string
	Sends            int
}

// histogram sorts sends into steps of 1, 2, 5, 10 and so on; they come sorted, the longest first.
func histogram(sends []*dispatcher.Result) []histogramRow {
	if len(sends) == 0 {
		return nil
	}
	var list []histogramRow
	from, most := time.Duration(0), 0
	left := sends
	for i := 0; len(left) > 0; i++ {
		to := [...]time.Duration{1, 2, 5}[i%3] * time.Millisecond
		for range i / 3 {
			to *= 10
		}
		n := len(left)
		at, _ := slices.BinarySearchFunc(left, to, func(r *dispatcher.Result, to time.Duration) int {
			if r.Took > to {
				return -1
			}
			return 1
		})
		left = left[:at]
		n -= at
		if n > 0 || list != nil {
			list = append(list, histogramRow{Name: step(from) + " to " + step(to), Sends: n})
			most = max(most, n)
		}
		from = to
	}
	for i := range list {
		list[i].Bar = strconv.FormatFloat(math.Round(1000*float64(list[i].Sends)/float64(most))/10, 'f', -1, 64)
		list[i].Share = strconv.FormatFloat(100*float64(list[i].Sends)/float64(len(sends)), 'f', 1, 64) + " %"
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

type htmlCompared struct {
	Lead  string
	Lists []htmlList
}

type htmlList struct {
	Title string
	Names []string
	More  int
}

func (d *Document) compared() *htmlCompared {
	if d.Compare == nil {
		return nil
	}
	c := &htmlCompared{Lead: printable.Line(strings.Join(d.Compare.lead(), "; "))}
	for _, l := range d.Compare.lists() {
		c.Lists = append(c.Lists, htmlList{
			Title: fmt.Sprintf("%d %s", len(l.names), l.title), Names: lines(l.names[:min(len(l.names), htmlNames)]),
			More: max(0, len(l.names)-htmlNames),
		})
	}
	return c
}
