package hooks_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

// The package promises that no goroutine outlives a call; the tests end their servers and pools themselves.
// What net/http writes to package log is the program's business.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

// Failing handshakes are part of the tests.
var quiet = log.New(io.Discard, "", 0)

var group = hooks.Group{Site: "example_site", Group: "alpha"}

// standIn starts a stand-in site with the group above; secure puts it behind TLS.
func standIn(t *testing.T, secure bool, faults ...standin.Fault) (*standin.Site, *standin.Server) {
	t.Helper()
	site := standin.New(standin.Options{Groups: []standin.Group{standin.Group(group)}, Guard: -1, Faults: faults})
	start := site.Start
	if secure {
		start = site.StartTLS
	}
	server, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	t.Cleanup(server.Close)
	return site, server
}

// fault makes sends go wrong.
func fault(kind standin.Kind) standin.Fault { return standin.Fault{Pattern: "*/*", Kind: kind} }

// trusting is a pool with a stand-in's authority.
func trusting(t *testing.T, server *standin.Server) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(server.CA) {
		t.Fatal("no authority in the stand-in's PEM")
	}
	return pool
}

// connect makes a client over real connections, which end with the test. They bypass the environment's proxies.
func connect(t *testing.T, site string, o hooks.Options, to hooks.TransportOptions) *hooks.Client {
	t.Helper()
	transport := hooks.NewTransport(to)
	transport.Proxy = nil
	o.Transport = transport
	c := hooks.New(parseURL(t, site), hooks.NewToken(fixtureToken), o)
	return c
}

// transportError is what a send without a whole answer must end in.
func transportError(t *testing.T, err error) *hooks.TransportError {
	t.Helper()
	e, ok := errors.AsType[*hooks.TransportError](err)
	if !ok {
		t.Fatalf("got %v, want a TransportError", err)
	}
	return e
}

// newCertificate makes a self-signed certificate, and the pool that trusts it.
func newCertificate(t *testing.T, notAfter time.Time, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A rawSite is a server that does with each connection just what the test says, and counts the requests that came
// whole.
type rawSite struct {
	url   string
	roots *x509.CertPool // nil for plain TCP

	listener net.Listener
	open     sync.WaitGroup
	once     sync.Once

	mu    sync.Mutex
	conns int
	whole map[string]int // by group
}

// startRaw serves each connection, the first being number 1, in a goroutine of its own. The connection is closed
// when serve returns.
func startRaw(t *testing.T, secure bool, serve func(c *rawConn, number int)) *rawSite {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawSite{url: "http://" + listener.Addr().String(), listener: listener, whole: map[string]int{}}
	var config *tls.Config
	if secure {
		certificate, roots := newCertificate(t, time.Now().AddDate(1, 0, 0), "127.0.0.1")
		config = &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.url, s.roots = "https://"+listener.Addr().String(), roots
	}
	s.open.Go(func() {
		for {
			tcp, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			number := s.conns
			s.mu.Unlock()
			c := &rawConn{Conn: tcp, tcp: tcp.(*net.TCPConn), site: s}
			if secure {
				c.Conn = tls.Server(tcp, config)
			}
			c.r = bufio.NewReader(c.Conn)
			s.open.Go(func() {
				defer c.Close()
				defer context.AfterFunc(t.Context(), func() { _ = tcp.Close() })() // a client may keep it
				serve(c, number)
			})
		}
	})
	t.Cleanup(s.end)
	return s
}

// end closes the listener and waits for the connections. Who ends those is up to serve and the client.
func (s *rawSite) end() {
	s.once.Do(func() { _ = s.listener.Close() })
	s.open.Wait()
}

// seen reports how many connections and whole requests have come.
func (s *rawSite) seen() (conns, whole int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.whole {
		whole += n
	}
	return s.conns, whole
}

type rawConn struct {
	net.Conn
	tcp  *net.TCPConn
	r    *bufio.Reader
	site *rawSite
}

// head reads the head of the next request.
func (c *rawConn) head() (*http.Request, bool) {
	req, err := http.ReadRequest(c.r)
	return req, err == nil
}

// request reads the next request and counts it if it is whole.
func (c *rawConn) request() bool {
	req, ok := c.head()
	if !ok {
		return false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return false
	}
	name, _, _ := strings.Cut(form.Get("form.groupId"), ".") // padding follows
	c.site.mu.Lock()
	defer c.site.mu.Unlock()
	c.site.whole[name]++
	return true
}

// The hook's confirmation, as short as it may be.
const confirmation = `<div id="gs-content-form-base-message" class="alert alert-info">`

func (c *rawConn) answer() bool {
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(confirmation), confirmation)
	return err == nil
}

// reset closes with a TCP RST.
func (c *rawConn) reset() {
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}

// untilGone returns when the client has closed the connection.
func (c *rawConn) untilGone() { _, _ = io.Copy(io.Discard, c.tcp) }

// A request as an http.Handler sees it.
type seen struct {
	method, uri, contentType string
	form                     url.Values
}

// A recorder is an HTTP server that notes what it was asked.
type recorder struct {
	*httptest.Server

	mu       sync.Mutex
	conns    int
	requests []seen
}

// record starts a server; secure puts it behind TLS, for 127.0.0.1.
func record(t *testing.T, secure bool, handler http.HandlerFunc) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		rec.mu.Lock()
		rec.requests = append(rec.requests, seen{r.Method, r.RequestURI, r.Header.Get("Content-Type"), form})
		rec.mu.Unlock()
		handler(w, r)
	}))
	rec.Config.ErrorLog = quiet
	rec.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			rec.mu.Lock()
			rec.conns++
			rec.mu.Unlock()
		}
	}
	if secure {
		rec.StartTLS()
	} else {
		rec.Start()
	}
	t.Cleanup(rec.Close)
	return rec
}

func (rec *recorder) seen() (conns int, requests []seen) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.conns, append([]seen(nil), rec.requests...)
}

// at is the URL of the server under another host name that leads to it as well.
func (rec *recorder) at(host string) string {
	return strings.Replace(rec.URL, "127.0.0.1", host, 1)
}

func confirm(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, confirmation)
}
