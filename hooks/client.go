// Package hooks speaks to the web-hooks of a GroupServer site.
//
// It posts the forms of docs/groupserver.md sections 1 and 11 and judges the answers by sections 3 and 11: a 200 proves
// nothing until the page has been read. What a page means is said in page.go, errorpage.go, digest.go and profile.go. Every
// answer becomes a [Reply], a [ProfileAnswer], a [List], or one of the error types in errors.go.
//
// Rules of this package: the token goes into the body of a POST to the site's own host and nowhere else; whatever
// a server said is scrubbed of it before it can be printed; of the profile hooks' answers, which name people, no text is
// printed at all; nothing is ever sent a second time, except to follow a redirect, which says that the hook did not run.
// The package starts no goroutine that outlives a call.
package hooks

import (
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
	endpoints [len(endpoints)]endpoint
	tls       atomic.Pointer[tls.ConnectionState]
	buffers   sync.Pool // of *bytes.Buffer, for the pages

	// confirmation is the last page that confirmed a send. A site answers every send that it accepts with the
	// same bytes (docs/groupserver.md section 2), so that nearly all pages need no second reading; where a site's
	// chrome changes from page to page, each is read.
	confirmation atomic.Pointer[[]byte]
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
	for h := range c.endpoints {
		c.endpoints[h].hook = hook(h)
	}
	c.rebase(site)
	return c
}

// TLS is the state of the connection that the last list or confirmation came over; nil for plain http, and before one.
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
func (c *Client) roundTrip(ctx context.Context, h hook, target *url.URL, form string) (*http.Response, *trip, error) {
	t := &trip{hook: h, client: c, target: target}
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
func (c *Client) notOK(h hook, resp *http.Response, t *trip, ids ...string) error {
	// What cannot be read of an error page is not missed: the status decides.
	body, _ := io.ReadAll(io.LimitReader(t.reader(resp), maxErrorPage))
	message, own := c.readErrorPage(resp, body)
	cause, prepared := causeOf(message, ids...)
	words := phrase(resp)
	if h.personal() {
		cause, message, words = impersonal(cause), "", http.StatusText(resp.StatusCode)
	}
	if proxy := c.proxy(t.target); proxy != "" && resp.StatusCode == http.StatusProxyAuthRequired {
		cause = strings.TrimSuffix("proxy "+proxy+": "+cause, ": ")
	}
	return &NotOKError{
		Hook: h.String(), Status: resp.StatusCode, Phrase: c.quote(words),
		Detail: c.quote(cause), Message: message, Prepared: prepared,
		Zope:       own || fromZope(resp.Header),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// maxErrorPage bounds how much of an error page is read for its cause.
const maxErrorPage = 64 << 10

// try bounds one try in time.
func (c *Client) try(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, &TimeoutError{After: c.timeout})
}
