// Package tables is GroupServer's tables in a real PostgreSQL, for the tests and the demo: it makes and fills them, and as
// the ledger of a stand-in site it decides and writes what GroupServer does for a send.
//
// Its SQL is a second reading of the facts and shares nothing with the client's. What it mails, the site's log says; the
// test draws the conclusion.
//
// A DB has no goroutines. Its connections are as many as were ever needed at once; Close closes them.
package tables

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/jackc/pgx/v5/pgconn"
)

// schema makes the tables.
//
//go:embed schema.sql
var schema string

// patience is the longest that one step of a send may take: a database that hangs must not hang the site for good.
const patience = 30 * time.Second

// Options of a database. The zero value is one whose server lives in this process's zone.
type Options struct {
	// Zone is the time zone of the server's clock, for which standin.Options.Zone has to be the same. nil means the zone of
	// this process.
	Zone *time.Location

	// SessionZone is the zone in which PostgreSQL reads times without one: in every session of the database that sets none,
	// readers' too. "" means the cluster's.
	SessionZone string

	// Unreachable tells the groups whose digest nobody would get although somebody is set to it: no mailing list, members
	// gone, addresses unverified. GroupServer keeps that elsewhere. nil means none.
	Unreachable func(standin.Group) bool

	// Between is called between the two phases of each commit: the mail has gone, no other session sees the row. An error
	// is the end of the send there, as when Zope dies: its transaction stays prepared. It is called in the site's request
	// threads, perhaps by several at a time.
	Between func(standin.Group) error
}

// A DB is one database with GroupServer's tables. It is a [standin.Ledger]. Its methods may be called by several goroutines.
type DB struct {
	name    string
	cluster *cluster.Cluster
	options Options
	pool    pool
}

var _ standin.Ledger = (*DB)(nil)

// Create makes a database of that name, with empty tables.
func Create(ctx context.Context, c *cluster.Cluster, name string, o Options) (*DB, error) {
	if o.Zone == nil {
		o.Zone = time.Local
	}
	d := &DB{name: name, cluster: c, options: o}
	if err := d.create(ctx); err != nil {
		return nil, fmt.Errorf("create database %s: %w", name, err)
	}
	return d, nil
}

func (d *DB) create(ctx context.Context) error {
	config, err := configFor(d.cluster, "postgres")
	if err != nil {
		return err
	}
	first, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = first.Close(ctx) }()
	statements := []string{"CREATE DATABASE " + name(d.name)}
	if d.options.SessionZone != "" {
		statements = append(statements, "ALTER DATABASE "+name(d.name)+" SET timezone TO "+literal(d.options.SessionZone))
	}
	for _, sql := range statements { // one by one: neither may stand in a transaction
		if _, err := first.Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	if d.pool.config, err = configFor(d.cluster, d.name); err != nil {
		return err
	}
	return d.pool.with(ctx, func(conn *pgconn.PgConn) error {
		_, err := conn.Exec(ctx, schema).ReadAll()
		return err
	})
}

// CreateEmpty makes a database of that name without any tables, for what is to stand beside GroupServer's.
func CreateEmpty(ctx context.Context, c *cluster.Cluster, database string) error {
	config, err := configFor(c, "postgres")
	if err != nil {
		return err
	}
	first, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = first.Close(ctx) }()
	if _, err := first.Exec(ctx, "CREATE DATABASE "+name(database)).ReadAll(); err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}

// configFor is how to reach a database over the cluster's socket, whatever the environment says of other servers.
func configFor(c *cluster.Cluster, database string) (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable", c.SocketFolder(), c.Port()))
	if err != nil {
		return nil, err
	}
	config.User, config.Password, config.Database = cluster.Role, c.Password(), database
	config.RuntimeParams = map[string]string{"application_name": "groupserver"}
	return config, nil
}

// DSN is the database's address as GroupServer's installer writes it, see [cluster.Cluster.DSN].
func (d *DB) DSN() string { return d.cluster.DSN(d.name) }

// Close ends what still stands between two phases, which would hold one of the cluster's places, and closes the
// connections. The database stays until the cluster is closed.
func (d *DB) Close(ctx context.Context) error {
	hung, err := d.Prepared(ctx)
	for _, id := range hung {
		if err == nil {
			_, err = d.Query(ctx, "ROLLBACK PREPARED "+literal(id))
		}
	}
	d.pool.closeIdle(ctx, true)
	return err
}

// CloseIdle closes the connections that nobody uses; whoever comes next connects anew. A testing/synctest bubble calls it at
// its end: what was made in there is of no use outside.
func (d *DB) CloseIdle(ctx context.Context) { d.pool.closeIdle(ctx, false) }

// name and literal quote what stands in a statement.
func name(s string) string    { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func literal(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }
