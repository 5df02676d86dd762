package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
)

// view is what there is to show now.
func (d *Display) view() view {
	now := time.Now()
	v := view{
		tally: d.tally, elapsed: now.Sub(d.began), left: d.left(now), speed: d.pace.at(now),
		waits: d.waits(now), settles: d.settles(now),
	}
	for key, since := range d.sends {
		if age := now.Sub(since); age >= slowAfter && !d.private {
			v.slow = append(v.slow, flight{key, age})
		}
	}
	slices.SortFunc(v.slow, func(a, b flight) int {
		return cmp.Or(cmp.Compare(b.age, a.age), cmp.Compare(a.key, b.key))
	})
	return v
}

// steered tells what an operator changed. Paused time is no measure of how fast the run is.
func (d *Display) steered(e campaign.Steered) {
	switch e.What {
	case "pause":
		d.halted = e.At
	case "resume":
		d.rested += e.At.Sub(d.halted)
		d.halted = time.Time{}
	case "workers":
		d.limit = e.Sends
	case "rate":
		d.rate = e.Rate
	}
	d.say(printable.Line(fmt.Sprintf("%v, by control", e.Steer)), yellow)
}

// waits says what the run waits for: what holds all of it, else what keeps one send from starting; empty: nothing.
func (d *Display) waits(now time.Time) string {
	switch {
	case !d.ending.IsZero():
		if d.flying == 0 || !now.Before(d.ending) {
			return ""
		}
		return fmt.Sprintf("what is in flight, for %s at most", clock(d.ending.Sub(now)))
	case !d.halted.IsZero():
		return "control to resume it, paused since " + d.halted.Local().Format("15:04 MST")
	case d.breaker.Open && now.Before(d.breaker.Probe):
		return fmt.Sprintf("the site, which is asked again in %s", clock(d.breaker.Probe.Sub(now)))
	case d.breaker.Open:
		return "the site"
	case now.Before(d.paused):
		return fmt.Sprintf("the end of the pause that the site asked for, in %s", clock(d.paused.Sub(now)))
	case d.measures:
		return "what the site's page takes while nothing is sent"
	case d.heldAlone(now):
		return fmt.Sprintf("%v that are held back until %s at the latest", d.things, printable.Instant(d.held))
	}
	if len(d.reasons) == 0 && d.flying == 0 && len(d.backing) > 0 {
		return fmt.Sprintf("the time of another try (%v: %d)", d.things, len(d.backing))
	}
	return strings.Join(d.reasons, " and ")
}

// heldAlone tells whether all that is left is held back.
func (d *Display) heldAlone(now time.Time) bool {
	return d.flying == 0 && now.Before(d.held) && d.total-d.done() <= d.waiting
}

// settles says how many groups wait to be settled, and until when the last of them does; empty: none does.
func (d *Display) settles(now time.Time) string {
	if len(d.settling) == 0 || !d.ending.IsZero() {
		return ""
	}
	waits := d.things.Count(len(d.settling)) + " wait"
	if len(d.settling) == 1 {
		waits += "s"
	}
	if until := d.settled(); until.After(now) {
		waits += " until " + printable.Instant(until)
	}
	return waits + " to be settled"
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
func (d *Display) left(now time.Time) time.Duration {
	done, elapsed := d.done(), now.Sub(d.began)-d.rested
	if !d.halted.IsZero() {
		elapsed -= now.Sub(d.halted)
	}
	left, settled := d.total-done, d.settled().Sub(now) // negative, too, where none is to be settled
	least := max(settled, d.paced(left-d.flying))
	switch {
	case left <= 0, !d.ending.IsZero():
		return -1
	case left == len(d.settling):
		return max(settled, 0)
	case !d.breaker.Open && d.heldAlone(now): // what they take cannot be guessed from the others
		return -1
	case d.expected > 0 && d.allWork > 0:
		return max(d.expectedLeft(now, elapsed), least)
	case done*20 < d.total: // a guess from less than a twentieth of the work would jump about
		return -1
	}
	// In floats: the product may be too long for a duration.
	return max(time.Duration(float64(elapsed)*float64(left)/float64(done)), least)
}

// paced is how long the rate keeps so many starts apart. A forecast counts the work, of which the longest goes first, and the
// rate the groups: as many as are left may have nearly no work.
func (d *Display) paced(starts int) time.Duration {
	if d.rate == 0 {
		return 0
	}
	return time.Duration(float64(starts) / float64(d.rate) * float64(time.Second))
}

// trust is how much of the run the forecast is worth: this part of it weighs as much as what was forecast.
const trust = 0.1

// expectedLeft is what the forecast leaves for the work that is not done, at the pace of this run: that is the
// forecast's own at first, and more and more that which it has been so far.
func (d *Display) expectedLeft(now time.Time, elapsed time.Duration) time.Duration {
	work := d.work
	for key, since := range d.sends {
		work += min(now.Sub(since), d.cost(key))
	}
	done := min(float64(work)/float64(d.allWork), 1)
	expected := float64(d.expected)
	pace := (float64(elapsed)/expected + trust) / (done + trust)
	return time.Duration(expected * (1 - done) * pace)
}
