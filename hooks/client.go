// Package hooks speaks to the web-hooks of a GroupServer site.
//
// It posts the forms of docs/groupserver.md section 1 and judges the answers by section 3: a 200 proves nothing
// until the page has been read. Every answer becomes a [Reply], a list, or one of the error types in errors.go.
//
// Rules of this package: the token goes into the body of a POST to the site's own host and nowhere else; whatever
// a server said is scrubbed of it before it can be printed; nothing is ever sent a second time, except to follow
// a redirect, which says that the hook did not run. The package starts no goroutine that outlives a call.
package hooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout is the longest that one try may take.
//
// 240 s is the Python script's constant; it allowed that for connecting, and again between any two bytes.
const DefaultTimeout = 240 * time.Second

// Options of a [Client]. The zero value works.
type Options struct {
	Timeout   time.Duration     // of one try, from dial to the end of the body; 0: DefaultTimeout
	Transport http.RoundTripper // nil: NewTransport(TransportOptions{})
	UserAgent string            // empty: "senddigest"
	Header    http.Header       // sent with every request, besides the client's own; of [ParseHeader] alone
}

// A Client posts to the hooks of one site. It may be used by many goroutines at once.
type Client struct {
	token     Token
	timeout   time.Duration
	transport http.RoundTripper
	reports   bool              // see reports
	header    http.Header       // shared by all requests; never changed
	hide      *strings.Replacer // takes the values of the user's own headers out of a text
	groups    endpoint
	send      endpoint
	tls       atomic.Pointer[tls.ConnectionState]
	buffers   sync.Pool // of *bytes.Buffer, for the pages

	// confirmation is the last page that confirmed a send. A site answers every send that it accepts with the
	// same bytes (docs/groupserver.md section 2), so that nearly all pages need no second reading; where a site's
	// chrome changes from page to page, each is read.
	confirmation atomic.Pointer[[]byte]
}

// An endpoint is a hook and where its requests go.
type endpoint struct {
	hook, path string
	url        atomic.Pointer[url.URL] // moves when the site redirects
}

// New makes a client for the site at a URL as [ParseURL] gives it.
func New(site *url.URL, token Token, o Options) *Client {
	c := &Client{
		token:     token,
		timeout:   o.Timeout,
		transport: o.Transport,
		header: http.Header{
			"Content-Type":    {"application/x-www-form-urlencoded"},
			"User-Agent":      {"senddigest"},
			"Accept":          {"*/*"},
			"Accept-Encoding": {plain},
		},
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.transport == nil {
		c.transport = NewTransport(TransportOptions{})
	}
	c.reports = reports(c.transport)
	if o.UserAgent != "" {
		c.header.Set("User-Agent", o.UserAgent)
	}
	maps.Copy(c.header, o.Header)
	c.hide = hideValues(o.Header)
	c.groups.hook, c.groups.path = groupsHook, groupsPath
	c.send.hook, c.send.path = sendHook, sendPath
	c.rebase(site)
	return c
}

// rebase points both hooks below a site's URL.
func (c *Client) rebase(site *url.URL) {
	if site.Path == "" {
		site = site.JoinPath("/") // or the requests would name a path without its first slash
	}
	for _, e := range []*endpoint{&c.groups, &c.send} {
		e.url.Store(site.JoinPath("/", e.path)) // the slash is for a site without any path
	}
}

// TLS is the state of the connection that the last list came over; nil for plain http.
func (c *Client) TLS() *tls.ConnectionState { return c.tls.Load() }

// Scrub removes the token from a text, see [Token.Scrub], and the values of the user's own headers.
func (c *Client) Scrub(text string) string { return c.hide.Replace(c.token.Scrub(text)) }

// post sends the form to the endpoint, follows its redirects, and returns the answer's head. The caller reads
// the body through [trip.reader], closes it, and calls learn if the answer is the hook's own.
func (c *Client) post(ctx context.Context, e *endpoint, form string) (*http.Response, *trip, error) {
	target := e.url.Load()
	for hop := 0; ; hop++ {
		resp, t, err := c.roundTrip(ctx, e.hook, target, form)
		if err != nil {
			return nil, nil, err
		}
		if !redirects(resp) {
			t.hops = hop
			return resp, t, nil
		}
		_ = resp.Body.Close() // what it says is not missed
		if target, err = c.follow(e, target, resp, hop); err != nil {
			return nil, nil, err
		}
	}
}

// roundTrip makes one POST. It builds the request without net/http's own constructor and the header without a
// copy: both would be the same for every send.
func (c *Client) roundTrip(ctx context.Context, hook string, target *url.URL, form string) (*http.Response, *trip, error) {
	t := &trip{hook: hook, client: c, target: target}
	ctx = t.trace(ctx)
	t.ctx = ctx
	req := (&http.Request{
		Method:        http.MethodPost,
		URL:           target,
		Host:          target.Host,
		Header:        c.header,
		Body:          t.body(form),
		ContentLength: int64(len(form)),
		Close:         true, // also where the transport is not ours
	}).WithContext(ctx)
	// Not http.Client: it follows redirects in its own way, and has a time-out for several tries together.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, t.failed(err, t.wrote())
	}
	return resp, t, nil
}

// notOK makes an error of an answer with another status than 200. The ids are those that were sent.
func (c *Client) notOK(hook string, resp *http.Response, t *trip, ids ...string) error {
	// What cannot be read of an error page is not missed: the status decides.
	body, _ := io.ReadAll(io.LimitReader(t.reader(resp), maxErrorPage))
	message, own := c.readErrorPage(resp, body)
	cause, prepared := causeOf(message, ids...)
	if proxy := c.proxy(t.target); proxy != "" && resp.StatusCode == http.StatusProxyAuthRequired {
		cause = strings.TrimSuffix("proxy "+proxy+": "+cause, ": ")
	}
	return &NotOKError{
		Hook: hook, Status: resp.StatusCode, Phrase: c.quote(phrase(resp)),
		Detail: c.quote(cause), Message: message, Prepared: prepared,
		Zope:       own || fromZope(resp.Header),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// maxErrorPage bounds how much of an error page is read for its cause.
const maxErrorPage = 64 << 10

// readPage reads and judges a 200 of the send hook.
func (c *Client) readPage(r io.Reader) (page, error) {
	buffer, ok := c.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer c.buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(io.LimitReader(r, maxPage)); err != nil {
		return page{}, err
	}
	if known := c.confirmation.Load(); known != nil && bytes.Equal(*known, buffer.Bytes()) {
		return page{message: true, confirmed: true}, nil
	}
	p := readPage(buffer.Bytes())
	if p.confirmed && !p.refused {
		known := bytes.Clone(buffer.Bytes())
		c.confirmation.Store(&known)
	}
	return p, nil
}

// try bounds one try in time.
func (c *Client) try(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, &TimeoutError{After: c.timeout})
}
