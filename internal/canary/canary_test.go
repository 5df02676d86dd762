package canary_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/standin"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A site answers each request after the next of some times, the last of them again and again, and remembers what it was
// asked. A time below 0 is an answer that never comes.
type site struct {
	times   []time.Duration
	answer  func(*http.Request) *http.Response // nil: a page
	asked   []*http.Request
	at      []time.Time
	flying  int
	crowded bool // two requests at once
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked, s.at = append(s.asked, r), append(s.at, time.Now())
	s.flying++
	defer func() { s.flying-- }()
	s.crowded = s.crowded || s.flying > 1
	wait := time.Duration(0)
	if len(s.times) > 0 {
		wait = s.times[min(len(s.asked), len(s.times))-1]
	}
	var come <-chan time.Time
	if wait >= 0 {
		come = time.After(wait)
	}
	select {
	case <-come:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	resp := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("page"))}
	if s.answer != nil {
		resp = s.answer(r)
	}
	resp.Request = r
	return resp, nil
}

func ask(s *site) *canary.Canary {
	page := &url.URL{Scheme: "https", Host: "groups.example.com", Path: "/"}
	return canary.New(page, canary.Options{Transport: s, UserAgent: "senddigest/1.2"})
}

func status(code int, location string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		return &http.Response{StatusCode: code, Header: http.Header{"Location": {location}}, Body: http.NoBody}
	}
}

func TestTheBaselineIsTheMedianOfEightPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		s := &site{times: []time.Duration{900 * ms, 40 * ms, 41 * ms, 39 * ms, 43 * ms, 200 * ms, 42 * ms, 38 * ms}}
		got, err := ask(s).Baseline(t.Context())
		if err != nil || got != 41*ms || len(s.asked) != 8 {
			t.Errorf("got %v, %v from %d pages, want 41ms from 8", got, err, len(s.asked))
		}
	})
}

func TestPagesAreAskedForAtASteadyRateAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{times: []time.Duration{10 * time.Millisecond, 1400 * time.Millisecond, 10 * time.Millisecond}}
		var took []time.Duration
		stop := ask(s).Start(t.Context(), func(d time.Duration, ok bool) {
			if took = append(took, d); !ok {
				t.Error("an answer that does not count")
			}
		})
		time.Sleep(6500 * time.Millisecond)
		stop()
		if want := []time.Duration{10e6, 1400e6, 10e6, 10e6, 10e6, 10e6}; !slices.Equal(took, want) {
			t.Errorf("got %v, want %v", took, want)
		}
		if s.crowded {
			t.Error("two requests at once")
		}
		asked := len(s.asked)
		time.Sleep(time.Minute)
		if len(s.asked) != asked {
			t.Error("it goes on when it has been stopped")
		}
	})
}

// A page that takes 100 ms is asked for every 2 s: the canary is no burden.
func TestAHeavyPageIsAskedForMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{times: []time.Duration{100 * time.Millisecond}}
		c := ask(s)
		if _, err := c.Baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.asked = nil
		defer c.Start(t.Context(), func(time.Duration, bool) {})()
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		if len(s.asked) != 10 {
			t.Errorf("%d pages in 20s, want 10", len(s.asked))
		}
	})
}

// A page that takes 5 ms: the baseline delays the run by less than a second, and then four pages a second show a limit
// that is too high before many visitors notice.
func TestACheapPageIsAskedForFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{times: []time.Duration{5 * time.Millisecond}}
		c, begin := ask(s), time.Now()
		if _, err := c.Baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 750*time.Millisecond || len(s.asked) != 8 {
			t.Errorf("%d pages in %v, want 8 in 750ms at most", len(s.asked), took)
		}
		s.asked = nil
		defer c.Start(t.Context(), func(time.Duration, bool) {})()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if len(s.asked) != 40 {
			t.Errorf("%d pages in 10s, want 40", len(s.asked))
		}
	})
}

func TestAPageThatDoesNotComeIsGivenUpAndDoesNotCountAsAnswered(t *testing.T) {
	for name, s := range map[string]*site{
		"never": {times: []time.Duration{-1}},
		"500":   {times: []time.Duration{1500 * time.Millisecond}, answer: status(500, "")},
		"429":   {times: []time.Duration{1500 * time.Millisecond}, answer: status(429, "")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				defer ask(s).Start(t.Context(), func(took time.Duration, ok bool) {
					if told++; ok || took != 1500*time.Millisecond {
						t.Errorf("got %v, %t, want 1.5s, false", took, ok)
					}
				})()
				time.Sleep(2600 * time.Millisecond)
				synctest.Wait()
				if told != 1 {
					t.Errorf("told %d times, want once", told)
				}
			})
		})
	}
}

func TestACanaryEndsWithItsContextAndIsSilentThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{times: []time.Duration{-1}}
		ctx, cancel := context.WithCancel(t.Context())
		stop := ask(s).Start(ctx, func(time.Duration, bool) { t.Error("told of a page that was cut") })
		time.Sleep(1100 * time.Millisecond)
		cancel()
		synctest.Wait()
		if s.flying != 0 {
			t.Error("a request is still under way")
		}
		stop()

		cause := errors.New("over")
		done, end := context.WithCancelCause(t.Context())
		end(cause)
		if _, err := ask(s).Baseline(done); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
	})
}

func TestACanarySaysWhoItIsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{answer: func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Header: http.Header{"Set-Cookie": {"a=b"}}, Body: http.NoBody}
		}}
		if _, err := ask(s).Baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.asked {
			if r.Method != "GET" || r.URL.String() != "https://groups.example.com/" || r.Body != nil ||
				len(r.Header) != 2 || r.UserAgent() != "senddigest/1.2 (canary)" || r.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("it sends %s %v %v", r.Method, r.URL, r.Header)
			}
		}
	})
}

func TestACanaryStaysOnItsHost(t *testing.T) {
	for _, tt := range []struct {
		to   string
		asks int // 0: it does not go there
	}{
		{"https://groups.example.com/start", 2},
		{"https://groups.example.com:8443/", 2},
		{"/start", 2},
		{"https://elsewhere.example.com/", 0},
		{"http://groups.example.com/", 0},
	} {
		t.Run(tt.to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &site{}
				s.answer = func(r *http.Request) *http.Response {
					if r.URL.String() == "https://groups.example.com/" {
						return status(301, tt.to)(r)
					}
					return status(200, "")(r)
				}
				_, err := ask(s).Baseline(t.Context())
				if tt.asks > 0 && (err != nil || len(s.asked) != 8*tt.asks) {
					t.Errorf("got %v after %d requests", err, len(s.asked))
				}
				if e, ok := errors.AsType[*canary.PageError](err); tt.asks == 0 &&
					(!ok || e.Hint() == "" || !strings.Contains(e.Error(), tt.to) || len(s.asked) != 1) {
					t.Errorf("got %v after %d requests, want a PageError after one", err, len(s.asked))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &site{answer: status(302, "/again")}
		if _, err := ask(s).Baseline(t.Context()); err == nil || len(s.asked) != 6 {
			t.Errorf("got %v after %d requests of a circle, want an error after 6", err, len(s.asked))
		}
	})
}

// endless is a body that has no end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (e *endless) Close() error               { return nil }

func TestAPageIsReadToAMebibyteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &endless{}
		s := &site{answer: func(*http.Request) *http.Response { return &http.Response{StatusCode: 200, Body: body} }}
		if _, err := ask(s).Baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		if body.read != 8<<20 {
			t.Errorf("read %d bytes of 8 pages", body.read)
		}
	})
}

func TestAPageThatFailsIsNoBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []*site{{times: []time.Duration{-1}}, {answer: status(503, "")}} {
			_, err := ask(s).Baseline(t.Context())
			if _, ok := errors.AsType[*canary.PageError](err); !ok {
				t.Errorf("got %v, want a PageError", err)
			}
		}
	})
}

func TestACanaryOfTheStandInTakesWhatItsFrontPageTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := standin.New(standin.Options{FrontCost: 70 * time.Millisecond})
		pipe := standin.Pipe()
		server := s.Serve(pipe)
		transport := &http.Transport{DialContext: pipe.DialContext, DisableKeepAlives: true}
		c := canary.New(&url.URL{Scheme: "http", Host: "groups.example.com", Path: "/"}, canary.Options{Transport: transport})
		got, err := c.Baseline(t.Context())
		server.Close()
		s.Close()
		if err != nil || got != 70*time.Millisecond {
			t.Errorf("got %v, %v, want 70ms", got, err)
		}
	})
}

func TestTheUsersHeadersGoWithThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{}
		page := &url.URL{Scheme: "https", Host: "groups.example.com", Path: "/"}
		c := canary.New(page, canary.Options{Transport: s, Header: http.Header{"X-Way": {"parks"}}})
		if _, err := c.Baseline(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.asked {
			if got := r.Header["X-Way"]; !slices.Equal(got, []string{"parks"}) || r.Header.Get("User-Agent") != "senddigest (canary)" {
				t.Errorf("asked with %v", r.Header)
			}
		}
	})
}
