package dispatcher

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// A Rule says which job goes next where dispatch order alone does not. Jobs are named by their number in that order,
// from 0. The zero value is dispatch order.
type Rule struct {
	NotBefore func(job int) time.Time // holds a job back until a time, while others pass; nil: none is held
	Heavy     func(job int) bool      // jobs of which MaxHeavy at most are in flight while a lighter one may go; nil: none
	MaxHeavy  func(limit int) int     // by how many sends may be in flight; nil or 0: half of them, at least one
	// Spare is how many jobs at the end of the order do not count as lighter ones that may go: they are kept to fill the
	// gaps that heavy jobs would leave at the end of the run.
	Spare int
	// FromFront is how many of the sends in flight are to come from the front of the order, by how many there may be;
	// the others come from its end. nil: all come from the front.
	FromFront func(limit int) int
}

// A Lineup decides which job of a run goes next. First come those that wait, for another try or because they are held
// back, and whose time has come; then the others in dispatch order, or from its two ends. A heavy job that would be
// one too many is passed by as long as a lighter one may go: no worker is ever idle for its sake.
//
// It keeps no clock and starts nothing, so a forecast makes the same choices as [Run] does. One goroutine at a time
// may use it.
type Lineup struct {
	rule    Rule
	weights []weight // by job

	fresh   [weights][]int     // jobs that nobody has taken and that need not wait, in dispatch order; never written to
	waiting [weights][]delayed // jobs that wait, the one whose time comes first in front
	flying  [weights]int       // jobs that are under way; each may come back
	back    map[int]struct{}   // those among them that came from the end of the order
	probes  int                // jobs taken by Probe from among the fresh ones
}

type weight uint8

const (
	light weight = iota
	heavy
	weights
)

// NewLineup makes a lineup of so many jobs at the time now.
func NewLineup(jobs int, now time.Time, rule Rule) *Lineup {
	l := &Lineup{rule: rule, weights: make([]weight, jobs), back: map[int]struct{}{}}
	l.fresh[light] = make([]int, 0, jobs)
	for job := range jobs {
		if rule.Heavy != nil && rule.Heavy(job) {
			l.weights[job] = heavy
		}
		w := l.weights[job]
		if rule.NotBefore != nil {
			if at := rule.NotBefore(job); at.After(now) {
				l.waiting[w] = append(l.waiting[w], delayed{job, at})
				continue
			}
		}
		l.fresh[w] = append(l.fresh[w], job)
	}
	for _, waiting := range l.waiting {
		slices.SortFunc(waiting, delayed.compare)
	}
	l.rule.NotBefore, l.rule.Heavy = nil, nil // they have said it all, and what they know may be large
	return l
}

// Clone makes a lineup that goes its own way from here on.
func (l *Lineup) Clone() *Lineup {
	c := *l // fresh is only ever cut shorter, weights never change
	for w := range c.waiting {
		c.waiting[w] = slices.Clone(c.waiting[w])
	}
	c.back = maps.Clone(c.back)
	return &c
}

// Next tells from when on a job may be taken; zero: at once. It reports false when none is left; one that is under
// way may come back.
func (l *Lineup) Next() (at time.Time, ok bool) {
	if len(l.fresh[light])+len(l.fresh[heavy]) > 0 {
		return time.Time{}, true
	}
	w, ok := l.first(heavy)
	if !ok {
		return time.Time{}, false
	}
	return l.waiting[w][0].at, true
}

// Take takes the next job, at the time now, when limit sends may be in flight. [Lineup.Next] must have told that there
// is one, and its time must have come.
func (l *Lineup) Take(now time.Time, limit int) int {
	most := heavy // the heaviest that may go
	if l.flying[heavy] >= l.maxHeavy(limit) && l.lighter(now) {
		most = light
	}
	w, ok := l.first(most)
	// Whose time had come when Next told so is taken even if a clock was put back since.
	if ok && (l.due(w, now) || len(l.fresh[light])+len(l.fresh[heavy]) == 0) {
		l.flying[w]++
		job := l.waiting[w][0].job
		l.waiting[w] = l.waiting[w][1:]
		return job
	}
	return l.takeFresh(most, limit)
}

// Probe takes a job to find out with whether the service is back: where there are some that nobody has tried, one of
// these, light if any is, and each time from another part of the order. Otherwise it is [Lineup.Take].
func (l *Lineup) Probe(now time.Time, limit int) int {
	w := light
	if len(l.fresh[light]) == 0 {
		w = heavy
	}
	fresh := l.fresh[w]
	if len(fresh) == 0 {
		return l.Take(now, limit)
	}
	// The multiples of the golden ratio, without their whole parts, lie evenly however many there are.
	l.probes++
	_, part := math.Modf(float64(l.probes) * math.Phi)
	at := int(part * float64(len(fresh)))
	l.fresh[w] = slices.Concat(fresh[:at], fresh[at+1:]) // a new one: a clone may share the old
	l.flying[w]++
	return fresh[at]
}

// takeFresh takes the next of the jobs that need not wait, none heavier than most.
func (l *Lineup) takeFresh(most weight, limit int) (job int) {
	back := l.rule.FromFront != nil && l.flying[light]+l.flying[heavy]-len(l.back) >= max(l.rule.FromFront(limit), 1)
	w := light
	if h := l.fresh[heavy]; most == heavy && len(h) > 0 {
		f := l.fresh[light]
		if len(f) == 0 || back && h[len(h)-1] > f[len(f)-1] || !back && h[0] < f[0] {
			w = heavy
		}
	}
	fresh := l.fresh[w]
	l.flying[w]++
	if back {
		job, l.fresh[w] = fresh[len(fresh)-1], fresh[:len(fresh)-1]
		l.back[job] = struct{}{}
		return job
	}
	job, l.fresh[w] = fresh[0], fresh[1:]
	return job
}

// Again gives a job back that was taken, to be taken again from a time on.
func (l *Lineup) Again(job int, at time.Time) {
	l.Done(job)
	d, waiting := delayed{job, at}, &l.waiting[l.weights[job]]
	place, _ := slices.BinarySearchFunc(*waiting, d, delayed.compare)
	*waiting = slices.Insert(*waiting, place, d)
}

// Waits reports whether a job waits for its time.
func (l *Lineup) Waits(job int) bool { return l.waitsAt(job) >= 0 }

// waitsAt is a job's place among those of its weight that wait; -1 where it does not.
func (l *Lineup) waitsAt(job int) int {
	return slices.IndexFunc(l.waiting[l.weights[job]], func(d delayed) bool { return d.job == job })
}

// Withdraw takes a job out that waits for its time. It reports whether it does.
func (l *Lineup) Withdraw(job int) bool {
	w, at := l.weights[job], l.waitsAt(job)
	if at < 0 {
		return false
	}
	l.waiting[w] = slices.Delete(l.waiting[w], at, at+1)
	return true
}

// Done says that a job that was taken has ended and will not come back.
func (l *Lineup) Done(job int) {
	l.flying[l.weights[job]]--
	delete(l.back, job)
}

// Empty tells whether no job is left and none can come back.
func (l *Lineup) Empty() bool {
	_, left := l.Next()
	return !left && l.flying[light]+l.flying[heavy] == 0
}

// Rest gives the jobs that are left, in dispatch order.
func (l *Lineup) Rest() []int {
	left := slices.Concat(l.fresh[:]...)
	for _, waiting := range l.waiting {
		for _, d := range waiting {
			left = append(left, d.job)
		}
	}
	slices.Sort(left)
	return left
}

func (l *Lineup) maxHeavy(limit int) int {
	if l.rule.MaxHeavy != nil {
		if n := l.rule.MaxHeavy(limit); n > 0 {
			return n
		}
	}
	return max(limit/2, 1)
}

// lighter tells whether a light job may be taken in a heavy one's place.
func (l *Lineup) lighter(now time.Time) bool {
	f := l.fresh[light]
	return len(f) > 0 && f[0] < len(l.weights)-l.rule.Spare || l.due(light, now)
}

// due tells whether the time has come of a job of that weight that waits.
func (l *Lineup) due(w weight, now time.Time) bool {
	return len(l.waiting[w]) > 0 && !l.waiting[w][0].at.After(now)
}

// first returns the weight of the waiting job whose time comes first, none heavier than most.
func (l *Lineup) first(most weight) (first weight, ok bool) {
	for w, waiting := range l.waiting[:most+1] {
		if len(waiting) > 0 && (!ok || waiting[0].compare(l.waiting[first][0]) < 0) {
			first, ok = weight(w), true
		}
	}
	return first, ok
}

// A delayed job may be taken from a time on.
type delayed struct {
	job int
	at  time.Time
}

func (d delayed) compare(other delayed) int {
	return cmp.Or(d.at.Compare(other.at), cmp.Compare(d.job, other.job))
}
