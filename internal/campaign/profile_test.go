package campaign

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// Every row of the tables in docs/groupserver.md section 11, and what came instead of an answer.
func TestAPersonsVerdictIsTheOneOfTheTable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer hooks.ProfileAnswer
		err    error
		want   dispatcher.Outcome
		reason string
		again  bool // by itself, in the same run
		stop   bool
	}{
		{"0", hooks.ProfileSent, nil, dispatcher.Accepted, "", false, false},
		{"-2", hooks.ProfileUnknown, nil, dispatcher.UnknownGroup, "the site knows no such person", false, false},
		{"-4", hooks.ProfileNoGroups, nil, dispatcher.Skipped, "not in any group", false, false},
		{"-8", hooks.ProfileNoAddress, nil, dispatcher.Skipped, "no verified address", false, false},
		{"-16", hooks.ProfileInactive, nil, dispatcher.Skipped, "no activity this month", false, false},
		{"-32", hooks.ProfileOptedOut, nil, dispatcher.Skipped, "opted out", false, false},
		{"-1, the token", 0, &hooks.RejectedError{Token: true}, dispatcher.Rejected, "the site refused the token", false, true},
		{"-1, the profile", 0, &hooks.RejectedError{}, dispatcher.Rejected, "the site refused the request", false, false},
		{"another page", 0, &hooks.UnexpectedPageError{Problem: "not the hook's page"}, dispatcher.Unexpected, "200, but not the hook's page", false, false},
		{"500", 0, &hooks.NotOKError{Status: 500, Phrase: "Internal Server Error"}, dispatcher.NotOK, "500 Internal Server Error", true, false},
		{"404", 0, &hooks.NotOKError{Status: 404, Phrase: "Not Found"}, dispatcher.NotOK, "404 Not Found", false, false},
		{"504 by a proxy", 0, &hooks.NotOKError{Status: 504, Phrase: "Gateway Timeout"}, dispatcher.Ambiguous, "504 Gateway Timeout", false, false},
		{"never left", 0, &hooks.TransportError{}, dispatcher.Unreachable, "", true, false},
		{"left, and no answer", 0, &hooks.TransportError{Wrote: true}, dispatcher.Ambiguous, "", false, false},
		{"an error of no known kind", 0, errors.New("?"), dispatcher.Ambiguous, "an error of no known kind", false, false},
		{"neither answer nor error", 0, nil, dispatcher.Ambiguous, "an error of no known kind", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := judgeProfile(tt.answer, tt.err)
			if v.Outcome != tt.want || v.Reason != tt.reason || v.Retry != tt.again || (v.Stop != nil) != tt.stop {
				t.Errorf("got %+v", v)
			}
			if answered := tt.answer != 0; answered && (v.Status != 200 || v.Health != ratelimit.Up) {
				t.Errorf("got status %d and health %v of a site that answers", v.Status, v.Health)
			}
		})
	}
}

func TestWhatMayHaveBeenMailedToAPersonIsNeverRepeated(t *testing.T) {
	r := newRun(Profile(nil), Settings{Settle: DefaultSettle, NoState: true})
	if at, ok := r.settle(dispatcher.Result{Start: r.started}); ok {
		t.Errorf("it is repeated at %v", at)
	}
}

func TestAWarningOfTheMailNamesNobodyWhoseNameIsPersonalData(t *testing.T) {
	c := Profile(nil)
	results := &dispatcher.Report{Results: []dispatcher.Result{{Job: state.Group{Group: "anna"}}, {Job: state.Group{Group: "bert"}}}}
	warnings := func() []string {
		r := newRun(c, Settings{NoState: true})
		return r.mailWarnings(&Plan{}, results, &report.Ledger{Mails: []ledger.Mail{ledger.Swallowed, ledger.Missing}})
	}
	names := func(line string) bool { return strings.Contains(line, "anna") || strings.Contains(line, "bert") }
	if got := warnings(); len(got) != 2 || slices.ContainsFunc(got, names) {
		t.Errorf("got %q", got)
	}
	c.Private = false
	if got := warnings(); len(got) != 2 || !names(got[0]) || !names(got[1]) {
		t.Errorf("got %q of a campaign that may name them", got)
	}
}
