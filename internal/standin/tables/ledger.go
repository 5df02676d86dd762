package tables

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
	"github.com/jackc/pgx/v5/pgconn"
)

// GroupServer's intervals, on the clock of the wall.
const (
	day   = 24 * time.Hour
	guard = 9 * day / 10 // a younger row stops another digest
	week  = 7            // days between weekly digests
)

// naive is Python's datetime without a zone: what the clock shows, of which PostgreSQL does not learn where it hangs. It cuts
// to the microsecond, as Python does.
func naive(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }

// earlier is the naive time so long before t, by the wall: across a change of the clocks it is an hour off.
func earlier(t time.Time, d time.Duration) string {
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return naive(wall.Add(-d))
}

// facts are what a send looks up. Times compare as PostgreSQL compares a timestamp with a timestamptz: read in the session's
// zone. $1 and $2 are site and group, $3 is a day ago, $4 the guard's reach.
const facts = `SELECT
	EXISTS (SELECT 1 FROM topic JOIN topic_keywords USING (topic_id) JOIN post USING (topic_id)
		WHERE topic.site_id = $1 AND topic.group_id = $2 AND topic.last_post_date >= $3::timestamp AND post.date >= $3::timestamp),
	(SELECT (extract(epoch FROM last_post_date) * 1000000)::bigint FROM topic JOIN topic_keywords USING (topic_id)
		WHERE site_id = $1 AND group_id = $2 AND hidden IS NULL ORDER BY last_post_date DESC LIMIT 1),
	EXISTS (SELECT 1 FROM email_setting WHERE group_id = $2 AND setting = 'digest'),
	EXISTS (SELECT 1 FROM group_digest WHERE site_id = $1 AND group_id = $2 AND sent_date >= $4::timestamp)`

// Prepare is a send up to the first phase of its commit, see [standin.Ledger].
func (d *DB) Prepare(g standin.Group, now time.Time) (standin.Prepared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := d.pool.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("send to %s/%s: %w", g.Site, g.Group, err)
	}
	p := &prepared{db: d, conn: conn, group: g, id: fmt.Sprintf("_sa_%016x%016x", rand.Uint64(), rand.Uint64())}
	due, err := d.due(ctx, conn, g, now)
	if err == nil && due {
		err = p.insert(ctx, now)
	}
	if err != nil || !due {
		if err == nil {
			err = run(ctx, conn, "ROLLBACK")
		}
		d.pool.give(conn)
		return nil, wrap(err, g)
	}
	return p, nil
}

// due begins a transaction and reports whether a digest would be mailed in it.
func (d *DB) due(ctx context.Context, conn *pgconn.PgConn, g standin.Group, now time.Time) (bool, error) {
	if err := run(ctx, conn, "BEGIN"); err != nil {
		return false, err
	}
	rows, err := query(ctx, conn, facts, g.Site, g.Group, earlier(now, day), earlier(now, guard))
	if err != nil {
		return false, err
	}
	const yes = "t"
	daily, newest, subscribed, guarded := rows[0][0] == yes, rows[0][1], rows[0][2] == yes, rows[0][3] == yes
	if newest != "" && !daily {
		micro, err := strconv.ParseInt(newest, 10, 64)
		if err != nil {
			return false, err
		}
		if !anniversary(now.Sub(time.UnixMicro(micro))) {
			return false, nil
		}
	}
	can := daily || newest != ""
	return can && subscribed && !guarded && !(d.options.Unreachable != nil && d.options.Unreachable(g)), nil
}

// anniversary reports whether a weekly digest is due when the newest post is so old. This one age is of true instants, not of
// readings on the wall: GroupServer subtracts in UTC here. Days are whole ones as Python has them, so a post of the future is
// -1 day old at first.
func anniversary(age time.Duration) bool {
	days := age / day
	if age%day < 0 {
		days--
	}
	return days != 0 && days%week == 0
}

// A prepared send holds its connection until one of its methods was called.
type prepared struct {
	db    *DB
	conn  *pgconn.PgConn
	group standin.Group
	id    string
}

// insert writes the row, with the time that the guard was asked for, and ends the first phase.
func (p *prepared) insert(ctx context.Context, now time.Time) error {
	const row = "INSERT INTO group_digest (site_id, group_id, sent_date) VALUES ($1, $2, $3::timestamp)"
	if _, err := query(ctx, p.conn, row, p.group.Site, p.group.Group, naive(now)); err != nil {
		return err
	}
	err := run(ctx, p.conn, "PREPARE TRANSACTION "+literal(p.id))
	const outOfMemory, notInPrerequisiteState = "53200", "55000" // all places taken; there are none at all
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == outOfMemory || e.Code == notInPrerequisiteState) {
		return fmt.Errorf("%w: %w", standin.ErrNoPrepared, err)
	}
	return err
}

// Commit is the second phase.
func (p *prepared) Commit() error {
	defer p.db.pool.give(p.conn)
	if between := p.db.options.Between; between != nil {
		if err := between(p.group); err != nil {
			return wrap(err, p.group)
		}
	}
	return p.finish("COMMIT PREPARED ")
}

// Rollback undoes the first phase.
func (p *prepared) Rollback() error {
	defer p.db.pool.give(p.conn)
	return p.finish("ROLLBACK PREPARED ")
}

func (p *prepared) finish(how string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return wrap(run(ctx, p.conn, how+literal(p.id)), p.group)
}

func wrap(err error, g standin.Group) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("send to %s/%s: %w", g.Site, g.Group, err)
}
