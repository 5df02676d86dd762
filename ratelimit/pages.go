package ratelimit

import (
	"fmt"
	"time"
)

// pageSense is what the canary has told.
type pageSense struct {
	base       time.Duration   // what the page takes while nothing is sent; 0: there is no canary
	share      float64         // by how much of that one send slows it
	alone      []float64       // the last pages beside one send, as times gives them: what share is from
	recent     []time.Duration // the last at this limit
	slow       float64         // how many of those were slow
	clear      bool            // one was very much so
	stuckSince time.Time
}

// add takes a page into account.
func (p *pageSense) add(took time.Duration, ok, inUse bool, limit int, s state) {
	usual := p.usual(limit)
	if !ok {
		took = max(took, p.after(usual+(veryMuch+1)*pageMargin))
	}
	times := p.times(took)
	slow := s != learning && times > usual+pageMargin
	switch {
	case slow && times > usual+veryMuch*pageMargin:
		p.slow += 2
		p.clear = true
	case slow:
		p.slow++
	case inUse && s == holding:
		p.slow = max(0, p.slow-fastCounts)
	}
	p.slow = min(p.slow, dropSlow)
	if !inUse {
		return
	}
	p.recent = last(window, p.recent, took)
	if m := median(p.recent); len(p.recent) >= learnPages && p.times(m) < 0.8 {
		p.rebase(m) // it is faster than it ever was
	}
	if limit == 1 && !slow {
		p.alone = last(2*window, p.alone, times)
		p.share = min(max(median(p.alone)-1, 0), sharedByTwo/2)
	}
}

// shares tells whether the page shares a processor or a lock with the sends.
func (p *pageSense) shares() bool { return p.share > sharedFrom }

// slower is by how many units the page is slower now.
func (p *pageSense) slower() float64 { return max(0, p.times(median(p.recent))-1) }

// stuck tells whether pages have been slow for so long that it must be the site.
func (p *pageSense) stuck(now time.Time) bool {
	if p.stuckSince.IsZero() {
		p.stuckSince = now
	}
	return now.Sub(p.stuckSince) >= patience && len(p.recent) >= learnPages
}

// rescale takes what the page takes now for usual.
func (p *pageSense) rescale() {
	now := median(p.recent)
	// What one send adds stays in the same proportion to the page, or to leastUnit.
	p.rebase(min(time.Duration(float64(now)/(1+p.share)), now-time.Duration(p.share*float64(leastUnit))))
	p.forget()
}

// usual is what so many sends may make of the page, as times gives it.
func (p *pageSense) usual(limit int) float64 {
	if p.shares() {
		return 1 + shareLimit(limit)
	}
	return 1
}

// unit is what a page is held against.
func (p *pageSense) unit() time.Duration { return max(p.base, leastUnit) }

// times is 1 for the page while nothing is sent, and one more for each unit that it takes longer.
func (p *pageSense) times(took time.Duration) float64 {
	return 1 + float64(took-p.base)/float64(p.unit())
}

// after is how long a page took, of which times is given.
func (p *pageSense) after(times float64) time.Duration {
	return p.base + time.Duration((times-1)*float64(p.unit()))
}

func (p *pageSense) rebase(base time.Duration) { p.base = max(base, time.Millisecond) }

func (p *pageSense) forget() { p.recent, p.slow, p.clear, p.stuckSince = nil, 0, false, time.Time{} }

func (c *Controller) waits() string { return fmt.Sprintf("pages wait for a thread at %d", c.limit) }

func (c *Controller) shares(slower float64) string {
	return fmt.Sprintf("pages are %.1f times slower at %d", 1+slower, c.limit)
}
