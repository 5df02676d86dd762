package schedule

import (
	"container/heap"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/ratelimit"
)

// A site is a run without accidents: nothing is tried again, no pause, no outage, and choosing takes no time.
type site struct {
	workers  int
	interval time.Duration // from one token of the bucket to the next; 0: there is no bucket
	burst    int
	throttle time.Duration
}

func (p *Plan) site() site {
	s := site{workers: p.settings.Workers, burst: p.settings.Burst, throttle: p.settings.Throttle}
	if p.settings.Rate > 0 {
		s.interval = time.Duration(float64(time.Second) / float64(p.settings.Rate))
	}
	return s
}

// simulate makes the run of a lineup, which it uses up, from the time now on. took says how long each send takes, by its
// place in dispatch order; started is told when each starts, since now, unless it is nil. It returns when the last ends.
func (s site) simulate(l *dispatcher.Lineup, now time.Time, took []time.Duration, started func(place int, at time.Duration)) (end time.Duration) {
	idle := s.workers // who waits to start a send
	busy := make(agenda, 0, min(s.workers, len(took)))
	bucket := bucket{interval: s.interval, most: time.Duration(s.burst) * s.interval}
	bucket.level = bucket.most
	var clock time.Duration
	for {
		due, left := l.Next()
		if !left {
			return end
		}
		start := max(clock, bucket.next())
		if !due.IsZero() {
			start = max(start, due.Sub(now))
		}
		// What ends before that comes first: it may decide who is next.
		if len(busy) > 0 && (idle == 0 || busy[0].at <= start) {
			first := &busy[0]
			clock = first.at
			if first.place != resting {
				l.Done(first.place)
				if s.throttle > 0 {
					*first = event{clock + s.throttle, resting}
					heap.Fix(&busy, 0)
					continue
				}
			}
			busy.drop()
			idle++
			continue
		}
		clock = start
		bucket.take(clock)
		place := l.Take(now.Add(clock), s.workers)
		if started != nil {
			started(place, clock)
		}
		end = max(end, clock+took[place])
		busy.add(event{clock + took[place], place})
		idle--
	}
}

// A bucket of tokens, each worth the time in which it comes.
type bucket struct {
	interval, level, most time.Duration
	at                    time.Duration // when it was at that level
	used                  bool          // a token has been taken
}

// next says from when on there is a token.
func (b *bucket) next() time.Duration { return b.at + b.interval - b.level }

// take takes a token at the time now. As in a [ratelimit.Bucket], the time for which a bucket has been full is not lost if
// it is at most [ratelimit.Slack].
func (b *bucket) take(now time.Duration) {
	if full := b.at + b.most - b.level; b.used && full < now && now-full <= ratelimit.Slack {
		now = full
	}
	b.level = min(b.level+now-b.at, b.most) - b.interval
	b.at, b.used = now, true
}

// An event is the end of a send, or of a worker's rest after it.
type event struct {
	at    time.Duration
	place int // of the job that was sent, or resting
}

const resting = -1

// agenda is a heap of events, the next on top.
type agenda []event

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(any)          {}             // see add
func (a *agenda) Pop() any          { return nil } // see drop

// add is heap.Push without the allocation.
func (a *agenda) add(e event) {
	*a = append(*a, e)
	heap.Fix(a, len(*a)-1)
}

// drop is heap.Pop without it.
func (a *agenda) drop() {
	last := len(*a) - 1
	(*a)[0] = (*a)[last]
	*a = (*a)[:last]
	if last > 0 {
		heap.Fix(a, 0)
	}
}
