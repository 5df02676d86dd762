// Package fleet is what several machines share of an installation's nights: tables in a PostgreSQL of their own, and the
// questions and orders about them. One row is the gate through which each request has to go; the others are who is to be sent
// to tonight, and what became of each attempt.
//
// The rule that everything follows: no request without a committed attempt, and a group has one open attempt at most. Who
// looks at a group next is for a queue to decide (package queue), and may be wrong. The package sends nothing, and starts no
// goroutine but those of the connections' pool, which Close ends. All times are the database's; what crosses over is lengths
// of time alone, so that no machine's clock matters.
//
// schema.sql has the tables, functions.sql the gate's functions; gate.go calls them, night.go, task.go and attempt.go have what a
// run and its followers need, steer.go what operators do.
package fleet

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout is how long a database that answers takes to answer at most.
	connectTimeout = 5 * time.Second
	// questionTime bounds a question: a server may be gone without a word. It is shorter than [LeaveWithin], so that an answer
	// which took so long is still of use.
	questionTime = 4 * time.Second
)

// A DB is the database that a fleet shares. Several goroutines may use it.
type DB struct {
	pool *pgxpool.Pool
	name string // without user and password
	dsn  dsn.DSN
}

// Open connects to the database, and returns when it has answered. Errors are [*Error]; the DSN's password is in none.
func Open(ctx context.Context, d dsn.DSN) (*DB, error) {
	db := &DB{name: d.String(), dsn: d}
	config, err := pgxpool.ParseConfig(d.Keywords() + "target_session_attrs='read-write' ")
	if err != nil {
		// What the driver says of a text that it cannot read may hold a part of the password.
		return nil, &Error{db.name, "", errors.New("the DSN, or what the environment has for PostgreSQL (PGSERVICE, PGSSLROOTCERT), cannot be used"), ""}
	}
	c := config.ConnConfig
	c.ConnectTimeout = connectTimeout
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name": "senddigest-fleet", "client_encoding": "UTF8",
		// An attempt that was committed is there after a crash, and whoever has the gate sees all that was committed before.
		"synchronous_commit": "on", "default_transaction_isolation": "read committed", "lock_timeout": "3000",
		// A session that was lost in the middle of a statement must not keep the gate.
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "idle_in_transaction_session_timeout": "10000",
	})
	if d.Options != "" {
		c.RuntimeParams["options"] = d.Options
	}
	config.MaxConns = max(config.MaxConns, 8)
	config.HealthCheckPeriod = 5 * time.Second
	if db.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, db.fault("", err)
	}
	if err := db.pool.Ping(ctx); err != nil {
		db.pool.Close()
		return nil, db.fault("", err)
	}
	return db, nil
}

// Close ends all connections.
func (db *DB) Close() { db.pool.Close() }

// Pool is for package queue, whose tables stand beside ours.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// String names the database, without user and password.
func (db *DB) String() string { return db.name }

// asking is the context of one question.
func asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, questionTime)
}

// exec gives an order that returns nothing.
func (db *DB) exec(ctx context.Context, what, sql string, values ...any) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	_, err := db.pool.Exec(ctx, sql, values...)
	return db.fault(what, err)
}

// one asks for one row, which scan takes apart.
func (db *DB) one(ctx context.Context, what, sql string, values []any, scan ...any) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	return db.fault(what, db.pool.QueryRow(ctx, sql, values...).Scan(scan...))
}

// list asks for rows, each of which is made a value by read. It may take longer than other questions.
func list[T any](ctx context.Context, db *DB, what, sql string, values []any, read func(pgx.CollectableRow) (T, error)) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*questionTime)
	defer cancel()
	all, err := rows(ctx, db.pool, sql, values, read)
	return all, db.fault(what, err)
}

// An asker is a pool or a transaction.
type asker interface {
	Query(ctx context.Context, sql string, values ...any) (pgx.Rows, error)
}

// rows asks for rows as list does, and returns the driver's error.
func rows[T any](ctx context.Context, from asker, sql string, values []any, read func(pgx.CollectableRow) (T, error)) ([]T, error) {
	found, err := from.Query(ctx, sql, values...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, read)
}

// seconds is a length of time as SQL takes it.
func seconds(d time.Duration) float64 { return d.Seconds() }

// length is what SQL returned in seconds.
func length(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Transact makes a transaction for package queue.
func (db *DB) Transact(ctx context.Context, what string, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*questionTime)
	defer cancel()
	return db.fault(what, pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return f(ctx, tx) }))
}

// Alone calls f on a connection of its own while no other process is in there.
func (db *DB) Alone(ctx context.Context, what string, f func(context.Context, *pgx.Conn) error) error {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
	if err != nil {
		return db.fault("", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the lock goes with it
	if _, err := conn.Exec(ctx, "SET lock_timeout = 0; SELECT pg_advisory_lock("+strconv.Itoa(migrateLock)+")"); err != nil {
		return db.fault(what, err)
	}
	return db.fault(what, f(ctx, conn))
}
