package standin

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// serveFault answers a request that is to go wrong. The stage of the fault tells who answers (see kind.go).
func (s *Site) serveFault(w http.ResponseWriter, r *http.Request, q *request) {
	switch q.fault.Kind {
	case ResetEarly:
		s.settle(q, 0)
		cutOff(w, true)
		return
	case Proxy502, Proxy504:
		s.proxyGivesUp(w, r, q)
		return
	}
	if q.fault.stage() == stageFront {
		s.answer(w, q, s.frontPage(r, q))
		return
	}

	if !s.await(r, q) {
		cutOff(w, false)
		return
	}
	switch q.fault.Kind {
	case Reset:
		s.settle(q, 0)
		cutOff(w, true)
	case Hang:
		select {
		case <-r.Context().Done():
			s.leave(q)
		case <-s.closing:
			s.settle(q, 0)
		}
		cutOff(w, false)
	case SlowBody:
		s.drip(w, r, q)
	case CutBody:
		s.settle(q, q.reply.status)
		q.reply.writeHead(w)
		_, _ = w.Write(q.reply.body[:len(q.reply.body)/2])
		_ = http.NewResponseController(w).Flush()
		cutOff(w, false)
	case Huge:
		s.settle(q, http.StatusOK)
		mib := q.fault.MiB
		if mib <= 0 {
			mib = defaultMiB
		}
		writeHuge(w, mib)
	default:
		s.answer(w, q, q.reply)
	}
}

// frontPage is what a proxy, or whatever else stands before Zope, answers.
func (s *Site) frontPage(r *http.Request, q *request) *reply {
	a := &reply{ctype: "text/html", from: fromProxy}
	switch k := q.fault.Kind; k {
	case Proxy503:
		return s.pages.proxy503
	case Login:
		return s.pages.login
	case TooMany:
		a.status, a.extra = http.StatusTooManyRequests, [2]string{"Retry-After", q.fault.RetryAfter}
		if a.extra[1] == "" {
			a.extra[1] = "1"
		}
	default:
		a.status, a.extra = k.redirect(), [2]string{"Location", q.fault.location(r)}
	}
	title := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	a.body = fmt.Appendf(nil, "<html>\n<head><title>%[1]s</title></head>\n<body><h1>%[1]s</h1></body>\n</html>\n", title)
	return a
}

// faultPage is what Zope answers without having done anything.
func (s *Site) faultPage(q *request) *reply {
	switch q.fault.Kind {
	case Error503:
		return s.pages.missingSite
	case OwnError503:
		return s.pages.ownError503
	case DatabaseLost:
		return s.databaseLost(q)
	case DatabaseAway:
		return s.databaseAway(q)
	case NotFound:
		return s.pages.notFoundAt(q.url)
	case WrongToken:
		// No request can hold this token: field values are not compared when they have a byte outside ASCII.
		const changed = "\x80"
		return s.askHook(q, changed) // the digest's send hook refuses all tokens, but not, here either, the absence of one
	case Blank:
		return s.pages.blankOf(q.hook)
	case HTML:
		return s.pages.front
	}
	a := &reply{status: http.StatusOK, ctype: "application/json", from: fromZope}
	switch q.fault.Kind {
	case HalfJSON:
		_, whole := s.answerList(q.hook)
		a.body = whole[:len(whole)/2]
	case Dicts:
		listed, _ := s.answerList(q.hook)
		a.body = listOfDicts(listed)
	}
	return a // Huge is written elsewhere
}

// errorPage is the page of an exception.
func (s *Site) errorPage(q *request) *reply {
	switch k := q.fault.Kind; {
	case k == SiteError:
		return s.pages.siteError
	case k == Bare500:
		a := *s.pages.siteError
		a.from = fromProxy
		return &a
	case k == OwnError:
		return s.pages.ownError
	case k == NoPrepared:
		return s.pages.noPrepared
	case q.hook.lists():
		return s.pages.groupsError
	case k == DigestError:
		return s.pages.errDigest
	case k == CommitError:
		return s.pages.errCommit
	case k == Conflict:
		return s.pages.errConflict
	}
	return s.pages.errDatabase
}

// proxyGivesUp answers in Zope's place, once the proxy's patience is at an end, while the work goes on.
func (s *Site) proxyGivesUp(w http.ResponseWriter, r *http.Request, q *request) {
	if q.fault.Delay > 0 && !pause(r, q.fault.Delay) {
		s.leave(q)
		cutOff(w, false)
		return
	}
	a := s.pages.proxy504
	if q.fault.Kind == Proxy502 {
		a = s.pages.proxy502
	}
	s.answer(w, q, a)
}

// drip writes the body in ten pieces.
func (s *Site) drip(w http.ResponseWriter, r *http.Request, q *request) {
	delay := q.fault.Delay
	if delay <= 0 {
		delay = defaultSlow
	}
	const pieces = 10
	body := q.reply.body
	q.reply.writeHead(w)
	for i := range pieces {
		if i > 0 && !pause(r, delay/(pieces-1)) {
			s.leave(q)
			cutOff(w, false)
			return
		}
		if i == pieces-1 {
			s.settle(q, q.reply.status)
		}
		_, _ = w.Write(body[len(body)*i/pieces : len(body)*(i+1)/pieces])
		_ = http.NewResponseController(w).Flush()
	}
}

// pause waits, and reports false if the client left meanwhile.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// cutOff closes the connection under a request; with reset set by a TCP RST, so that the client sees "connection
// reset by peer" and not an end of file. Connections that have no such thing (net.Pipe) are just closed.
func cutOff(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the same, in net/http's own way
	}
	if t, ok := conn.(*tls.Conn); ok && reset {
		conn = t.NetConn() // not t: its Close says goodbye
	}
	if t, ok := conn.(*net.TCPConn); ok && reset {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}
