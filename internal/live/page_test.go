package live_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/live"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A night is a run of a few groups whose events a test makes up.
type night struct {
	*live.Page
	meta    report.Meta
	groups  []state.Group
	results []dispatcher.Result
	flying  int
}

func newNight(groups int, o live.Options, private bool) *night {
	n := &night{meta: report.Meta{
		Campaign: "digest", Run: "20261123T020000Z-7f3a", URL: "https://groups.example.com/", Started: time.Now(), Workers: 4, Burst: 1,
		Private: private, Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(state.Group)
			return g.Site, g.Group
		},
	}}
	if private {
		n.meta.Campaign, n.meta.Things = "profile", printable.NewNoun("person", "people")
	}
	n.Page = live.New(n.meta, o)
	for i := range groups {
		n.groups = append(n.groups, state.Group{Site: "main", Group: fmt.Sprintf("group-%d", i)})
	}
	return n
}

func (n *night) begin() {
	n.Observe(campaign.Began{Meta: n.meta})
	n.Observe(campaign.Listing{})
	n.Observe(campaign.Planned{Plan: &campaign.Plan{Groups: n.groups, Private: n.meta.Private}})
}

// starts has a send of a group start, ends has it end.
func (n *night) starts(group int) {
	n.flying++
	n.Observe(campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Started, InFlight: n.flying, Result: dispatcher.Result{
		Job: n.groups[group], Attempts: 1, Worker: 1, Start: time.Now(),
	}}})
}

func (n *night) ends(group int, took time.Duration, v dispatcher.Verdict, kind dispatcher.Kind) {
	n.flying--
	r := dispatcher.Result{Job: n.groups[group], Verdict: v, Attempts: 1, Worker: 1, Start: time.Now().Add(-took), Took: took}
	n.Observe(campaign.Send{Event: dispatcher.Event{Kind: kind, InFlight: n.flying, Result: r}})
	if kind == dispatcher.Finished {
		n.results = append(n.results, r)
	}
}

func (n *night) end() {
	d := report.New(&dispatcher.Report{Started: n.meta.Started, Finished: time.Now(), Results: n.results, Peak: 2}, n.meta)
	n.Observe(campaign.Ended{Result: campaign.Result{Document: d}, At: time.Now()})
}

var (
	accepted = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	database = dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: 500, Reason: "500: database error", Err: errors.New("POST for group-1: database error")}
)

// get is what a path shows.
func (n *night) get(t *testing.T, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Errorf("%s: %d", path, w.Code)
	}
	return w.Body.String()
}

func (n *night) report(t *testing.T) (d struct {
	State    string
	Complete bool
	Counts   report.Counts
	Causes   []report.Cause
	Groups   []report.Group
},
) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.get(t, "/report.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheMetricsSayThatAnOperatorPausesTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(1, live.Options{}, false)
		n.begin()
		for what, limit := range map[string]int{"pause": 0, "resume": 4} {
			time.Sleep(time.Minute) // a page is made anew when the last one is old
			n.Observe(campaign.Steered{Steer: report.Steer{At: time.Now(), What: what}, Sends: limit})
			if metrics := n.get(t, "/metrics"); !strings.Contains(metrics, fmt.Sprintf("in_flight_limit{site=\"https://groups.example.com/\"} %d\n", limit)) {
				t.Errorf("%s: the limit is not %d:\n%s", what, limit, metrics)
			}
		}
	})
}

func TestThePageTellsHowFarTheRunIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(5, live.Options{
			Left: func() time.Duration { return 41 * time.Minute }, Status: func() string { return "waiting for the rate" },
			Traffic: func() (sent, received int64) { return 11, 22 },
		}, false)
		if got := n.get(t, "/"); !strings.Contains(got, "the run has no list yet") {
			t.Error("before the run begins the page does not say so")
		}
		n.begin()
		for group := range 4 {
			n.starts(group)
		}
		time.Sleep(2 * time.Second)
		n.ends(0, 2*time.Second, accepted, dispatcher.Finished)
		n.ends(1, 2*time.Second, database, dispatcher.Finished)
		n.ends(2, 2*time.Second, database, dispatcher.Retrying)

		d := n.report(t)
		c := d.Counts
		if d.State != "running" || d.Complete || c.Groups != 5 || c.Accepted != 1 || c.NotOK != 1 || c.Ambiguous != 1 || c.NotAttempted != 2 {
			t.Errorf("got %+v", d)
		}
		var causes []string
		for _, cause := range d.Causes {
			causes = append(causes, cause.Outcome+": "+cause.Reason)
		}
		if want := []string{"not_ok: 500: database error", "not_attempted: waits for another try: 500: database error"}; !slices.Equal(causes, want) {
			t.Errorf("causes: got %q, want %q", causes, want)
		}
		page := n.get(t, "/")
		for _, want := range []string{
			"1 of 5 groups accepted at https://groups.example.com/ in 2s so far, 1 failed, 1 in flight, 2 to go",
			"Running since 2000-01-01 00:00:00 UTC; ends about 00:41 UTC", "waiting for the rate", "main/group-3", `http-equiv="refresh"`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		metrics := n.get(t, "/metrics")
		for _, want := range []string{`senddigest_in_flight{site="https://groups.example.com/"} 1`, `in_flight_limit{site="https://groups.example.com/"} 4`, `outcome="ambiguous"} 0`, `sent_bytes{site="https://groups.example.com/"} 11`} {
			if !strings.Contains(metrics, want) {
				t.Errorf("the metrics do not have %q", want)
			}
		}
		if strings.Contains(metrics, "exit_code") || strings.Contains(metrics, "timestamp") {
			t.Error("the metrics have an end of a run that goes on")
		}
		if got := n.get(t, "/healthz"); got != "ok\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestARunThatHasEndedIsShownAtOnceAsItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(2, live.Options{ExitCode: func(campaign.Result) int { return 1 }}, false)
		n.begin()
		n.starts(0)
		n.get(t, "/")
		n.ends(0, time.Second, accepted, dispatcher.Finished)
		n.starts(1)
		n.ends(1, time.Second, database, dispatcher.Finished)
		n.end()
		if d := n.report(t); d.State != "" || !d.Complete || d.Counts.Accepted != 1 || d.Counts.NotOK != 1 {
			t.Errorf("got %+v", d)
		}
		if page := n.get(t, "/"); !strings.Contains(page, `id="data"`) || strings.Contains(page, "EventSource") || strings.Contains(page, "refresh") {
			t.Error("the page is not the report")
		}
		if metrics := n.get(t, "/metrics"); !strings.Contains(metrics, `senddigest_exit_code{site="https://groups.example.com/"} 1`) {
			t.Errorf("got %s", metrics)
		}
	})
}

// Making a report costs more than a send; so many browsers at once must not cost more than one.
func TestAReportIsMadeAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(3, live.Options{}, false)
		n.begin()
		accept := func(group int) { n.starts(group); n.ends(group, 0, accepted, dispatcher.Finished) }
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {900 * time.Millisecond, 1}, {100 * time.Millisecond, 3}} {
			time.Sleep(tt.after)
			if len(n.results) < 3 {
				accept(len(n.results))
			}
			if got := n.report(t).Counts.Accepted; got != tt.want {
				t.Errorf("%v later: got %d, want %d", tt.after, got, tt.want)
			}
			if tt.after == 900*time.Millisecond {
				accept(len(n.results))
			}
		}
	})
}

// A slowWriter is a browser that reads what it likes.
type slowWriter struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ResponseRecorder.Write(p)
}

func (w *slowWriter) events() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
}

// An event has these parts, by selector.
func parts(t *testing.T, event string) (kind string, selectors []string, data string) {
	t.Helper()
	kind, text, _ := strings.Cut(strings.TrimPrefix(event, "event: "), "\ndata: ")
	var u struct {
		Parts []report.Part
		Data  string
	}
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		t.Fatalf("%v in %q", err, event)
	}
	for _, part := range u.Parts {
		selectors = append(selectors, part.Selector)
	}
	return kind, selectors, u.Data
}

func TestABrowserIsToldWhatChangesAndThenTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(2, live.Options{}, false)
		n.begin()
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder()}
		var looks sync.WaitGroup
		looks.Go(func() {
			n.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
		})
		synctest.Wait()
		if _, got, _ := parts(t, w.events()[0]); len(got) != 7 {
			t.Errorf("a new browser is told of %q, want all seven parts", got)
		}
		time.Sleep(1500 * time.Millisecond)
		n.starts(0)
		time.Sleep(time.Second)
		events := w.events()
		if _, got, _ := parts(t, events[len(events)-1]); !slices.Contains(got, "section[aria-labelledby=now]") || slices.Contains(got, "section[aria-labelledby=causes]") {
			t.Errorf("after a start the browser is told of %q", got)
		}
		n.ends(0, time.Second, accepted, dispatcher.Finished)
		n.end()
		looks.Wait()
		events = w.events()
		kind, got, data := parts(t, events[len(events)-1])
		if want := []string{"body > header", "main"}; kind != "ended" || !slices.Equal(got, want) || !strings.Contains(data, "group-0") {
			t.Errorf("at the end the browser is told %q of %q, and %q", kind, got, data)
		}
	})
}

func TestAPageThatIsClosedEndsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(1, live.Options{}, false)
		var looks sync.WaitGroup
		codes := make([]int, 33)
		for i := range codes {
			looks.Go(func() {
				w := httptest.NewRecorder()
				n.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
				codes[i] = w.Code
			})
		}
		synctest.Wait()
		for _, path := range []string{"/", "/report.json", "/healthz"} { // which nobody's stream holds up
			n.get(t, path)
		}
		n.Close()
		looks.Wait()
		slices.Sort(codes)
		if codes[31] != http.StatusOK || codes[32] != http.StatusServiceUnavailable {
			t.Errorf("got %v, want 32 streams, and one more refused", codes)
		}
	})
}

// A run notes its events while a reader is at work.
func TestAReaderHoldsUpNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading, goOn := make(chan struct{}), make(chan struct{})
		n := newNight(1, live.Options{Status: func() string { close(reading); <-goOn; return "" }}, false)
		n.begin()
		var looks sync.WaitGroup
		looks.Go(func() { n.get(t, "/") })
		<-reading
		n.starts(0)
		n.ends(0, 0, accepted, dispatcher.Finished)
		close(goOn)
		looks.Wait()
	})
}

// A pipes is a listener whose connections hold nothing that is not read.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestABrowserThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(1, live.Options{}, false)
		n.begin()
		dropped := make(chan struct{})
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Handler().ServeHTTP(w, r)
			close(dropped)
		})}
		listener := make(pipes, 1)
		var serves sync.WaitGroup
		serves.Go(func() { _ = server.Serve(listener) })
		ours, theirs := net.Pipe()
		listener <- theirs
		_, _ = io.WriteString(ours, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		asked := time.Now()
		<-dropped
		if got := time.Since(asked); got != 5*time.Second {
			t.Errorf("it is dropped after %v, want 5s", got)
		}
		close(listener)
		serves.Wait()
		_ = server.Close()
	})
}

// Every user of the machine can read the page, and names of people are for the owner of the run alone.
func TestNamesThatArePersonalDataAreNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(3, live.Options{}, true)
		var seen bytes.Buffer
		look := func() {
			for _, path := range []string{"/", "/report.json", "/metrics"} {
				seen.WriteString(n.get(t, path))
			}
		}
		n.begin()
		n.starts(0)
		n.starts(1)
		n.ends(1, 0, database, dispatcher.Finished)
		look()
		w := &slowWriter{ResponseRecorder: httptest.NewRecorder()}
		var looks sync.WaitGroup
		looks.Go(func() {
			n.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
		})
		synctest.Wait()
		n.ends(0, 0, accepted, dispatcher.Finished)
		n.end()
		looks.Wait()
		look()
		seen.WriteString(w.Body.String())
		if text := seen.String(); strings.Contains(text, "group-") || !strings.Contains(text, "person 2") {
			t.Errorf("a name is shown, or no number is: %s", text)
		}
	})
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	n := newNight(1, live.Options{}, false)
	for _, path := range []string{"/", "/report.json", "/metrics", "/healthz", "/events", "/other"} {
		w := httptest.NewRecorder()
		n.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: got %d", path, w.Code)
		}
	}
}

// Without a reader an event costs the run next to nothing, and with one no more than a copy of what is in flight.
func BenchmarkObserve(b *testing.B) {
	n := newNight(1, live.Options{}, false)
	n.begin()
	started := campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Started, InFlight: 1, Result: dispatcher.Result{Job: n.groups[0], Attempts: 1}}}
	finished := campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{Job: n.groups[0], Attempts: 1, Verdict: accepted}}}
	b.ReportAllocs()
	for b.Loop() {
		n.Observe(started)
		n.Observe(finished)
	}
}
