package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// A Limit is how many sends might be in flight from a moment on, where that changed in the course of a run.
type Limit struct {
	At    time.Time `json:"at"`
	Sends int       `json:"sends"`
	// Crowded is how many were in flight when the service undid one for the others, so that fewer may be from then on; 0:
	// that is not why it changed.
	Crowded int `json:"crowded,omitempty"`
}

// The timeline is drawn by the server of the page, as it were: paths of horizontal strokes, in ten-thousandths of the
// run's length, so that it prints and needs no script. A send is some ten bytes.
const across = 10_000

type timeline struct {
	Caption, Alternative string
	Height               int
	Labels               []yLabel
	Paths                []stroke
	Legend               []shape
	Curves               []curve
	Ticks                []tick
}

type yLabel struct {
	Y    int
	Text string
}

// A tick is a mark of the scale of time.
type tick struct {
	At           int // in ten-thousandths of the run's length
	Anchor, Text string
}

// Percent is where the tick is, in hundredths of the run's length.
func (t tick) Percent() float64 { return float64(t.At) * 100 / across }

// A stroke is all that is drawn in one way.
type stroke struct {
	Class, Path string
	Width       int
}

// A curve is a figure over time.
type curve struct {
	ID, Caption, Most, Path, Limit string
}

// A shape is how the bars of a class look.
type shape struct {
	Class, Name  string
	Lines        []int // where the strokes are, in sixteenths of the row
	width, least int   // in sixteenths of the row, and in ten-thousandths of the run
}

// shapes are how the bars of each class look: accepted ones fill the middle of the row, in two shades by turns, so that
// one is told from the next; failed ones are as high as the row; ambiguous ones are hollow; unknown groups are thin, and
// those that the site left out are thin and low.
var shapes = []shape{
	{"even", "accepted", []int{8}, 8, 0},
	{"odd", "accepted, the next one of the worker", []int{8}, 8, 0},
	{"gone", "unknown to the site", []int{8}, 4, 15},
	{"left", "left out by the site", []int{12}, 4, 15},
	{"doubt", "ambiguous", []int{2, 14}, 2, 25},
	{"bad", "failed", []int{8}, 14, 25},
	{"flying", "in flight", []int{8}, 4, 15},
}

// timeline draws the sends; nil where there were none. In a night that another machine's run had begun there are some that
// ended before this run began, for which the drawing has no place.
func (d *Document) timeline(sends []*dispatcher.Result) *timeline {
	began, wall := d.meta.Started, d.results.Finished.Sub(d.meta.Started)
	sends = slices.DeleteFunc(slices.Clone(sends), func(r *dispatcher.Result) bool {
		return !d.underWay(r) && r.Start.Before(began) && r.Start.Add(r.Took).Before(began)
	})
	if len(sends) == 0 {
		return nil
	}
	slices.SortStableFunc(sends, func(a, b *dispatcher.Result) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), a.Start.Compare(b.Start))
	})
	workers := max(sends[len(sends)-1].Worker, 1)
	flying := map[*dispatcher.Result]bool{}
	for i, r := range sends {
		if d.underWay(r) {
			soFar := *r
			soFar.Took = max(d.results.Finished.Sub(r.Start), 0)
			sends[i], flying[&soFar] = &soFar, true
		}
		wall = max(wall, sends[i].Start.Add(sends[i].Took).Sub(began))
	}
	wall = max(wall, time.Millisecond)
	x := func(t time.Duration) int { return int(math.Round(across * float64(t) / float64(wall))) }

	row := 16
	switch {
	case workers > 100:
		row = 4
	case workers > 24:
		row = 8
	}
	tl := &timeline{Height: row * workers, Ticks: ticks(wall)}
	for w := 1; w <= workers; w++ {
		if each := (15 + row) / row; (w-1)%each == 0 {
			tl.Labels = append(tl.Labels, yLabel{row*(w-1) + row/2 + 4, strconv.Itoa(w)})
		}
	}
	tl.Labels[0].Text = "worker 1"
	paths := make([]strings.Builder, len(shapes))
	counts := make([]int, len(shapes))
	for i, r := range sends {
		at := i % 2
		class := lookOf(r.Outcome).Class
		if flying[r] {
			class = "flying"
		}
		if class != "good" {
			at = slices.IndexFunc(shapes, func(s shape) bool { return s.Class == class })
		}
		counts[at]++
		from := max(x(r.Start.Sub(began)), 0)
		long := max(x(r.Start.Add(r.Took).Sub(began))-from, shapes[at].least, 1)
		for _, line := range shapes[at].Lines {
			y := strconv.FormatFloat(float64(row*(max(r.Worker, 1)-1))+float64(row*line)/16, 'f', -1, 64)
			fmt.Fprintf(&paths[at], "M%d %sh%d", from, y, long)
		}
	}
	counts[0], counts[1] = counts[0]+counts[1], 0
	var told []string
	for i, s := range shapes {
		if paths[i].Len() > 0 {
			tl.Paths = append(tl.Paths, stroke{s.Class, paths[i].String(), max(row*s.width/16, 1)})
		}
		if counts[i] > 0 {
			tl.Legend = append(tl.Legend, s)
			told = append(told, fmt.Sprintf("%d %s", counts[i], s.Name))
		}
	}
	tl.Caption = fmt.Sprintf("Each bar is the last try of a send, each row a worker; the run began at %s", clock(began))
	tl.Alternative = fmt.Sprintf("Timeline of %d sends by %d workers: %s. The table of all %v has the figures.",
		len(sends), workers, strings.Join(told, ", "), d.meta.Things)
	tl.Curves = []curve{d.startCurve(sends, wall), d.flightCurve(sends, wall)}
	return tl
}

// steps are the lengths that a scale of time goes by.
var steps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
	5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
	12 * time.Hour, 24 * time.Hour,
}

// stepOf is the smallest step that divides wall into at most n parts, or the largest.
func stepOf(wall time.Duration, n int) time.Duration {
	for _, s := range steps {
		if wall <= s*time.Duration(n) {
			return s
		}
	}
	return steps[len(steps)-1]
}

func ticks(wall time.Duration) []tick {
	var list []tick
	for at, by := time.Duration(0), stepOf(wall, 8); at <= wall; at += by {
		t := tick{int(math.Round(across * float64(at) / float64(wall))), "middle", short(at)}
		if at == 0 {
			t.Anchor = "start"
		}
		if t.At > 96*across/100 {
			t.Anchor = "end"
		}
		list = append(list, t)
	}
	return list
}

// short is a length of time without the units that are nought: 5m, 1h30m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

const curveHeight = 80 // as in the page

// startCurve is how many sends started over time, and the rate that bounds it.
func (d *Document) startCurve(sends []*dispatcher.Result, wall time.Duration) curve {
	per := stepOf(wall, 120)
	counts := make([]int, int(wall/per)+1)
	for _, r := range sends {
		i := int(r.Start.Sub(d.meta.Started) / per)
		counts[min(max(i, 0), len(counts)-1)]++
	}
	limit := d.meta.Rate * per.Seconds()
	if d.steered("rate") { // it was another for a part of the time
		limit = 0
	}
	c := draw(counts, per, wall, limit, nil)
	c.ID = "starts"
	c.Caption = fmt.Sprintf("Sends started in each %s, at most %d", short(per), slices.Max(counts))
	if limit > 0 {
		c.Caption += "; the rate's limit is " + strconv.FormatFloat(limit, 'g', 3, 64)
	}
	return c
}

// flightCurve is how many sends were in flight over time, and what bounds it: the limit where it moved, else the number
// of workers.
func (d *Document) flightCurve(sends []*dispatcher.Result, wall time.Duration) curve {
	per := stepOf(wall, 500)
	peaks := make([]int, int(wall/per)+1)
	type change struct {
		at time.Duration
		by int
	}
	changes := make([]change, 0, 2*len(sends))
	for _, r := range sends {
		from := r.Start.Sub(d.meta.Started)
		changes = append(changes, change{max(from, 0), +1}, change{max(from+r.Took, 0), -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	inFlight, upTo := 0, -1
	for _, c := range changes {
		i := min(int(c.at/per), len(peaks)-1)
		for upTo < i { // what was in flight before is in flight at the beginning of each step since
			upTo++
			peaks[upTo] = inFlight
		}
		inFlight += c.by
		peaks[i] = max(peaks[i], inFlight)
	}
	most, bound := d.meta.Workers, fmt.Sprintf("the workers are %d", d.meta.Workers)
	switch limits := d.meta.Limits; {
	case len(limits) > 0:
		most = slices.MaxFunc(limits, func(a, b Limit) int { return cmp.Compare(a.Sends, b.Sends) }).Sends
		bound = fmt.Sprintf("the limit was at most %d", most)
	case most == 0: // an older run, of which the limit is on no record
		bound = "how many there were to be was found in the course of the run"
	}
	c := draw(peaks, per, wall, float64(most), d.steps(wall))
	c.ID = "flight"
	c.Caption = fmt.Sprintf("Sends in flight, at most %d; %s", slices.Max(peaks), bound)
	return c
}

// A point is a value from a place on.
type point struct {
	x     int
	value float64
}

// steps are the points of a limit that moved.
func (d *Document) steps(wall time.Duration) []point {
	var list []point
	for _, l := range d.meta.Limits {
		at := float64(l.At.Sub(d.meta.Started)) / float64(wall)
		list = append(list, point{int(across * min(max(at, 0), 1)), float64(l.Sends)})
	}
	return list
}

// draw makes an area of counts, one each per, and the line of a limit: level, or by its points. A limit far above all
// that happened is left out, for it would press the curve flat.
func draw(counts []int, per, wall time.Duration, limit float64, points []point) curve {
	most := float64(max(slices.Max(counts), 1))
	shown := limit > 0 && limit <= 3*most
	if shown {
		most = max(most, limit)
	}
	y := func(v float64) string { return strconv.FormatFloat(2+(curveHeight-2)*(1-v/most), 'f', 1, 64) }
	var b strings.Builder
	fmt.Fprintf(&b, "M0 %d", curveHeight)
	before := -1
	for i, n := range counts {
		if n != before {
			fmt.Fprintf(&b, "H%dV%s", int(across*float64(per)*float64(i)/float64(wall)), y(float64(n)))
			before = n
		}
	}
	fmt.Fprintf(&b, "H%dV%dZ", across, curveHeight)
	c := curve{Path: b.String(), Most: strconv.FormatFloat(most, 'g', 3, 64)}
	if !shown {
		return c
	}
	if len(points) == 0 {
		points = []point{{0, limit}}
	}
	b.Reset()
	fmt.Fprintf(&b, "M%d %s", points[0].x, y(points[0].value))
	for _, p := range points[1:] {
		fmt.Fprintf(&b, "H%dV%s", p.x, y(p.value))
	}
	fmt.Fprintf(&b, "H%d", across)
	c.Limit = b.String()
	return c
}
