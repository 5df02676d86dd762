package standin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A Server is a site on a listener. A site may have several, one after the other or at once.
type Server struct {
	// URL is the site's address, without a path.
	URL string

	// CA is, with TLS, the certificate authority to trust, as PEM.
	CA []byte

	site  *Site
	srv   *http.Server
	ended chan struct{}  // Serve has returned
	conns sync.WaitGroup // each until its handler has returned or taken it over
	once  sync.Once
}

// Start puts the site on a free port of 127.0.0.1.
func (s *Site) Start() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return s.Serve(l), nil
}

// StartTLS puts the site on a free port of 127.0.0.1, behind TLS.
func (s *Site) StartTLS() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return s.ServeTLS(l)
}

// Serve puts the site on l, which the server closes.
func (s *Site) Serve(l net.Listener) *Server {
	v := newServer(s, "http://"+l.Addr().String())
	go func() {
		defer close(v.ended)
		_ = v.srv.Serve(l) // always ends with ErrServerClosed, or because somebody closed l
	}()
	return v
}

// ServeTLS puts the site on l behind TLS, with a certificate made for the occasion: for 127.0.0.1, ::1, localhost and
// groups.example.com, signed by the authority in CA.
func (s *Site) ServeTLS(l net.Listener) (*Server, error) {
	cert, ca, err := certificate()
	if err != nil {
		return nil, err
	}
	v := newServer(s, "https://"+l.Addr().String())
	v.CA = ca
	v.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	go func() {
		defer close(v.ended)
		_ = v.srv.ServeTLS(l, "", "")
	}()
	return v, nil
}

func newServer(s *Site, url string) *Server {
	v := &Server{URL: url, site: s, ended: make(chan struct{})}
	v.srv = &http.Server{
		Handler: s,
		// No timeouts: a request may queue for as long as the work before it takes.
		ErrorLog:  log.New(io.Discard, "", 0), // clients that hang up and bad handshakes are part of the game
		Protocols: new(http.Protocols),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew: // called before Serve can return, so never beside Wait
				v.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				v.conns.Done()
			}
		},
	}
	v.srv.Protocols.SetHTTP1(true) // like ZServer, and faults need the connection for themselves
	return v
}

// Close closes the listener and all connections, hanging ones too, and returns when handlers and request threads have
// ended. The site itself stays open.
func (v *Server) Close() {
	v.once.Do(func() {
		_ = v.srv.Close()
		<-v.ended
		_ = v.srv.Close() // a connection that was accepted while the first one ran
	})
	v.conns.Wait()
	v.site.wait()
}

// certificate makes an authority and a certificate that it signed.
func certificate() (leaf tls.Certificate, ca []byte, err error) {
	now := time.Now()
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial),
			Subject:      pkix.Name{CommonName: name},
			NotBefore:    now.Add(-time.Hour),
			NotAfter:     now.AddDate(10, 0, 0), // fake clocks run for many nights
		}
	}
	caCert := template(1, "stand-in authority")
	caCert.IsCA, caCert.BasicConstraintsValid, caCert.KeyUsage = true, true, x509.KeyUsageCertSign
	leafCert := template(2, "groups.example.com")
	leafCert.KeyUsage = x509.KeyUsageDigitalSignature
	leafCert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leafCert.DNSNames = []string{"localhost", "groups.example.com"}
	leafCert.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}

	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf, nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, caCert, caCert, &caKey.PublicKey, caKey)
	if err != nil {
		return leaf, nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leafCert, caCert, &leafKey.PublicKey, caKey)
	if err != nil {
		return leaf, nil, err
	}
	leaf = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}
	return leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}

// A PipeListener is a listener inside the process, for testing/synctest: its connections are net.Pipes.
type PipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Pipe makes a PipeListener. Hand it to Serve, and DialContext to http.Transport.
func Pipe() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for DialContext, or for Close.
func (p *PipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; who dials afterwards is refused.
func (p *PipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr is groups.example.com:80, which a URL writes without the port.
func (p *PipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "groups.example.com" }

// DialContext connects to the listener, whatever the address.
func (p *PipeListener) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: network, Addr: pipeAddr{}, Err: err} }
	select {
	case <-p.closed: // first: the select below would pick at random
		return nil, fail(syscall.ECONNREFUSED)
	default:
	}
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, fail(syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, fail(ctx.Err())
	}
}
