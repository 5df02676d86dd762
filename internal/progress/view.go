package progress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

const (
	slowAfter = time.Second // what takes less is gone before it can be read
	mostSlow  = 4           // sends in flight that are named
	leastBar  = 5           // columns of the bar, without its ends; a shorter one tells nothing
	mostBar   = 40
)

// A tally is what is counted of a run.
type tally struct {
	things                 printable.Noun // what is sent to
	total, flying, retries int
	limit                  int // how many sends may be in flight; 0: as many as there are workers
	counts                 dispatcher.Counts
}

// A view is how far a run is at one moment. What is shown of it depends on it alone, and on the room there is.
type view struct {
	tally
	elapsed time.Duration
	left    time.Duration // how long it is expected to go on; negative: nobody knows
	speed   float64       // groups per second
	slow    []flight      // in flight for slowAfter or longer, the slowest first
	waits   string        // what for; empty: for nothing
	settles string        // how many groups wait to be settled; empty: none does
}

// A flight is a send in flight.
type flight struct {
	key string
	age time.Duration
}

// A line is one of those that a terminal shows.
type line struct {
	text  string
	color color // of all of it, where there are colours: it says nothing that the text does not
}

// A color is the number of one, as ECMA-48 counts them; 0 is the terminal's own.
type color int

const (
	red    color = 31
	green  color = 32
	yellow color = 33
)

func (l line) painted(colors bool) string {
	if l.color == 0 || !colors {
		return l.text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[m", l.color, l.text)
}

// lines shows the run on a terminal: as many lines as it has room for, none of which reaches the last column, since
// what wraps cannot be taken back. The most important come first.
func (v view) lines(columns, rows int) []line {
	most := max(columns-1, 1)
	health := green
	if v.counts.Failed() > 0 {
		health = red
	}
	all := []line{{v.bar(most), health}, {v.outcomes(most), 0}}
	if v.waits != "" {
		all = append(all, line{elide("waiting for "+v.waits, most), yellow})
	}
	if v.settles != "" {
		all = append(all, line{elide(v.settles, most), yellow})
	}
	for _, f := range v.slow[:min(len(v.slow), mostSlow)] {
		all = append(all, line{elide(fmt.Sprintf("%8s  %s", clock(f.age), printable.Line(f.key)), most), 0})
	}
	// One row is the cursor's, and one shows the last message.
	return all[:max(min(len(all), rows-2), 0)]
}

// bar is the line that says how far the run is: the longest form that has room, with a bar where there is some left.
func (v view) bar(most int) string {
	done, percent := v.done(), ""
	if v.total > 0 {
		percent = fmt.Sprintf("%d%%", 100*done/v.total)
	}
	whole, short := fmt.Sprintf("%d of %d %v", done, v.total, v.things), fmt.Sprintf("%d/%d", done, v.total)
	elapsed := clock(v.elapsed)
	var about, left string
	if v.left >= 0 {
		left = clock(v.left) + " left"
		about = "about " + left
	}
	forms := []string{
		list(whole, percent, speed(v.speed), elapsed, about),
		list(short, percent, speed(v.speed), elapsed, left),
		list(short, percent, elapsed, left),
		list(short, elapsed, left),
		list(short, left),
	}
	for _, text := range forms {
		if room := most - len(text) - len("[] "); room >= leastBar {
			return "[" + v.blocks(min(room, mostBar)) + "] " + text
		}
	}
	return longest(most, append(forms[2:], short)...)
}

// blocks is the inside of the bar.
func (v view) blocks(columns int) string {
	full := columns
	if v.total > 0 {
		full = min(columns*v.done()/v.total, columns)
	}
	return strings.Repeat("#", full) + strings.Repeat("-", columns-full)
}

// outcomes is the line that counts what became of the groups: the longest form that has room.
func (v view) outcomes(most int) string {
	accepted, flying := count(v.counts[dispatcher.Accepted], "accepted"), v.inFlight()
	unknown, again := count(v.counts[dispatcher.UnknownGroup], "unknown"), count(v.retries, "tried again")
	failed := count(v.counts.Failed(), "failed")
	kinds := []string{accepted}
	for _, o := range dispatcher.Outcomes() {
		if o.Failed() {
			kinds = append(kinds, count(v.counts[o], o.String()))
		}
	}
	return longest(most,
		list(append(kinds, unknown, again, flying)...),
		list(accepted, failed, unknown, again, flying),
		list(accepted, failed, again, flying),
		list(accepted, failed, flying),
		list(failed, flying),
		cmp.Or(failed, flying))
}

func (t tally) done() (n int) {
	for _, c := range t.counts {
		n += c
	}
	return n
}

// inFlight says how many sends are in flight, and of how many where that is found in the course of the run.
func (t tally) inFlight() string {
	if t.limit > 0 {
		return fmt.Sprintf("%d in flight of %d", t.flying, t.limit)
	}
	return fmt.Sprintf("%d in flight", t.flying)
}

// line says in one line how far the run is, where there is no terminal to show more.
func (v view) line() string {
	done := v.done()
	text := fmt.Sprintf("%d of %d %v", done, v.total, v.things)
	if v.total > 0 {
		text += fmt.Sprintf(" (%d%%)", 100*done/v.total)
	}
	waits, left := "", ""
	if v.waits != "" {
		waits = "waiting for " + v.waits
	}
	if v.left >= 0 {
		left = fmt.Sprintf("about %s left", clock(v.left))
	}
	return list(text, count(v.counts.Failed(), "failed"), count(v.counts[dispatcher.UnknownGroup], "unknown"),
		count(v.retries, "tried again"), v.inFlight(), clock(v.elapsed), waits, v.settles, left)
}

// count says how many there are of something; nothing where there are none.
func count(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

// list puts parts one after the other; empty ones are none.
func list(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// longest is the first of the forms, of which each is shorter than the one before, that has room. The last is cut
// where it has none.
func longest(most int, forms ...string) string {
	for _, text := range forms {
		if displaywidth.String(text) <= most {
			return text
		}
	}
	return elide(forms[len(forms)-1], most)
}

// clock prints a length of time as minutes and seconds: 2:05, or 1:02:05.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// speed prints groups per second to two digits, in the shortest unit of time in which it is at least 1; empty for 0.
func speed(x float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		switch n := x * unit.seconds; {
		case n >= 9.95:
			return fmt.Sprintf("%.0f/%s", n, unit.name)
		case n >= 0.995:
			return fmt.Sprintf("%.1f/%s", n, unit.name)
		}
	}
	return ""
}

// elide cuts a text that needs more than so many columns, and shows that it did where there is room for that.
func elide(text string, most int) string {
	return displaywidth.TruncateString(text, most, strings.Repeat(".", min(3, most/4)))
}

// A pace is how many events there are in a second, of late: one half a minute ago counts a third of one now.
type pace struct {
	began, last time.Time
	weight      float64 // of all events, at last
}

const paceWindow = 30 * time.Second

func (p *pace) event(now time.Time) {
	p.weight, p.last = p.weight*decay(now.Sub(p.last))+1, now
}

func (p *pace) at(now time.Time) float64 {
	// In the first half minute there was no time yet for all the events that the weights are made for.
	if most := paceWindow.Seconds() * (1 - decay(now.Sub(p.began))); most > 0 {
		return p.weight * decay(now.Sub(p.last)) / most
	}
	return 0
}

func decay(d time.Duration) float64 { return math.Exp(-d.Seconds() / paceWindow.Seconds()) }
