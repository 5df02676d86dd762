package campaign

import (
	"errors"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
)

// judge says what an answer of the send hook makes of its group, by docs/groupserver.md section 3. What it does
// not know is ambiguous: it takes proof to say that nothing was mailed.
func judge(reply hooks.Reply, err error) dispatcher.Verdict {
	if e, ok := errors.AsType[*hooks.RejectedError](err); ok {
		v := dispatcher.Verdict{Outcome: dispatcher.Rejected, Status: 200, Reason: e.Reason(), Err: err}
		if e.Token {
			v.Stop = ErrToken // every other group would be refused as well
		}
		return v
	}
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		v := dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: e.Status, Reason: e.Reason(), Err: err}
		if lostByProxy(e.Status) {
			v.Outcome = dispatcher.Ambiguous
		}
		return v
	}
	if e, ok := errors.AsType[*hooks.UnexpectedPageError](err); ok {
		return dispatcher.Verdict{Outcome: dispatcher.Unexpected, Status: 200, Reason: e.Reason(), Err: err}
	}
	if e, ok := errors.AsType[*hooks.RedirectError](err); ok {
		return dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: e.Status, Reason: e.Reason(), Err: err}
	}
	if e, ok := errors.AsType[*hooks.TransportError](err); ok {
		v := dispatcher.Verdict{Outcome: dispatcher.Unreachable, Reason: e.Reason(), Err: err}
		if e.Wrote {
			v.Outcome = dispatcher.Ambiguous
		}
		return v
	}
	switch {
	case err != nil || reply.Status != 200: // a reply without an error has 200
		return dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Status: reply.Status, Reason: "an error of no known kind", Err: err}
	case !reply.Confirmed:
		return dispatcher.Verdict{
			Outcome: dispatcher.UnknownGroup, Status: reply.Status,
			Reason: "the site knows no such group; nothing was mailed",
		}
	}
	return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: reply.Status}
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
