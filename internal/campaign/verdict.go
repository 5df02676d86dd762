package campaign

import (
	"errors"
	"fmt"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/ratelimit"
)

// The retry table, from docs/groupserver.md section 5. A send is tried again only with proof that nothing was
// mailed:
//
//	the whole request never left                          proof
//	429; 503 or another 4xx with Retry-After, by a proxy  proof: refused before any work
//	500, by the site or by a page of its own              proof: the transaction was rolled back
//	503 with a sign of Zope                               nothing mailed, but useless: an error in the code
//	404, 3xx, any other status                            useless
//	503 without a sign of Zope and without Retry-After    no proof
//	502, 504, time-out, reset, an answer cut short        none at all: it may have been mailed
//	200, whatever the page says                           useless
//
// The site is up when Zope itself answered, and down when nobody did, or a proxy that could not reach it or would
// not let us; any other page tells nothing of it. A 500 is the group's own failure, or that of a site whose database is
// away: which of them, the answers to other groups show. One for lack of a prepared transaction is the fault of the other
// sends in flight, if there were any; so is one that never left because this machine had no file, port or memory left for
// it, which tells nothing of the site.

// judge says what became of a send whose answer was none of the hook's right ones. What it does not know is ambiguous: it
// takes proof to say that nothing was mailed.
func judge(status int, err error) dispatcher.Verdict {
	if e, ok := errors.AsType[*hooks.RejectedError](err); ok {
		v := dispatcher.Verdict{
			Outcome: dispatcher.Rejected, NotDelivered: true, Status: 200, Reason: e.Reason(), Err: err, Health: ratelimit.Up,
		}
		if e.Token {
			v.Stop = ErrToken // every other group would be refused as well
		}
		return v
	}
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		v := judgeStatus(e)
		v.Err = err
		return v
	}
	if e, ok := errors.AsType[*hooks.UnexpectedPageError](err); ok {
		return dispatcher.Verdict{Outcome: dispatcher.Unexpected, Status: 200, Reason: e.Reason(), Err: err}
	}
	if e, ok := errors.AsType[*hooks.RedirectError](err); ok {
		return dispatcher.Verdict{Outcome: dispatcher.NotOK, NotDelivered: true, Status: e.Status, Reason: e.Reason(), Err: err}
	}
	if e, ok := errors.AsType[*hooks.TransportError](err); ok {
		v := dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Reason: e.Reason(), Err: err, Health: ratelimit.Down}
		if !e.Wrote {
			v.Outcome, v.NotDelivered, v.Retry = dispatcher.Unreachable, true, true
		}
		if e.Local {
			v.Health = ratelimit.NoRoom
		}
		return v
	}
	return dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Status: status, Reason: "an error of no known kind", Err: err}
}

// judgeStatus judges an answer with another status than 200.
func judgeStatus(e *hooks.NotOKError) dispatcher.Verdict {
	v := dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: e.Status, Reason: e.Reason(), Pause: e.RetryAfter}
	refused := e.Status == 429 || !e.Zope && e.RetryAfter > 0 && (e.Status == 503 || e.Status/100 == 4)
	switch {
	case lostByProxy(e.Status):
		v.Outcome = dispatcher.Ambiguous
	case e.Status == 500, refused:
		v.NotDelivered, v.Retry = true, true
	default: // a 503 that neither Zope signed nor a pause came with proves nothing, nor does what no standard knows
		v.NotDelivered = e.Zope || e.Status < 500
	}
	switch {
	case e.Prepared:
		v.Health = ratelimit.Crowded
	case e.Status == 500: // proxies do not make up a 500
		v.Health = ratelimit.Failing
	case e.Zope:
		v.Health = ratelimit.Up
	case lostByProxy(e.Status), e.Status == 503, refused:
		v.Health = ratelimit.Down
	}
	return v
}

// lostByProxy tells the statuses with which a proxy says that it lost the server or gave up on it, while the
// server may go on: the two of HTTP, and those that one large provider of proxies has for the same.
func lostByProxy(status int) bool {
	switch status {
	case 502, 504, 520, 522, 524:
		return true
	}
	return false
}

// scrubPanic passes a panic on without the token, which its value may quote.
func scrubPanic(client *hooks.Client) {
	if p := recover(); p != nil {
		panic(client.Scrub(fmt.Sprint(p)))
	}
}
