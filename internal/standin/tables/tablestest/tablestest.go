// Package tablestest gives a package's tests databases with GroupServer's tables: one PostgreSQL for all of them, a database
// each. It is for tests alone.
package tablestest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

// patience is how long a database may take.
const patience = time.Minute

// A Server is the PostgreSQL of a package's tests, started by the first that asks. Its zero value is ready. A package keeps
// one, and its TestMain has it closed:
//
//	func TestMain(m *testing.M) { os.Exit(postgres.Around(m).Run()) }
//
// or the same with goleak.VerifyTestMain.
type Server struct {
	// Options of the cluster, to be set before the first use.
	Options cluster.Options

	mu      sync.Mutex
	cluster *cluster.Cluster
	err     error // of the start
	made    int   // so many databases
}

// M is what testing.M is of.
type M interface{ Run() int }

// Around runs the tests and closes the server.
func (s *Server) Around(m M) M { return &around{s, m} }

type around struct {
	server *Server
	tests  M
}

func (a *around) Run() int {
	code := a.tests.Run()
	if err := a.server.Close(); err != nil && code == 0 {
		fmt.Println(err)
		return 1
	}
	return code
}

// Close ends the server. Who uses Around need not call it.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Close()
}

// Cluster returns the server. Without PostgreSQL the test fails, but under -short it is skipped in any case.
func (s *Server) Cluster(t testing.TB) *cluster.Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no PostgreSQL")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil && s.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.cluster, s.err = cluster.Start(ctx, s.Options)
	}
	if e, ok := errors.AsType[*cluster.NotFoundError](s.err); ok {
		t.Fatalf("%v\nhint: %s", e, e.Hint())
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.cluster
}

// Tables makes a database for the test, which ends with it.
func (s *Server) Tables(t testing.TB, o tables.Options) *tables.DB {
	t.Helper()
	c := s.Cluster(t)
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("t%d_%s", s.made, strings.ToLower(t.Name()))
	s.mu.Unlock()
	const longest = 63 // PostgreSQL cuts longer names off, and GroupServer's DSN has no word for odd ones
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, name)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := tables.Create(ctx, c, name[:min(len(name), longest)], o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return d
}
