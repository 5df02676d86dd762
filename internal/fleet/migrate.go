package fleet

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed schema.sql
	schema string
	//go:embed functions.sql
	functions string
)

// steps bring the tables from one version to the next. A program works with the tables of the last one and of no other.
func steps() []string { return []string{schema} }

// migrateLock is the advisory lock of a migration: of two at once one waits.
const migrateLock = 0x73656e64 // "send"

// A VersionError is a database whose tables another version of the program made.
type VersionError struct {
	Database  string
	Has, Want int // versions of the tables; 0: there are none
}

func (e *VersionError) Error() string {
	if e.Has == 0 {
		return fmt.Sprintf("the queue's database %s has no tables of senddigest-fleet", e.Database)
	}
	return fmt.Sprintf("the queue's database %s has tables of version %d, and this program needs version %d", e.Database, e.Has, e.Want)
}

// Hint says what to do.
func (e *VersionError) Hint() string {
	if e.Has > e.Want {
		return "this program is older than the one that made them: put the newer one here, too"
	}
	return "senddigest-fleet migrate makes them"
}

// ExitCode is that of a configuration that is wrong.
func (e *VersionError) ExitCode() int { return 78 }

// Migrate makes the tables, or brings those of an earlier version up to date. To do so twice does no harm. Its errors are
// [*Error] and [*VersionError].
func (db *DB) Migrate(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock("+strconv.Itoa(migrateLock)+")"); err != nil {
			return err
		}
		has, err := version(ctx, tx)
		if err != nil {
			return err
		}
		all := steps()
		if has > len(all) {
			return &VersionError{db.name, has, len(all)}
		}
		if has == 0 {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS senddigest"); err != nil {
				return err
			}
		}
		for _, step := range append(all[has:], functions) {
			if _, err := tx.Exec(ctx, step); err != nil {
				return err
			}
		}
		return nil
	})
	if _, ok := err.(*VersionError); ok { //nolint:errorlint // it is ours, and comes as it is
		return err
	}
	return db.fault("make the tables", err)
}

// Check reports whether the tables are of this program's version. Its errors are [*Error] and [*VersionError].
func (db *DB) Check(ctx context.Context) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	has, err := version(ctx, db.pool)
	if err != nil {
		return db.fault("read the version of the tables", err)
	}
	if want := len(steps()); has != want {
		return &VersionError{db.name, has, want}
	}
	return nil
}

// version is that of the tables; 0: there are none.
func version(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
},
) (n int, err error) {
	var there bool
	// Not to_regclass: within a transaction it may not see what was made since that began.
	const table = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'senddigest' AND relname = 'version')"
	if err := q.QueryRow(ctx, table).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT version FROM senddigest.version").Scan(&n)
	return n, err
}
