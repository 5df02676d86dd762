package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/ratelimit"
)

// The rows are those of docs/groupserver.md section 3 (send hook), with what section 5 says of a repeat: again is
// proof that nothing was mailed, where another try may do better.
func TestVerdictIsTheOneOfTheCatalogue(t *testing.T) {
	const (
		again       = true
		never       = false
		up, down    = ratelimit.Up, ratelimit.Down
		unknown     = ratelimit.Unknown
		failing     = ratelimit.Failing
		ambiguous   = dispatcher.Ambiguous
		notOK       = dispatcher.NotOK
		unreachable = dispatcher.Unreachable
	)
	status := func(code int, zope bool) error {
		return &hooks.NotOKError{Hook: "send digest", Status: code, Phrase: "phrase", Zope: zope}
	}
	wait := func(code int, zope bool) error {
		return &hooks.NotOKError{Hook: "send digest", Status: code, Phrase: "phrase", Zope: zope, RetryAfter: time.Minute}
	}
	reset := errors.New("connection reset by peer")
	for _, tt := range []struct {
		name   string
		reply  hooks.Reply
		err    error
		want   dispatcher.Outcome
		status int
		retry  bool
		health ratelimit.Health
		stop   error
	}{
		{"200 with the message: done", hooks.Reply{Status: 200, Confirmed: true}, nil, dispatcher.Accepted, 200, never, up, nil},
		{"200 with form errors: useless", hooks.Reply{}, &hooks.RejectedError{Message: "Group Identifier: Required input is missing."}, dispatcher.Rejected, 200, never, up, nil},
		{".. label Token", hooks.Reply{}, &hooks.RejectedError{Token: true}, dispatcher.Rejected, 200, never, up, ErrToken},
		{"200 with the form and no message", hooks.Reply{Status: 200}, nil, dispatcher.UnknownGroup, 200, never, up, nil},
		{"200 with neither", hooks.Reply{}, &hooks.UnexpectedPageError{Problem: "not the hook's page"}, dispatcher.Unexpected, 200, never, unknown, nil},
		{"500 of Zope: rolled back", hooks.Reply{}, status(500, true), notOK, 500, again, failing, nil},
		{"503 of Zope: an error in the code", hooks.Reply{}, status(503, true), notOK, 503, never, up, nil},
		{".. whatever it asks for", hooks.Reply{}, wait(503, true), notOK, 503, never, up, nil},
		{"500 for lack of a prepared transaction", hooks.Reply{}, &hooks.NotOKError{Status: 500, Prepared: true}, notOK, 500, again, ratelimit.Crowded, nil},
		{"500 without a sign of Zope", hooks.Reply{}, status(500, false), notOK, 500, again, failing, nil},
		{"502 of a proxy", hooks.Reply{}, status(502, false), ambiguous, 502, never, down, nil},
		{"504 of a proxy", hooks.Reply{}, status(504, false), ambiguous, 504, never, down, nil},
		{"502 with Retry-After proves nothing either", hooks.Reply{}, wait(502, false), ambiguous, 502, never, down, nil},
		{"504 with Retry-After proves nothing either", hooks.Reply{}, wait(504, false), ambiguous, 504, never, down, nil},
		{"502 with a sign of Zope proves nothing either", hooks.Reply{}, status(502, true), ambiguous, 502, never, up, nil},
		{"520, another proxy's 502", hooks.Reply{}, status(520, false), ambiguous, 520, never, down, nil},
		{"524, another proxy's 504", hooks.Reply{}, wait(524, false), ambiguous, 524, never, down, nil},
		{"503 without a sign of Zope: not provable", hooks.Reply{}, status(503, false), notOK, 503, never, down, nil},
		{"503 of a proxy with Retry-After: refused", hooks.Reply{}, wait(503, false), notOK, 503, again, down, nil},
		{"429 of a proxy", hooks.Reply{}, status(429, false), notOK, 429, again, down, nil},
		{"429 of a proxy with Retry-After", hooks.Reply{}, wait(429, false), notOK, 429, again, down, nil},
		{"429 with a sign of Zope", hooks.Reply{}, status(429, true), notOK, 429, again, up, nil},
		{"404: no site of the installation", hooks.Reply{}, status(404, true), notOK, 404, never, up, nil},
		{"404 without a sign of Zope", hooks.Reply{}, status(404, false), notOK, 404, never, unknown, nil},
		{"401: something in front", hooks.Reply{}, status(401, false), notOK, 401, never, unknown, nil},
		{"403 of a proxy with Retry-After", hooks.Reply{}, wait(403, false), notOK, 403, again, down, nil},
		{"501 with Retry-After: no refusal", hooks.Reply{}, wait(501, false), notOK, 501, never, unknown, nil},
		{"3xx that leads nowhere", hooks.Reply{}, status(302, false), notOK, 302, never, unknown, nil},
		{"3xx with Retry-After", hooks.Reply{}, wait(302, false), notOK, 302, never, unknown, nil},
		{"3xx that is not followed", hooks.Reply{}, &hooks.RedirectError{Status: 307, Problem: "another host must not get the token"}, notOK, 307, never, unknown, nil},
		{"no answer after the request was written", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: reset}, ambiguous, 0, never, down, nil},
		{"time-out after the request was written", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: &hooks.TimeoutError{}}, ambiguous, 0, never, down, nil},
		{"the answer was cut short", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: io.ErrUnexpectedEOF}, ambiguous, 0, never, down, nil},
		{"no room on this machine", hooks.Reply{}, &hooks.TransportError{Local: true, Err: reset}, unreachable, 0, again, ratelimit.NoRoom, nil},
		{"a proxy that lets nobody through", hooks.Reply{}, &hooks.TransportError{Proxy: "http://proxy:3128", Err: reset}, unreachable, 0, again, down, nil},
		{"broken before the request was written", hooks.Reply{}, &hooks.TransportError{Err: reset}, unreachable, 0, again, down, nil},

		// What nobody has thought of may have been mailed.
		{"nothing is known", hooks.Reply{}, nil, ambiguous, 0, never, unknown, nil},
		{"a confirmation of no page", hooks.Reply{Confirmed: true}, nil, ambiguous, 0, never, unknown, nil},
		{"an error of no known kind", hooks.Reply{}, errors.New("boom"), ambiguous, 0, never, unknown, nil},
		{"an error beside a confirmation", hooks.Reply{Status: 200, Confirmed: true}, errors.New("boom"), ambiguous, 200, never, unknown, nil},
		{"an error of the list", hooks.Reply{}, &hooks.MalformedListError{}, ambiguous, 0, never, unknown, nil},
		{"the end of a context", hooks.Reply{}, context.Canceled, ambiguous, 0, never, unknown, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			errs := []error{tt.err}
			if tt.err != nil {
				errs = append(errs, fmt.Errorf("wrapped: %w", tt.err))
			}
			for _, err := range errs {
				got := judgeDigest(tt.reply, err)
				if got.Outcome != tt.want || got.Status != tt.status || !errors.Is(got.Stop, tt.stop) {
					t.Errorf("got %v, status %d, stop %v, want %v, %d, %v", got.Outcome, got.Status, got.Stop, tt.want, tt.status, tt.stop)
				}
				if got.Retry != tt.retry || got.Health != tt.health {
					t.Errorf("got retry %t, health %d, want %t, %d", got.Retry, got.Health, tt.retry, tt.health)
				}
				pause := time.Duration(0)
				if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
					pause = e.RetryAfter
				}
				if got.Pause != pause {
					t.Errorf("got a pause of %v, want %v", got.Pause, pause)
				}
				if !errors.Is(got.Err, err) {
					t.Errorf("got error %v, want %v", got.Err, err)
				}
				if accepted := tt.want == dispatcher.Accepted; (got.Reason == "") != accepted && !errors.As(err, new(*hooks.TransportError)) {
					t.Errorf("got reason %q", got.Reason) // that of a TransportError is made where it is
				}
			}
		})
	}
}

func TestOnlyA500AndRefusalsAreTriedAgain(t *testing.T) {
	for status := 200; status < 600; status++ {
		for _, zope := range []bool{false, true} {
			for _, pause := range []time.Duration{0, time.Minute} {
				got := judgeDigest(hooks.Reply{}, &hooks.NotOKError{Status: status, Zope: zope, RetryAfter: pause})
				asked := pause > 0 && !zope && (status == 503 || status >= 400 && status < 500)
				if want := status == 500 || status == 429 || asked; got.Retry != want {
					t.Errorf("%d, Zope %t, Retry-After %v: got %t, want %t", status, zope, pause, got.Retry, want)
				}
				if got.Outcome == dispatcher.Ambiguous && (got.Retry || got.NotDelivered) {
					t.Errorf("%d is ambiguous, tried again %t, and proven to have mailed nothing %t", status, got.Retry, got.NotDelivered)
				}
				if want := got.Outcome == dispatcher.NotOK && (status <= 500 || zope || asked); got.NotDelivered != want {
					t.Errorf("%d, Zope %t, Retry-After %v: proven to have mailed nothing %t, want %t", status, zope, pause, got.NotDelivered, want)
				}
			}
		}
	}
}

func TestNoStatusOfAProxyThatLostTheServerIsCertain(t *testing.T) {
	for status := 200; status < 600; status++ {
		for _, zope := range []bool{false, true} {
			got := judgeDigest(hooks.Reply{}, &hooks.NotOKError{Status: status, Zope: zope})
			want := dispatcher.NotOK
			switch status {
			case 502, 504, 520, 522, 524:
				want = dispatcher.Ambiguous
			}
			if got.Outcome != want || got.Status != status || got.Stop != nil {
				t.Errorf("%d: got %v, status %d, stop %v, want %v", status, got.Outcome, got.Status, got.Stop, want)
			}
		}
	}
}
