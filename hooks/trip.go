package hooks

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// A trip is one request and its answer, watched for the one thing that decides whether the request may be repeated:
// did the whole request leave?
//
// net/http fills a buffer, which overflows to the connection where the request is longer; when the end of the
// request stands in the buffer it reports WroteRequest; then it writes out what is left. So a whole request has
// left only if WroteRequest was reported without an error, and some write succeeded since the connection was ready
// for the request. Both are known when RoundTrip fails, because net/http waits for its writer first. Wherever this
// is in doubt, the request counts as gone: also when an alert of TLS was the write that succeeded, or when only the
// first of several TLS records went.
//
// A trip has one connection: net/http takes another only for a request that met a kept connection's end, and a
// body without GetBody is never sent again.
type trip struct {
	hook     hook
	client   *Client
	ctx      context.Context
	target   *url.URL
	hops     int // the redirects that led to target
	hooks    httptrace.ClientTrace
	conn     atomic.Pointer[conn] // nil: none is ready, or its transport is not ours
	reported atomic.Bool          // WroteRequest was reported
	filled   atomic.Bool          // .. without an error
	taken    atomic.Bool          // a transport of another kind has begun to read the form
}

func (t *trip) trace(ctx context.Context) context.Context {
	leave, _ := ctx.Value(leaveBy{}).(*time.Time)
	t.hooks.GotConn = func(info httptrace.GotConnInfo) {
		if c := underlying(info.Conn); c != nil && t.client.reports {
			c.leave.Store(leave)
			c.wrote.Store(false) // until now it wrote to a proxy, or shook hands
			t.conn.Store(c)
		}
	}
	t.hooks.WroteRequest = func(info httptrace.WroteRequestInfo) {
		t.filled.Store(info.Err == nil)
		t.reported.Store(true)
	}
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

func (t *trip) wrote() bool {
	switch c := t.conn.Load(); {
	case c != nil:
		return t.filled.Load() && c.wrote.Load()
	case t.reported.Load():
		return t.filled.Load()
	}
	// No connection yet, or a transport of another kind that has not reported.
	return t.taken.Load()
}

// reports is true where all of the above holds for a transport: it is net/http's, and has no HTTP/2, which ends a
// request without waiting for its writer.
func reports(transport http.RoundTripper) bool {
	t, ok := transport.(*http.Transport)
	return ok && t.Protocols != nil && !t.Protocols.HTTP2() && !t.Protocols.UnencryptedHTTP2()
}

// body is the form as a transport reads it.
func (t *trip) body(form string) io.ReadCloser {
	text := strings.NewReader(form)
	if t.client.reports {
		return io.NopCloser(text) // net/http writes head and form at once if it knows the type
	}
	return &formBody{t, text}
}

// A formBody notes that it is read.
type formBody struct {
	trip *trip
	text *strings.Reader
}

func (b *formBody) Read(p []byte) (int, error) {
	b.trip.taken.Store(true)
	return b.text.Read(p)
}

func (b *formBody) Close() error { return nil }

// failed makes an error of what a transport or a body said.
func (t *trip) failed(err error, wrote bool) error {
	ended := false // by whoever called us, and by nothing that failed
	if t.ctx.Err() != nil {
		err = context.Cause(t.ctx) // net/http says it in several ways
		_, timeout := errors.AsType[*TimeoutError](err)
		ended = !timeout
	}
	if t.hook.personal() {
		err = withoutAnswer(err)
	}
	e := &TransportError{Hook: t.hook.String(), Wrote: wrote, Err: err}
	if lacks := shortage(err); lacks != "" && !wrote {
		e.Local, e.text = true, lacks
		return e
	}
	e.text = t.client.quote(boil(err))
	if said := err.Error(); t.client.Scrub(said) != said {
		e.Err = errors.New(e.text) // net/http quotes an answer that is not HTTP, and the answer may quote the token
	}
	if !wrote && !ended && t.conn.Load() == nil && blamesProxy(err) {
		if e.Proxy = t.client.proxy(t.target); e.Proxy != "" {
			e.text = "proxy " + e.Proxy + ": " + e.text
		}
	}
	return e
}

// reader reads an answer's body. Its errors are those of this package.
func (t *trip) reader(resp *http.Response) io.Reader {
	return t.unpack(resp, &bodyReader{t, resp.Body})
}

type bodyReader struct {
	trip *trip
	body io.Reader
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = r.trip.failed(err, true) // an answer had begun
	}
	return n, err
}

// A conn notes whether a write succeeded, and counts the bytes.
type conn struct {
	net.Conn
	wrote   atomic.Bool
	leave   atomic.Pointer[time.Time] // the request must not begin to leave later; nil: it may
	traffic *Traffic
}

// leaveBy is the key of LeaveBy's time.
type leaveBy struct{}

// ErrLate is why a request did not leave: by then it was later than [LeaveBy] allows.
var ErrLate = errors.New("it was too late for the request to leave")

// LeaveBy has requests leave by a time or not at all, on the transport of [NewTransport]: that is looked at where the first
// byte of one is written, so that it holds for a process that was frozen in between, too. The time is to be one of
// time.Now, with its reading of the monotonic clock. One that was late fails with a [*TransportError] that wraps [ErrLate].
func LeaveBy(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, leaveBy{}, &at)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.received.Add(int64(n))
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if leave := c.leave.Load(); leave != nil && !c.wrote.Load() && time.Now().After(*leave) {
		return 0, ErrLate
	}
	c.traffic.sent.Add(int64(len(p))) // now: the answer may be here before Write returns
	n, err := c.Conn.Write(p)
	c.traffic.sent.Add(int64(n - len(p)))
	if err == nil {
		c.wrote.Store(true)
	}
	return n, err
}

// underlying finds our own connection under TLS; nil where the transport is not ours.
func underlying(c net.Conn) *conn {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn()
	}
	ours, _ := c.(*conn)
	return ours
}
