package standin

import (
	"net/http"
	"slices"
	"time"
)

// A Hook is what a request asked for.
type Hook uint8

// What there is to ask for.
const (
	Nothing Hook = iota // 404
	Groups
	Send
	Front
	People  // the list of [Options].People
	Profile // the send to one of them
)

func (h Hook) String() string {
	return [...]string{"nothing", "groups", "send", "front", "people", "profile"}[h]
}

func (h Hook) lists() bool { return h == Groups || h == People }
func (h Hook) sends() bool { return h == Send || h == Profile }

// A Request is what the site knows about one request. One that was cut off before its body had come is not a request:
// it never runs.
type Request struct {
	Hook    Hook
	Group   Group // to whom a send hook was asked to send, known or not
	Arrived time.Time
	Started time.Time // got a request thread; zero: not yet, or never
	Ended   time.Time // the work was over, committed or rolled back; zero: not yet, or never
	Mailed  bool
	Status  int  // of the answer; 0: none, or not yet
	Left    bool // the client had gone before it was answered
	Fault   Kind // what was made to go wrong
}

// record is a Request as it is kept: 40 bytes, so that a run of 200,000 groups fits in 8 MB.
type record struct {
	arrived, started, ended int64 // ns since the site's epoch; 0: never
	group                   int32
	status                  uint16
	hook                    Hook
	fault                   Kind
	flags                   uint8
}

const (
	mailed  = 1 << iota
	left    // the client went
	settled // nothing more goes to the client
)

// journal is what the site remembers. Site.mu guards it.
type journal struct {
	chunks   [][]record // never moved, so a request may point into them
	inFlight int        // sends that are not settled
	peak     int
	overlaps int
	working  time.Duration
}

const chunk = 4096

func (j *journal) add() *record {
	last := len(j.chunks) - 1
	if last < 0 || len(j.chunks[last]) == chunk {
		j.chunks = append(j.chunks, make([]record, 0, chunk))
		last++
	}
	j.chunks[last] = append(j.chunks[last], record{})
	return &j.chunks[last][len(j.chunks[last])-1]
}

// arrive writes a request down, looks for its fault and, unless something before Zope is to answer, queues it: all at
// once, so that the journal's order is the queue's and nothing begins after Close. It reports false if the site is
// closed. Without r nothing goes wrong.
func (s *Site) arrive(q *request, r *http.Request, at int64) bool {
	q.group = -1
	if q.hook == Send {
		q.id.Site, _ = q.fields.get("form.siteId")
		q.id.Group, _ = q.fields.get("form.groupId")
	}
	if q.hook == Profile {
		id, _ := q.fields.get(profileFields[0].name)
		q.id = Person(id)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if q.hook.sends() {
		q.group = s.intern(q.id)
		s.log.inFlight++
		s.log.peak = max(s.log.peak, s.log.inFlight)
	}
	if r != nil {
		q.fault = s.faultFor(q, r)
	}
	if q.hook.sends() && q.fault.stage() != stageFront {
		g := &s.groups[q.group]
		if g.open > 0 {
			s.log.overlaps++
		}
		g.open++
	}
	q.rec = &q.own
	if !s.noLog {
		q.rec = s.log.add()
	}
	*q.rec = record{arrived: at, group: q.group, hook: q.hook, fault: q.fault.kind()}
	if q.hook == Nothing && r != nil || q.fault.kind() == NotFound {
		path, base := sitePath(r)
		q.url = base + path
	}
	if q.fault.stage() != stageFront {
		s.submit(q)
	}
	return true
}

// begin notes that q got a request thread.
func (s *Site) begin(q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.rec.started = s.now()
}

// end notes that the work on q is over. It comes before the answer leaves, so that a client that waits for each answer
// can never seem to overlap.
func (s *Site) end(q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.rec.ended = s.now()
	if q.hook.sends() {
		s.groups[q.group].open--
		s.log.working += time.Duration(q.rec.ended - q.rec.started)
	}
}

// settle notes that q is about to be answered, or will never be (status 0). It comes before the last byte leaves, for
// the same reason.
func (s *Site) settle(q *request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.rec.status = uint16(status)
	s.release(q)
}

// leave notes that the client of q has gone.
func (s *Site) leave(q *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.rec.flags |= left
	s.release(q)
}

func (s *Site) release(q *request) {
	if q.hook.sends() && q.rec.flags&settled == 0 {
		s.log.inFlight--
	}
	q.rec.flags |= settled
}

// answer sends a whole answer.
func (s *Site) answer(w http.ResponseWriter, q *request, a *reply) {
	s.settle(q, a.status)
	a.writeHead(w)
	_, _ = w.Write(a.body) // a client that has gone is no trouble of ours
}

// Requests returns all requests so far, in the order in which they came whole.
func (s *Site) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := func(t int64) time.Time {
		if t == 0 {
			return time.Time{}
		}
		return s.epoch.Add(time.Duration(t))
	}
	var all []Request
	for _, c := range s.log.chunks {
		for _, r := range c {
			q := Request{
				Hook: r.hook, Arrived: at(r.arrived), Started: at(r.started), Ended: at(r.ended),
				Mailed: r.flags&mailed != 0, Left: r.flags&left != 0, Status: int(r.status), Fault: r.fault,
			}
			if r.group >= 0 {
				q.Group = s.groups[r.group].id
			}
			all = append(all, q)
		}
	}
	return all
}

// Mails reports how many digests each group, and how many notifications each [Person], was sent. Who got none is not in
// it.
func (s *Site) Mails() map[Group]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := make(map[Group]int)
	for _, g := range s.groups {
		if g.mails > 0 {
			mails[g.id] = g.mails
		}
	}
	return mails
}

// MaxInFlight is the most sends that had come and were not answered, at any one time. A client that leaves is no longer
// in flight from the moment the site notices, which on a socket is a little later.
func (s *Site) MaxInFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.peak
}

// Overlaps counts the sends that came while Zope still had a request for the same group, waiting or at work, whether
// or not somebody waited for its answer: the sends that risk a second mail.
func (s *Site) Overlaps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.overlaps
}

// Busy is the time that request threads have spent on sends: what the run would have taken one at a time.
func (s *Site) Busy() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.working
}

// Starts returns the times at which requests came to the send hooks, oldest first.
func (s *Site) Starts() []time.Time {
	var at []time.Time
	for _, t := range s.starts() {
		at = append(at, s.epoch.Add(time.Duration(t)))
	}
	return at
}

// MaxInWindow is the most requests that came to the send hooks within any half-open stretch of time of length d: what a
// promise of so many sends a second is measured by.
func (s *Site) MaxInWindow(d time.Duration) int {
	at := s.starts()
	most, first := 0, 0
	for last := range at {
		for first <= last && at[last]-at[first] >= int64(d) {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (s *Site) starts() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []int64
	for _, c := range s.log.chunks {
		for _, r := range c {
			if r.hook.sends() {
				at = append(at, r.arrived)
			}
		}
	}
	slices.Sort(at) // a request is written down when its body has come, not always in the order of the heads
	return at
}
