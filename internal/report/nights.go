package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
)

// A Night is what the site's own tables told of an earlier run.
type Night struct {
	Run      string
	Started  time.Time
	Mails    ledger.Counts
	GapPosts int // posts that were in no digest
}

// The picture of the nights
//
// Who looks at it wants to know at a glance whether digests were lost. On one scale with 5,000 that were mailed, ten that were
// lost would be a hair's breadth, or, given a least height, look like two hundred. So what was lost stands above the line on a
// scale of its own, and all else hangs below it: where nothing is above the line nothing was lost, whatever the size of the
// site. The scale above the line does not go below lostLeast, so that one lost digest is no tower, and a bar has a least
// height, so that one is seen beside a night that lost a thousand. The figure stands above the bar.
const (
	nightSlots = 14 // the picture has room for so many nights at least: two make no barn doors

	// In pixels from the top: room for marks and figures, what was lost, the line, and all else.
	nightHead, lostHeight, restHeight = 30, 62, 108
	nightLine                         = nightHead + lostHeight
	nightHeight                       = nightLine + restHeight

	lostLeast = 10 // digests at the top of the scale of what was lost, at least
	leastBar  = 3  // pixels
	nightFoot = 3  // dates below the picture, besides this run's mark
)

type nights struct {
	Caption, Alternative string
	Height, Line         int
	Labels               []yLabel
	Bars                 []nightBar // the oldest first
	Legend               []nightKey
	Ticks                []nightTick
}

// A nightBar is one run's. All but its parts is in hundredths of the picture's width.
type nightBar struct {
	Night
	Things         string // how many groups of which verdict, in a line
	Now            bool   // it is this run
	Slot, SlotWide string
	X, Wide, Mid   string
	Parts          []nightPart
	Lost, LostY    int // the figure above the bar; 0: none
}

// A nightPart is a piece of a bar, in pixels.
type nightPart struct {
	Class   string
	Y, High string
}

// A nightKey is how the bars of a verdict look.
type nightKey struct {
	Class, Name string
	Dot         bool
}

type nightTick struct {
	At, Anchor, Text string
	Now              bool
}

// mailWord is what a verdict is called where there is room for more than its word.
func mailWord(m ledger.Mail) string {
	if m == ledger.Nothing {
		return "nothing to mail"
	}
	return m.String()
}

// mailLook is how a verdict is shown, as lookOf of an outcome.
func mailLook(m ledger.Mail) look {
	switch m {
	case ledger.Mailed:
		return look{"✓", "good"}
	case ledger.Nothing:
		return look{"·", "left"}
	case ledger.Swallowed:
		return look{"✗", "bad"}
	case ledger.Missing:
		return look{"!", "doubt"}
	case ledger.Unknown:
		return look{"?", "left"}
	}
	return look{"", "left"}
}

// lost is how many digests were not mailed that should have been.
func (n *Night) lost() int { return n.Mails[ledger.Swallowed] + n.Mails[ledger.Missing] }

// rest is how many groups hang below the line.
func (n *Night) rest() int {
	return n.Mails[ledger.Mailed] + n.Mails[ledger.Nothing] + n.Mails[ledger.Unknown]
}

// nights draws this run and those before it; nil where the tables were not read, or before no other run.
func (d *Document) nights() *nights {
	if d.meta.Ledger == nil || len(d.meta.Nights) == 0 {
		return nil
	}
	counts, _ := d.Mails()
	return d.drawNights(append(slices.Clone(d.meta.Nights), Night{d.Run, d.Started, counts, d.Ledger.Gaps.Posts}), true)
}

// drawNights draws runs, at least one and the oldest first. now: the last of them is the one that the page is of.
func (d *Document) drawNights(all []Night, now bool) *nights {
	p := &nights{Height: nightHeight, Line: nightLine}
	var total ledger.Counts
	mostLost, mostRest, gaps := lostLeast, 1, 0
	for i := range all {
		mostLost, mostRest, gaps = max(mostLost, all[i].lost()), max(mostRest, all[i].rest()), gaps+all[i].GapPosts
		for _, m := range ledger.Mails() {
			total[m] += all[i].Mails[m]
		}
	}
	p.Labels = []yLabel{
		{nightHead + 4, strconv.Itoa(mostLost) + " lost"},
		{nightLine + 4, "0"},
		{nightHeight, strconv.Itoa(mostRest)},
	}
	slots := max(len(all), nightSlots)
	for i := range all {
		bar := drawNight(all[i], slots-len(all)+i, slots, mostLost, mostRest)
		bar.Now = now && i == len(all)-1
		bar.Things = d.mailCounts(&all[i])
		p.Bars = append(p.Bars, bar)
	}
	p.Ticks = nightTicks(p.Bars, now)
	for _, m := range ledger.Mails() {
		if m != ledger.Unknown || total[m] > 0 {
			p.Legend = append(p.Legend, nightKey{Class: m.String(), Name: mailWord(m)})
		}
	}
	if gaps > 0 {
		p.Legend = append(p.Legend, nightKey{Name: "posts in no digest", Dot: true})
	}
	p.Caption = d.nightsCaption(all)
	p.Alternative = p.Caption + " The table below has the figures."
	return p
}

// nightsCaption says at once whether digests were lost.
func (d *Document) nightsCaption(all []Night) string {
	nights, lost, gaps := 0, 0, 0
	for i := range all {
		if n := all[i].lost(); n > 0 {
			nights++
			lost += n
		}
		gaps += all[i].GapPosts
	}
	text := fmt.Sprintf("No digest is known to be lost in the last %d runs", len(all))
	if lost > 0 {
		text = fmt.Sprintf("%s lost in %d of the last %d runs", printable.NewNoun("digest", "digests").Count(lost), nights, len(all))
	}
	if gaps > 0 {
		text += fmt.Sprintf("; %s in no digest", posts(gaps))
	}
	return text + ". What was lost is above the line, on a scale of its own, and all else below it."
}

// mailCounts are the figures of a night in one line.
func (d *Document) mailCounts(n *Night) string {
	var parts []string
	for _, m := range ledger.Mails() {
		if n.Mails[m] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.Mails[m], mailWord(m)))
		}
	}
	if n.GapPosts > 0 {
		parts = append(parts, posts(n.GapPosts)+" in no digest")
	}
	if len(parts) == 0 {
		return "no " + d.meta.Things.One()
	}
	return strings.Join(parts, ", ")
}

// drawNight draws the bar of a night in one of the slots. mostLost and mostRest are at the ends of the two scales.
func drawNight(n Night, slot, slots, mostLost, mostRest int) nightBar {
	wide := 100 / float64(slots)
	left := float64(slot) * wide
	bar := nightBar{
		Night: n, Slot: decimal(left), SlotWide: decimal(wide),
		X: decimal(left + wide/6), Wide: decimal(wide * 2 / 3), Mid: decimal(left + wide/2),
	}
	y := float64(nightLine)
	for _, m := range []ledger.Mail{ledger.Swallowed, ledger.Missing} {
		if k := n.Mails[m]; k > 0 {
			high := max(lostHeight*float64(k)/float64(mostLost), leastBar)
			y -= high
			bar.Parts = append(bar.Parts, nightPart{m.String(), decimal(y), decimal(high)})
		}
	}
	bar.Lost, bar.LostY = n.lost(), int(y)-4
	y = nightLine
	for _, m := range []ledger.Mail{ledger.Mailed, ledger.Nothing, ledger.Unknown} {
		if k := n.Mails[m]; k > 0 {
			high := restHeight * float64(k) / float64(mostRest)
			bar.Parts = append(bar.Parts, nightPart{m.String(), decimal(y), decimal(high)})
			y += high
		}
	}
	return bar
}

// nightTicks are the mark of the last run, which is this one now, and dates some equal numbers of runs before it, at least a
// quarter of the picture apart: on a phone a date takes a sixth of it.
func nightTicks(bars []nightBar, now bool) []nightTick {
	last := len(bars) - 1
	list := []nightTick{{At: "100", Anchor: "end", Text: "this run", Now: true}}
	if !now {
		list[0] = nightTick{At: "100", Anchor: "end", Text: bars[last].Started.UTC().Format("2 Jan")}
	}
	by := max((len(bars)+nightFoot-1)/nightFoot, (nightSlots+3)/4)
	for i := last; i-by >= 0; {
		i -= by
		list = append(list, nightTick{At: bars[i].Mid, Anchor: "middle", Text: bars[i].Started.UTC().Format("2 Jan")})
	}
	return list
}

// decimal is a number with at most two decimals.
func decimal(v float64) string { return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 2, 64), ".00") }
