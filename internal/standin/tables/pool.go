package tables

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// A pool keeps connections for further use. Like the server's own (SQLAlchemy's) it finds out that PostgreSQL was restarted
// by a request that fails; from then on it connects anew.
type pool struct {
	config *pgconn.Config

	mu     sync.Mutex
	idle   []*pgconn.PgConn
	closed bool // what comes back is closed
}

// take returns a connection, which give takes back.
func (p *pool) take(ctx context.Context) (*pgconn.PgConn, error) {
	p.mu.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		conn := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	return pgconn.ConnectConfig(ctx, p.config)
}

// give takes a connection back. One that broke is followed by all that are idle: whatever broke it broke them too.
func (p *pool) give(conn *pgconn.PgConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const atRest = 'I' // in no transaction
	if !p.closed && !conn.IsClosed() && conn.TxStatus() == atRest {
		p.idle = append(p.idle, conn)
		return
	}
	if conn.IsClosed() {
		p.drop()
	}
	hangUp(conn)
}

func (p *pool) with(ctx context.Context, do func(*pgconn.PgConn) error) error {
	conn, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.give(conn)
	return do(conn)
}

// closeIdle closes the idle connections; if for good, those in use as well when they come back.
func (p *pool) closeIdle(ctx context.Context, forGood bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || forGood
	for _, conn := range p.idle {
		_ = conn.Close(ctx)
	}
	p.idle = nil
}

// drop closes the idle connections. The caller holds p.mu.
func (p *pool) drop() {
	for _, conn := range p.idle {
		hangUp(conn)
	}
	p.idle = nil
}

// hangUp closes a connection without a word to the server, who may be gone.
func hangUp(conn *pgconn.PgConn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = conn.Close(ctx)
}
