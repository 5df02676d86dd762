package standin

// Zope's request threads (docs/groupserver.md section 5): a fixed number of them, shared by everything the site
// serves, behind a queue that has no limit and is served in order. Zope never says "too busy"; it only gets slower.
// A thread knows nothing of the connection: what was queued runs, whoever still listens.

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

// submit gives q to a free request thread, or queues it. The caller holds s.mu.
func (s *Site) submit(q *request) {
	if s.busy == s.threads {
		s.queue.push(q)
		return
	}
	s.busy++
	go s.thread(q)
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
	q := s.queue.pop()
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
