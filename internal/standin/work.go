package standin

import "time"

// perform is what a request thread does for q. Its result is what Zope would send; a fault may still keep it from
// the client.
func (s *Site) perform(q *request) *reply {
	if page := s.withoutDatabase(q); page != nil {
		return page
	}
	switch q.fault.stage() {
	case stagePage:
		return s.faultPage(q)
	case stageRollback:
		return s.rollBack(q)
	}
	switch q.hook {
	case Nothing:
		return s.pages.notFoundAt(q.url)
	case Front:
		s.spend(q, s.front)
		return s.pages.front
	}
	return s.askHook(q, s.token)
}

// askHook is the hook that q asks for, on a site with this token.
func (s *Site) askHook(q *request, token string) *reply {
	switch q.hook {
	case Groups:
		return s.groupsHook(q, token)
	case People:
		return s.peopleHook(q, token)
	case Profile:
		return s.profileHook(q, token)
	}
	return s.sendHook(q, token)
}

// groupsHook is the list hook (docs/groupserver.md section 3). The action field counts by its presence; the token is
// all the authentication there is.
func (s *Site) groupsHook(q *request, token string) *reply {
	if _, sent := q.fields.get("get"); !sent {
		return s.pages.about
	}
	got, sent := q.fields.get("token")
	switch {
	case !sent:
		return s.pages.groupsMissingToken
	case got == "":
		return s.pages.groupsEmptyToken
	case !ascii(got):
		return s.pages.groupsError
	case got != token:
		return s.pages.groupsWrongToken(got)
	}
	_, list := s.answerList(q.hook)
	return &reply{status: 200, ctype: "application/json", body: list, from: fromZope}
}

// sendHook is the send hook (docs/groupserver.md sections 2 to 4).
func (s *Site) sendHook(q *request, token string) *reply {
	form := formOf(q)
	if _, sent := q.fields.get("form.actions.send"); !sent {
		return s.pages.form(form, false)
	}
	bad := false
	for i := range form {
		f := &form[i]
		switch {
		case !f.sent: // Not an error, not even for the token: the server's defect (section 4).
		case f.value == "":
			f.fault = requiredInput
		case !ascii(f.value):
			f.fault = invalidText
		case i == tokenField && f.value != token:
			f.fault = tokenMismatch(f.value)
		}
		bad = bad || f.fault != ""
	}
	switch {
	case bad:
		return s.pages.form(form, true)
	case !form[siteField].sent:
		return s.pages.missingSite
	case !form[groupField].sent:
		return s.pages.missingGroup
	case !s.isKnown(q.group):
		return s.pages.blank
	}
	return s.send(q)
}

// send is steps 3 to 9 of a send (docs/groupserver.md section 2). Rendering takes nearly all the time; the
// duplicate check comes after it, and the row that it looks for is written at the very end, without a lock between.
// So two requests for one group mail twice if the second reaches its check before the first has committed.
// A notification for a person goes the same way, without the check.
func (s *Site) send(q *request) *reply {
	if s.ledger != nil && q.hook == Send {
		return s.sendByLedger(q)
	}
	breaks := s.databaseBreaks()
	before, between := s.phases(q)
	s.spend(q, before)
	page, due := s.outcome(q)
	if due {
		if !s.prepare() {
			s.blame(q, NoPrepared)
			return s.pages.noPrepared
		}
		defer s.unprepare()
	}
	s.spend(q, between)
	if due && !s.commit(q, breaks) || s.databaseBreaks() != breaks {
		return s.databaseLost(q)
	}
	return page
}

// phases are the server time of a send before the two phases of its commit and between them, as far as this site has them.
func (s *Site) phases(q *request) (before, between time.Duration) {
	cost := s.costOf(q.id)
	// Nine tenths: how the time is shared out on a real site is not established (section 14), only the order.
	before = cost / 10 * 9
	return before, cost - before
}

// outcome is what a send that nothing undoes is answered, and whether mail is due.
func (s *Site) outcome(q *request) (page *reply, due bool) {
	if q.hook == Profile {
		status := s.statusOf(q)
		return s.pages.said(status, q.id.Group), status == 0
	}
	return s.pages.sendOK, !(s.quiet != nil && s.quiet(q.id)) && !s.sentLately(q.group)
}

// sentLately is the duplicate check. It subtracts two readings of a clock on the wall, so it is an hour off when that
// clock was changed in between (docs/groupserver.md section 12).
func (s *Site) sentLately(group int32) bool {
	if s.guard < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.groups[group].row
	return row != 0 && s.onTheWall(s.now())-s.onTheWall(row) < int64(s.guard)
}

// onTheWall is what the server's clock shows at an instant of [Site.now], in nanoseconds from the epoch in UTC.
func (s *Site) onTheWall(instant int64) int64 {
	_, offset := s.epoch.Add(time.Duration(instant)).In(s.zone).Zone() // in seconds
	return instant + int64(offset)*int64(time.Second)
}

// commit writes the row and lets the mail go. Only a send that queued mail writes a row. It reports false, and rolls
// back, if the database has gone away since the send saw so many breaks.
func (s *Site) commit(q *request, breaks int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.database.breaks != breaks {
		return false
	}
	g := &s.groups[q.group]
	g.row = s.now()
	g.mails++
	q.rec.flags |= mailed
	return true
}

// rollBack is a send that fails with an exception: the time passes, nothing stays (docs/groupserver.md section 2).
func (s *Site) rollBack(q *request) *reply {
	if q.hook.sends() && s.isKnown(q.group) {
		cost := s.costOf(q.id)
		if q.fault.Kind == Conflict {
			// Zope's publisher tries four times. It also sleeps up to 1, 2 and 4 s between, left out here.
			cost *= 4
		}
		s.spend(q, cost)
	}
	return s.errorPage(q)
}

func (s *Site) isKnown(group int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[group].known
}

func (s *Site) costOf(g Group) time.Duration {
	if s.cost == nil {
		return 0
	}
	return s.cost(g)
}

// sleep holds a request thread. A thread without anything to wait for must not go through the timer.
func sleep(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
