package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/ledger"
)

// A relay stands between a reader and the server, and can fall silent: it takes what comes, and nobody ever hears of it.
type relay struct {
	net.Listener
	silent atomic.Bool
	mu     sync.Mutex
	conns  []net.Conn
	all    sync.WaitGroup
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener}
	r.all.Go(r.accept)
	return r
}

func (r *relay) accept() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.Port()))
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, to)
		r.mu.Unlock()
		r.all.Go(func() { _, _ = io.Copy(r.or(to), client) })
		r.all.Go(func() { _, _ = io.Copy(r.or(client), to) })
	}
}

// or writes to a connection, or nowhere.
func (r *relay) or(w io.Writer) io.Writer {
	return writer(func(p []byte) (int, error) {
		if r.silent.Load() {
			return len(p), nil
		}
		return w.Write(p)
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func (r *relay) end() {
	_ = r.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// The driver takes its leave of such a server for 15 seconds.
func TestAServerThatIsGoneWithoutAWordDoesNotKeepTheEnd(t *testing.T) {
	b := newBase(t)
	between := newRelay(t)
	defer between.end()
	port := fmt.Sprint(between.Addr().(*net.TCPAddr).Port)
	r := b.readerAt(strings.Replace(server.DSN(b.name), fmt.Sprint(server.Port()), port, 1))
	if _, err := r.Newest(t.Context(), []ledger.Group{group("alpha")}); err != nil {
		t.Fatal(err)
	}
	between.silent.Store(true)
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.Newest(ctx, []ledger.Group{group("alpha")}); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("got %v", err)
	}
	r.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}
