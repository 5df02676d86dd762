package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
)

// The rows are those of docs/groupserver.md section 3 (send hook), with what section 5 says of a repeat.
func TestVerdictIsTheOneOfTheCatalogue(t *testing.T) {
	notOK := func(status int, zope bool) error {
		return &hooks.NotOKError{Hook: "send digest", Status: status, Phrase: "phrase", Zope: zope}
	}
	reset := errors.New("connection reset by peer")
	for _, tt := range []struct {
		name   string
		reply  hooks.Reply
		err    error
		want   dispatcher.Outcome
		status int
		stop   error
	}{
		{"200 with the message: done", hooks.Reply{Status: 200, Confirmed: true}, nil, dispatcher.Accepted, 200, nil},
		{"200 with form errors", hooks.Reply{}, &hooks.RejectedError{Message: "Group Identifier: Required input is missing."}, dispatcher.Rejected, 200, nil},
		{".. label Token", hooks.Reply{}, &hooks.RejectedError{Token: true}, dispatcher.Rejected, 200, ErrToken},
		{"200 with the form and no message", hooks.Reply{Status: 200}, nil, dispatcher.UnknownGroup, 200, nil},
		{"200 with neither", hooks.Reply{}, &hooks.UnexpectedPageError{Problem: "not the hook's page"}, dispatcher.Unexpected, 200, nil},
		{"500 of Zope: rolled back", hooks.Reply{}, notOK(500, true), dispatcher.NotOK, 500, nil},
		{"503 of Zope: an error in the code", hooks.Reply{}, notOK(503, true), dispatcher.NotOK, 503, nil},
		{"500 without a sign of Zope", hooks.Reply{}, notOK(500, false), dispatcher.NotOK, 500, nil},
		{"502 of a proxy", hooks.Reply{}, notOK(502, false), dispatcher.Ambiguous, 502, nil},
		{"504 of a proxy", hooks.Reply{}, notOK(504, false), dispatcher.Ambiguous, 504, nil},
		{"502 with a sign of Zope proves nothing either", hooks.Reply{}, notOK(502, true), dispatcher.Ambiguous, 502, nil},
		{"520, another proxy's 502", hooks.Reply{}, notOK(520, false), dispatcher.Ambiguous, 520, nil},
		{"524, another proxy's 504", hooks.Reply{}, notOK(524, false), dispatcher.Ambiguous, 524, nil},
		{"503 without a sign of Zope", hooks.Reply{}, notOK(503, false), dispatcher.NotOK, 503, nil},
		{"429 of a proxy", hooks.Reply{}, notOK(429, false), dispatcher.NotOK, 429, nil},
		{"404: no site of the installation", hooks.Reply{}, notOK(404, true), dispatcher.NotOK, 404, nil},
		{"401: something in front", hooks.Reply{}, notOK(401, false), dispatcher.NotOK, 401, nil},
		{"3xx that leads nowhere", hooks.Reply{}, notOK(302, false), dispatcher.NotOK, 302, nil},
		{"3xx that is not followed", hooks.Reply{}, &hooks.RedirectError{Status: 307, Problem: "another host must not get the token"}, dispatcher.NotOK, 307, nil},
		{"no answer after the request was written", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: reset}, dispatcher.Ambiguous, 0, nil},
		{"time-out after the request was written", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: &hooks.TimeoutError{}}, dispatcher.Ambiguous, 0, nil},
		{"the answer was cut short", hooks.Reply{}, &hooks.TransportError{Wrote: true, Err: io.ErrUnexpectedEOF}, dispatcher.Ambiguous, 0, nil},
		{"broken before the request was written", hooks.Reply{}, &hooks.TransportError{Err: reset}, dispatcher.Unreachable, 0, nil},

		// What nobody has thought of may have been mailed.
		{"nothing is known", hooks.Reply{}, nil, dispatcher.Ambiguous, 0, nil},
		{"a confirmation of no page", hooks.Reply{Confirmed: true}, nil, dispatcher.Ambiguous, 0, nil},
		{"an error of no known kind", hooks.Reply{}, errors.New("boom"), dispatcher.Ambiguous, 0, nil},
		{"an error beside a confirmation", hooks.Reply{Status: 200, Confirmed: true}, errors.New("boom"), dispatcher.Ambiguous, 200, nil},
		{"an error of the list", hooks.Reply{}, &hooks.MalformedListError{}, dispatcher.Ambiguous, 0, nil},
		{"the end of a context", hooks.Reply{}, context.Canceled, dispatcher.Ambiguous, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			errs := []error{tt.err}
			if tt.err != nil {
				errs = append(errs, fmt.Errorf("wrapped: %w", tt.err))
			}
			for _, err := range errs {
				got := judge(tt.reply, err)
				if got.Outcome != tt.want || got.Status != tt.status || !errors.Is(got.Stop, tt.stop) {
					t.Errorf("got %v, status %d, stop %v, want %v, %d, %v", got.Outcome, got.Status, got.Stop, tt.want, tt.status, tt.stop)
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

func TestNoStatusOfAProxyThatLostTheServerIsCertain(t *testing.T) {
	for status := 200; status < 600; status++ {
		for _, zope := range []bool{false, true} {
			got := judge(hooks.Reply{}, &hooks.NotOKError{Status: status, Zope: zope})
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
