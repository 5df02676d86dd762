// Package standin is a GroupServer site inside the process: the hooks of the digests and of the profile notifications,
// and a front page, answered with the bodies that a real site sent, at the pace of a real site, with faults on demand. The demo, the command-line
// scripts, the tests and the benchmarks run against it.
//
// It models what a client can trip over (docs/groupserver.md has the facts, and each rule here names its section):
// few request threads with an unbounded queue before them, work that goes on when the client has left, a duplicate
// check without a lock, pages that say 200 for nearly everything and echo the token.
//
// It judges nothing and imports nothing of ours but the recorded bodies: what it did is in its log (Requests, Mails,
// Overlaps and so on), and the test draws the conclusion. It never sends mail and never dials anybody.
//
// A Site owns its request threads: goroutines that exist only while there is work, and that Close waits for.
// A Server owns its listener, its connections and their handlers. In a testing/synctest bubble make both inside
// the bubble, and listen with Pipe.
package standin

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultToken is the token of a site whose options name none. It is the token of the recorded bodies.
	DefaultToken = "exampleToken123"

	// DefaultThreads is the installer's number of request threads (docs/groupserver.md section 5).
	DefaultThreads = 2

	// DefaultGuard is how long a group that had its digest gets no other: 0.9 days (docs/groupserver.md section 2).
	DefaultGuard = 9 * 24 * time.Hour / 10
)

// A Group names one group of one site.
type Group struct{ Site, Group string }

// Options describe the kind of site to stand in for. The zero value is a site without groups.
type Options struct {
	// Token is the site's token; "" means DefaultToken.
	Token string

	// Groups are the groups that the list hook names, in this order, duplicates included. A real site's order is
	// arbitrary. Ids outside ASCII are listed, and then refused by the send hook, as on a real site.
	Groups []Group

	// Unknown are groups that are long gone but that the list hook still names: those not in Groups come after them.
	// The send hook answers with its blank form.
	Unknown []Group

	// People are the profile ids that the people hook lists, in this order, duplicates included.
	People []string

	// Status is what the send hook for profiles says of a person: 0, sent, or why not, as in docs/groupserver.md section
	// 11. nil means 0 for all of People. Of anybody else the hook says -2, no such person.
	Status func(id string) int

	// Threads is the number of requests that are worked on at once, of all hooks and the front page together;
	// further ones queue without limit. 0 means DefaultThreads.
	Threads int

	// Cost is the server time of one send, to a group or to a [Person]; nil means none. It is called in a request thread,
	// once a send, perhaps by several at a time.
	Cost func(Group) time.Duration

	// FrontCost is the server time of the front page. It takes a request thread, like everything else.
	FrontCost time.Duration

	// Lock is the share of all server time, of sends and of the front page alike, in which a request thread holds
	// the interpreter's lock, as Python's do while they compute; the rest is waiting, for a database say, which any
	// number can do at once. 0 is a server that only ever waits, 1 one that never does.
	Lock float64

	// Quiet tells the groups that have nothing to mail, or nobody to mail it to: the hook says "All digests sent."
	// all the same. nil means every group has a digest to send.
	Quiet func(Group) bool

	// Guard is the age below which the row of an earlier digest stops another; 0 means DefaultGuard, negative means
	// no duplicate check. It is an age by the clock of Zone.
	Guard time.Duration

	// MaxPrepared is PostgreSQL's max_prepared_transactions: so many sends that mail may be between the two phases of their
	// commits at once; one more is rolled back, with the page of the fault NoPrepared. 0 means any number.
	MaxPrepared int

	// Ledger is a real database for the digests: Quiet, Guard and MaxPrepared count for nothing then, and what was mailed is
	// still in the site's log. nil means none.
	Ledger Ledger

	// Zone is the time zone of the server's clock, which the duplicate check reads without its zone
	// (docs/groupserver.md section 12). nil means the zone of this process, as for a real server.
	Zone *time.Location

	// Faults are tried in order for each request; the first that matches and still has tries left is used.
	Faults []Fault

	// NoLog leaves out the record of single requests (about 40 bytes each), so Requests, Starts and MaxInWindow
	// have nothing to tell. Mails, MaxInFlight, Overlaps and Busy work all the same.
	NoLog bool
}

// A Site is one GroupServer installation. It is an http.Handler; Start, StartTLS and Serve put it on a socket.
type Site struct {
	token   string
	cost    func(Group) time.Duration
	front   time.Duration
	share   float64       // of server time that needs the lock
	lock    chan struct{} // holds a value while a request thread has the lock; who waits is served in order
	quiet   func(Group) bool
	ledger  Ledger
	status  func(id string) int
	guard   time.Duration
	zone    *time.Location
	noLog   bool
	pages   *pages
	epoch   time.Time     // all times are kept as nanoseconds since then
	closing chan struct{} // closed by Close: answers that would never come are given up

	mu     sync.Mutex // guards all below; never held across a wait
	closed bool
	faults []*armed
	listed []Group
	list   func() []byte // the list hook's answer, made when first asked for
	people []Group       // whom the people hook lists
	busy   int           // request threads at work
	most   int           // so many may be
	idle   *sync.Cond    // busy became 0
	queue  queue         // requests that wait for a thread, oldest first; empty while a thread is free
	index  map[Group]int32
	groups []groupState
	log    journal

	database database
}

// groupState is what the site knows about one group, or one [Person], listed or only asked for.
type groupState struct {
	id    Group
	known bool
	row   int64 // when the youngest row was written; 0 is never
	mails int
	open  int // sends that arrived and whose work has not ended
}

// New makes a site.
func New(o Options) *Site {
	s := &Site{
		token:  o.Token,
		cost:   o.Cost,
		front:  o.FrontCost,
		share:  min(o.Lock, 1),
		lock:   make(chan struct{}, 1),
		most:   o.Threads,
		quiet:  o.Quiet,
		ledger: o.Ledger,
		guard:  o.Guard,
		zone:   o.Zone,
		noLog:  o.NoLog,

		status: o.Status,
		pages:  recorded(),
		// A second early, so that no time in the log is 0, which means never.
		epoch:    time.Now().Add(-time.Second),
		closing:  make(chan struct{}),
		database: database{maxPrepared: o.MaxPrepared},
		index:    make(map[Group]int32, len(o.Groups)+len(o.Unknown)),
		groups:   make([]groupState, 0, len(o.Groups)+len(o.Unknown)),
	}
	if s.token == "" {
		s.token = DefaultToken
	}
	if s.most <= 0 {
		s.most = DefaultThreads
	}
	if s.guard == 0 {
		s.guard = DefaultGuard
	}
	if s.zone == nil {
		s.zone = time.Local
	}
	s.idle = sync.NewCond(&s.mu)
	s.SetFaults(o.Faults...)

	s.listed = append(s.listed, o.Groups...)
	for _, g := range o.Groups {
		s.groups[s.intern(g)].known = true
	}
	for _, g := range o.Unknown {
		if _, ok := s.index[g]; !ok {
			s.listed = append(s.listed, g)
		}
		s.groups[s.intern(g)].known = false
	}
	s.list = sync.OnceValue(func() []byte { return listJSON(s.listed) })
	for _, id := range o.People {
		s.people = append(s.people, Person(id))
		s.groups[s.intern(Person(id))].known = true
	}
	return s
}

// SetGroups changes the groups that the list hook names from now on, in this order. One that is no longer named is
// still known to the send hook, and what happened to it stays in the log.
func (s *Site) SetGroups(groups ...Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := slices.Clone(groups)
	for _, g := range listed {
		s.groups[s.intern(g)].known = true
	}
	s.listed = listed
	s.list = sync.OnceValue(func() []byte { return listJSON(listed) })
}

// answerList returns what a list hook names, and its right answer.
func (s *Site) answerList(hook Hook) ([]Group, []byte) {
	if hook == People {
		return s.people, peopleJSON(s.people)
	}
	s.mu.Lock()
	listed, list := s.listed, s.list
	s.mu.Unlock()
	return listed, list()
}

// Close waits until the request threads have ended all work, queued requests of clients that left included, and
// gives up the answers that a hang fault holds back. Requests that come later are cut off.
func (s *Site) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.wait()
}

// ServeHTTP answers like ZServer: the whole request is read first, then it queues for a request thread.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := s.now()
	q := &request{hook: route(r), done: make(chan struct{})}
	var err error
	if q.fields, err = readFields(r); err != nil {
		// The client broke off inside the request: it never runs (docs/groupserver.md section 3, last row).
		cutOff(w, false)
		return
	}
	if !s.arrive(q, r, arrived) {
		cutOff(w, false) // the site is closed
		return
	}
	if q.fault == nil {
		if s.await(r, q) {
			s.answer(w, q, q.reply)
		} else {
			cutOff(w, false)
		}
		return
	}
	s.serveFault(w, r, q)
}

// await waits for the work on q. It reports false if the client left first: the work goes on without it, also for a
// request that still queues (docs/groupserver.md section 3).
func (s *Site) await(r *http.Request, q *request) bool {
	select {
	case <-q.done:
		return true
	case <-r.Context().Done():
		s.leave(q)
		return false
	}
}

// now is the time since the epoch, in nanoseconds.
func (s *Site) now() int64 { return int64(time.Since(s.epoch)) }

// intern returns the number of a group. The caller holds s.mu, or is New.
func (s *Site) intern(g Group) int32 {
	if i, ok := s.index[g]; ok {
		return i
	}
	i := int32(len(s.groups))
	s.index[g] = i
	s.groups = append(s.groups, groupState{id: g})
	return i
}
