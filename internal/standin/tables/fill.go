package tables

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
	"github.com/jackc/pgx/v5/pgconn"
)

// Fill copies rows of one kind into their table, any number of them: all or, with an error, none.
func Fill[R Row](ctx context.Context, d *DB, rows iter.Seq[R]) error {
	next, stop := iter.Pull(rows)
	defer stop()
	var kind R
	return d.fill(ctx, kind.table(), func(l *line) bool {
		row, ok := next()
		if ok {
			row.write(l)
		}
		return ok
	})
}

// Add inserts rows, of whatever kinds.
func (d *DB) Add(ctx context.Context, rows ...Row) error {
	byTable := map[string][]Row{}
	for _, r := range rows {
		byTable[r.table()] = append(byTable[r.table()], r)
	}
	for table, left := range byTable {
		err := d.fill(ctx, table, func(l *line) bool {
			if len(left) == 0 {
				return false
			}
			left[0].write(l)
			left = left[1:]
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill copies into a table, named with its columns, what next writes until it returns false.
func (d *DB) fill(ctx context.Context, table string, next func(*line) bool) error {
	return d.pool.with(ctx, func(conn *pgconn.PgConn) error {
		_, err := conn.CopyFrom(ctx, &source{line: line{zone: d.options.Zone}, next: next}, "COPY "+table+" FROM STDIN")
		if err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
		return nil
	})
}

// source reads rows as COPY's text.
type source struct {
	line line
	read int // so much of the line
	next func(*line) bool
}

func (s *source) Read(p []byte) (int, error) {
	const enough = 32 << 10 // rows are gathered, for each Read costs a switch of coroutines at least
	if s.read == len(s.line.bytes) {
		s.line.bytes, s.read = s.line.bytes[:0], 0
		for len(s.line.bytes) < enough && s.next(&s.line) {
			s.line.end()
		}
		if len(s.line.bytes) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, s.line.bytes[s.read:])
	s.read += n
	return n, nil
}

// Publish is what GroupServer does with a member's post: it stands in its topic, which it begins or makes the newest, and the
// topic has keywords. An empty ID is replaced by one of its own, an empty Topic by the post's id.
func (d *DB) Publish(ctx context.Context, posts ...Post) error {
	for _, p := range posts {
		date := naive(p.Date.In(d.options.Zone))
		if p.ID == "" {
			p.ID = "post-" + p.Group.Site + "-" + p.Group.Group + "-" + date
		}
		if p.Topic == "" {
			p.Topic = p.ID
		}
		if err := d.Add(ctx, p); err != nil {
			return err
		}
		_, err := d.Query(ctx, `INSERT INTO topic (topic_id, site_id, group_id, last_post_date, num_posts)
			VALUES ($1, $2, $3, $4::timestamp, 1) ON CONFLICT (topic_id) DO UPDATE
			SET last_post_date = greatest(topic.last_post_date, excluded.last_post_date), num_posts = topic.num_posts + 1`,
			p.Topic, p.Group.Site, p.Group.Group, date)
		if err == nil {
			_, err = d.Query(ctx, "INSERT INTO topic_keywords VALUES ($1, '{}') ON CONFLICT DO NOTHING", p.Topic)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Digests returns the rows that mailed digests have left, oldest first. Sent is the instant that PostgreSQL takes each for:
// the true one where Zope's zone is its own.
func (d *DB) Digests(ctx context.Context) ([]Digest, error) {
	rows, err := d.Query(ctx, `SELECT site_id, group_id, (extract(epoch FROM sent_date) * 1000000)::bigint FROM group_digest
		ORDER BY sent_date, site_id, group_id`)
	if err != nil {
		return nil, err
	}
	var all []Digest
	for _, r := range rows {
		micro, err := strconv.ParseInt(r[2], 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, Digest{Group: standin.Group{Site: r[0], Group: r[1]}, Sent: time.UnixMicro(micro)})
	}
	return all, nil
}

// Prepared returns the names of the transactions of this database that stand between their two phases, oldest first.
func (d *DB) Prepared(ctx context.Context) ([]string, error) {
	rows, err := d.Query(ctx, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared, gid")
	var ids []string
	for _, r := range rows {
		ids = append(ids, r[0])
	}
	return ids, err
}

// Query runs one statement and returns its rows as text, with "" for NULL.
func (d *DB) Query(ctx context.Context, sql string, args ...string) (rows [][]string, err error) {
	err = d.pool.with(ctx, func(conn *pgconn.PgConn) error {
		rows, err = query(ctx, conn, sql, args...)
		return err
	})
	return rows, err
}

func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][]string, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([][]string, len(result.Rows))
	for i, r := range result.Rows {
		for _, field := range r {
			rows[i] = append(rows[i], string(field))
		}
	}
	return rows, nil
}

// run runs a statement that has no rows.
func run(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}
