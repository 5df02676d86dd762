// Package progress shows how a run goes while it goes.
//
// On a terminal one status line is redrawn in place; elsewhere plain lines come at a calm pace, more and more
// seldom up to one a minute. Failures are told as they happen. Everything that goes to the same stream must be
// written through the [Display], so that messages and the status line never mix. The display owns one goroutine,
// which Close waits for.
package progress

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/ratelimit"
)

const (
	redraw    = 200 * time.Millisecond // of the status line on a terminal
	firstLine = time.Second            // until the first plain line; the time between two doubles from then on
	lastPace  = time.Minute            // up to this
)

// A Display shows the progress of one run. It is a [dispatcher.Observer].
type Display struct {
	out   io.Writer
	width func() int // of the terminal, in columns; nil: out is no terminal

	mu      sync.Mutex
	total   int
	flying  int
	retries int
	down    bool      // the site does not answer
	limit   int       // how many sends may be in flight; 0: as many as there are workers
	held    time.Time // until when some groups are held back; zero: none are
	counts  dispatcher.Counts
	began   time.Time
	live    bool   // between Begin and Close
	quiet   bool   // the run is followed, and not shown
	waits   string // what is waited for before the list of groups; empty: for that
	shown   bool   // a status line is on the screen

	stop, done chan struct{} // ends the goroutine; it has ended
}

// New makes a display on out. width gives the columns of the terminal that out is; nil if it is none.
func New(out io.Writer, width func() int) *Display { return &Display{out: out, width: width} }

// Begin starts to show a run of total groups. It is called once at most, and Close after it.
func (d *Display) Begin(total int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total, d.began, d.live = total, time.Now(), true
	d.stop, d.done = make(chan struct{}), make(chan struct{})
	go d.tick()
}

// Close takes the status line away and waits until nothing more is shown. A display that never began needs none.
func (d *Display) Close() {
	d.mu.Lock()
	live := d.live
	d.live = false
	d.erase()
	d.mu.Unlock()
	if live {
		close(d.stop)
		<-d.done
	}
}

// tick keeps the display up to date between events.
func (d *Display) tick() {
	defer close(d.done)
	pause := firstLine
	if d.width != nil {
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
		d.mu.Lock()
		switch {
		case !d.live:
		case d.width != nil:
			d.erase()
			d.draw()
		default:
			fmt.Fprintln(d.out, d.status())
			pause = min(max(time.Since(d.began), firstLine), lastPace)
		}
		d.mu.Unlock()
		timer.Reset(pause)
	}
}

// Observe follows the run and tells of each group that failed.
func (d *Display) Observe(e dispatcher.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flying = e.InFlight
	if e.Kind == dispatcher.Retrying {
		d.retries++
	}
	if e.Kind != dispatcher.Finished {
		return
	}
	d.counts[e.Result.Outcome]++
	if e.Result.Failed() {
		d.say(fmt.Sprintf("%s: %v: %s", printable.Line(e.Result.Job.Key()), e.Result.Outcome, printable.Line(e.Result.Reason)))
	}
}

// Count follows a run of total groups without showing it, for Status. It stands in the place of Begin.
func (d *Display) Count(total int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total, d.began, d.quiet = total, time.Now(), true
}

// Prepare takes the news of what is waited for before there is a list of groups; empty: for that list.
func (d *Display) Prepare(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waits = what
}

// Limit takes the news of how many sends may be in flight, and why.
func (d *Display) Limit(limit int, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit = limit; !d.began.IsZero() {
		d.say(fmt.Sprintf("%d at a time now: %s", limit, why))
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.began.IsZero() {
		return cmp.Or(d.waits, "waiting for the list of groups")
	}
	return d.status()
}

// Down takes the news that the site has stopped answering, when it will be asked again, and that it is back.
func (d *Display) Down(s ratelimit.BreakerState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = s.Open
	text := "the site answers again"
	if s.Open {
		text = fmt.Sprintf("the site has not answered for %s; in %s one send tries again, and no other until it answers",
			clock(time.Since(s.Since)), clock(time.Until(s.Probe)))
	}
	d.say(text)
}

// Paused takes the news that the site asked for a pause.
func (d *Display) Paused(pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.say(fmt.Sprintf("the site asked for a pause of %s; nothing starts until it is over", clock(pause)))
}

// Ending takes the news that what is in flight has so long to end.
func (d *Display) Ending(grace time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flying > 0 {
		d.say(fmt.Sprintf("%d in flight, which may take up to %s", d.flying, clock(grace)))
	}
}

// say puts a line above the status line.
func (d *Display) say(line string) {
	if d.quiet {
		return
	}
	d.erase()
	fmt.Fprintln(d.out, line)
	d.draw()
}

// Write puts a message above the status line. Messages are whole lines.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wasShown := d.shown
	d.erase()
	n, err := d.out.Write(p)
	if wasShown {
		d.draw()
	}
	return n, err
}

// draw puts the status line on a terminal, cut to its width: a line that wraps cannot be taken back.
func (d *Display) draw() {
	if d.width == nil || !d.live {
		return
	}
	line := []rune(d.status())
	if most := d.width() - 1; most > 0 && len(line) > most {
		line = line[:most]
	}
	_, _ = io.WriteString(d.out, string(line))
	d.shown = true
}

// erase takes the status line off the terminal.
func (d *Display) erase() {
	if d.shown {
		_, _ = io.WriteString(d.out, "\r\x1b[K")
		d.shown = false
	}
}

// status says in one line how far the run is.
func (d *Display) status() string {
	done := 0
	for _, n := range d.counts {
		done += n
	}
	elapsed := time.Since(d.began)
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d groups", done, d.total)
	if d.total > 0 {
		fmt.Fprintf(&b, " (%d%%)", 100*done/d.total)
	}
	if failed := d.counts.Failed(); failed > 0 {
		fmt.Fprintf(&b, ", %d failed", failed)
	}
	if gone := d.counts[dispatcher.UnknownGroup]; gone > 0 {
		fmt.Fprintf(&b, ", %d unknown", gone)
	}
	if d.retries > 0 {
		fmt.Fprintf(&b, ", %d tried again", d.retries)
	}
	fmt.Fprintf(&b, ", %d in flight", d.flying)
	if d.limit > 0 {
		fmt.Fprintf(&b, " of %d", d.limit)
	}
	fmt.Fprintf(&b, ", %s", clock(elapsed))
	if d.down {
		b.WriteString(", waiting for the site")
	} else if d.flying == 0 && time.Now().Before(d.held) {
		fmt.Fprintf(&b, ", waiting for groups that are held back until %s at the latest", printable.Instant(d.held))
		return b.String() // what they take cannot be guessed from the others
	}
	// A guess from less than a twentieth of the work would jump about.
	if left := d.total - done; left > 0 && done*20 >= d.total {
		guess := time.Duration(float64(elapsed) * float64(left) / float64(done)) // floats: the product may be long
		fmt.Fprintf(&b, ", about %s left", clock(guess))
	}
	return b.String()
}

// clock prints a length of time as minutes and seconds: 2:05, or 1:02:05.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
