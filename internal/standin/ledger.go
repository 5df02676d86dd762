package standin

import (
	"errors"
	"time"
)

// A Ledger is the database of a site that has a real one. It decides whether a digest is due, in place of Options.Quiet and
// of the site's own duplicate check, and keeps the row of it. Request threads call it, several at a time.
type Ledger interface {
	// Prepare does what a send does in the database up to the first phase of its commit. Now is read once a send, after the
	// rendering, on the clock of the site's Zone; the row bears it. Prepare returns nil where nothing is to be mailed. Any error
	// makes the page of a database that is away, and one that wraps ErrNoPrepared that of its own.
	Prepare(g Group, now time.Time) (Prepared, error)
}

// A Prepared is a send between the two phases of its commit. One of its methods is called, once.
type Prepared interface {
	// Commit is the second phase. The mail has gone by then, and stays so if Commit fails (docs/groupserver.md section 5).
	Commit() error

	// Rollback ends a send that did not mail.
	Rollback() error
}

// ErrNoPrepared means that the database has no room for one more prepared transaction: max_prepared_transactions.
var ErrNoPrepared = errors.New("too many transactions are prepared")

// sendByLedger is send on a site with a Ledger.
func (s *Site) sendByLedger(q *request) *reply {
	breaks := s.databaseBreaks()
	before, between := s.phases(q)
	s.spend(q, before)
	digest, err := s.ledger.Prepare(q.id, s.epoch.Add(time.Duration(s.now())).In(s.zone))
	switch {
	case errors.Is(err, ErrNoPrepared):
		s.blame(q, NoPrepared)
		return s.pages.noPrepared
	case err != nil:
		s.blame(q, DatabaseAway)
		return s.databaseAway(q)
	}
	s.spend(q, between)
	switch {
	case digest == nil:
		if s.databaseBreaks() != breaks {
			return s.databaseLost(q)
		}
	case !s.commit(q, breaks):
		_ = digest.Rollback() // the request fails as it is
		return s.databaseLost(q)
	default:
		if err := digest.Commit(); err != nil {
			s.blame(q, DatabaseLost)
			return s.databaseLost(q)
		}
	}
	return s.pages.sendOK
}

// blame notes what a request met with that no fault was armed for.
func (s *Site) blame(q *request, k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.rec.fault = k
}
