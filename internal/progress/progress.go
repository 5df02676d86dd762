// Package progress shows how a run goes while it goes.
//
// On a terminal a few lines are redrawn in place: how far and how fast, what became of the groups, what is slow, and
// what the run waits for. Elsewhere plain lines come at a calm pace, more and more seldom up to one a minute. Failures
// are told as they happen. Everything that goes to the same stream must be written through the [Display], so that
// messages and its lines never mix. The display owns one goroutine, which Close waits for.
//
// It draws by itself. A library such as mpb goes up by the rows that it wrote, which are others after a resize, and
// must be given the terminal itself to know its size; then it waits for one that was stopped, and the run with it.
package progress

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/ratelimit"
)

const (
	redraw    = 200 * time.Millisecond // of the lines on a terminal
	firstLine = time.Second            // until the first plain line; the time between two doubles from then on
	lastPace  = time.Minute            // up to this
)

// A Terminal is the one that a display is on.
type Terminal struct {
	// Size is how large it is now; 0 is what it does not know. It may change at any time.
	Size func() (columns, rows int)
	// Ours tells whether it is ours to draw on: not while a shell has the program in the background. nil: always.
	Ours func() bool
	// Color: it shows colours, and they are welcome.
	Color bool
}

// The size of a terminal that does not know its own.
const usualColumns, usualRows = 80, 24

// A Display shows the progress of one run. It is a [campaign.Observer].
type Display struct {
	out      io.Writer
	terminal *Terminal // nil: out is none

	mu       sync.Mutex
	prepares string // what is waited for before the list of groups; empty: for that
	tally
	sends    map[string]time.Time // those in flight, since when
	backing  map[string]struct{}  // those that wait for another try
	settling map[string]time.Time // those that wait to be settled, until when
	breaker  ratelimit.BreakerState
	paused   time.Time       // until when the site asked for a pause
	halted   time.Time       // since when an operator has the run paused; zero: it is not
	rested   time.Duration   // for which operators had it paused before
	ending   time.Time       // when what is in flight is cut; zero: it is not
	held     time.Time       // until when some groups are held back; zero: none are
	waiting  int             // .. and how many are at first
	rate     ratelimit.Rate  // how many may start a second; 0: no limit
	measures bool            // what the site's page takes while nothing is sent
	waitsFor func() []string // what else the run waits for; nil: nothing
	reasons  []string        // what it said last
	began    time.Time
	pace     pace
	expected time.Duration                  // how long the run takes; 0: nobody knows
	allWork  time.Duration                  // how long its sends take one after the other
	cost     func(key string) time.Duration // how long one of them takes; nil: nobody knows
	work     time.Duration                  // what the groups that are done were expected to cost
	live     bool                           // between Planned and Close
	quiet    bool                           // the run is followed, and not shown
	private  bool                           // their names are not to be shown
	drawn    bool                           // lines may be on the screen

	stop chan struct{} // ends the loop
	loop sync.WaitGroup
}

// New makes a display on out. terminal is the one that out is; nil if it is none.
func New(out io.Writer, terminal *Terminal) *Display {
	return &Display{
		out: out, terminal: terminal, sends: map[string]time.Time{}, backing: map[string]struct{}{}, settling: map[string]time.Time{},
	}
}

// Quiet keeps the display from showing anything of its own; messages that are written to it go through. It follows the run
// all the same, for Status.
func (d *Display) Quiet() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quiet = true
}

// plan begins to follow a run of which it is known now what it sends to, and to show it.
func (d *Display) plan(p *campaign.Plan) {
	d.total, d.began, d.things, d.private = len(p.Groups), time.Now(), p.Things, p.Private
	d.pace.began, d.rested = d.began, 0
	if !d.halted.IsZero() {
		d.rested = d.halted.Sub(d.began) // negative: what was paused before counts from here on
	}
	if p.Forecast != nil {
		d.expected, d.allWork, d.cost = p.Forecast.Expected, p.Work, p.Cost
	}
	if p.Waiting > 0 {
		d.held, d.waiting = p.Until, p.Waiting
	}
	if !d.quiet {
		d.live = true
		d.stop = make(chan struct{})
		d.loop.Go(d.tick)
	}
}

// Close takes the lines away and waits until nothing more is shown. A display that never began needs none.
func (d *Display) Close() {
	d.mu.Lock()
	live := d.live
	d.live = false
	_ = d.put("", false)
	d.drawn = false
	d.mu.Unlock()
	if live {
		close(d.stop)
		d.loop.Wait()
	}
}

// tick keeps the display up to date between events.
func (d *Display) tick() {
	pause := firstLine
	if d.terminal != nil {
		pause = redraw
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-timer.C:
		}
		d.ask()
		d.mu.Lock()
		switch {
		case !d.live:
		case d.terminal != nil:
			_ = d.put("", true)
		default:
			fmt.Fprintln(d.out, d.view().line())
			pause = min(max(time.Since(d.began), firstLine), lastPace)
		}
		d.mu.Unlock()
		timer.Reset(pause)
	}
}

// ask asks what the run waits for. The display is not locked meanwhile: who answers has locks, which others may hold who have
// news for the display.
func (d *Display) ask() {
	d.mu.Lock()
	waitsFor := d.waitsFor
	d.mu.Unlock()
	var reasons []string
	if waitsFor != nil {
		reasons = waitsFor()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reasons = reasons
}

// Observe follows the run and tells of what people want to know.
func (d *Display) Observe(e campaign.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e := e.(type) {
	case campaign.Locking:
		d.prepares = "waiting for the lock"
	case campaign.Queueing:
		d.prepares = "waiting for the run of another machine"
	case campaign.Locked:
		d.prepares = ""
	case campaign.Began:
		d.prepares, d.rate = "", ratelimit.Rate(e.Meta.Rate)
	case campaign.Unlisted:
		d.unlisted(e)
	case campaign.Listing:
		d.things = e.Things
	case campaign.Planned:
		d.plan(e.Plan)
	case campaign.Extended:
		d.total += e.Groups
	case campaign.Measuring:
		d.measures = true
	case campaign.Sending:
		d.measures, d.waitsFor = false, e.Waits
	case campaign.Send:
		d.send(e.Event)
	case campaign.Limited:
		if d.limit = e.Sends; !d.began.IsZero() {
			d.say(fmt.Sprintf("%d at a time now: %s", e.Sends, e.Why), 0)
		}
	case campaign.Steered:
		d.steered(e)
	case campaign.Paused:
		d.paused = time.Now().Add(e.For)
		d.say(fmt.Sprintf("the site asked for a pause of %s; nothing starts until it is over", clock(e.For)), yellow)
	case campaign.Down:
		d.down(e)
	case campaign.Up:
		d.breaker = ratelimit.BreakerState{}
		d.say("the site answers again", green)
	case campaign.Stopping:
		d.stopping(e)
	}
}

// send follows a send, and tells of each group that failed.
func (d *Display) send(e dispatcher.Event) {
	d.flying = e.InFlight
	key := e.Result.Job.Key()
	delete(d.backing, key)
	_, settles := d.settling[key]
	delete(d.settling, key)
	if e.Kind == dispatcher.Started {
		if settles {
			d.retries++
		}
		d.sends[key] = time.Now()
		return
	}
	delete(d.sends, key)
	switch e.Kind {
	case dispatcher.Retrying:
		d.retries++
		d.backing[key] = struct{}{}
		return
	case dispatcher.Settling:
		d.settling[key] = e.Next
		d.say(fmt.Sprintf("%s; sent again at %s at the earliest", d.ended(e.Result), printable.Instant(e.Next)), yellow)
		return
	}
	d.counts[e.Result.Outcome]++
	d.pace.event(time.Now())
	if d.cost != nil {
		d.work += d.cost(key)
	}
	if e.Result.Failed() {
		d.say(d.ended(e.Result), red)
	}
}

// ended says how a send ended, and whose it was where that may be shown.
func (d *Display) ended(r dispatcher.Result) string {
	text := fmt.Sprintf("%v: %s", r.Outcome, printable.Line(r.Reason))
	if !d.private {
		text = printable.Line(r.Job.Key()) + ": " + text
	}
	return text
}

// unlisted tells that the list of groups could not be had.
func (d *Display) unlisted(e campaign.Unlisted) {
	d.prepares = fmt.Sprintf("waiting for the list of %v, which is asked for again at %s", d.things, printable.Instant(e.Again))
	text := fmt.Sprintf("%s; asked for again in %s", printable.Line(e.Err.Error()), clock(time.Until(e.Again)))
	if !e.Until.IsZero() {
		text += ", until " + printable.Instant(e.Until)
	}
	d.say(text, yellow)
}

// Left is how long the run is expected to go on; negative where nobody knows.
func (d *Display) Left() time.Duration {
	d.ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.began.IsZero() {
		return -1
	}
	return d.left(time.Now())
}

// Waits says in one line what the run waits for; empty: nothing.
func (d *Display) Waits() string {
	d.ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	now, waits := time.Now(), ""
	if d.began.IsZero() {
		waits = d.prepares
	} else if waits = d.waits(now); waits != "" {
		waits = "waiting for " + waits
	}
	if settles := d.settles(now); settles != "" {
		waits = strings.TrimPrefix(waits+"; "+settles, "; ")
	}
	return waits
}

// Status says in one line how far the run is, whether it is shown or not.
func (d *Display) Status() string {
	d.ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.began.IsZero() {
		return cmp.Or(d.prepares, "waiting for the list of "+d.things.String())
	}
	return d.view().line()
}

// down tells that the site has stopped answering, or fails every send, and when it is asked again.
func (d *Display) down(e campaign.Down) {
	d.breaker = e.BreakerState
	trouble := "the site has not answered"
	if e.Failing {
		trouble = "the site has answered every send with an error"
	}
	d.say(fmt.Sprintf("%s for %s; in %s one send tries again, and no other until it answers",
		trouble, clock(time.Since(e.Since)), clock(time.Until(e.Probe))), yellow)
}

// stopping tells that nothing more starts, and how long what is in flight has to end.
func (d *Display) stopping(e campaign.Stopping) {
	if e.Left {
		return
	}
	d.ending = time.Now().Add(e.Grace)
	if d.flying > 0 {
		d.say(fmt.Sprintf("%d in flight, which may take up to %s", d.flying, clock(e.Grace)), yellow)
	}
}

// say puts a line of our own above the others.
func (d *Display) say(text string, c color) {
	if d.quiet {
		return
	}
	_ = d.put(line{text, c}.painted(d.terminal != nil && d.terminal.Color)+"\n", d.drawn)
}

// Write puts a message above the lines. Messages are whole lines.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.put(string(p), d.drawn); err != nil {
		return 0, err
	}
	return len(p), nil
}

// What a terminal is told. Lines that do not wrap stay one row each, even where the terminal has become narrower a
// moment ago, or shows a letter wider than we believe.
const (
	eraseBelow = "\r\x1b[J"
	wrapOff    = "\x1b[?7l"
	wrapOn     = "\x1b[?7h"
)

// put writes a message, and on a terminal the lines below it if they are to be drawn.
//
// The cursor rests in an empty row above the lines. So they are taken away from where the cursor is, whatever has
// become of them: a terminal that was made narrower may have broken them into more rows, or cut them, and a queue may
// have dropped what was written. It also gives a row of its own to what others write: the echo of a key, a crash, the
// shell's prompt after a kill. All goes out in one write, so that nothing gets between.
func (d *Display) put(message string, draw bool) error {
	var text strings.Builder
	ours := d.terminal != nil && (d.terminal.Ours == nil || d.terminal.Ours())
	if d.drawn && ours {
		text.WriteString(eraseBelow)
	}
	text.WriteString(message)
	d.drawn = draw && d.live && ours
	if d.drawn {
		d.draw(&text)
	}
	if text.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(d.out, text.String())
	return err
}

// draw adds the lines, unless the terminal is behind: they would be old by the time it has caught up.
func (d *Display) draw(text *strings.Builder) {
	if q, ok := d.out.(interface{ Idle() bool }); ok && !q.Idle() {
		return
	}
	columns, rows := d.terminal.Size()
	lines := d.view().lines(cmp.Or(columns, usualColumns), cmp.Or(rows, usualRows))
	if len(lines) == 0 {
		return
	}
	text.WriteString(wrapOff)
	for _, l := range lines {
		text.WriteString("\n" + l.painted(d.terminal.Color))
	}
	fmt.Fprintf(text, "\r\x1b[%dA%s", len(lines), wrapOn)
}
