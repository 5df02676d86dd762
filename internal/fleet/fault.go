package fleet

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// An Error is what the queue's database did not do.
type Error struct {
	Database string // without user and password
	What     string // it was asked for; empty: a connection
	Err      error  // of the driver, without the DSN
	Advice   string // what to set right; empty: nothing is wrong but that the database does not answer now
}

func (e *Error) Error() string {
	if e.What == "" {
		return fmt.Sprintf("the queue's database %s cannot be used: %v", e.Database, e.Err)
	}
	return fmt.Sprintf("the queue's database %s: %s: %v", e.Database, e.What, e.Err)
}

// Unwrap gives the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// ExitCode is that of a run that could not be made now: run again.
func (e *Error) ExitCode() int { return 75 }

// A ConfigError is a database that is there, and that refused a command which had not begun: until somebody sets something
// right, it refuses the next one as well.
type ConfigError struct{ Err *Error }

func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap gives the [*Error], which knows what to do.
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitCode is that of a configuration that is wrong.
func (e *ConfigError) ExitCode() int { return 78 }

// AtStart makes a [*ConfigError] of an error that has an advice, and returns all others as they are. It is for a command that
// has not begun. A run or a worker that is going rides out the same answers: a server that is set up anew, restored or
// restarted may refuse it for a while.
func AtStart(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Advice != "" {
		return &ConfigError{e}
	}
	return err
}

// Classes and codes of PostgreSQL's errors that have an advice.
const (
	classAuthorization    = "28"
	codeUndefinedTable    = "42P01"
	codeUndefinedFunction = "42883"
	codeInvalidSchema     = "3F000"
	codeProtocol          = "08P01"
	codePrivilege         = "42501"
	codePassword          = "28P01"
	codeNoDatabase        = "3D000"
)

// dsnPlaces is where the DSN may stand.
const dsnPlaces = "--queue-dsn, SENDDIGEST_QUEUE_DSN or queue-dsn in the section [senddigest-NAME]"

// advice says what to set right; empty: PostgreSQL may do it by itself, as with too many connections or while it starts.
func advice(pg *pgconn.PgError, connecting bool) string {
	switch {
	case pg.Code == codePassword:
		return "compare user and password in " + dsnPlaces + " with the database's role"
	case strings.HasPrefix(pg.Code, classAuthorization):
		return "let the role log in from this machine (CREATE ROLE, pg_hba.conf on the database's machine), or name another one in " + dsnPlaces
	case pg.Code == codeNoDatabase:
		return "createdb makes it, or name another one in " + dsnPlaces
	case pg.Code == codePrivilege && connecting:
		return "GRANT CONNECT ON DATABASE lets the role in, or name another one in " + dsnPlaces
	case pg.Code == codePrivilege:
		return "migrate needs a role with the right to make schemas in this database, and everything else one with the rights of that role"
	case pg.Code == codeUndefinedTable, pg.Code == codeUndefinedFunction, pg.Code == codeInvalidSchema:
		return "senddigest-fleet migrate makes the tables"
	case pg.Code == codeProtocol && strings.Contains(pg.Message, "startup parameter"):
		return "this is a pooler: name PostgreSQL itself, since the fleet needs sessions of its own"
	}
	return ""
}

// fault makes an [*Error] of what the driver said; nil of nil.
func (db *DB) fault(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{Database: db.name, What: what}
	// The driver's error of a connection quotes the address with the user, never the password; ours names the database.
	failed, connecting := errors.AsType[*pgconn.ConnectError](err)
	if connecting {
		e.What, err = "", failed.Unwrap()
	}
	all := causesOf(err)
	for i, cause := range all {
		if said := cause.Error(); !isAnswer(cause) && db.dsn.Password.Scrub(said) != said {
			all[i] = errors.New(db.dsn.Password.Scrub(said))
		}
	}
	if e.Err = all; len(all) == 1 {
		e.Err = all[0]
	}
	// Of several hosts, one that is starting is enough for the next try to end better. One that does not answer at all is not:
	// a name often has an address at which nothing listens.
	for _, cause := range all {
		pg, ok := errors.AsType[*pgconn.PgError](cause)
		if !ok {
			continue
		}
		if e.Advice = advice(pg, connecting); e.Advice == "" {
			break
		}
	}
	return e
}

// Fault makes an [*Error] of what the driver said to package queue; nil of nil.
func (db *DB) Fault(what string, err error) error { return db.fault(what, err) }

// causes are why no host of several gave a connection.
type causes []error

func (c causes) Error() string {
	said := make([]string, len(c))
	for i, err := range c {
		said[i] = err.Error()
	}
	return strings.Join(said, "; ")
}

// Unwrap gives them all.
func (c causes) Unwrap() []error { return c }

// ownPort is the port of this machine in an error of package net. It is another one with each try.
var ownPort = regexp.MustCompile(`:\d+->`)

// noTLS is how the driver ends its error of a server without TLS, which it then asks without, unless sslmode forbids that.
const noTLS = "tls error: server refused TLS connection"

// causesOf returns the causes that the driver joined, each of them once: it tries a host twice, with TLS and without, and
// puts each cause on a line of its own. Of a server's answer it is the answer alone.
func causesOf(err error) (all causes) {
	joined, said := leaves(err), map[string]bool{}
	for i, cause := range joined {
		if at, ok := strings.CutSuffix(cause.Error(), noTLS); ok && slices.ContainsFunc(slices.Concat(joined[:i], joined[i+1:]), func(other error) bool {
			return strings.HasPrefix(other.Error(), at) && other.Error() != cause.Error()
		}) {
			continue
		}
		if pg, ok := errors.AsType[*pgconn.PgError](cause); ok {
			cause = pg
		}
		if key := ownPort.ReplaceAllString(cause.Error(), "->"); !said[key] {
			said[key] = true
			all = append(all, cause)
		}
	}
	return all
}

// leaves are the errors of which a text of several lines was joined.
func leaves(err error) (all []error) {
	if strings.Contains(err.Error(), "\n") {
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			if several, ok := inner.(interface{ Unwrap() []error }); ok { //nolint:errorlint // each one of the chain is looked at
				for _, one := range several.Unwrap() {
					all = append(all, leaves(one)...)
				}
				return all
			}
		}
	}
	return []error{err}
}

// isAnswer reports whether a server said it, which repeats no password.
func isAnswer(err error) bool {
	_, ok := err.(*pgconn.PgError) //nolint:errorlint // as causesOf leaves it
	return ok
}
