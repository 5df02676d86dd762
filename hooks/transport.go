package hooks

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// DefaultConnectTimeout bounds the dial and the TLS handshake together.
const DefaultConnectTimeout = 10 * time.Second

// errHandshake tells a server that accepts connections and then says nothing from one that cannot be reached.
var errHandshake = errors.New("TLS handshake timeout")

// TransportOptions of the connections to a site. The zero value works.
type TransportOptions struct {
	ConnectTimeout time.Duration  // of the dial and the TLS handshake together; 0: DefaultConnectTimeout
	Roots          *x509.CertPool // authorities to trust; nil: the system's
	Insecure       bool           // verify no certificate
	Traffic        *Traffic       // counts what goes over the connections; nil: nothing does
}

// Traffic counts the bytes of a transport's connections, those to a proxy included: headers and forms, and under TLS
// what is on the wire.
type Traffic struct{ sent, received atomic.Int64 }

// Sent is how many bytes were written.
func (t *Traffic) Sent() int64 { return t.sent.Load() }

// Received is how many bytes were read.
func (t *Traffic) Received() int64 { return t.received.Load() }

// NewTransport makes a transport that opens a connection for each request and closes it after the answer, as the
// Python script did: no send depends on what happened on its connection before. On a connection that is kept,
// net/http reads what a server sends beyond an answer as the answer to the next request, and loses a POST to a server
// that closes without saying so. Over TLS, sessions are resumed.
//
// The transport uses the environment's proxies, as the script did.
func NewTransport(o TransportOptions) *http.Transport {
	timeout := o.ConnectTimeout
	if timeout == 0 {
		timeout = DefaultConnectTimeout
	}
	traffic := cmp.Or(o.Traffic, new(Traffic))
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, traffic: traffic}, nil
	}
	config := &tls.Config{
		RootCAs: o.Roots, InsecureSkipVerify: o.Insecure,
		// Shared by the clones that each connection gets, of our own and of net/http's behind a proxy.
		ClientSessionCache: tls.NewLRUClientSessionCache(0), // 0: crypto/tls's own capacity of 64 hosts
	}
	// HTTP/1.1 alone: there a send has a connection for itself, so that one reset costs one send, and it is
	// certain which requests left whole (see trip).
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: connected,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		// Of our own so that one time-out covers both parts. Behind a proxy net/http does the handshake, with a
		// time-out of its own.
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			named := config.Clone()
			if named.ServerName, _, err = net.SplitHostPort(address); err != nil {
				_ = c.Close()
				return nil, err
			}
			secured := tls.Client(c, named)
			if err := secured.HandshakeContext(ctx); err != nil {
				_ = c.Close()
				if errors.Is(err, context.DeadlineExceeded) {
					err = errHandshake
				}
				return nil, err
			}
			return secured, nil
		},
		TLSClientConfig:     config,
		TLSHandshakeTimeout: timeout,
		Protocols:           &http1,
		DisableKeepAlives:   true,
		DisableCompression:  true, // pages are small and the site is near
	}
}

// Authorities are the system's and those of a file in PEM form; nil, which means the system's, where path is empty.
func Authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err // the caller knows the path
	}
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}
