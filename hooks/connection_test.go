package hooks_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/groupserver/senddigest/hooks"
)

// The server would keep each connection, and says nothing of closing.
func TestEachRequestHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	schemes(t, func(t *testing.T, secure bool) {
		asked := make(chan string, 10) // the Connection field of each request
		s := startRaw(t, secure, func(c *rawConn, _ int) {
			for {
				req, ok := c.head()
				if !ok {
					return
				}
				asked <- req.Header.Get("Connection")
				switch _, _ = io.Copy(io.Discard, req.Body); req.URL.Path {
				case "/moved/gs-group-messages-topic-digest-send.html":
					c.answer()
				case "/gs-group-messages-topic-digest-send.html":
					write("HTTP/1.1 302 Found\r\nLocation: /moved/gs-group-messages-topic-digest-send.html\r\nContent-Length: 4\r\n\r\npage")(c)
				default:
					write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")(c)
				}
			}
		})
		c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
		if _, err := c.DigestGroups(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := c.SendDigest(t.Context(), group); err != nil {
				t.Fatal(err)
			}
		}
		conns, _ := s.seen()
		if got := len(asked); got != 5 || conns != got { // the list, a send that was redirected, and two that went there at once
			t.Errorf("%d requests over %d connections, want 5 over 5", got, conns)
		}
		for range len(asked) {
			if field := <-asked; field != "close" {
				t.Errorf("a request says Connection: %s, want close", field)
			}
		}
	})
}

// Such as a proxy that refuses a connection without waiting for the request.
func TestAServerThatSpeaksBeforeItIsAskedWasSentNothing(t *testing.T) {
	t.Parallel()
	schemes(t, func(t *testing.T, secure bool) {
		closed := make(chan struct{})
		s := startRaw(t, secure, func(c *rawConn, _ int) {
			write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")(c)
			c.untilGone()
			close(closed)
		})
		c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
		_, err := c.SendDigest(at(t.Context(), "got connection", func(net.Conn) { <-closed }), group)
		if e := transportError(t, err); e.Wrote || e.Reason() != "the server spoke before it was asked" {
			t.Errorf("wrote %v, %q", e.Wrote, e.Reason())
		}
	})
}

// Also when the transport is one that keeps connections.
func TestASendKeepsNoConnectionOfAnotherTransport(t *testing.T) {
	t.Parallel()
	rec := record(t, false, confirm)
	c := hooks.New(parseURL(t, rec.URL), hooks.NewToken(fixtureToken), hooks.Options{Transport: &http.Transport{}})
	for range 3 {
		if _, err := c.SendDigest(t.Context(), group); err != nil {
			t.Fatal(err)
		}
	}
	if conns, requests := rec.seen(); conns != 3 || len(requests) != 3 {
		t.Errorf("%d requests over %d connections, want 3 over 3", len(requests), conns)
	}
}

func TestTLSSessionsAreResumed(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"direct", "through a proxy"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var resumed []bool
			rec := record(t, true, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				resumed = append(resumed, r.TLS.DidResume)
				mu.Unlock()
				confirm(w, r)
			})
			transport := hooks.NewTransport(hooks.TransportOptions{Insecure: true})
			transport.Proxy = nil
			if way != "direct" {
				transport.Proxy = http.ProxyURL(tunnel(t))
			}
			c := hooks.New(parseURL(t, rec.URL), hooks.NewToken(fixtureToken), hooks.Options{Transport: transport})
			for range 4 {
				if _, err := c.SendDigest(t.Context(), group); err != nil {
					t.Fatal(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(resumed) != 4 || resumed[0] || !resumed[1] || !resumed[2] || !resumed[3] {
				t.Errorf("handshakes resumed: %v, want all but the first", resumed)
			}
		})
	}
}

// tunnel is a proxy that connects to where it is told.
func tunnel(t *testing.T) *url.URL {
	t.Helper()
	s := startRaw(t, false, func(c *rawConn, _ int) {
		req, ok := c.head()
		if !ok || req.Method != http.MethodConnect {
			return
		}
		site, err := net.Dial("tcp", req.Host)
		if err != nil {
			return
		}
		write("HTTP/1.1 200 Connection established\r\n\r\n")(c)
		var back sync.WaitGroup
		back.Go(func() {
			_, _ = io.Copy(c, site)
			_ = c.Close()
		})
		_, _ = io.Copy(site, c.r)
		_ = site.Close()
		back.Wait()
	})
	return parseURL(t, s.url)
}
