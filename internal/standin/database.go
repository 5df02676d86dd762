package standin

import "time"

// database is PostgreSQL, as far as a client of the hooks notices it. Site.mu guards it.
//
// While it is away each request of a hook ends in 500 within milliseconds. A send that was under way when it went is
// rolled back. (docs/groupserver.md section 5.)
type database struct {
	breaks int   // how often it went away
	backAt int64 // ns since the site's epoch; not after now: it is there

	prepared    int // transactions between the two phases of their commits
	maxPrepared int // so many may be; 0: any number
}

// withoutDatabase is what a hook answers while the database is away, also to the request whose fault takes it away; nil
// where the database is there.
func (s *Site) withoutDatabase(q *request) *reply {
	if !q.hook.lists() && !q.hook.sends() {
		return nil
	}
	s.mu.Lock()
	away := s.database.backAt > s.now()
	if q.fault.kind() == DatabaseRestart && !away {
		delay := q.fault.Delay
		if delay <= 0 {
			delay = defaultRestart
		}
		s.takeDatabase(delay)
		s.mu.Unlock()
		return s.databaseLost(q)
	}
	if away && q.rec.fault == noKind {
		q.rec.fault = DatabaseAway
	}
	s.mu.Unlock()
	if away {
		return s.databaseAway(q)
	}
	return nil
}

func (s *Site) databaseBreaks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.database.breaks
}

// RestartDatabase takes the database away for so long, as the fault DatabaseRestart does.
func (s *Site) RestartDatabase(away time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeDatabase(away)
}

// takeDatabase takes the database away. The caller holds s.mu.
func (s *Site) takeDatabase(away time.Duration) {
	s.database.breaks++
	s.database.backAt = s.now() + int64(away)
}

// databaseLost is the page of a request whose connection to the database broke.
func (s *Site) databaseLost(q *request) *reply {
	if q.hook.lists() {
		return s.pages.groupsDatabaseAway
	}
	return s.pages.databaseLost
}

// databaseAway is the page of a request that found no database.
func (s *Site) databaseAway(q *request) *reply {
	if q.hook.lists() {
		return s.pages.groupsDatabaseAway
	}
	return s.pages.databaseAway
}

// prepare is the first phase of a send's commit. It reports false where too many are between their phases already; of
// those that are not, unprepare is the end.
func (s *Site) prepare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.database
	if d.maxPrepared > 0 && d.prepared >= d.maxPrepared {
		return false
	}
	d.prepared++
	return true
}

func (s *Site) unprepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.database.prepared--
}
