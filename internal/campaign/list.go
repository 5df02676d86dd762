package campaign

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
)

// A ListError is a list of groups that could not be had. Nothing was sent.
type ListError struct {
	Err   error         // of the last request for it
	Asked int           // how many requests there were
	For   time.Duration // from the first answer to the last; 0 where there was one request
}

func (e *ListError) Error() string { return e.Err.Error() }
func (e *ListError) Unwrap() error { return e.Err }

// askPatiently asks for the list of groups until it is there. It has the patience of the sends: a failure that may pass is
// followed by another request, after a back-off or when Retry-After says so, until the site has given no list for
// GiveUpAfter. That hook only reads, so that a request is harmless whatever became of the one before.
func (r *run) askPatiently(ctx context.Context) (*List, error) {
	backoff := r.Backoff
	if backoff == nil {
		backoff = dispatcher.FullJitter(time.Second, time.Minute)
	}
	r.events.Observe(Listing{r.campaign.Things})
	var first time.Time // of the failures
	var last error
	var rested time.Duration
	for asked := 1; ; asked++ {
		list, err := r.ask(ctx)
		if listed, ok := errors.AsType[*ListError](err); !ok {
			return list, unlisted(err, last)
		} else if !first.IsZero() {
			listed.Asked, listed.For = asked, time.Since(first)
		}
		now := time.Now()
		if first.IsZero() {
			first, rested = now, r.Steering.rested(now)
		}
		again, pause := passes(err)
		next, until := now.Add(max(backoff(asked), pause)), time.Time{}
		if r.GiveUpAfter > 0 {
			until = first.Add(r.GiveUpAfter + r.Steering.rested(now) - rested)
			if !now.Before(until) || now.Add(pause).After(until) {
				again = false
			}
			next = earlier(next, until)
		}
		if !again {
			return nil, err
		}
		last = err
		r.events.Observe(Unlisted{err, next, until})
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, unlisted(context.Cause(ctx), last)
		}
	}
}

// unlisted is the cause that ended the wait for a list, with the last failure before it; the cause alone where nothing failed; nil
// where there is no cause.
func unlisted(cause, last error) error {
	if cause == nil || last == nil {
		return cause
	}
	return fmt.Errorf("%w; there was no list until then: %v", cause, last)
}

// ask asks for the list once. Its error is a [*ListError], or the cause of ctx where that ended first.
func (r *run) ask(ctx context.Context) (*List, error) {
	list, err := r.campaign.List(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, &ListError{Err: err, Asked: 1}
	}
	return list, nil
}

// passes reports whether a list that could not be had may be had later, and the pause that the site asks for. What asks
// for somebody's hand does not pass: a wrong URL, a host without a name, a certificate, a page that is not the hook's, a
// proxy that refuses us.
func passes(err error) (again bool, pause time.Duration) {
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		switch {
		case e.Status == 503 && e.Zope: // an error in the code
			return false, 0
		case e.Status == 429, e.Status >= 500, e.RetryAfter > 0:
			return true, e.RetryAfter
		}
		return false, 0
	}
	if _, ok := errors.AsType[*hooks.TransportError](err); !ok {
		return false, 0
	}
	if e, ok := errors.AsType[*hooks.ProxyError](err); ok && e.Status/100 == 4 && e.Status != 429 {
		return false, 0
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return false, 0
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	return !untrusted && !plain, 0
}
