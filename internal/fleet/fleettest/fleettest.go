// Package fleettest gives a package's tests databases of a fleet. It is for tests alone.
package fleettest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/standin/tables"
	"github.com/groupserver/senddigest/internal/standin/tables/tablestest"
)

// patience is how long a database may take.
const patience = time.Minute

// A Server is the PostgreSQL of a package's tests, see [tablestest.Server].
type Server struct {
	tablestest.Server
	made atomic.Int64
}

// DSN makes an empty database for the test, and returns its address.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	c := s.Cluster(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := fmt.Sprintf("fleet%d", s.made.Add(1))
	if err := tables.CreateEmpty(ctx, c, name); err != nil {
		t.Fatal(err)
	}
	return c.DSN(name)
}

// Open connects to a database, and closes the connections with the test.
func Open(t testing.TB, address string) *fleet.DB {
	t.Helper()
	d, err := dsn.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := fleet.Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Fresh makes a database with the fleet's tables.
func (s *Server) Fresh(t testing.TB) *fleet.DB {
	t.Helper()
	db := Open(t, s.DSN(t))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	return db
}
