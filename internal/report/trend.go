package report

import (
	"bufio"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
)

// A PastRun is a run that is kept, as a list of runs shows it.
type PastRun struct {
	Run, URL string
	Started  time.Time
	Finished time.Time     // zero: it goes on, or was cut off
	Paused   time.Duration // how long operators had it paused
	Ended    string        // finished, running, cut_off, no_list, unreadable, or what stopped it
	Groups   int
	Accepted int
	Failed   int
	Judged   bool // the site's own tables told what became of its mail, as the next two say
	Mails    ledger.Counts
	GapPosts int
}

// Took is how long the run took, without its pauses; 0: it has no end on record.
func (r PastRun) Took() time.Duration {
	if r.Finished.IsZero() {
		return 0
	}
	return max(r.Finished.Sub(r.Started)-r.Paused, 0)
}

// Length is how long it took in words, with its pauses.
func (r PastRun) Length() string {
	if r.Finished.IsZero() {
		return "–"
	}
	return Length(max(r.Finished.Sub(r.Started), 0).Seconds(), r.Paused.Seconds())
}

// Look is how the run's end is shown.
func (r PastRun) Look() look {
	switch {
	case r.Ended == string(Running):
		return look{"…", "left"}
	case r.Ended == "unreadable":
		return look{"?", "doubt"}
	case r.Ended != "finished":
		return look{"–", "doubt"}
	case r.Failed > 0:
		return look{"✗", "bad"}
	}
	return look{"✓", "good"}
}

// A Trend is how the runs of one installation went, the oldest first.
type Trend struct {
	URL  string // of the newest
	Runs []PastRun
}

// A SlowGroup is one that was among the slowest of a run.
type SlowGroup struct {
	Name    string
	Runs    int // in which it was
	Longest time.Duration
	Newest  time.Duration // in the newest of these
	When    time.Time     // that began
}

// Archive is the page of the runs that are kept.
type Archive struct {
	Program string
	Path    string // of the state directory
	Things  printable.Noun
	Runs    []PastRun // the newest first
	Trends  []Trend

	Nameless bool // the names of what was sent to are personal data
}

// Slowest is the page of the groups that were among the slowest.
type Slowest struct {
	Program string
	Things  printable.Noun
	URL     string
	Of      int      // the slowest of each run
	Runs    int      // in so many runs
	Unread  []string // those that cannot be read, and are not among them
	Groups  []SlowGroup
}

// WriteHTML writes the page.
func (a *Archive) WriteHTML(w io.Writer) error { return writeArchive(w, "archive", a.Things, a) }

// WriteHTML writes the page.
func (s *Slowest) WriteHTML(w io.Writer) error { return writeArchive(w, "slowestGroups", s.Things, s) }

func writeArchive(w io.Writer, name string, things printable.Noun, data any) error {
	t, err := template.New("").Funcs((&Document{meta: Meta{Things: things}}).functions()).Funcs(template.FuncMap{
		"policy": func() string { return Policy }, "style": func() template.CSS { return template.CSS(pageStyle) },
		"pictures": func(t Trend) trendPictures { return t.pictures(things) },
	}).Parse(pageHTML + archiveHTML)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := t.ExecuteTemplate(out, name, data); err != nil {
		return err
	}
	return out.Flush()
}

// trendPictures are what is drawn of a trend.
type trendPictures struct {
	Bars   []barPicture
	Nights *nights
}

// A barPicture has a bar for each run.
type barPicture struct {
	ID, Caption, Most string
	Height            int
	Bars              []trendBar
	Ticks             []nightTick
}

// A trendBar is a run's: all but its height and top is in hundredths of the picture's width.
type trendBar struct {
	Class, Title, Figure string
	X, Wide, Y, High     string
	Slot, SlotWide       string
}

const barHeight = 90 // pixels

func (t Trend) pictures(things printable.Noun) trendPictures {
	var took, failed []float64
	var lost []Night
	longest, most := time.Duration(0), 0
	for _, r := range t.Runs {
		took, failed = append(took, r.Took().Seconds()), append(failed, float64(r.Failed))
		longest, most = max(longest, r.Took()), max(most, r.Failed)
		if r.Judged {
			lost = append(lost, Night{r.Run, r.Started, r.Mails, r.GapPosts})
		}
	}
	failures := fmt.Sprintf("%s that failed, at most %d", printable.Title(things.String()), most)
	if most == 0 {
		failures = fmt.Sprintf("No %s failed", things.One())
	}
	p := trendPictures{Bars: []barPicture{
		t.draw("took", fmt.Sprintf("How long each run took without its pauses, at most %s", length(longest.Seconds())), rough(longest), "took", took,
			func(r PastRun) string { return fmt.Sprintf("%s of %s", r.Length(), things.Count(r.Groups)) }),
		t.draw("failed", failures, strconv.Itoa(most), "failed", failed,
			func(r PastRun) string { return fmt.Sprintf("%d failed of %s", r.Failed, things.Count(r.Groups)) }),
	}}
	if len(lost) > 0 {
		p.Nights = (&Document{meta: Meta{Things: things}}).drawNights(lost, false)
	}
	return p
}

// rough is a length of time as short as the scale of a picture needs it.
func rough(d time.Duration) string {
	switch {
	case d >= 10*time.Minute:
		return short(d.Round(time.Minute))
	case d >= 10*time.Second:
		return short(d.Round(time.Second))
	}
	return length(d.Seconds())
}

// draw draws a figure of each run, the newest at the right.
func (t Trend) draw(id, caption, most, class string, figures []float64, title func(PastRun) string) barPicture {
	p := barPicture{ID: id, Caption: caption, Most: most, Height: barHeight}
	highest := 0.0
	for _, v := range figures {
		highest = max(highest, v)
	}
	slots := max(len(figures), nightSlots)
	wide := 100 / float64(slots)
	var marks []nightBar
	for i, r := range t.Runs {
		left := float64(slots-len(figures)+i) * wide
		bar := trendBar{
			Class: class, Title: fmt.Sprintf("%s, %s: %s, %s", printable.Line(r.Run), clock(r.Started), title(r), r.Ended),
			X: decimal(left + wide/6), Wide: decimal(wide * 2 / 3), Slot: decimal(left), SlotWide: decimal(wide), Y: strconv.Itoa(barHeight), High: "0",
		}
		if figures[i] > 0 {
			high := max((barHeight-4)*figures[i]/highest, leastBar)
			bar.Y, bar.High = decimal(barHeight-high), decimal(high)
		}
		p.Bars = append(p.Bars, bar)
		marks = append(marks, nightBar{Night: Night{Started: r.Started}, Mid: decimal(left + wide/2)})
	}
	p.Ticks = nightTicks(marks, false)
	return p
}
