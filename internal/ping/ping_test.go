package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "3f5c-secret"

// A monitor answers what a test wants, and keeps what it heard.
type monitor struct {
	status func(path string, n int) int // n counts the requests, from 0
	mu     sync.Mutex
	heard  []string // method, path with query, body
	header []http.Header
}

func (m *monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	n := len(m.heard)
	m.heard = append(m.heard, fmt.Sprintf("%s %s %q", r.Method, r.URL.RequestURI(), body))
	m.header = append(m.header, r.Header)
	m.mu.Unlock()
	if m.status == nil {
		_, _ = io.WriteString(w, "OK")
		return
	}
	if status := m.status(r.URL.Path, n); status == http.StatusTemporaryRedirect || status == http.StatusMovedPermanently {
		http.Redirect(w, r, "/elsewhere", status)
	} else {
		w.WriteHeader(status)
	}
}

// always answers every request with one status.
func always(status int) *monitor {
	return &monitor{status: func(string, int) int { return status }}
}

// serve starts a monitor and gives the URL of a check below it.
func serve(t *testing.T, m *monitor, check string) *url.URL {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return parse(t, server.URL+check)
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// whole makes both pings, the second once the first is over.
func whole(o Options, code int, report string) error {
	p := Start(o)
	<-p.started
	return p.End(context.Background(), code, report)
}

func TestAMonitorHearsTheStartAndTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, check string
		code        int
		want        []string
	}{
		{"success", "/p/uuid", 0, []string{`POST /p/uuid/start ""`, `POST /p/uuid "the report\n"`}},
		{"failure", "/p/uuid", 1, []string{`POST /p/uuid/start ""`, `POST /p/uuid/1 "the report\n"`}},
		{"signal", "/p/uuid", 130, []string{`POST /p/uuid/start ""`, `POST /p/uuid/130 "the report\n"`}},
		{"a slash at the end", "/p/uuid/", 1, []string{`POST /p/uuid/start ""`, `POST /p/uuid/1 "the report\n"`}},
		{"no path", "", 1, []string{`POST /start ""`, `POST /1 "the report\n"`}},
		{"a query", "/p?create=1&a=%20", 69, []string{`POST /p/start?create=1&a=%20 ""`, `POST /p/69?create=1&a=%20 "the report\n"`}},
		{"an escaped path", "/a%2Fb", 1, []string{`POST /a%2Fb/start ""`, `POST /a%2Fb/1 "the report\n"`}},
	} {
		m := &monitor{}
		if err := whole(Options{URL: serve(t, m, tt.check)}, tt.code, "the report\n"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(m.heard, tt.want); diff != "" {
			t.Errorf("%s: got -, want +:\n%s", tt.name, diff)
		}
	}
}

func TestNobodyIsToldWithoutAURL(t *testing.T) {
	var p *Pinger
	if err := p.End(t.Context(), 1, "report"); err != nil {
		t.Error(err)
	}
}

func TestPingsCarryTheProgramsNameAndNoCookie(t *testing.T) {
	m := &monitor{}
	if err := whole(Options{URL: serve(t, m, "/p"), UserAgent: "senddigest/1"}, 0, ""); err != nil {
		t.Fatal(err)
	}
	for _, h := range m.header {
		if h.Get("User-Agent") != "senddigest/1" || h.Get("Cookie") != "" || h.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("got %v", h)
		}
	}
}

func TestALongReportIsCutBetweenCharacters(t *testing.T) {
	for _, tt := range []struct {
		report string
		want   int
	}{
		{strings.Repeat("a", maxBody), maxBody},
		{strings.Repeat("a", maxBody+1), maxBody},
		{strings.Repeat("ü", maxBody), maxBody},
		{"a" + strings.Repeat("ü", maxBody), maxBody - 1},
		{strings.Repeat("\x80", maxBody+1), 0},
	} {
		got := beginning(tt.report)
		if len(got) != tt.want || !strings.HasPrefix(tt.report, got) || utf8.ValidString(tt.report) && !utf8.ValidString(got) {
			t.Errorf("%.5q: got %d bytes, want %d", tt.report, len(got), tt.want)
		}
	}
}

func TestWhatMayPassIsTriedAgainAndWhatWillNotIsNot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, pings int
		want          string // of the error
	}{
		{200, 1, ""},
		{204, 1, ""},
		{500, tries, "500 Internal Server Error"},
		{503, tries, "503 Service Unavailable"},
		{429, tries, "429 Too Many Requests"},
		{408, tries, "408 Request Timeout"},
		{404, 1, "404 Not Found"},
		{409, 1, "409 Conflict"},
		{299, 1, ""},
		{599, tries, "599"},
		{301, 1, "301 Moved Permanently, which is not followed: give the URL that it leads to"},
		{307, 1, "307 Temporary Redirect, which is not followed: give the URL that it leads to"},
	} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			t.Parallel()
			m := always(tt.status)
			u := serve(t, m, "/"+secret)
			p := &Pinger{url: u, client: client(new(http.Transport)), stopStart: func() {}, started: make(chan struct{})}
			close(p.started) // there was none
			err := p.End(t.Context(), 1, "report")
			if want := "ping of the monitor at " + u.Host + ": " + tt.want; (err != nil || tt.want != "") && (err == nil || err.Error() != want) {
				t.Errorf("got %v, want %s", err, want)
			}
			if len(m.heard) != tt.pings {
				t.Errorf("the monitor heard %q, want %d pings", m.heard, tt.pings)
			}
		})
	}
}

func TestAMonitorThatIsBackAtTheThirdTryHearsTheEnd(t *testing.T) {
	t.Parallel()
	m := &monitor{status: func(path string, n int) int {
		switch {
		case strings.HasSuffix(path, "/start"):
			return http.StatusNotFound // and that is not told
		case n < tries:
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	if err := whole(Options{URL: serve(t, m, "/p")}, 0, "fine"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(m.heard, []string{`POST /p/start ""`, `POST /p "fine"`, `POST /p "fine"`, `POST /p "fine"`}); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

func TestErrorsNameTheHostAndNothingElseOfTheURL(t *testing.T) {
	t.Parallel()
	refused := httptest.NewServer(always(200))
	refused.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	for name, base := range map[string]string{
		"refused": refused.URL, "cut": broken.URL, "no such host": "http://no-such-host.invalid",
		"no TLS": "https" + strings.TrimPrefix(broken.URL, "http"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := parse(t, base+"/"+secret+"?key="+secret)
			u.User = url.UserPassword("me", secret)
			err := whole(Options{URL: u}, 1, "report")
			if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) || !strings.HasPrefix(err.Error(), "ping of the monitor at "+u.Host+": ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// transport is a monitor without a network, under fake time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ok() *http.Response {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("OK"))}
}

// silent never answers, and keeps what it was asked.
func silent(asked *[]string) transport {
	return func(r *http.Request) (*http.Response, error) {
		*asked = append(*asked, r.URL.Path)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
}

var check = &url.URL{Scheme: "https", Host: "hc-ping.com", Path: "/p"}

func TestAMonitorThatDoesNotAnswerCostsTenSecondsAtTheEndAndNothingBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		began := time.Now()
		p := start(Options{URL: check}, silent(&asked))
		if took := time.Since(began); took != 0 {
			t.Errorf("the start took %v", took)
		}
		err := p.End(t.Context(), 1, "report")
		if !errors.Is(err, errTimeout) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > longest {
			t.Errorf("the end took %v", took)
		}
		if diff := cmp.Diff(asked, []string{"/p/start", "/p/1", "/p/1", "/p/1"}); diff != "" {
			t.Errorf("got -, want +:\n%s", diff)
		}
	})
}

func TestTheStartOfALongRunIsGivenUpByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		began := time.Now()
		p := start(Options{URL: check}, silent(&asked))
		<-p.started
		if took := time.Since(began); took > longest || len(asked) != tries {
			t.Errorf("%d tries in %v", len(asked), took)
		}
		began = time.Now()
		p.client.Transport = transport(func(*http.Request) (*http.Response, error) { return ok(), nil })
		if err := p.End(t.Context(), 0, ""); err != nil || time.Since(began) != 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestTheMonitorNeverHearsTheStartAfterTheEnd(t *testing.T) {
	for _, latency := range []time.Duration{0, time.Second, startPatience - 1, startPatience + 1, oneTry - 1, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var heard []string
			p := start(Options{URL: check}, transport(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/start") {
					select {
					case <-time.After(latency):
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				}
				heard = append(heard, r.URL.Path)
				return ok(), nil
			}))
			if err := p.End(t.Context(), 0, ""); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			want := []string{"/p/start", "/p"}
			if latency > startPatience {
				want = want[1:]
			}
			if diff := cmp.Diff(heard, want); diff != "" {
				t.Errorf("%v: got -, want +:\n%s", latency, diff)
			}
		})
	}
}

func TestTheEndIsCutWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		ctx, cut := context.WithCancelCause(t.Context())
		impatient := errors.New("stopped by SIGINT")
		began := time.Now()
		p := start(Options{URL: check}, silent(&asked))
		time.AfterFunc(time.Second, func() { cut(impatient) })
		if err := p.End(ctx, 0, ""); !errors.Is(err, impatient) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
