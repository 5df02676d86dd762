package ratelimit

import (
	"fmt"
	"time"
)

// The figures were chosen in closed loop against the stand-in site, with 2, 4 and 8 request threads, with and without
// a lock, and sends of 0.2 to 2 s. What they lead to is printed by
//
//	go test -v -run TestAuto ./ratelimit
const (
	window = 20 // answers or pages of which the median is taken, at most

	// What is learned while one send at a time is made.
	learnPages = 8 // before the second: how much one send slows a page
	learnSends = 3 // answers from which a night's pace is taken at least; the fewer, the less certain it is

	// Pages. Thresholds are in units of what the page takes while nothing is sent, or of leastUnit: nobody notices that a
	// page took 5 ms instead of 1. A page behind a visitor's is slower too, but rarely, so it takes several to tell.
	leastUnit     = 40 * time.Millisecond
	pageMargin    = 0.5              // slower by more than this is slow
	veryMuch      = 4.0              // slower by so many margins counts twice
	fastCounts    = 0.5              // so much of a slow page is forgiven for each that is not
	sharedFrom    = 0.2              // one send slows a page by this: they share a processor, or Python's lock
	sharedByTwo   = 1.8              // two sends may slow a page by so much in all, if they share; Python's lock: 0.8 to 1.6
	sharedByMore  = 1.0              // more than two, by so much
	sharedLeeway  = 1.25             // a limit that is held may exceed these by so much, over a whole window
	tryPages      = 5                // pages for which a higher limit is on trial
	tryPagesAgain = 3                // the same, on the way back to a limit that was held before
	trySlow       = 2                // slow pages that end a trial
	provisional   = 20 * time.Second // a limit that passed its trial may have been lucky, for so long
	provisionSlow = 3                // slow pages that take back a limit that passed its trial less than provisional ago
	dropSlow      = 5                // slow pages that halve one that was held for longer, and provisionSlow again: one page counts 2 at most

	// Sends: Vegas' alpha and beta, in sends that queue at the service.
	roomForOne = 0.4
	oneTooMany = 1.0
	enough     = window / 2 // answers that tell something
	deviations = 2          // of its standard error by which a median must be off to count

	// Trials.
	firstRetry  = 20 * time.Second // from a trial that failed to the next; it may have been some visitor's fault
	clearRetry  = time.Minute      // the same where a page was very much slower: no visitor does that
	retryGrowth = 3                // each that fails at the same limit makes the wait so many times longer
	lastRetry   = 9 * time.Minute  // up to this
	lostRetry   = 25 * time.Second // always, below a limit that was lost: a recovery is to be used within a minute
	lostFor     = 10 * time.Minute // from a drop, until it is what the service bears
	backlog     = 4                // so much shorter than the wait for those sends it takes at most until the visitors are served
	overrunCost = 40               // times as long as visitors waited for the sends of a trial that had failed, none is made
	afterDrop   = 4 * time.Second  // from a drop to the next trial
	patience    = 30 * time.Second // with slow pages at a limit of 1, until they count as usual
)

// A Controller finds how many sends at once a service bears, so that neither its request threads idle nor the visitors
// who share them wait. It is a pure state machine: it has no clock, starts nothing, and the same samples always give the
// same limits. It is for one goroutine at a time; [Adaptive] makes a [Limiter] of it.
//
// # Two senses
//
// The canary, a light page asked for at a steady low rate, is held against what it took before the first send. A page
// may be slower for two reasons. Where it shares a processor, or a lock, with the sends, each send slows it by about as
// much as the first did; that is measured while there is only one. By Little's law (1961) and the asymptotic bounds of
// Denning & Buzen, "The Operational Analysis of Queueing Network Models" (1978), a second send still fills the gaps that
// the first leaves at the lock while it waits for a database, and a third mostly queues: so two may slow the page by
// sharedByTwo, more by sharedByMore. Where it is slower than that, it waits for a request thread, a standing queue in the
// sense of CoDel (Nichols & Jacobson, "Controlling Queue Delay", 2012): the last limit left a thread free, this one
// does not, so the last one was right. Slow pages are added up and fast ones taken off, as in Page's cumulative sum
// test (1954): one spike changes nothing.
//
// Each send is held against what it took in earlier runs. The law is that of TCP Vegas (Brakmo & Peterson, 1995), as in
// Netflix' concurrency-limits, but with a baseline from outside, so that it cannot drift with the queue. Of limit
// sends, queue = limit × (1 − 1 ÷ max(1, m)) wait at the service, m being the median of took ÷ usual over the last
// answers: below roomForOne there is room for one more, above oneTooMany for one less. m is taken at the end of its
// confidence interval that accuses least, since uneven groups make noise. How fast the service is this night is learned
// while one send at a time is made, so a history made under load, or on another machine, does as well. Sends without a
// history are held against the run's own first answers; as groups differ, that may only hold a limit back.
//
// With both, pages decide how the limit rises, and sends may hold it back; they lower it where two or more queue. With
// one, that one decides; sends alone fill every thread, since they cannot see the visitors. With neither the limit stays
// at 1.
//
// # States
//
// learning: limit 1, until the senses know what one send does. checking: a limit that an earlier run found, for tryPages
// pages; where they are slow, the service has changed, see below. holding: the limit stands; when it is in use, nothing
// is slow and the wait since the last failed trial is over, the next one is tried. trying: the limit is one higher, for
// tryPages pages, or window answers. If that went well it is held, for a while provisionally; if not, the limit goes
// back by one, and the wait for the next trial at it grows from firstRetry to lastRetry. So the limit settles: it is
// tested ever more rarely. Each limit has a wait of its own, until it has been held for longer than provisionally.
//
// The sends of a trial that failed go on, maybe for minutes, and pages with them. These tell nothing of the lower limit,
// nor do those behind the visitors who had to wait; but where they are slow the next trial is put off for overrunCost
// times as long, so that trials of long sends cost the visitors no more than those of short ones.
//
// Slow pages at a limit that had been held for long mean that the service has changed: the limit is halved, and again
// if need be. Until it is back where it was, trials follow one another after lostRetry, and are shorter. The
// baselines stand still meanwhile. Only at a limit of 1, when pages have been slow for patience all the same, they are
// taken for usual: the site is slower than it was, and holding back would not make it faster. A baseline falls at
// once when pages or sends are faster than it. While capacity that was lost stays lost, a trial every lostRetry is the
// price of using it within a minute when it is back; after lostFor it counts as gone, and trials become rare again.
type Controller struct {
	ceiling, limit int
	atMost         string // why the ceiling is what it is
	state          state
	since          time.Time     // of the last change of the limit
	unsure         time.Time     // what began before tells nothing of the limit
	overran        time.Duration // so long pages waited while more sends were in flight than the limit
	why            string

	pages pageSense
	known sendSense // sends with a history
	fresh sendSense // sends without

	next        time.Time       // no trial before
	failed      map[int]failure // limits that were left because they were too high, and have not proved themselves since
	provisional time.Time       // the limit is, until then
	dropping    bool            // nothing has gone well since the last drop
	lost        int             // the limit before the drop that is not made good yet; 0: none
	lostAt      time.Time
	spare       int // see [Found]
}

// A failure is what became of a limit that was too high.
type failure struct {
	retry time.Duration // the wait after it, as far as visitors need not be spared
	next  time.Time     // no trial before
}

type state uint8

const (
	learning state = iota
	trying
	holding
	checking
)

// NewController makes a controller whose limit is 1, and never above ceiling; a ceiling below 1 counts as 1.
func NewController(ceiling int) *Controller {
	return &Controller{
		ceiling: max(ceiling, 1), limit: 1, atMost: "as many as are allowed",
		why: "nothing tells yet what the site bears", failed: map[int]failure{},
		// An uncertain guess, for sends that take too long to learn from.
		known: sendSense{pace: 1, learned: learnSends},
	}
}

// Limit is how many sends may be in flight.
func (c *Controller) Limit() int { return c.limit }

// Why says in a line why the limit is what it is.
func (c *Controller) Why() string { return c.why }

// AtMost changes the ceiling at now; below 1 counts as 1. why is a line, as of [Controller.Why].
func (c *Controller) AtMost(now time.Time, ceiling int, why string) {
	c.ceiling, c.atMost = max(ceiling, 1), why
	c.lost = min(c.lost, c.ceiling)
	if c.limit > c.ceiling {
		c.set(now, c.ceiling, holding, why)
	}
}

// Baseline tells what the light page takes while nothing is sent. Without it pages tell nothing. It comes before the
// first send.
func (c *Controller) Baseline(page time.Duration) { c.pages.base = max(page, time.Millisecond) }

// Canary tells that at now the light page came, or that no good answer did, after so long. busy is how many sends are
// in flight.
func (c *Controller) Canary(now time.Time, took time.Duration, ok bool, busy int) {
	p := &c.pages
	if p.base == 0 || busy == 0 || now.Add(-took).Before(c.since) {
		return
	}
	if busy > c.limit && !c.dropping {
		c.overrun(now, took, ok)
		return
	}
	if now.Add(-took).Before(c.unsure) {
		return
	}
	inUse := busy >= c.limit // otherwise it tells of a lower limit
	p.add(took, ok, inUse, c.limit, c.state)
	if c.state == learning {
		if len(p.recent) >= learnPages {
			c.state = holding
			c.rise(now)
		}
		return
	}
	slower := p.slower()
	switch {
	case c.state == trying:
		c.judgeTrial(now, slower)
	case c.state == checking:
		c.check(now, slower)
	case c.limit == 1 && p.slow >= dropSlow:
		if p.stuck(now) {
			p.rescale()
			c.why = "pages are slow even beside one send, so that counts as usual now"
		}
	case c.limit > 1 && (p.slow >= dropSlow || p.slow >= provisionSlow && c.dropping):
		c.drop(now)
	case c.limit > 1 && p.slow >= provisionSlow && now.Before(c.provisional):
		c.fall(now, c.waits())
	case c.limit > 1 && len(p.recent) == window && slower > sharedLeeway*shareLimit(c.limit):
		c.fall(now, c.shares(slower))
	default:
		p.stuckSince = time.Time{}
		if inUse {
			c.rise(now)
		}
	}
}

// judgeTrial ends a trial if the pages say how it went.
func (c *Controller) judgeTrial(now time.Time, slower float64) {
	p := &c.pages
	needed, tolerated := tryPages, float64(trySlow)
	switch {
	case c.limit < c.lost:
		needed = tryPagesAgain
	case c.failed[c.limit].retry > 0 && len(p.recent) == 1 && !p.shares():
		tolerated = 1 // it failed before, and the first page is slow again: why make more visitors wait?
	}
	switch {
	case p.slow >= tolerated:
		c.fall(now, c.waits())
	case len(p.recent) < needed:
	case slower > shareLimit(c.limit):
		c.fall(now, c.shares(slower))
	default:
		c.hold(now)
	}
}

// Send tells that at now a send ended after so long, for which usual is usual; 0: nobody knows. done says that it did what
// it was for. busy is how many sends were in flight, this one included.
func (c *Controller) Send(now time.Time, took, usual time.Duration, done bool, busy int) {
	if busy > c.limit && !c.dropping {
		c.unsure = later(c.unsure, now.Add(c.overran/backlog)) // this may have been the last
	}
	if took <= 0 || busy < c.limit || now.Add(-took).Before(c.since) {
		return
	}
	s, ratio := &c.fresh, took.Seconds()
	if usual > 0 {
		s, ratio = &c.known, float64(took)/float64(usual)
	}
	if !done && (usual <= 0 || ratio < s.pace) { // that it failed soon tells nothing, that it took long does
		return
	}
	s.add(ratio, c.limit)
	if usual <= 0 || len(s.recent) < window && (c.limit > 1 || len(s.recent) < learnPages) {
		return
	}
	queue := s.queue(c.limit)
	if c.pages.base > 0 {
		if c.state == holding && c.limit > 1 && queue > 2*oneTooMany {
			c.fall(now, c.queues(queue))
		}
		return
	}
	switch {
	case c.state == learning:
		c.state = holding
		c.rise(now)
	case c.limit > 1 && (queue > oneTooMany || c.state == trying && queue > roomForOne):
		c.fall(now, c.queues(queue))
	case c.state == trying:
		c.hold(now)
	default:
		c.rise(now)
	}
}

// rise tries one more, unless something speaks against it.
func (c *Controller) rise(now time.Time) {
	if c.state == holding && !now.Before(c.provisional) {
		delete(c.failed, c.limit) // it has proved itself
	}
	if c.limit >= c.ceiling {
		c.why = c.atMost
		return
	}
	more := c.limit + 1
	if now.Before(c.next) || now.Before(c.failed[more].next) || c.pages.slow >= 1 {
		return
	}
	if p := &c.pages; p.base > 0 {
		each := p.share
		if len(p.recent) > 0 {
			each = p.slower() / float64(c.limit)
		}
		if each*float64(more) > shareLimit(more) {
			c.why = fmt.Sprintf("pages are %.1f times slower beside %s", 1+each*float64(c.limit), sends(c.limit))
			return
		}
	}
	if queue := max(c.known.queue(c.limit)-roomForOne, c.fresh.queue(c.limit)-oneTooMany); queue > 0 {
		c.why = fmt.Sprintf("%s slow each other", sends(c.limit))
		return
	}
	told := "sends"
	if c.pages.base > 0 {
		told = "pages"
	}
	c.set(now, more, trying, fmt.Sprintf("to see whether %s stay quick", told))
}

// hold keeps a limit that was tried.
func (c *Controller) hold(now time.Time) {
	if c.limit >= c.lost {
		c.lost = 0
	}
	c.state, c.next, c.provisional, c.dropping, c.spare = holding, now, now.Add(provisional), false, 0
	c.why = fmt.Sprintf("all is quick beside %s", sends(c.limit))
	c.rise(now)
}

// fall goes back by one.
func (c *Controller) fall(now time.Time, why string) {
	c.expire(now)
	first, spare := firstRetry, spareUnsureRuns
	if c.pages.clear {
		first, spare = clearRetry, spareRuns
	}
	c.spare = spare
	retry := min(max(c.failed[c.limit].retry*retryGrowth, first), lastRetry)
	if c.lost > 0 {
		retry = lostRetry
	}
	c.failed[c.limit] = failure{retry, now.Add(retry)}
	c.set(now, c.limit-1, holding, fmt.Sprintf("%s; next try in %v at the earliest", why, retry))
}

// drop halves a limit that had been right for long.
func (c *Controller) drop(now time.Time) {
	c.expire(now)
	c.lost, c.lostAt, c.dropping, c.spare = max(c.lost, c.limit), now, true, 0
	c.next = now.Add(afterDrop)
	clear(c.failed)
	c.set(now, c.limit/2, holding, fmt.Sprintf("pages have become slow beside %s", sends(c.limit)))
}

// overrun takes a page into account that came while more sends were in flight than the limit: those of a limit that was
// too high go on. The page tells nothing of the limit, but a slow one of what the next failure will cost the visitors.
func (c *Controller) overrun(now time.Time, took time.Duration, ok bool) {
	if ok && c.pages.times(took) <= c.pages.usual(c.limit+1)+pageMargin {
		return
	}
	c.overran += took
	if f, failed := c.failed[c.limit+1]; failed {
		f.next = later(f.next, now.Add(overrunCost*c.overran))
		c.failed[c.limit+1] = f
	}
	c.unsure = later(c.unsure, now.Add(c.overran/backlog)) // the canary comes behind the visitors who had to wait
}

// expire takes what has been lost for long for what the service bears.
func (c *Controller) expire(now time.Time) {
	if now.Sub(c.lostAt) >= lostFor {
		c.lost = 0
	}
}

// set changes the limit. What was seen at the old one tells nothing of the new.
func (c *Controller) set(now time.Time, limit int, s state, why string) {
	c.limit, c.state, c.since, c.why = limit, s, now, why
	c.unsure, c.overran = now, 0
	c.pages.forget()
	c.known.recent, c.fresh.recent = nil, nil
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
