package command

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// wrapped is how an error comes from where it was noticed: with what was being done.
func wrapped(err error) error {
	return fmt.Errorf("no digest sent: %w", fmt.Errorf("the site: %w", err))
}

func TestAnErrorHasItsExitCodeHoweverDeepItIsWrapped(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want int
	}{
		{"what nobody knows is a fault, not a wrong command line", errors.New("no such thing"), 70},
		{"usage", &usageError{"no URL given", ""}, 64},
		{"a value", &config.ValueError{}, 64},
		{"a URL", &hooks.URLError{}, 64},
		{"nothing to resume", campaign.NoRun(campaign.Resume, "nowhere"), 64},
		{"no such run", &state.RunError{Err: errors.New("no such file")}, 64},
		{"a state directory", &state.DirError{Err: syscall.EACCES}, 64},
		{"a newer journal", &state.VersionError{}, 64},
		{"a damaged journal", &state.DamagedError{Path: "x.jsonl", Line: 3, Err: errors.New("torn")}, 64},
		{"output", &report.WriteError{Path: "run.json", Err: syscall.ENOSPC}, 73},
		{"the lock", &state.HeldError{}, 75},
		{"the deadline", &campaign.DeadlineError{}, 75},
		{"control stop", &campaign.ControlError{}, 75},
		{"no list", &campaign.ListError{Err: errors.New("502")}, 76},
		{"no access", &campaign.ListError{Err: &hooks.RejectedError{Token: true}}, 77},
		{"the configuration", &gsconfig.Error{}, 78},
		{"SIGHUP", &campaign.SignalError{Signal: syscall.SIGHUP}, 129},
		{"SIGINT", &campaign.SignalError{Signal: syscall.SIGINT}, 130},
		{"SIGTERM", &campaign.SignalError{Signal: syscall.SIGTERM}, 143},
	} {
		for _, err := range []error{row.err, wrapped(row.err)} {
			if got := codeOf(err); got != row.want {
				t.Errorf("%s: %v: got %d, want %d", row.name, err, got, row.want)
			}
		}
	}
}

func TestOfSeveralEndsTheExitCodeIsTheMostUrgent(t *testing.T) {
	failed := &report.Document{Counts: report.Counts{NotOK: 1}}
	noWrite := &report.WriteError{Path: "run.json", Err: syscall.ENOSPC}
	for _, row := range []struct {
		name      string
		stoppedBy error
		document  *report.Document
		want      int
	}{
		{"a signal", &campaign.SignalError{Signal: syscall.SIGTERM}, failed, 143},
		{"the token", campaign.ErrToken, failed, 77},
		{"the site is down", &ratelimit.DownError{}, failed, 69},
		{"too many failures", dispatcher.ErrMaxFailures, failed, 75},
		{"failures", nil, failed, 1},
		{"output", nil, &report.Document{}, 73},
		{"a stop that nobody knows", errors.New("the moon"), &report.Document{}, 70},
	} {
		if got := runCode(campaign.Result{Document: row.document, StoppedBy: row.stoppedBy}, noWrite); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
}

func TestAnErrorKeepsItsHintHoweverDeepItIsWrapped(t *testing.T) {
	for _, err := range []error{
		&usageError{"no URL given", "write it"},
		campaign.NoRun(campaign.Resume, "nowhere"),
		&state.HeldError{},
		&state.DamagedError{Path: "x.jsonl", Err: errors.New("torn")},
		&state.JournalWriteError{Path: "x.jsonl", Err: syscall.ENOSPC},
		&config.ValueError{},
		&hooks.URLError{Advice: "begin with http://"},
	} {
		want := Senddigest().hintOf(err)
		if want == "" {
			t.Errorf("%v has no hint", err)
		}
		if got := Senddigest().hintOf(wrapped(err)); got != want {
			t.Errorf("%v, wrapped: got %q, want %q", err, got, want)
		}
	}
}
