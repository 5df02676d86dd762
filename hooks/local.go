package hooks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Not every request that fails is the site's fault: this machine may lack what a connection needs, or the proxy that
// the environment names may be dead, or refuse. Both are proof that nothing reached the site.

// shortages are what this machine may lack for a connection, by the system's error. The words name the setting.
var shortages = map[syscall.Errno]string{
	syscall.EMFILE:        "this process may open no more (ulimit -n, LimitNOFILE=)",
	syscall.ENFILE:        "this machine may open no more (fs.file-max)",
	syscall.EADDRNOTAVAIL: "this machine has no local port left (net.ipv4.ip_local_port_range)",
	syscall.ENOMEM:        "this machine has no memory left",
	syscall.ENOBUFS:       "this machine has no memory left for connections",
}

// shortage names what this machine lacked; empty: an error has another cause.
func shortage(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok && shortages[e] != "" {
		return e.Error() + ": " + shortages[e]
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok { // it keeps nothing but the text
		for errno, words := range shortages {
			if strings.HasSuffix(e.Err, errno.Error()) {
				return errno.Error() + ": " + words
			}
		}
	}
	return ""
}

// A ProxyError is a proxy's answer to CONNECT that opens no way to the site. It is the cause of a [TransportError].
type ProxyError struct {
	Status int
	phrase string
}

func (e *ProxyError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", e.Status, e.phrase)) + " to CONNECT"
}

// connected is the transport's check of a proxy's answer to CONNECT. Without it, the error would be the words of the
// status, and nothing would tell that a proxy said them.
func connected(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != 200 {
		return &ProxyError{resp.StatusCode, phrase(resp)}
	}
	return nil
}

// proxy is the proxy that a request goes through, without its user and password; empty: none.
func (c *Client) proxy(target *url.URL) string {
	transport, ok := c.transport.(*http.Transport)
	if !ok || transport.Proxy == nil {
		return ""
	}
	proxy, err := transport.Proxy(&http.Request{URL: target})
	if err != nil || proxy == nil {
		return ""
	}
	return c.quote(strings.TrimSuffix(bare(proxy).String(), "/"))
}

// blamesProxy reports whether the proxy, if there is one, is to blame for an error that came before a connection to the
// site: nothing was heard of the site itself, neither its certificate nor another part of a TLS handshake.
func blamesProxy(err error) bool {
	e, _ := errors.AsType[*net.OpError](err)
	if e != nil && e.Op == "proxyconnect" {
		return true
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return !certificate && !record && (e == nil || e.Op != "remote error")
}
