package hooks_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

// A time-out long enough for a request to leave a busy machine, and short enough to wait for.
const patience = 3 * time.Second

// schemes runs a test over plain TCP and over TLS.
func schemes(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Helper()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			test(t, scheme == "https")
		})
	}
}

// The rows of the catalogue in docs/groupserver.md section 3 in which the request was written: the server may have
// mailed, so the client must say Wrote.
func TestWithoutAWholeAnswerAfterTheRequestWasWritten(t *testing.T) {
	t.Parallel()
	const cutShort = "the answer was cut short"
	for _, row := range []struct {
		row    string
		kind   standin.Kind
		reason string
	}{
		{"time-out", standin.Hang, "no whole answer within 3s"},
		{"time-out in the body", standin.SlowBody, "no whole answer within 3s"},
		{"reset", standin.Reset, "connection reset by peer"},
		{"answer cut short", standin.CutBody, cutShort},
	} {
		t.Run(row.row, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				f := fault(row.kind)
				f.Delay = time.Hour
				site, server := standIn(t, secure, f)
				var to hooks.TransportOptions
				if secure {
					to.Roots = trusting(t, server)
				}
				_, err := connect(t, server.URL, hooks.Options{Timeout: patience}, to).SendDigest(t.Context(), group)
				e := transportError(t, err)
				if !e.Wrote || e.Reason() != row.reason {
					t.Errorf("wrote %v, %q, want true, %q", e.Wrote, e.Reason(), row.reason)
				}
				if want := "send digest: " + row.reason + " after the request was sent"; err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				server.Close() // after the work that goes on without us
				if got := site.Mails()[standin.Group(group)]; got != 1 {
					t.Errorf("%d mails, want 1: the fault is not the one meant", got)
				}
			})
		})
	}
	for _, row := range []struct {
		row    string
		after  func(c *rawConn)
		reason string
	}{
		{"close without an answer", func(*rawConn) {}, "the server closed the connection without an answer"},
		{"close inside the head", write("HTTP/1.1 200 OK\r\n"), cutShort},
		{"close inside a line of the head", write("HTTP/1.1 200 OK\r\nContent-"), `the answer is not HTTP: malformed MIME header: missing colon: "Content-"`},
		{"close before the body", write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), cutShort},
		{"body shorter than Content-Length", write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + confirmation), cutShort},
		{"chunks without the last", write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3f\r\n" + confirmation[:63] + "\r\n"), cutShort},
		{"reset inside the body", func(c *rawConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+confirmation)
			c.reset()
		}, ""}, // whatever the kernel makes of it
		{"an answer that is not HTTP", write(fixtureToken + " " + fixtureToken + "\r\n\r\n"), `the answer is not HTTP: malformed HTTP status code "[token]"`},
	} {
		t.Run(row.row, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := startRaw(t, secure, func(c *rawConn, _ int) {
					if c.request() {
						row.after(c)
					}
				})
				c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
				_, err := c.SendDigest(t.Context(), group)
				e := transportError(t, err)
				if !e.Wrote || row.reason != "" && e.Reason() != row.reason {
					t.Errorf("wrote %v, %q, want true, %q", e.Wrote, e.Reason(), row.reason)
				}
				for cause := error(e); cause != nil; cause = errors.Unwrap(cause) {
					if strings.Contains(cause.Error(), fixtureToken) {
						t.Errorf("the token stands in %q", cause)
					}
				}
				s.end()
				if conns, whole := s.seen(); conns != 1 || whole != 1 {
					t.Errorf("%d requests over %d connections, want 1 over 1: net/http repeated it", whole, conns)
				}
			})
		})
	}
}

func write(text string) func(*rawConn) {
	return func(c *rawConn) { _, _ = io.WriteString(c, text) }
}

// A list may be fetched again at any time, but one that was cut short must not pass as a list that makes no sense.
func TestAListCutShortIsATransportError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " ", "[", `[["a","b"]`, `[["a","b"],["c`, `{"status"`, "<html>"} {
		s := startRaw(t, false, func(c *rawConn, _ int) {
			if c.request() {
				write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + body)(c)
			}
		})
		list, err := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{}).DigestGroups(t.Context())
		if e := transportError(t, err); list != nil || e.Reason() != "the answer was cut short" {
			t.Errorf("%q: %v, %v", body, list, err)
		}
	}
}

// The rows of the catalogue in which the request never ran: the client must know it, so that it may try again.
func TestWithoutAWholeRequest(t *testing.T) {
	t.Parallel()
	// secure starts a TLS server that must not be asked anything.
	secure := func(t *testing.T, config *tls.Config) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("the server was asked")
		}))
		server.Config.ErrorLog = quiet
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	// as https makes the URL of a TLS server from that of one that is none.
	https := func(url string) string { return strings.Replace(url, "http:", "https:", 1) }
	silent := func(t *testing.T) string {
		return https(startRaw(t, false, func(c *rawConn, _ int) { c.untilGone() }).url)
	}
	for _, row := range []struct {
		row    string
		client func(t *testing.T) *hooks.Client
		reason string // several where it depends on the kernel or the resolver
		long   bool   // send more than the kernel buffers
	}{
		{"connection refused", func(t *testing.T) *hooks.Client {
			s := startRaw(t, false, nil)
			s.end()
			return connect(t, s.url, hooks.Options{}, hooks.TransportOptions{})
		}, "connection refused", false},
		{"name not found", func(t *testing.T) *hooks.Client {
			return connect(t, "http://nosuchhost.invalid/", hooks.Options{}, hooks.TransportOptions{})
		}, "no such host: nosuchhost.invalid|looking up the host nosuchhost.invalid failed", false},
		{"TLS failure, unknown authority", func(t *testing.T) *hooks.Client {
			return connect(t, secure(t, nil), hooks.Options{}, hooks.TransportOptions{})
		}, "certificate: signed by an authority that this machine does not know", false},
		{"TLS failure, wrong host name", func(t *testing.T) *hooks.Client {
			certificate, roots := newCertificate(t, time.Now().AddDate(1, 0, 0), "other.example.com")
			url := secure(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
			return connect(t, url, hooks.Options{}, hooks.TransportOptions{Roots: roots})
		}, "certificate: not valid for the host 127.0.0.1", false},
		{"TLS failure, expired certificate", func(t *testing.T) *hooks.Client {
			certificate, roots := newCertificate(t, time.Now().AddDate(0, 0, -1), "127.0.0.1")
			url := secure(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
			return connect(t, url, hooks.Options{}, hooks.TransportOptions{Roots: roots})
		}, "certificate: expired, or not valid yet", false},
		{"TLS failure, an http server behind an https URL", func(t *testing.T) *hooks.Client {
			_, server := standIn(t, false)
			return connect(t, https(server.URL), hooks.Options{}, hooks.TransportOptions{})
		}, "TLS: the server does not speak it; is this an http URL?", false},
		{"TLS failure, no version in common", func(t *testing.T) *hooks.Client {
			url := secure(t, &tls.Config{MaxVersion: tls.VersionTLS11})
			return connect(t, url, hooks.Options{}, hooks.TransportOptions{Insecure: true})
		}, "TLS: the server broke off: protocol version not supported", false},
		{"TLS failure, closed in the handshake", func(t *testing.T) *hooks.Client {
			s := startRaw(t, false, func(c *rawConn, _ int) { _, _ = c.r.ReadByte() })
			return connect(t, https(s.url), hooks.Options{}, hooks.TransportOptions{})
		}, "connection reset by peer|broken pipe|the server closed the connection without an answer", false},
		{"connection broken before the whole body was written", func(t *testing.T) *hooks.Client {
			s := startRaw(t, false, func(c *rawConn, _ int) {
				if _, ok := c.head(); ok {
					c.reset()
				}
			})
			return connect(t, s.url, hooks.Options{}, hooks.TransportOptions{})
		}, "connection reset by peer|broken pipe|the connection broke", true},
		{"time-out before the whole body was written", func(t *testing.T) *hooks.Client {
			s := startRaw(t, false, func(c *rawConn, _ int) {
				c.head()
				<-t.Context().Done() // the end of the test: until then the client's writes are stuck
			})
			return connect(t, s.url, hooks.Options{Timeout: patience}, hooks.TransportOptions{})
		}, "no whole answer within 3s", true},
		{"time-out while dialing", func(t *testing.T) *hooks.Client {
			_, server := standIn(t, false)
			return connect(t, server.URL, hooks.Options{}, hooks.TransportOptions{ConnectTimeout: 1})
		}, "timed out while connecting", false},
		{"time-out of the try while dialing", func(t *testing.T) *hooks.Client {
			transport := hooks.NewTransport(hooks.TransportOptions{})
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				<-t.Context().Done() // net/http goes on dialing when the request is given up
				return nil, errors.New("the test is over")
			}
			return hooks.New(parseURL(t, "http://127.0.0.1/"), hooks.NewToken(fixtureToken), hooks.Options{Timeout: patience, Transport: transport})
		}, "no whole answer within 3s", false},
		{"time-out in the handshake", func(t *testing.T) *hooks.Client {
			return connect(t, silent(t), hooks.Options{}, hooks.TransportOptions{ConnectTimeout: patience})
		}, "timed out while connecting (TLS)", false},
		{"time-out of the try in the handshake", func(t *testing.T) *hooks.Client {
			return connect(t, silent(t), hooks.Options{Timeout: patience}, hooks.TransportOptions{ConnectTimeout: 2 * patience})
		}, "no whole answer within 3s", false},
		{"time-out before anything", func(t *testing.T) *hooks.Client {
			_, server := standIn(t, false)
			return connect(t, server.URL, hooks.Options{Timeout: 1}, hooks.TransportOptions{})
		}, "no whole answer within 1ns", false},
	} {
		t.Run(row.row, func(t *testing.T) {
			t.Parallel()
			g := group
			if row.long {
				g.Group = strings.Repeat("g", 16<<20)
			}
			_, err := row.client(t).SendDigest(t.Context(), g)
			e := transportError(t, err)
			if e.Wrote || !slices.Contains(strings.Split(row.reason, "|"), e.Reason()) {
				t.Errorf("wrote %v, %q, want false, %q", e.Wrote, e.Reason(), row.reason)
			}
			if want := "send digest: " + e.Reason(); err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// at runs do when a request of the context gets that far. The connection is known from "got connection" on.
func at(ctx context.Context, stage string, do func(net.Conn)) context.Context {
	var conn atomic.Pointer[net.Conn]
	reach := func(here string) {
		if here == stage {
			do(*cmp.Or(conn.Load(), new(net.Conn)))
		}
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { reach("wants connection") },
		ConnectStart:         func(string, string) { reach("dials") },
		ConnectDone:          func(string, string, error) { reach("dialed") },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { reach("shook hands") },
		GotConn:              func(info httptrace.GotConnInfo) { conn.Store(&info.Conn); reach("got connection") },
		WroteHeaders:         func() { reach("wrote head") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { reach("wrote request") },
		GotFirstResponseByte: func() { reach("first byte") },
	})
}

// broken closes the socket under a connection, as a network does: without TLS's good-bye.
func broken(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	_ = c.Close()
}

// net/http reports that the request was written when it stands in a buffer. If the buffer then cannot be written
// out, nothing has left.
func TestARequestThatOnlyReachedTheBufferWasNotSent(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"got connection", "wrote head", "wrote request"} {
		t.Run(stage, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := startRaw(t, secure, func(c *rawConn, _ int) {
					if c.request() {
						c.answer()
					}
				})
				c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
				for i := range 20 { // the transport may notice first: that is a race
					_, err := c.SendDigest(at(t.Context(), stage, broken), group)
					if e := transportError(t, err); e.Wrote {
						t.Fatalf("try %d: %v", i, err)
					}
				}
				s.end()
				if _, whole := s.seen(); whole != 0 {
					t.Errorf("%d requests came whole", whole)
				}
			})
		})
	}
}

// A request that overflows net/http's buffer may have left whole before net/http reports it, whatever made it long;
// no later write tells anything about it.
func TestALongRequestThatArrivedWasSent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		row    string
		o      hooks.Options
		prefix string
		group  string
	}{
		{"long form", hooks.Options{}, "", strings.Repeat("g", 9<<10)},
		// The buffer of 4096 bytes gets full inside the form: then net/http sends the rest of it without the buffer.
		{"long header", hooks.Options{UserAgent: strings.Repeat("u", 3880)}, "", "g"},
		{"long prefix, three times as long when it is escaped", hooks.Options{}, "/" + strings.Repeat("ü", 3880/6), "g"},
	} {
		t.Run(row.row, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := startRaw(t, secure, func(c *rawConn, _ int) {
					if c.request() {
						c.reset() // TLS's good-bye will fail
					}
				})
				c := connect(t, s.url+row.prefix, row.o, hooks.TransportOptions{Roots: s.roots})
				for range 10 {
					_, err := c.SendDigest(t.Context(), hooks.Group{Site: "s", Group: row.group})
					if e := transportError(t, err); !e.Wrote {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// The promise that the client's retries rest on: a request that arrived whole was answered, or it ended in an error
// that says that it was written; and it arrived once.
func TestNoRequestThatArrivedWholeCountsAsUnsent(t *testing.T) {
	t.Parallel()
	lengths := map[string]func() int{
		"short":  func() int { return 0 },
		"edge":   func() int { return 3500 + rand.IntN(400) }, // around net/http's buffer of 4 KiB, and two TLS records
		"long":   func() int { return 5<<10 + rand.IntN(100<<10) },
		"longer": func() int { return 300 << 10 },
	}
	for name, length := range lengths {
		t.Run(name, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) { arrivals(t, secure, name == "longer", length) })
		})
	}
}

func arrivals(t *testing.T, secure, long bool, length func() int) {
	s := startRaw(t, secure, func(c *rawConn, _ int) {
		switch rand.IntN(8) {
		case 0: // a reset inside the request, which is longer than that
			_, _ = io.CopyN(io.Discard, c.r, int64(rand.IntN(200)))
			c.reset()
		case 1: // a reset after the request
			c.request()
			c.reset()
		case 2: // no answer
			c.request()
		case 3: // a reset behind the answer
			if c.request() && c.answer() {
				c.reset()
			}
		case 4: // an answer before the request
			c.head()
			c.answer()
		default:
			if c.request() {
				c.answer()
			}
		}
	})
	tries := 300
	if long {
		tries = 160
	}
	stages := []string{
		"wants connection", "dials", "dialed", "shook hands", "got connection", "wrote head", "wrote request", "first byte", "no",
	}
	const senders = 4
	c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
	type ending struct {
		unsent bool
		told   string
	}
	endings := make([]ending, tries)
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := sender; i < tries; i += senders {
				ctx, cancel := context.WithCancel(t.Context())
				stage, turns, how := stages[rand.IntN(len(stages))], rand.IntN(200), rand.IntN(4)
				reached := make(chan net.Conn, 1)
				traced := at(ctx, stage, func(conn net.Conn) {
					if how == 0 && conn != nil {
						broken(conn)
						return
					}
					reached <- conn
				})
				var harm sync.WaitGroup
				harm.Go(func() {
					select {
					case <-ctx.Done():
					case conn := <-reached:
						for range turns {
							runtime.Gosched()
						}
						if how == 1 && conn != nil {
							broken(conn)
						} else {
							cancel()
						}
					}
				})
				_, err := c.SendDigest(traced, hooks.Group{Site: "s", Group: fmt.Sprintf("g%d.%s", i, strings.Repeat("p", length()))})
				e, ok := errors.AsType[*hooks.TransportError](err)
				endings[i] = ending{ok && !e.Wrote, fmt.Sprintf("%s after %d turns, harm %d: %v", stage, turns, how, err)}
				cancel()
				harm.Wait()
			}
		})
	}
	wg.Wait()
	s.end()
	unsent, arrived := 0, 0
	for i, ending := range endings {
		whole := s.whole[fmt.Sprintf("g%d", i)]
		if ending.unsent {
			unsent++
		}
		if whole > 0 {
			arrived++
		}
		if whole > 1 || whole > 0 && ending.unsent {
			t.Errorf("request %d arrived %d times, and yet %s", i, whole, ending.told)
		}
	}
	if unsent == 0 || arrived == 0 {
		t.Errorf("of %d requests %d were not sent and %d arrived: this proves nothing", tries, unsent, arrived)
	}
	t.Logf("%d requests: %d not sent, %d arrived, %d neither", tries, unsent, arrived, tries-unsent-arrived)
}

// Whatever the transport: when it fails and has not reported, the request is gone as soon as its form was read.
func TestATransportThatReportsNothingMayHaveSent(t *testing.T) {
	lost := errors.New("lost")
	for _, row := range []struct {
		reads bool
		want  bool
	}{{true, true}, {false, false}} {
		c := client(t, roundTripper(func(req *http.Request) (*http.Response, error) {
			if row.reads {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			return nil, lost
		}), fixtureToken)
		_, err := c.SendDigest(t.Context(), group)
		if e := transportError(t, err); e.Wrote != row.want || !errors.Is(err, lost) {
			t.Errorf("the form was read: %v; wrote: %v, %v", row.reads, e.Wrote, err)
		}
	}
}

// HTTP/2 gives a request up before its writer has come to an end.
func TestOverHTTP2ARequestThatArrivedWasSent(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Error(r.Proto)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	c := hooks.New(parseURL(t, server.URL), hooks.NewToken("t"), hooks.Options{Transport: transport})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		_, err := c.SendDigest(ctx, group)
		if e := transportError(t, err); !e.Wrote {
			t.Fatal(err)
		}
	}
}

// net/http repeats what it takes for idempotent on another connection; a send is not.
func TestNothingIsRepeatedAfterAByteWasWritten(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		row  string
		then func(c *rawConn)
	}{
		{"close after the head", func(c *rawConn) { c.head() }},
		{"reset after the head", func(c *rawConn) { c.head(); c.reset() }},
		{"close after the request", func(c *rawConn) { c.request() }},
		{"reset after the request", func(c *rawConn) { c.request(); c.reset() }},
	} {
		t.Run(row.row, func(t *testing.T) {
			schemes(t, func(t *testing.T, secure bool) {
				s := startRaw(t, secure, func(c *rawConn, number int) {
					if number == 1 {
						row.then(c)
					} else if c.request() {
						c.answer()
					}
				})
				c := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{Roots: s.roots})
				_, err := c.SendDigest(t.Context(), group)
				transportError(t, err)
				s.end()
				if conns, _ := s.seen(); conns != 1 {
					t.Errorf("%d connections, want 1", conns)
				}
			})
		})
	}
}

func TestTheTimeoutIsOfOneTry(t *testing.T) {
	t.Run("in the context of each request", func(t *testing.T) {
		var deadlines []time.Time
		s := &site{answer: answer{200, "text/html", nil, []byte(confirmation)}}
		c := hooks.New(parseURL(t, "http://h/"), hooks.NewToken("t"), hooks.Options{
			Timeout: time.Hour,
			Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				deadline, ok := req.Context().Deadline()
				if !ok {
					t.Error("no deadline")
				}
				deadlines = append(deadlines, deadline)
				return s.RoundTrip(req)
			}),
		})
		for range 2 {
			before := time.Now()
			if _, err := c.SendDigest(t.Context(), group); err != nil {
				t.Fatal(err)
			}
			if last := deadlines[len(deadlines)-1]; last.Before(before.Add(time.Hour)) || last.After(time.Now().Add(time.Hour)) {
				t.Errorf("the deadline is not an hour from the try's own start")
			}
		}
	})
	t.Run("the caller's own cause is kept", func(t *testing.T) {
		stop := errors.New("stopped by the caller")
		ctx, cancel := context.WithCancelCause(t.Context())
		rec := record(t, false, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, confirmation[:10])
			_ = http.NewResponseController(w).Flush()
			cancel(stop)
			<-r.Context().Done()
		})
		_, err := connect(t, rec.URL, hooks.Options{}, hooks.TransportOptions{}).SendDigest(ctx, group)
		if e := transportError(t, err); !e.Wrote || !errors.Is(err, stop) {
			t.Errorf("wrote %v, %v", e.Wrote, err)
		}
	})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	site, server := standIn(t, true)
	for name, to := range map[string]hooks.TransportOptions{
		"an extra authority": {Roots: trusting(t, server)},
		"no verification":    {Insecure: true},
	} {
		c := connect(t, server.URL, hooks.Options{}, to)
		if c.TLS() != nil {
			t.Errorf("%s: a TLS state before the list", name)
		}
		list, err := c.DigestGroups(t.Context())
		if err != nil || len(list.Entries) != 1 || c.TLS() == nil || c.TLS().PeerCertificates[0].Subject.CommonName != "groups.example.com" {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if reply, err := c.SendDigest(t.Context(), group); err != nil || !reply.Confirmed {
			t.Errorf("%s: %+v, %v", name, reply, err)
		}
	}
	if got := site.Mails()[standin.Group(group)]; got != 2 {
		t.Errorf("%d mails, want 2", got)
	}
}
