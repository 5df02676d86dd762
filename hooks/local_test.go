package hooks_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

// What the system says when this machine lacks something is no word about the site.
func TestAShortageOfThisMachineIsNotTheSitesFault(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EMFILE:        "too many open files: this process may open no more (ulimit -n, LimitNOFILE=)",
		syscall.ENFILE:        "too many open files in system: this machine may open no more (fs.file-max)",
		syscall.EADDRNOTAVAIL: "cannot assign requested address: this machine has no local port left (net.ipv4.ip_local_port_range)",
		syscall.ENOMEM:        "cannot allocate memory: this machine has no memory left",
		syscall.ENOBUFS:       "no buffer space available: this machine has no memory left for connections",
	} {
		dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
		for name, said := range map[string]error{
			"dial":      dial,
			"proxy":     &net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial},
			"name":      &net.DNSError{Name: "groups.example.com", Err: "dial udp 127.0.0.53:53: socket: " + errno.Error()},
			"transport": fmt.Errorf("wrapped: %w", dial),
		} {
			c := client(t, roundTripper(func(*http.Request) (*http.Response, error) { return nil, said }), "t")
			_, err := c.SendDigest(t.Context(), group)
			if e := transportError(t, err); !e.Local || e.Wrote || e.Proxy != "" || e.Reason() != want {
				t.Errorf("%s: local %t, wrote %t, %q, want %q", name, e.Local, e.Wrote, e.Reason(), want)
			}
		}
	}
	for name, said := range map[string]error{
		"refused": &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"name":    &net.DNSError{Name: "groups.example.com", Err: "no such host", IsNotFound: true},
	} {
		c := client(t, roundTripper(func(*http.Request) (*http.Response, error) { return nil, said }), "t")
		_, err := c.SendDigest(t.Context(), group)
		if e := transportError(t, err); e.Local {
			t.Errorf("%s is taken for this machine's fault: %v", name, e)
		}
	}
}

// A connection that was there once lets the request leave, whatever failed then.
func TestAShortageAfterTheRequestLeftProvesNothing(t *testing.T) {
	said := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ENOBUFS)}
	c := client(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		if _, err := r.Body.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		return nil, said
	}), "t")
	_, err := c.SendDigest(t.Context(), group)
	if e := transportError(t, err); e.Local || !e.Wrote {
		t.Errorf("local %t, wrote %t: %v", e.Local, e.Wrote, e)
	}
}

// throughProxy makes a client of a site behind a proxy, whose URL holds a password.
func throughProxy(t *testing.T, site, proxy string, o hooks.Options, to hooks.TransportOptions) *hooks.Client {
	t.Helper()
	u, err := url.Parse(strings.Replace(proxy, "://", "://me:hush-hush@", 1))
	if err != nil {
		t.Fatal(err)
	}
	transport := hooks.NewTransport(to)
	transport.Proxy = http.ProxyURL(u)
	o.Transport = transport
	c := hooks.New(parseURL(t, site), hooks.NewToken(fixtureToken), o)
	return c
}

// closed is the address of a port at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// answering is a proxy that reads a request and says one thing; empty: it closes the connection.
func answering(t *testing.T, says string) *rawSite {
	return startRaw(t, false, func(c *rawConn, _ int) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = fmt.Fprint(c, says)
		}
	})
}

// The proxy comes from the environment, so a person who reads the message may not know that there is one.
func TestAProxyThatIsInTheWayIsNamedWithoutItsPassword(t *testing.T) {
	dead := "http://" + closed(t)
	asks := answering(t, "HTTP/1.1 407 Words Of The Proxy\r\nContent-Length: 0\r\n\r\n").url
	forbids := answering(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").url
	mute := answering(t, "").url
	noHTTP := answering(t, "220 mail.example.com ESMTP\r\n").url
	hangs := startRaw(t, false, func(c *rawConn, _ int) { c.untilGone() }).url
	for _, row := range []struct{ name, site, proxy, want string }{
		{"dead, http", "http://groups.example.com/", dead, "connection refused"},
		{"dead, https", "https://groups.example.com/", dead, "connection refused"},
		{"dead, socks", "http://groups.example.com/", strings.Replace(dead, "http", "socks5", 1), "connection refused"},
		{"unknown name", "https://groups.example.com/", "http://nosuchproxy.invalid:3128", "nosuchproxy.invalid"},
		{"asks who we are", "https://groups.example.com/", asks, "it answered 407 Proxy Authentication Required to CONNECT"},
		{"forbids", "https://groups.example.com/", forbids, "it answered 403 Forbidden to CONNECT"},
		{"closes", "https://groups.example.com/", mute, "the answer was cut short"},
		{"speaks another language", "https://groups.example.com/", noHTTP, "malformed HTTP"},
		{"hangs", "https://groups.example.com/", hangs, "no whole answer within 200ms"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := hooks.Options{}
			if row.name == "hangs" {
				o.Timeout = 200 * time.Millisecond
			}
			_, err := throughProxy(t, row.site, row.proxy, o, hooks.TransportOptions{}).SendDigest(t.Context(), group)
			e := transportError(t, err)
			if e.Wrote || e.Proxy != row.proxy || !strings.HasPrefix(e.Reason(), "proxy "+row.proxy+": ") || !strings.Contains(e.Reason(), row.want) {
				t.Errorf("got proxy %q, wrote %t, %q; want %q, %s", e.Proxy, e.Wrote, e.Reason(), row.proxy, row.want)
			}
			if text := fmt.Sprintf("%v %+v %s", e, e, e.Reason()); strings.Contains(text, "hush-hush") {
				t.Errorf("the proxy's password stands in %s", text)
			}
		})
	}
	t.Run("asks who we are, http", func(t *testing.T) {
		_, err := throughProxy(t, "http://groups.example.com/", asks, hooks.Options{}, hooks.TransportOptions{}).SendDigest(t.Context(), group)
		e, ok := errors.AsType[*hooks.NotOKError](err)
		if want := "407 Proxy Authentication Required: proxy " + asks; !ok || e.Reason() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestAProxyIsNotBlamedForTheSite(t *testing.T) {
	_, server := standIn(t, true, fault(standin.Reset))
	proxy := tunnel(t).String()
	t.Run("certificate", func(t *testing.T) {
		_, err := throughProxy(t, server.URL, proxy, hooks.Options{}, hooks.TransportOptions{}).SendDigest(t.Context(), group)
		if e := transportError(t, err); e.Proxy != "" || !strings.HasPrefix(e.Reason(), "certificate: ") {
			t.Errorf("got proxy %q, %v", e.Proxy, e)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		_, err := throughProxy(t, server.URL, proxy, hooks.Options{}, hooks.TransportOptions{Roots: trusting(t, server)}).SendDigest(t.Context(), group)
		if e := transportError(t, err); e.Proxy != "" || !e.Wrote {
			t.Errorf("got proxy %q, wrote %t, %v", e.Proxy, e.Wrote, e)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errors.New("stopped"))
		_, err := throughProxy(t, server.URL, proxy, hooks.Options{}, hooks.TransportOptions{}).SendDigest(ctx, group)
		if e := transportError(t, err); e.Proxy != "" || e.Reason() != "stopped" {
			t.Errorf("got proxy %q, %v", e.Proxy, e)
		}
	})
}
