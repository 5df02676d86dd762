package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/web"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// ask sends a request with a Host header to a server, and returns the answer without its body.
func ask(t *testing.T, s *web.Server, method, host string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

func TestOnlyLoopbackIsListenedOnUnlessAskedFor(t *testing.T) {
	for _, tt := range []struct {
		address           string
		anywhere, refused bool
		reachable         bool // it is refused since others could reach it
	}{
		{"127.0.0.1:0", false, false, false},
		{"127.8.9.10:0", false, false, false},
		{"localhost:0", false, false, false},
		{"0.0.0.0:0", false, true, true},
		{":0", false, true, true},
		{"192.0.2.1:0", false, true, true},
		{"[2001:db8::1]:0", false, true, true},
		{"[::]:0", false, true, true},
		{"0.0.0.0:0", true, false, false},
		{"127.0.0.1", true, true, false},
		{"8377", true, true, false},
		{"127.0.0.1:99999", true, true, false},
		{"127.0.0.1:-1", true, true, false},
	} {
		s, err := web.Start(t.Context(), tt.address, tt.anywhere, http.HandlerFunc(hello))
		if err == nil {
			s.Close(time.Second)
		}
		e, refused := errors.AsType[*web.AddressError](err)
		if refused != tt.refused || refused && e.Reachable != tt.reachable || !refused && err != nil {
			t.Errorf("%s, anywhere %t: got %v, want refused %t, reachable %t", tt.address, tt.anywhere, err, tt.refused, tt.reachable)
		}
	}
}

func TestAPortThatIsTakenIsNoRefusal(t *testing.T) {
	first, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(time.Second)
	at := strings.TrimSuffix(strings.TrimPrefix(first.URL(), "http://"), "/")
	_, err = web.Start(t.Context(), at, false, http.HandlerFunc(hello))
	if _, refused := errors.AsType[*web.AddressError](err); err == nil || refused {
		t.Errorf("got %v, want an error of the machine", err)
	}
}

// A stranger's name that leads to this machine is answered with nothing of the page.
func TestRequestsForAnotherHostAreTurnedAway(t *testing.T) {
	near, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close(time.Second)
	far, err := web.Start(t.Context(), "0.0.0.0:0", true, http.HandlerFunc(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close(time.Second)
	for _, tt := range []struct {
		host      string
		near, far int
	}{
		{"127.0.0.1:1234", 200, 200},
		{"localhost", 200, 200},
		{"LOCALHOST.:8377", 200, 200},
		{"[::1]:8377", 200, 200},
		{"127.0.0.2", 200, 200},
		{"192.0.2.1:8377", 421, 200},
		{"evil.example", 421, 421},
		{"localhost.evil.example", 421, 421},
		{"127.0.0.1.evil.example:80", 421, 421},
		{"2130706433", 421, 421}, // which some take for 127.0.0.1
	} {
		if got := ask(t, near, http.MethodGet, tt.host).StatusCode; got != tt.near {
			t.Errorf("%s: got %d, want %d", tt.host, got, tt.near)
		}
		if got := ask(t, far, http.MethodGet, tt.host).StatusCode; got != tt.far {
			t.Errorf("%s, anywhere: got %d, want %d", tt.host, got, tt.far)
		}
	}
}

func TestEveryAnswerKeepsOtherOriginsOut(t *testing.T) {
	s, err := web.Start(t.Context(), "127.0.0.1:0", false, web.ReadOnly(http.HandlerFunc(hello)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	for _, tt := range []struct {
		method, host string
		want         int
	}{
		{http.MethodGet, "localhost", 200},
		{http.MethodHead, "localhost", 200},
		{http.MethodGet, "evil.example", 421},
		{http.MethodPost, "localhost", 405},
		{http.MethodPut, "localhost", 405},
		{http.MethodDelete, "localhost", 405},
		{http.MethodOptions, "localhost", 405},
	} {
		answer := ask(t, s, tt.method, tt.host)
		if answer.StatusCode != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.host, answer.StatusCode, tt.want)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cache-Control":                "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s %s: %s: got %q, want %q", tt.method, tt.host, name, got, want)
			}
		}
		if got := answer.Header.Get("Allow"); tt.want == 405 && got != "GET, HEAD" {
			t.Errorf("%s: allowed are %q", tt.method, got)
		}
	}
}

// Browsers say for whose page they ask. A link from elsewhere, as in a chat, is followed.
func TestPagesOfOtherSitesGetNoAnswer(t *testing.T) {
	s, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	for _, tt := range []struct {
		site, mode string
		want       int
	}{
		{"", "", 200},
		{"none", "navigate", 200},
		{"same-origin", "cors", 200},
		{"cross-site", "navigate", 200},
		{"cross-site", "no-cors", 403},
		{"cross-site", "cors", 403},
		{"cross-site", "", 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", tt.site)
		r.Header.Set("Sec-Fetch-Mode", tt.mode)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%q, %q: got %d, want %d", tt.site, tt.mode, answer.StatusCode, tt.want)
		}
	}
}

func TestOnlyAFewAnswersAreMadeAtOnceAndOnlySomeWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now, most, turnedAway := 0, 0, 0
		var mu sync.Mutex
		h := web.Few(3, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
		}))
		var requests sync.WaitGroup
		begun := time.Now()
		for range 3 + 12 + 7 {
			requests.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
				mu.Lock()
				defer mu.Unlock()
				if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "" && time.Since(begun) == 0 {
					turnedAway++
				}
			})
		}
		requests.Wait()
		if got := time.Since(begun); most != 3 || turnedAway != 7 || got != 5*time.Second {
			t.Errorf("%d at once, %d turned away, in %v; want 3, 7, in 5s", most, turnedAway, got)
		}
	})
}

// Close cuts an answer that does not end, and returns when its handler has.
func TestCloseLeavesNothingBehind(t *testing.T) {
	left := make(chan struct{})
	s, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		fmt.Fprint(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	s.Close(0)
	select {
	case <-left:
	default:
		t.Error("the handler goes on")
	}
}
