// Package canary asks for one light page of a site at a steady low rate, and tells what it took: what a visitor of the
// website notices of a run, since a site serves pages and sends with the same request threads.
//
// It asks for nothing but that page, as anybody could: it knows no token, keeps no cookies of its own, and follows redirects on
// the same host only. One request at most is under way. What the times mean is for others to say.
package canary

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// From the start of one request to that of the next it is quickSpacing times as long as the page takes, but not less
	// than leastEvery and not more than usualEvery: the sooner a limit that is too high is noticed, the fewer visitors
	// notice it, and a cheap page may well be asked for more often. A page that is not cheap has spacing times as long as
	// it takes, however long that is: the canary shall be no burden.
	usualEvery   = time.Second
	leastEvery   = usualEvery / 4
	quickSpacing = 25
	spacing      = 20

	baselinePages   = 8                      // of which the baseline is the median: a visitor in the way does not count
	baselineEvery   = usualEvery / 2         // from one to the next at most; nothing is sent yet, so there is room for them
	baselineSpacing = 5                      // cheap pages follow each other after so many times as long as they take,
	baselineLeast   = 100 * time.Millisecond // and not sooner: a hiccup of the site must not outlast half of them
	baselineTimeout = 10 * time.Second       // a page that takes longer is not light

	// A page that is not there after minTimeout, or after timeoutFactor times the baseline if that is longer, is slow:
	// waiting on tells no more, and no other canary can leave meanwhile.
	minTimeout    = 1500 * time.Millisecond
	timeoutFactor = 4

	maxPage = 1 << 20 // bytes that are read of a page
	maxHops = 5       // as many as the hooks' own redirects have
)

// Options of a canary. The zero value of each but Transport works.
type Options struct {
	Transport http.RoundTripper // opens a connection for each request: no page depends on the one before
	UserAgent string            // empty: "senddigest"; " (canary)" is added, for the site's log
	Header    http.Header       // of the user's own, besides the canary's; nil: none
}

// A Canary asks for one page. Baseline and Start are not to be called at once.
type Canary struct {
	client  http.Client
	request *http.Request
	every   time.Duration
	timeout time.Duration
}

// New makes a canary that asks for page, which has no fragment, user or password.
func New(page *url.URL, o Options) *Canary {
	header := http.Header{
		"User-Agent":    {cmp.Or(o.UserAgent, "senddigest") + " (canary)"},
		"Cache-Control": {"no-cache"}, // what a cache answers tells nothing of the site
	}
	maps.Copy(header, o.Header)
	return &Canary{
		client: http.Client{Transport: o.Transport, CheckRedirect: sameHost},
		request: &http.Request{
			Method: http.MethodGet, URL: page, Host: page.Host,
			Header: header,
		},
		every:   usualEvery,
		timeout: minTimeout,
	}
}

// A PageError says why a page is of no use as a canary.
type PageError struct {
	URL string
	Err error
}

func (e *PageError) Error() string { return fmt.Sprintf("canary %s: %v", e.URL, e.Err) }

// Unwrap gives what was wrong with the page.
func (e *PageError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *PageError) Hint() string {
	return "name a light page of the site with --canary URL, or do without with --canary none"
}

// Baseline asks for the page some times, while nothing is sent yet, and gives what it usually takes. Its error is a
// [*PageError], or the cause of ctx where that ended first.
func (c *Canary) Baseline(ctx context.Context) (time.Duration, error) {
	times := make([]time.Duration, 0, baselinePages)
	for {
		took, err := c.ask(ctx, baselineTimeout)
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err != nil {
			return 0, &PageError{c.request.URL.Redacted(), err}
		}
		if times = append(times, took); len(times) == baselinePages {
			break
		}
		select {
		case <-time.After(min(baselineEvery, max(baselineLeast, baselineSpacing*took)) - took):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	slices.Sort(times)
	usual := times[(len(times)-1)/2]
	c.timeout = max(minTimeout, timeoutFactor*usual)
	c.every = max(min(usualEvery, quickSpacing*usual), leastEvery, spacing*usual)
	return usual, nil
}

// Start asks for the page until ctx ends or stop is called, which waits for the end. tell is told what each page took,
// one at a time, and must be quick; ok says that the site answered: without that, took is only how long it was waited
// for.
func (c *Canary) Start(ctx context.Context, tell func(took time.Duration, ok bool)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() {
		tick := time.NewTicker(c.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			took, err := c.ask(ctx, c.timeout)
			if ctx.Err() != nil {
				return
			}
			tell(took, err == nil)
		}
	})
	return func() {
		cancel()
		loop.Wait()
	}
}

// ask gets the page once and says how long that took, to the end of its body.
func (c *Canary) ask(ctx context.Context, timeout time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	resp, err := c.client.Do(c.request.WithContext(ctx))
	if err != nil {
		if e, ok := err.(*url.Error); ok {
			err = e.Err // its text would repeat the URL
		}
		return time.Since(began), err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxPage))
	// Who refuses the page may do so without the site's own threads, and would tell nothing of how busy they are.
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return time.Since(began), err
}

// sameHost follows a redirect to the same host only, and never from https to http.
func sameHost(r *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	switch {
	case len(via) > maxHops:
		return fmt.Errorf("more than %d redirects", maxHops)
	case r.URL.Hostname() != first.Hostname(), last.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("the page leads elsewhere, to %s", r.URL.Redacted())
	}
	return nil
}
