package standin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/groupserver/senddigest/internal/standin"
)

// socketSite puts a site on a real socket, with a client that trusts it. All of it ends with the test.
func socketSite(t testing.TB, s *standin.Site, secure bool) (*standin.Server, *http.Client) {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 1000}
	start := s.Start
	if secure {
		start = s.StartTLS
	}
	v, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(v.CA) {
			t.Fatal("no certificate in CA")
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		v.Close()
		s.Close()
	})
	return v, plainClient(tr)
}

func TestSocketsLeaveNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, secure := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "tls"}[secure]
		t.Run(name, func(t *testing.T) {
			var worked, wg sync.WaitGroup
			worked.Add(50)
			s := standin.New(standin.Options{
				Groups: numbered(50), Threads: 4, Faults: faults(t, "*/g000?=hang", "*/g001?=cut-body", "*/g002?=reset"),
				Quiet: func(standin.Group) bool { worked.Done(); return false },
			})
			v, c := socketSite(t, s, secure)
			for _, g := range numbered(50) {
				wg.Go(func() { post(context.Background(), c, v.URL+standin.SendPath, sendForm(g)) })
			}
			worked.Wait() // ten hang, or are about to
			v.Close()
			wg.Wait()
			if got := len(s.Mails()); got != 50 {
				t.Errorf("mails: got %d, want 50", got)
			}
		})
	}
}

// On a socket too, a client that leaves stops nothing. The send holds on until the site has seen the client go.
func TestClientLeavesSocket(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	gone := make(chan struct{})
	started := make(chan struct{})
	s := standin.New(standin.Options{Groups: []standin.Group{alpha}, Cost: func(standin.Group) time.Duration {
		close(started)
		<-gone
		return 0
	}})
	noticed := make(chan struct{})
	v := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(noticed)
		s.ServeHTTP(w, r)
	}))
	defer v.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-started; cancel() }()
	if got := post(ctx, v.Client(), v.URL+standin.SendPath, sendForm(alpha)); !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %d, %v", got.status, got.err)
	}
	<-noticed
	close(gone)
	s.Close()
	if q := s.Requests()[0]; !q.Left || !q.Mailed || s.Mails()[alpha] != 1 {
		t.Errorf("got %+v, mails %v; want one mail", q, s.Mails())
	}
}

func TestServerMayStartAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := standin.New(standin.Options{Groups: []standin.Group{alpha}})
	for range 2 {
		v, c := socketSite(t, s, false)
		if got := post(context.Background(), c, v.URL+standin.SendPath, sendForm(alpha)); !accepted(got) {
			t.Errorf("got %d, %v", got.status, got.err)
		}
		c.CloseIdleConnections() // a dead one would be found out by the next POST
		v.Close()
		v.Close()
		if got := post(context.Background(), c, v.URL+standin.SendPath, sendForm(alpha)); !errors.Is(got.err, syscall.ECONNREFUSED) {
			t.Errorf("after Close: got %d, %v; want connection refused", got.status, got.err)
		}
	}
	if got := s.Mails()[alpha]; got != 1 {
		t.Errorf("mails: got %d, want 1: the site is the same", got)
	}
}

func TestTLSNeedsTheAuthority(t *testing.T) {
	s := standin.New(standin.Options{})
	v, _ := socketSite(t, s, true)
	c := plainClient(&http.Transport{})
	got := post(context.Background(), c, v.URL+standin.GroupsPath, listForm())
	if _, ok := errors.AsType[*tls.CertificateVerificationError](got.err); !ok {
		t.Errorf("got %d, %v; want a certificate error", got.status, got.err)
	}
}

func TestPipeListener(t *testing.T) {
	l := standin.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.DialContext(ctx, "tcp", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("dial without listener: got %v", err)
	}
	accepted := make(chan error)
	go func() { _, err := l.Accept(); accepted <- err }()
	_ = l.Close()
	_ = l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: got %v", err)
	}
	if _, err := l.DialContext(context.Background(), "tcp", "x"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after close: got %v", err)
	}
}
