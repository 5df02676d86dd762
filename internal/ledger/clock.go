package ledger

import (
	"iter"
	"time"

	"github.com/groupserver/senddigest/internal/guard"
)

// A Reading is what a clock on a wall showed, in microseconds since 1970 as if the clock were of UTC. 0 is none. The server
// writes its tables by such a clock (docs/groupserver.md section 12), so readings can be compared with each other, and with
// instants only by a [Clock].
type Reading int64

// ReadingOf is a reading of a [guard.Clock], which keeps it as a time of UTC.
func ReadingOf(t time.Time) Reading { return Reading(t.UnixMicro()) }

// Time is the reading as a [guard.Clock] has it.
func (r Reading) Time() time.Time { return time.UnixMicro(int64(r)).UTC() }

// add moves a reading. There is none before 1970.
func (r Reading) add(d time.Duration) Reading { return r + Reading(d.Microseconds()) }

// sub is how long after another reading this one is.
func (r Reading) sub(other Reading) time.Duration { return time.Duration(r-other) * time.Microsecond }

// A Clock is the server's, as far as it is known. It is that of a zone, or ahead of it by a number of quarters of an hour:
// where the server is in another zone than we take it to be.
type Clock struct {
	guard.Clock
	// Known: it was found from what the server wrote. Otherwise it is only assumed to be that of the zone, and may be as
	// much ahead or behind as two zones can be.
	Known bool
}

const (
	// skew is by how much two machines' clocks differ at most.
	skew = 2 * time.Minute
	// unknownSkew is the most by which the clocks of two zones differ.
	unknownSkew = 26 * time.Hour
	// farthest is by how much a server's clock is ahead or behind ours at most that is found: either of them is in UTC, or not
	// far from the other. A day more or less would be a digest of another night.
	farthest = 14 * time.Hour

	// A zone's clock is ahead of another's by a multiple of this.
	step = 15 * time.Minute
	// fits is how many samples have to agree.
	fits = 5
	// A sample of a send that took longer tells too little.
	longestSample = 20 * time.Minute
)

// span is what the clock showed from one instant to a later one, as far as that is known.
func (c Clock) span(from, to time.Time) (lowest, highest Reading) {
	low, high := c.Span(from, to)
	return ReadingOf(low.Add(-c.slack())), ReadingOf(high.Add(c.slack()))
}

// Instant is when the clock first showed a reading, as far as it is known.
func (c Clock) Instant(r Reading) time.Time {
	first, _ := c.Reaches(r.Time())
	return first
}

// slack is by how much the clock may be ahead or behind what it is taken to be.
func (c Clock) slack() time.Duration {
	if c.Known {
		return skew
	}
	return unknownSkew
}

// A Sample is a digest and the request that it was mailed for: the server's clock showed Row between Start and End.
type Sample struct {
	Start, End time.Time
	Row        Reading
}

// Calibrate finds by how much the server's clock is ahead of that of its zone, from at least five samples that agree. Samples
// whose digest is older than the request, because that one mailed nothing, do no harm. With too few the clock stays as
// it is.
func (c Clock) Calibrate(samples iter.Seq[Sample]) Clock {
	votes := c.votes(samples)
	// Of a group that a request mailed nothing to, the digest is of an earlier night. So it is the latest that counts.
	for n := int(farthest / step); n >= -int(farthest/step); n-- {
		if votes[n] < fits {
			continue
		}
		for votes[n-1] > votes[n] { // long sends vote for their neighbours, too
			n--
		}
		return Clock{c.Set(time.Duration(n) * step), true}
	}
	return c
}

// CalibrateNew is Calibrate by digests none of which is older than its run. A few may be from somebody else's sends in the
// course of it, before or after the request: so it is where most agree.
func (c Clock) CalibrateNew(samples iter.Seq[Sample]) Clock {
	votes, most := c.votes(samples), 0
	for n := int(farthest / step); n >= -int(farthest/step); n-- {
		if votes[n] > votes[most] || votes[most] == 0 {
			most = n
		}
	}
	if votes[most] < fits {
		return c
	}
	return Clock{c.Set(time.Duration(most) * step), true}
}

// votes counts the samples that fit each number of steps by which the clock may be ahead.
func (c Clock) votes(samples iter.Seq[Sample]) map[int]int {
	zone := c.Set(0)
	votes := map[int]int{}
	for s := range samples {
		if s.Row == 0 || s.End.Before(s.Start) || s.End.Sub(s.Start) > longestSample {
			continue
		}
		low, high := zone.Span(s.Start, s.End)
		least, most := s.Row.sub(ReadingOf(high))-skew, s.Row.sub(ReadingOf(low))+skew
		if most < -farthest || least > farthest {
			continue // an older digest
		}
		for n := int(least / step); time.Duration(n)*step <= most; n++ {
			if time.Duration(n)*step >= least {
				votes[n]++
			}
		}
	}
	return votes
}
