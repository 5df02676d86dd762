package standin

import (
	"math/rand/v2"
	"time"
)

// Zope's request threads (docs/groupserver.md section 5): a fixed number of them, shared by everything the site
// serves, behind a queue that has no limit and is served in order. Zope never says "too busy"; it only gets slower.
// Where they compute they share one lock, Python's, so that more threads compute no faster. A thread knows nothing of the connection: what was queued runs, whoever still listens.

// A request is one request that has been read whole.
type request struct {
	hook   Hook
	group  int32 // number of the group, sends only
	id     Group // its name
	fields fields
	url    string // what the client asked for, for the 404 page
	fault  *armed
	rec    *record // in the site's journal, or own
	own    record  // where the site keeps no journal

	irregular *rand.Rand // how its computing and waiting take turns; nil: not asked for yet

	done  chan struct{} // closed when the work has ended
	reply *reply        // valid once done is closed
}

// queue is a first-in, first-out list whose memory does not grow with what has passed through it.
type queue struct {
	items []*request
	head  int
}

func (u *queue) push(q *request) { u.items = append(u.items, q) }

func (u *queue) pop() *request {
	if u.head == len(u.items) {
		return nil
	}
	q := u.items[u.head]
	u.items[u.head] = nil
	u.head++
	switch {
	case u.head == len(u.items):
		u.items, u.head = u.items[:0], 0
	case u.head >= 64 && u.head*2 >= len(u.items):
		n := copy(u.items, u.items[u.head:])
		clear(u.items[n:])
		u.items, u.head = u.items[:n], 0
	}
	return q
}

// submit hands q to a free request thread, or queues it. The caller holds s.mu.
func (s *Site) submit(q *request) {
	if s.busy >= s.most {
		s.queue.push(q)
		return
	}
	s.busy++
	go s.thread(q)
}

// Work does what a request does to the site, of the front page or the send hook, without HTTP and without faults: it
// queues, takes a request thread's time and a digest goes out. It returns when that is over. It is for tests that need
// many sends and nothing of how they travel.
func (s *Site) Work(hook Hook, g Group) {
	q := &request{hook: hook, done: make(chan struct{})}
	if hook == Send {
		q.fields = fields{
			"form.siteId": {g.Site}, "form.groupId": {g.Group}, "form.token": {s.token}, "form.actions.send": {"Send"},
		}
	}
	if s.arrive(q, nil, s.now()) {
		<-q.done
		s.settle(q, q.reply.status)
	}
}

// SetThreads changes how many requests are worked on at once, to 1 at least. Threads that are taken away end what they
// are at first.
func (s *Site) SetThreads(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(n, 1)
	for s.busy < s.most {
		q := s.queue.pop()
		if q == nil {
			return
		}
		s.submit(q)
	}
}

// thread works on q and then on whatever queues. It ends when the queue is empty, so an idle site has no goroutine.
func (s *Site) thread(q *request) {
	for q != nil {
		s.begin(q)
		q.reply = s.perform(q)
		s.end(q)
		close(q.done)
		q = s.next()
	}
}

// next takes the oldest queued request, or nil: then the thread that asked is gone from the count.
func (s *Site) next() *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var q *request
	if s.busy <= s.most {
		q = s.queue.pop()
	}
	if q == nil {
		s.busy--
		if s.busy == 0 {
			s.idle.Broadcast()
		}
	}
	return q
}

// wait returns when no request thread is at work and nothing queues.
func (s *Site) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy > 0 {
		s.idle.Wait()
	}
}

// While a thread computes it gives the lock away after lockSlice to whoever waits for it; it computes, and then waits
// for something else than the lock, for irregular times: lockBurst is the mean of the former.
const (
	lockSlice = 20 * time.Millisecond // Python 3 says 5 ms; Python 2.7 counts instructions, and is worse than that
	lockBurst = 50 * time.Millisecond
)

// spend passes server time d: of a request that is alone it takes just that.
func (s *Site) spend(q *request, d time.Duration) {
	if s.share <= 0 {
		sleep(d)
		return
	}
	if q.irregular == nil { // from the request, so that a run can be made again
		q.irregular = rand.New(rand.NewPCG(uint64(q.group), uint64(q.rec.arrived)))
	}
	for d > 0 {
		burst := time.Duration(q.irregular.ExpFloat64() * float64(lockBurst))
		compute := min(burst+1, time.Duration(s.share*float64(d))+1)
		wait := time.Duration(float64(compute) * (1 - s.share) / s.share)
		d -= compute + wait
		for compute > 0 {
			slice := min(compute, lockSlice)
			s.lock <- struct{}{}
			sleep(slice)
			<-s.lock
			compute -= slice
		}
		sleep(wait)
	}
}
