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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
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

// A Display shows the progress of one run. It is a [dispatcher.Observer].
type Display struct {
	out      io.Writer
	terminal *Terminal // nil: out is none

	mu       sync.Mutex
	prepares string // what is waited for before the list of groups; empty: for that
	total    int
	flying   int
	limit    int // how many sends may be in flight; 0: as many as there are workers
	retries  int
	sends    map[string]time.Time // those in flight, since when
	backing  map[string]struct{}  // those that wait for another try
	settling map[string]time.Time // those that wait to be settled, until when
	breaker  ratelimit.BreakerState
	paused   time.Time       // until when the site asked for a pause
	ending   time.Time       // when what is in flight is cut; zero: it is not
	held     time.Time       // until when some groups are held back; zero: none are
	sources  []func() string // of what else a run may wait for
	reasons  []string        // what they said last
	counts   dispatcher.Counts
	began    time.Time
	pace     pace
	forecast *Forecast     // nil: there is none
	work     time.Duration // what the groups that are done were expected to cost
	live     bool          // between Begin and Close
	quiet    bool          // the run is followed, and not shown
	away     bool          // between Suspend and Resume
	drawn    bool          // lines may be on the screen

	stop, done chan struct{} // ends the goroutine; it has ended
}

// A Forecast is what is known of a run before it begins.
type Forecast struct {
	Expected time.Duration                  // how long the run takes
	Work     time.Duration                  // how long its sends take one after the other
	Cost     func(key string) time.Duration // how long one of them takes; it must be quick
}

// New makes a display on out. terminal is the one that out is; nil if it is none.
func New(out io.Writer, terminal *Terminal) *Display {
	return &Display{
		out: out, terminal: terminal, sends: map[string]time.Time{}, backing: map[string]struct{}{}, settling: map[string]time.Time{},
	}
}

// Begin starts to show a run of total groups; forecast may be nil. It is called once at most, and Close after it.
func (d *Display) Begin(total int, forecast *Forecast) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.follow(total, forecast)
	d.live = true
	d.stop, d.done = make(chan struct{}), make(chan struct{})
	go d.tick()
}

// Count follows a run of total groups without showing it, for Status. It stands in the place of Begin.
func (d *Display) Count(total int, forecast *Forecast) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.follow(total, forecast)
	d.quiet = true
}

// Quiet keeps the display from saying anything of its own; messages that are written to it go through.
func (d *Display) Quiet() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quiet = true
}

func (d *Display) follow(total int, forecast *Forecast) {
	d.total, d.forecast, d.began = total, forecast, time.Now()
	d.pace.began = d.began
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
		<-d.done
	}
}

// Suspend takes the lines away until Resume: the program is about to be stopped, and its terminal goes to another.
func (d *Display) Suspend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.put("", false)
	d.drawn, d.away = false, true
}

// Resume shows them again.
func (d *Display) Resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = false
	_ = d.put("", true)
}

// tick keeps the display up to date between events.
func (d *Display) tick() {
	defer close(d.done)
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

// Waiting brings a source of what the run waits for, in words that follow "waiting for"; it says nothing where that is
// nothing. It is asked whenever the display is drawn, must be quick, and may be called by several goroutines at once.
func (d *Display) Waiting(source func() string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources = append(d.sources, source)
}

// ask asks the sources. The display is not locked meanwhile: they have locks of their own, which others may hold who
// have news for the display.
func (d *Display) ask() {
	d.mu.Lock()
	sources := d.sources
	d.mu.Unlock()
	var reasons []string
	for _, source := range sources {
		if reason := source(); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reasons = reasons
}

// Observe follows the run and tells of each group that failed.
func (d *Display) Observe(e dispatcher.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
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
		d.say(fmt.Sprintf("%s: %v: %s; sent again at %s at the earliest", printable.Line(key), e.Result.Outcome,
			printable.Line(e.Result.Reason), printable.Instant(e.Next)), yellow)
		return
	}
	d.counts[e.Result.Outcome]++
	d.pace.event(time.Now())
	if d.forecast != nil {
		d.work += d.forecast.Cost(key)
	}
	if e.Result.Failed() {
		d.say(fmt.Sprintf("%s: %v: %s", printable.Line(key), e.Result.Outcome, printable.Line(e.Result.Reason)), red)
	}
}

// Prepare takes the news of what is waited for before there is a list of groups; empty: for that list.
func (d *Display) Prepare(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prepares = what
}

// Unlisted takes the news that the list of groups could not be had, when it is asked for again, and when the run gives up;
// zero: never.
func (d *Display) Unlisted(err error, again, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prepares = fmt.Sprintf("waiting for the list of groups, which is asked for again at %s", printable.Instant(again))
	text := fmt.Sprintf("%s; asked for again in %s", printable.Line(err.Error()), clock(time.Until(again)))
	if !until.IsZero() {
		text += ", until " + printable.Instant(until)
	}
	d.say(text, yellow)
}

// Limit takes the news of how many sends may be in flight, and why.
func (d *Display) Limit(limit int, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit = limit; !d.began.IsZero() {
		d.say(fmt.Sprintf("%d at a time now: %s", limit, why), 0)
	}
}

// Hold takes the news that some groups are held back, and until when the last of them is.
func (d *Display) Hold(groups int, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if groups > 0 {
		d.held = until
	}
}

// Status says in one line how far the run is, whether it is shown or not.
func (d *Display) Status() string {
	d.ask()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.began.IsZero() {
		return cmp.Or(d.prepares, "waiting for the list of groups")
	}
	return d.view().line()
}

// Down takes the news that the site has stopped answering, or fails every send, when it will be asked again, and that it
// is back.
func (d *Display) Down(s ratelimit.BreakerState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.breaker = s
	if !s.Open {
		d.say("the site answers again", green)
		return
	}
	trouble := "the site has not answered"
	if s.Failing {
		trouble = "the site has answered every send with an error"
	}
	d.say(fmt.Sprintf("%s for %s; in %s one send tries again, and no other until it answers",
		trouble, clock(time.Since(s.Since)), clock(time.Until(s.Probe))), yellow)
}

// Paused takes the news that the site asked for a pause.
func (d *Display) Paused(pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paused = time.Now().Add(pause)
	d.say(fmt.Sprintf("the site asked for a pause of %s; nothing starts until it is over", clock(pause)), yellow)
}

// Ending takes the news that what is in flight has so long to end.
func (d *Display) Ending(grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = time.Now().Add(grace)
	if d.flying > 0 {
		d.say(fmt.Sprintf("%d in flight, which may take up to %s", d.flying, clock(grace)), yellow)
	}
}

// say puts a line of our own above the others.
func (d *Display) say(text string, c color) {
	if d.quiet {
		return
	}
	l := line{text: text}
	if d.terminal != nil && d.terminal.Color {
		l.color = c
	}
	_ = d.put(l.painted()+"\n", d.drawn)
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
	ours := d.terminal != nil && !d.away && (d.terminal.Ours == nil || d.terminal.Ours())
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
	if columns <= 0 {
		columns = usualColumns
	}
	if rows <= 0 {
		rows = usualRows
	}
	lines := d.view().lines(columns, rows)
	if len(lines) == 0 {
		return
	}
	text.WriteString(wrapOff)
	for _, l := range lines {
		if !d.terminal.Color {
			l.color = 0
		}
		text.WriteString("\n" + l.painted())
	}
	fmt.Fprintf(text, "\r\x1b[%dA%s", len(lines), wrapOn)
}

// view is what there is to show now.
func (d *Display) view() view {
	now := time.Now()
	v := view{
		total: d.total, flying: d.flying, limit: d.limit, retries: d.retries, counts: d.counts,
		elapsed: now.Sub(d.began), speed: d.pace.at(now), waits: d.waits(now), settles: d.settles(now),
	}
	for key, since := range d.sends {
		if age := now.Sub(since); age >= slowAfter {
			v.slow = append(v.slow, flight{key, age})
		}
	}
	slices.SortFunc(v.slow, func(a, b flight) int {
		return cmp.Or(cmp.Compare(b.age, a.age), cmp.Compare(a.key, b.key))
	})
	v.left = d.left(now, v)
	return v
}

// waits says what the run waits for: what holds all of it, else what the sources say; empty: nothing.
func (d *Display) waits(now time.Time) string {
	switch {
	case !d.ending.IsZero():
		if d.flying == 0 || !now.Before(d.ending) {
			return ""
		}
		return fmt.Sprintf("what is in flight, for %s at most", clock(d.ending.Sub(now)))
	case d.breaker.Open && now.Before(d.breaker.Probe):
		return fmt.Sprintf("the site, which is asked again in %s", clock(d.breaker.Probe.Sub(now)))
	case d.breaker.Open:
		return "the site"
	case now.Before(d.paused):
		return fmt.Sprintf("the end of the pause that the site asked for, in %s", clock(d.paused.Sub(now)))
	case d.heldAlone(now):
		return fmt.Sprintf("groups that are held back until %s at the latest", printable.Instant(d.held))
	}
	if len(d.reasons) == 0 && d.flying == 0 && len(d.backing) > 0 {
		return fmt.Sprintf("the time of another try (groups: %d)", len(d.backing))
	}
	return strings.Join(d.reasons, " and ")
}

// heldAlone tells whether all that is left is held back.
func (d *Display) heldAlone(now time.Time) bool { return d.flying == 0 && now.Before(d.held) }

// settles says how many groups wait to be settled, and until when the last of them does; empty: none does.
func (d *Display) settles(now time.Time) string {
	if len(d.settling) == 0 || !d.ending.IsZero() {
		return ""
	}
	groups := "1 group waits"
	if n := len(d.settling); n > 1 {
		groups = fmt.Sprintf("%d groups wait", n)
	}
	if until := d.settled(); until.After(now) {
		groups += " until " + printable.Instant(until)
	}
	return groups + " to be settled"
}

// settled is when the time comes of the last group that waits to be settled.
func (d *Display) settled() (last time.Time) {
	for _, at := range d.settling {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// left is how long the run is expected to go on; negative where nobody knows.
func (d *Display) left(now time.Time, v view) time.Duration {
	if left := d.total - v.done(); left > 0 && left == len(d.settling) && d.ending.IsZero() {
		return max(d.settled().Sub(now), 0)
	}
	left := d.leftOfOthers(now, v)
	if left >= 0 && len(d.settling) > 0 {
		left = max(left, d.settled().Sub(now))
	}
	return left
}

// leftOfOthers is what left would be if none waited to be settled.
func (d *Display) leftOfOthers(now time.Time, v view) time.Duration {
	done := v.done()
	left := d.total - done
	switch {
	case left <= 0, !d.ending.IsZero():
		return -1
	case !d.breaker.Open && d.heldAlone(now): // what they take cannot be guessed from the others
		return -1
	case d.forecast != nil && d.forecast.Expected > 0 && d.forecast.Work > 0:
		return d.forecastLeft(now, v.elapsed)
	case done*20 < d.total: // a guess from less than a twentieth of the work would jump about
		return -1
	}
	return time.Duration(float64(v.elapsed) * float64(left) / float64(done)) // floats: the product may be long
}

// trust is how much of the run the forecast is worth: this part of it weighs as much as what was forecast.
const trust = 0.1

// forecastLeft is what the forecast leaves for the work that is not done, at the pace of this run: that is the
// forecast's own at first, and more and more that which it has been so far.
func (d *Display) forecastLeft(now time.Time, elapsed time.Duration) time.Duration {
	work := d.work
	for key, since := range d.sends {
		work += min(now.Sub(since), d.forecast.Cost(key))
	}
	done := min(float64(work)/float64(d.forecast.Work), 1)
	expected := float64(d.forecast.Expected)
	pace := (float64(elapsed)/expected + trust) / (done + trust)
	return time.Duration(expected * (1 - done) * pace)
}
