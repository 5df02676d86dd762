// Package ping tells a monitor that a run has begun and how it ended, as healthchecks.io takes it: a POST to the
// check's URL with /start, then to the URL itself after exit code 0, or with /<exit code> and the report after any
// other. A run that never comes is then noticed by the monitor: a dead-man's switch.
//
// A ping never keeps a run waiting and never fails it: the one at the start is made beside the run, the one at the end
// has ten seconds in all. The URL is as good as a password, so no error holds more of it than the host. The package
// has connections of its own, and the site's token never comes near them.
package ping

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	longest   = 10 * time.Second // of a ping, with all its tries
	oneTry    = 3 * time.Second
	tries     = 3
	firstWait = 250 * time.Millisecond // before the second try; twice that before the third

	// startPatience is how much of its time the ping at the end leaves to one at the start that is still under way:
	// the monitor must not see them the other way round.
	startPatience = 2 * time.Second

	// maxBody is how much of a report a monitor gets; healthchecks.io keeps no less of it.
	maxBody = 10_000
)

// Options of the pings. The zero value of each but URL works.
type Options struct {
	URL       *url.URL       // http or https; what stands in its query stays
	UserAgent string         // empty: Go's
	Roots     *x509.CertPool // authorities to trust; nil: the system's
}

// A Pinger has told a monitor that a run began, or is at it, and tells how the run ends. A nil Pinger tells nobody.
// What it has started ends with [Pinger.End].
type Pinger struct {
	url       *url.URL
	userAgent string
	client    *http.Client
	stopStart context.CancelFunc
	started   chan struct{} // closed when the ping at the start is over
}

// Start pings beside its caller that a run begins. What goes wrong with that is not told: many monitors know no
// /start, and where none hears anything, End tells.
func Start(o Options) *Pinger {
	return start(o, &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{RootCAs: o.Roots},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true, // hours lie between the two pings
	})
}

func start(o Options, transport http.RoundTripper) *Pinger {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	p := &Pinger{
		url: o.URL, userAgent: o.UserAgent, client: client(transport), stopStart: cancel, started: make(chan struct{}),
	}
	go func() {
		defer close(p.started)
		defer cancel()
		_ = p.ping(ctx, "start", "")
	}()
	return p
}

func client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		// Another host is none of the user's, and a POST that becomes a GET leaves the report behind.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// End pings that the run ended with an exit code, with its report, of which it sends the beginning. It returns within
// ten seconds, sooner when ctx ends, and after the ping at the start. Its error is one line for a person.
func (p *Pinger) End(ctx context.Context, code int, report string) error {
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errTimeout)
	defer cancel()
	select {
	case <-p.started:
	case <-time.After(startPatience):
	case <-ctx.Done():
	}
	p.stopStart()
	<-p.started
	suffix := ""
	if code != 0 {
		suffix = strconv.Itoa(code)
	}
	if err := p.ping(ctx, suffix, beginning(report)); err != nil {
		return fmt.Errorf("ping of the monitor at %s: %w", p.url.Host, err)
	}
	return nil
}

// beginning is a report, cut between two characters if it is long.
func beginning(report string) string {
	if len(report) <= maxBody {
		return report
	}
	return strings.ToValidUTF8(report[:maxBody], "") // the last one may be cut
}

// ping makes a few quick tries as long as ctx lasts. A monitor that hears one twice takes no harm.
func (p *Pinger) ping(ctx context.Context, suffix, body string) (err error) {
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(firstWait << (try - 1)):
			case <-ctx.Done():
				return err
			}
		}
		if err = p.post(ctx, suffix, body); err == nil {
			return nil
		}
		if e, ok := errors.AsType[*statusError](err); ok && e.final() {
			return err
		}
	}
	return err
}

// errTimeout is a try that was not answered in time.
var errTimeout = errors.New("no answer in time")

func (p *Pinger) post(ctx context.Context, suffix, body string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, oneTry, errTimeout)
	defer cancel()
	target := p.url
	if suffix != "" {
		target = target.JoinPath(suffix) // keeps the query behind it
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(body))
	if err != nil {
		return bare(err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if p.userAgent != "" {
		req.Header.Set("User-Agent", p.userAgent)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx) // net/http says it in several ways
		}
		return bare(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &statusError{resp.StatusCode}
	}
	return nil
}

// maxAnswer is how much of an answer is waited for; a monitor says OK.
const maxAnswer = 4 << 10

// bare takes the URL off an error.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// A statusError is an answer that is no OK.
type statusError struct{ status int }

func (e *statusError) Error() string {
	text := strings.TrimSpace(strconv.Itoa(e.status) + " " + http.StatusText(e.status))
	if e.status >= 300 && e.status <= 399 {
		text += ", which is not followed: give the URL that it leads to"
	}
	return text
}

// final tells whether another try would end the same.
func (e *statusError) final() bool {
	return e.status < 500 && e.status != http.StatusTooManyRequests && e.status != http.StatusRequestTimeout
}
