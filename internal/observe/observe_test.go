package observe_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/observe"
	"github.com/groupserver/senddigest/internal/ping"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

const token = "exampleToken123"

func scrub(text string) string { return strings.ReplaceAll(text, token, "[token]") }

// ended is the end of a try to somebody.
func ended(outcome dispatcher.Outcome, err error) campaign.Send {
	return campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{
		Job: state.Group{Group: "up01"}, Attempts: 1, Verdict: dispatcher.Verdict{Outcome: outcome, Status: 500, Err: err},
	}}}
}

func TestTheLogNamesPeopleForDebuggingAlone(t *testing.T) {
	for _, tt := range []struct {
		level   string
		private bool
		logs    bool
		names   bool
	}{
		{"warn", false, false, false}, {"info", false, true, true}, {"info", true, true, false}, {"debug", true, true, true},
	} {
		var text strings.Builder
		log := observe.Logger{Log: observe.NewLog(&text, tt.level, false), Scrub: scrub, Private: tt.private}
		log.Observe(ended(dispatcher.NotOK, errors.New("500")))
		if got := text.Len() > 0; got != tt.logs {
			t.Errorf("%+v: got %q", tt, text.String())
		}
		if got := strings.Contains(text.String(), "up01"); got != tt.names {
			t.Errorf("%+v: got %q", tt, text.String())
		}
	}
}

func TestTheLogSaysWhatAnOperatorChanged(t *testing.T) {
	var text strings.Builder
	log := observe.Logger{Log: observe.NewLog(&text, "info", false), Scrub: scrub}
	log.Observe(campaign.Steered{Steer: report.Steer{What: "workers", From: "4", To: "1"}, Sends: 1})
	if got := text.String(); !strings.Contains(got, "steered what=workers from=4 to=1 limit=1") {
		t.Errorf("got %q", got)
	}
}

func TestAPanicIsAnErrorInTheLogWithoutTheToken(t *testing.T) {
	var text strings.Builder
	log := observe.Logger{Log: observe.NewLog(&text, "error", true), Scrub: scrub}
	log.Observe(ended(dispatcher.Ambiguous, &dispatcher.PanicError{Value: "boom", Stack: []byte("main.go:1 " + token)}))
	if got := text.String(); !strings.Contains(got, `"stack":"main.go:1 [token]"`) || strings.Contains(got, token) {
		t.Errorf("got %q", got)
	}
}

func TestWhatLibrariesSayIsForDebuggingShortAndWithoutTheToken(t *testing.T) {
	var text strings.Builder
	stray := &observe.StrayLog{Log: observe.NewLog(&text, "debug", false), Scrub: scrub}
	fmt.Fprintln(stray, "Unsolicited response", token, strings.Repeat("x", 1000))
	if got := text.String(); !strings.Contains(got, "level=DEBUG msg=library") || strings.Contains(got, token) || len(got) > 400 {
		t.Errorf("got %d bytes, %q", len(got), got)
	}
	text.Reset()
	fmt.Fprintln(&observe.StrayLog{Log: slog.New(slog.NewTextHandler(&text, nil)), Scrub: scrub}, "usual")
	if text.Len() > 0 {
		t.Errorf("with the usual level: got %q", text.String())
	}
}

func TestWarningsAreSaidAlsoWithoutVerbose(t *testing.T) {
	plan := &campaign.Plan{Groups: make([]state.Group, 3), Things: printable.NewNoun("person", "people"), Private: true}
	for verbose, want := range map[bool]string{
		false: "sendprofile: warning: no journal\n",
		true:  "Retrieving the list of people\nsendprofile: warning: no journal\nSending the notification to each of 3 people, 1 at a time\n",
	} {
		var text strings.Builder
		a := observe.Announcer{W: &text, Program: "sendprofile", Mail: "notification", Pace: "1 at a time", Verbose: verbose}
		a.Observe(campaign.Listing{Things: plan.Things})
		a.Observe(campaign.Warned{Text: "no journal"})
		a.Observe(campaign.Planned{Plan: plan})
		if text.String() != want {
			t.Errorf("verbose %t: got %q, want %q", verbose, text.String(), want)
		}
	}
}

// A monitor is told of a run that began, and of nothing else that happens; what it is told of people names nobody.
func TestTheMonitorHearsOfRunsThatBegan(t *testing.T) {
	var mu sync.Mutex
	heard := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		heard[r.URL.Path] = string(body)
	}))
	defer server.Close()
	u, err := url.Parse(server.URL + "/check")
	if err != nil {
		t.Fatal(err)
	}
	failed := ended(dispatcher.NotOK, errors.New("500")).Result
	failed.Reason = "500"
	document := report.New(
		&dispatcher.Report{Started: time.Now(), Finished: time.Now(), Results: []dispatcher.Result{failed}},
		report.Meta{Private: true, Names: func(j dispatcher.Job) (site, name string) { return "", j.Key() }},
	)
	m := &observe.Monitor{Options: &ping.Options{URL: u}}
	if err := m.End(t.Context(), campaign.Result{Document: document}, 75, ""); err != nil || len(heard) > 0 {
		t.Errorf("a run that did not begin: %v, %v", err, heard)
	}
	m.Observe(campaign.Listing{})
	m.Observe(campaign.Sending{})
	if err := m.End(t.Context(), campaign.Result{Document: document}, 1, "first\n"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	_, began := heard["/check/start"]
	if text := heard["/check/1"]; len(heard) != 2 || !began || !strings.HasPrefix(text, "first\n0 of 1 group accepted") || strings.Contains(text, "up01") {
		t.Errorf("heard %q", heard)
	}
}

func TestWithoutAServiceManagerNobodyIsToldAndNothingHangs(t *testing.T) {
	v, err := observe.Manage("", func() string { t.Error("asked how far it is"); return "" }, 0)
	if err != nil {
		t.Fatal(err)
	}
	v.Observe(campaign.Stopping{})
	v.End(errors.New("another run holds the lock"))
}
