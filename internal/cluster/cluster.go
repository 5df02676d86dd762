// Package cluster runs a PostgreSQL server of one's own in a temporary folder, for tests and the demo: initdb, a server
// on a socket that nobody else can reach, restarts, crashes, and nothing left behind. It runs the binaries that are
// installed and never downloads any, and it never touches a server that it did not start.
//
// A Cluster owns its server and the goroutine that waits for it; both have ended when Stop, Kill or Close returns. On Linux
// the server ends with this process, however that ends; the folder then stays.
//
// It is our own because github.com/fergusstrange/embedded-postgres downloads its binaries from Maven, and leaves the server
// behind when the process is killed.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/child"
)

// Role is the superuser of every cluster, by the name that GroupServer gives to the owner of its tables.
const Role = "gsadmin"

// DefaultMaxPrepared is what GroupServer's installer sets for max_prepared_transactions (docs/groupserver.md section 5).
const DefaultMaxPrepared = 10

// patience is how long Close waits for the server and its children before they are killed.
const patience = 10 * time.Second

// Options describe a cluster. The zero value is a server on a socket alone, in UTC, that asks for no password.
type Options struct {
	// Binaries is the folder of initdb and postgres; "" means the one that Find returns.
	Binaries string

	// Password is the role's. "" means that whoever reaches the socket needs none.
	Password string

	// TCP has the server listen at a free port of 127.0.0.1 as well. It needs a password: any user of the machine reaches
	// that port, and the role may run commands as the server's user.
	TCP bool

	// TimeZone is the zone of a session that sets none, by its name in the tz database; "" means UTC.
	TimeZone string

	// MaxPrepared is max_prepared_transactions: how many transactions may be between the two phases of their commits. 0 means
	// DefaultMaxPrepared, negative means none.
	MaxPrepared int

	// Settings are further ones, as in postgresql.conf. They win over the others, except over those that the cluster itself
	// relies on: where the server listens and where it logs.
	Settings map[string]string
}

func (o Options) validate() error {
	if o.TCP && o.Password == "" {
		return errors.New("cluster: TCP needs a Password")
	}
	if strings.ContainsAny(o.Password, "\r\n\x00") {
		return errors.New("cluster: Password is more than one line")
	}
	return nil
}

// A Cluster is a folder of databases, and the server on it while one runs. Its methods may be called by several goroutines.
type Cluster struct {
	options Options
	dir     string // holds data, and the socket
	port    int
	as      *syscall.Credential // whom the server runs as; nil means as this process
	log     output

	mu     sync.Mutex     // held while the server is started or ended
	server *child.Process // the latest; nil before the first
	killed bool           // Kill ended it
	closed bool
}

// Start makes a cluster and starts its server, which answers when Start returns. The context bounds Start alone. An error
// is a [*NotFoundError] where PostgreSQL is not installed; others hold what the server logged.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Binaries == "" {
		var err error
		if o.Binaries, err = Find(); err != nil {
			return nil, err
		}
	}
	if o.TimeZone == "" {
		o.TimeZone = "UTC"
	}
	if o.MaxPrepared == 0 {
		o.MaxPrepared = DefaultMaxPrepared
	}
	c := &Cluster{options: o, port: 5432} // without TCP a part of the socket's name and nothing else
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) create(ctx context.Context) (err error) {
	if c.as, err = unprivileged(); err != nil {
		return err
	}
	if c.options.TCP {
		if c.port, err = FreePort(ctx); err != nil {
			return err
		}
	}
	if c.dir, err = makeFolder(c.as); err != nil {
		return err
	}
	if err := c.initdb(ctx); err != nil {
		return err
	}
	return c.Start(ctx)
}

// Start starts the server again after Stop, Kill or a crash, on the same data, socket and port. It answers when Start
// returns; after a crash it has recovered first.
func (c *Cluster) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errors.New("cluster: it is closed")
	case c.server.Runs():
		return errors.New("cluster: the server is running already")
	}
	return c.start(ctx)
}

// start starts the server. The caller holds c.mu.
func (c *Cluster) start(ctx context.Context) error {
	ready := c.log.await("database system is ready to accept connections")
	server, err := run(c.command("postgres", c.arguments()...))
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	c.server, c.killed = server, false
	select {
	case <-ready:
		return nil
	case <-server.Ended():
		return fmt.Errorf("start PostgreSQL: %w\n%s", server.Failure(), c.log.tail())
	case <-ctx.Done():
		err := fmt.Errorf("start PostgreSQL: %w\n%s", context.Cause(ctx), c.log.tail())
		server.End(syscall.SIGQUIT, patience)
		return err
	}
}

// Stop ends the server in the way of its fast mode: transactions are rolled back, connections cut, everything is written.
// If the context ends first, so does the server, as in a crash. A server that does not run is no error.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.server.Runs() {
		return nil
	}
	c.server.Signal(syscall.SIGINT)
	select {
	case <-c.server.Ended():
		return nil
	case <-ctx.Done():
		c.server.End(syscall.SIGQUIT, patience)
		return fmt.Errorf("stop PostgreSQL: %w", context.Cause(ctx))
	}
}

// Kill ends the server as a crash of it would: clients hear nothing, and the next Start has to recover.
func (c *Cluster) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.Runs() {
		c.server.End(syscall.SIGKILL, patience)
		c.killed = true
	}
}

// Close ends the server and removes the folder. A second call does nothing.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.killed {
		// It left a segment of shared memory in the kernel, which is not in the folder and which only the next server on it
		// takes away.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = c.start(ctx)
	}
	if c.server.Runs() {
		c.server.End(syscall.SIGQUIT, patience) // nobody reads what a slower way would write
	}
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// DSN is the address of a database as GroupServer's installer writes it: with the password as it is, not escaped. Where
// the server listens at no port it is one in the same style with the socket's folder, which GroupServer has no word for.
func (c *Cluster) DSN(database string) string {
	user := Role
	if c.options.Password != "" {
		user += ":" + c.options.Password
	}
	if !c.options.TCP {
		return fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d", user, database, c.dir, c.port)
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", user, c.port, database)
}

// SocketFolder is the folder of the server's socket: what clients of PostgreSQL take for a host.
func (c *Cluster) SocketFolder() string { return c.dir }

// Port is the server's port, at 127.0.0.1 where Options.TCP says so, and in the name of its socket.
func (c *Cluster) Port() int { return c.port }

// Password is the role's password; "" means that none is needed.
func (c *Cluster) Password() string { return c.options.Password }

// Log is what the servers of this cluster have logged so far, the last MiB of it at least.
func (c *Cluster) Log() string { return c.log.String() }

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }
