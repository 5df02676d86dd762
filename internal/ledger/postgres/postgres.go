// Package postgres is the [ledger.Source] in GroupServer's own PostgreSQL. It reads alone: over one connection, in statements
// that are bounded in time, without a transaction that stays open, and with a session that refuses to write.
//
// It relies on nothing newer than PostgreSQL 9.4. All times that it returns are what the tables show in a session's own time
// zone, which is how the server reads and writes them (docs/groupserver.md section 15). So it never sets the zone.
package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// connectTimeout is how long a database that answers takes to answer at most.
	connectTimeout = 2 * time.Second
	// A statement is ended by the server after this, and by us a little later: a server may be gone without a word.
	statementTimeout = 30 * time.Second
	patience         = statementTimeout + 5*time.Second
	// lockTimeout is how long a lock of somebody else is waited for, such as that of a dump.
	lockTimeout = time.Second
)

// A Reader reads one database. It connects when it is first asked, and again after a connection was lost. Several goroutines
// may use it: they take turns.
type Reader struct {
	dsn  dsn.DSN
	turn chan struct{} // holds a value while one is using conn
	conn *pgconn.PgConn
}

// New makes a reader. It connects to nothing yet.
func New(d dsn.DSN) *Reader { return &Reader{dsn: d, turn: make(chan struct{}, 1)} }

// String names the database, without user and password.
func (r *Reader) String() string { return r.dsn.String() }

// Close ends the connection.
func (r *Reader) Close() {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	if r.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	_ = r.conn.Close(ctx)
	select {
	case <-r.conn.CleanupDone():
	case <-ctx.Done(): // of a server that is gone without a word the driver takes its leave for 15 seconds
	}
	r.conn = nil
}

// config is how the database is reached. The driver's own reading of such an address is another than GroupServer's, so
// each part is handed over by itself.
func (r *Reader) config() (*pgconn.Config, error) {
	d := r.dsn
	config, err := pgconn.ParseConfig(d.Keywords())
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = connectTimeout
	delete(config.RuntimeParams, "timezone") // of our environment (PGTZ); the server's session has the database's
	config.RuntimeParams["application_name"] = "senddigest"
	config.RuntimeParams["client_encoding"] = "UTF8"
	if d.Options != "" {
		config.RuntimeParams["options"] = d.Options
	}
	return config, nil
}

// session is what a connection is set to. Not by parameters of its start, since poolers refuse those that they do not know.
// The last of them is not there before PostgreSQL 9.6.
const session = `
SET default_transaction_read_only = on;
SET statement_timeout = '30s';
SET lock_timeout = '1s';
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'max_parallel_workers_per_gather'`

// connect returns the connection, which is made if there is none. The caller has its turn.
func (r *Reader) connect(ctx context.Context) (*pgconn.PgConn, error) {
	if r.conn != nil && !r.conn.IsClosed() {
		return r.conn, nil
	}
	config, err := r.config()
	if err != nil {
		// What the driver says of a text that it cannot read may hold a part of the password.
		return nil, errors.New("its DSN, or what the environment has for PostgreSQL (PGSERVICE, PGSSLROOTCERT), cannot be used")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, session).ReadAll(); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	r.conn = conn
	return conn, nil
}

// ask makes one statement and hands over each row that it gives. Its errors are [*Error].
func (r *Reader) ask(ctx context.Context, what, sql string, params []string, row func(values [][]byte) error) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return r.fault(what, context.Cause(ctx))
	}
	for {
		old := r.conn != nil && !r.conn.IsClosed()
		conn, err := r.connect(ctx)
		if err != nil {
			return r.fault("", err)
		}
		rows, err := statement(ctx, conn, sql, params, row)
		// A connection that was made before may have been lost since, without a word: to read once more does no harm.
		if err == nil || !old || rows > 0 || !conn.IsClosed() || ctx.Err() != nil {
			return r.fault(what, err)
		}
	}
}

// statement makes one, and returns how many rows it gave.
func statement(ctx context.Context, conn *pgconn.PgConn, sql string, params []string, row func(values [][]byte) error) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	rows := conn.ExecParams(ctx, sql, values, nil, nil, nil)
	for err == nil && rows.NextRow() {
		n++
		err = row(rows.Values())
	}
	if _, closed := rows.Close(); closed != nil {
		err = closed
	}
	return n, err
}

// reading is a column that [shown] made; a null is none.
func reading(value []byte) (ledger.Reading, error) {
	if value == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	return ledger.Reading(n), err
}

// shown is SQL that gives a time as the session's clock shows it, in microseconds, see [ledger.Reading].
func shown(column string) string {
	return "round(extract(epoch FROM (" + column + ")::timestamp) * 1000000)::bigint"
}

// timestamp is a reading as the server writes one: a time without a zone.
func timestamp(r ledger.Reading) string { return r.Time().Format("2006-01-02 15:04:05.000000") }

// array is a parameter that holds several texts.
func array(texts []string) string {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	b.WriteByte('{')
	for i, text := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		_, _ = quote.WriteString(&b, text)
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}
