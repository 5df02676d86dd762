package postgres

import (
	"context"
	"strconv"
)

// Write tries to write over a reader's connection.
func Write(ctx context.Context, r *Reader) error {
	return r.ask(ctx, "", "INSERT INTO group_digest VALUES ('a', 'b')", nil, func([][]byte) error { return nil })
}

// Sleep makes a statement that takes so many seconds.
func Sleep(ctx context.Context, r *Reader, seconds int) error {
	return r.ask(ctx, "", "SELECT pg_sleep("+strconv.Itoa(seconds)+")", nil, func([][]byte) error { return nil })
}
