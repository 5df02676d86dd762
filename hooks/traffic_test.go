package hooks_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

// A meter counts what a server reads and writes.
type meter struct {
	net.Listener
	read, written atomic.Int64
}

func (m *meter) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	return &metered{c, m}, err
}

type metered struct {
	net.Conn
	meter *meter
}

func (c *metered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.read.Add(int64(n))
	return n, err
}

func (c *metered) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.meter.written.Add(int64(n))
	return n, err
}

func TestTrafficIsWhatTheServerReadsAndWrites(t *testing.T) {
	site := standin.New(standin.Options{Groups: []standin.Group{standin.Group(group)}, Guard: -1})
	t.Cleanup(site.Close)
	for _, secure := range []bool{false, true} {
		server := httptest.NewUnstartedServer(site)
		m := &meter{Listener: server.Listener}
		server.Listener = m
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		var traffic hooks.Traffic
		transport := hooks.NewTransport(hooks.TransportOptions{Traffic: &traffic, Insecure: true})
		client := clientAt(t, server, transport)
		if _, err := client.DigestGroups(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := client.SendDigest(t.Context(), group); err != nil {
				t.Fatal(err)
			}
		}
		server.Close()
		goodbye := int64(0) // of each connection; one side says it when the other has left
		if secure {
			goodbye = 4 * 24 // an alert of TLS 1.3
		}
		sent, received, read, wrote := traffic.Sent(), traffic.Received(), m.read.Load(), m.written.Load()
		if sent < read || sent > read+goodbye || wrote < received || wrote > received+goodbye || read < 4*100 || received < 4*100 {
			t.Errorf("TLS %t: sent %d bytes and received %d, and the server read %d and wrote %d", secure, sent, received, read, wrote)
		}
	}
}

func clientAt(t *testing.T, server *httptest.Server, transport http.RoundTripper) *hooks.Client {
	t.Helper()
	u, err := hooks.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: transport})
}
