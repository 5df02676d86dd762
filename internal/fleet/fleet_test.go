package fleet_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
)

func TestMigrateMakesTheTablesOnceHoweverOftenAndHoweverMany(t *testing.T) {
	t.Parallel()
	address := server.DSN(t)
	db := fleettest.Open(t, address)
	err := db.Check(t.Context())
	if e, ok := errors.AsType[*fleet.VersionError](err); !ok || e.Has != 0 || !strings.Contains(e.Hint(), "migrate") {
		t.Errorf("got %v of an empty database", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := db.Pool().Exec(t.Context(), "UPDATE senddigest.version SET version = 99"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"check": db.Check(t.Context()), "migrate": db.Migrate(t.Context())} {
		if e, ok := errors.AsType[*fleet.VersionError](err); !ok || e.Has != 99 || !strings.Contains(e.Hint(), "older") {
			t.Errorf("%s: got %v of tables that a newer program made", what, err)
		}
	}
}

func TestNoErrorHoldsThePassword(t *testing.T) {
	t.Parallel()
	const secret = "s3cret/p:w@rd"
	for _, address := range []string{
		"postgres://user:" + secret + "@127.0.0.1:1/queue",
		"postgres://user:" + secret + "@/queue?host=/nowhere",
		"postgres://user:" + secret + "@host.invalid/queue",
		"postgres://user:" + secret + "@127.0.0.1:1/queue?sslmode=verify-full",
	} {
		d, err := dsn.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fleet.Open(t.Context(), d)
		e, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			t.Errorf("%s: got %v", address, err)
			continue
		}
		for _, text := range []string{err.Error(), e.Hint()} {
			for _, part := range []string{secret, "s3cret", "w@rd"} {
				if strings.Contains(text, part) {
					t.Errorf("the error holds the password: %s", text)
				}
			}
		}
		if !strings.Contains(err.Error(), "queue") {
			t.Errorf("the error does not name the database: %v", err)
		}
	}
}
