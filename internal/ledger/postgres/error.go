package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// An Error is why the tables could not be read. It never holds the password.
type Error struct {
	Database string // without user and password
	Problem  string
	Advice   string // what to do; empty: nothing is known
	Err      error  // nil where its text holds the password
}

func (e *Error) Error() string { return "the database " + e.Database + ": " + e.Problem }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// faults are what PostgreSQL's own codes mean here.
var faults = map[string]struct{ problem, advice string }{
	"28P01": {"it refuses the password", "correct the DSN of GroupServer's configuration set, or give another with --ledger"},
	"28000": {"it refuses the role", "let the role connect from this machine, in pg_hba.conf"},
	"3D000": {"there is no such database", "correct the DSN"},
	"42501": {"the role may not read ", "grant it SELECT; docs/operators.md has the statements"},
	"42P01": {"it is not GroupServer's, or of another version: it has not all of ", "name GroupServer's database with --ledger, or turn it off"},
	"42703": {"it is not GroupServer's, or of another version: there are other columns in ", "name GroupServer's database with --ledger, or turn it off"},
	"53300": {"it has too many connections", "raise max_connections, or run at another time"},
	"55P03": {"somebody holds a lock on ", "run at another time than what locks whole tables"},
	"57014": {"it takes too long to read ", "let PostgreSQL vacuum and analyze its tables"},
	"57P01": {"it is shutting down", ""},
	"57P03": {"it is starting, or shutting down", ""},
}

// fault makes an Error of what the driver said; nil of nil. tables are what was to be read.
func (r *Reader) fault(tables string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Database: r.String(), Err: err}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		f, known := faults[pg.Code]
		e.Problem, e.Advice = f.problem, f.advice
		if !known {
			e.Problem = pg.Message
		}
		if strings.HasSuffix(e.Problem, " ") {
			e.Problem += tables
		}
	} else if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		e.Problem = "it does not answer in time"
	} else if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.Problem = op.Err.Error() // where, has been said
		if call, ok := errors.AsType[*os.SyscallError](op.Err); ok {
			e.Problem = call.Err.Error()
		}
	} else {
		e.Problem = err.Error()
		if inner := errors.Unwrap(err); inner != nil {
			e.Problem = inner.Error() // without the driver's own words about host and user
		}
		// It says a line for each address, and for the try with TLS and the one without. The last says why there was no other.
		e.Problem = e.Problem[strings.LastIndexByte(e.Problem, '\n')+1:]
	}
	e.Problem = r.dsn.Password.Scrub(e.Problem)
	if text := err.Error(); r.dsn.Password.Scrub(text) != text {
		e.Err = nil
	}
	return e
}
