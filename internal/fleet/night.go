package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/internal/printable"
	"github.com/jackc/pgx/v5"
)

// nightLength is how long after its start a night takes in who comes to make one of the same campaign. It is longer than the
// machines' clocks and timers may differ, and shorter than the time from one night to the next.
const nightLength = 12 * time.Hour

// A Site is an installation as the fleet knows it.
type Site struct {
	Name string // the digest of its token, which all machines share; their ways to the site need not be the same
	URL  string // for people
}

// Installation returns the number of an installation, which is entered if it is new.
func (db *DB) Installation(ctx context.Context, s Site) (id int64, err error) {
	err = db.one(ctx, "enter the installation", `
		INSERT INTO senddigest.installation (name, url) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET url = coalesce(nullif(senddigest.installation.url, ''), excluded.url) RETURNING id`, []any{s.Name, s.URL}, &id)
	return id, err
}

// Reached notes the URL by which a run has reached the site: the first one that was entered may be mistyped.
func (db *DB) Reached(ctx context.Context, installation int64, url string) error {
	return db.exec(ctx, "note the site's URL", "UPDATE senddigest.installation SET url = $2 WHERE id = $1 AND url <> $2 AND $2 <> ''", installation, url)
}

// A Night is one run of a campaign, which all machines share.
type Night struct {
	ID           int64
	Installation int64
	Campaign     string
	Age          time.Duration // since its start
	Old          bool          // it began so long ago that it is not tonight's
	Stopped      string        // why nothing more starts, in one word; empty: it does
	Code         int           // exit code of the run that ended it, or left it
	Summary      string        // one line, of the same
	Ended        bool
	End          time.Time     // by the database's clock: it tells two ends of one night apart
	Ago          time.Duration // since then
}

// nightColumns are what [Night.scan] takes of a night n.
const nightColumns = `n.id, n.installation, n.campaign, extract(epoch FROM clock_timestamp() - n.started)::float8,
	coalesce(n.stopped, ''), coalesce(n.code, 0), coalesce(n.summary, ''),
	n.ended, coalesce(extract(epoch FROM clock_timestamp() - n.ended), 0)::float8`

// scan reads a night from nightColumns, and what follows them into more.
func (n *Night) scan(row pgx.Row, more ...any) error {
	var age, ago float64
	var end *time.Time
	err := row.Scan(append([]any{&n.ID, &n.Installation, &n.Campaign, &age, &n.Stopped, &n.Code, &n.Summary, &end, &ago}, more...)...)
	if n.Age, n.Ago = length(age), length(ago); end != nil {
		n.Ended, n.End = true, *end
	}
	return err
}

// night asks for one night; its ID is 0 where there is none.
func (db *DB) night(ctx context.Context, where string, values ...any) (n Night, err error) {
	ctx, cancel := asking(ctx)
	defer cancel()
	err = n.scan(db.pool.QueryRow(ctx, "SELECT "+nightColumns+" FROM senddigest.night n WHERE "+where, values...))
	if errors.Is(err, pgx.ErrNoRows) {
		return Night{}, nil
	}
	return n, db.fault("look at the night", err)
}

// A Rule is what the gate has to know of a night.
type Rule struct {
	Retries  int           // further attempts for a task that provably delivered nothing
	Throttle time.Duration // for which an attempt's place is kept after its end
	Length   time.Duration // for which a night takes in who comes to make one; 0: 12 hours
}

// Join returns the night of a campaign that somebody follows or that began less than rule.Length ago. Otherwise it begins one.
// Of several that ask at once one begins it, and all get the same. again has the newest night go on although it has ended, was
// stopped, or is old, and begins none; its error is [*NothingLeftError] where there is none that left something. A night of the
// last 12 hours that had no list left all. What somebody follows stays stopped.
func (db *DB) Join(ctx context.Context, installation int64, campaign string, rule Rule, again bool) (n Night, err error) {
	ctx, cancel := asking(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM senddigest.installation WHERE id = $1 FOR UPDATE", installation); err != nil {
			return err
		}
		var followed bool
		err := n.scan(tx.QueryRow(ctx, "SELECT "+nightColumns+", ended IS NULL AND id IN "+led+`
			FROM senddigest.night n WHERE installation = $1 AND campaign = $2 ORDER BY id DESC LIMIT 1`, installation, campaign), &followed)
		recent := n.Age < cmp.Or(rule.Length, nightLength)
		switch {
		case errors.Is(err, pgx.ErrNoRows) && again:
			return &NothingLeftError{}
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case again && !followed && (n.Ended || n.Stopped != "" || !recent):
			var left bool
			if err := tx.QueryRow(ctx, `
				SELECT EXISTS (SELECT FROM senddigest.task WHERE night = $1 AND NOT done)
					OR $2 AND NOT EXISTS (SELECT FROM senddigest.task WHERE night = $1)`, n.ID, n.Age < nightLength).Scan(&left); err != nil {
				return err
			}
			if !left {
				return &NothingLeftError{n.Age}
			}
			n = Night{ID: n.ID, Installation: installation, Campaign: campaign, Age: n.Age}
			if err := forgive(ctx, tx, installation); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "UPDATE senddigest.night SET ended = NULL, stopped = NULL, code = NULL, retries = $2 WHERE id = $1", n.ID, rule.Retries)
			return err
		case recent || followed:
			n.Old = !recent
			return forgive(ctx, tx, installation)
		}
		n = Night{Installation: installation, Campaign: campaign}
		if err := forgive(ctx, tx, installation); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			WITH superseded AS (
				UPDATE senddigest.night SET ended = clock_timestamp(), code = 75, stopped = coalesce(stopped, '`+Superseded+`')
				WHERE installation = $1 AND campaign = $2 AND ended IS NULL
			), today AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day)
			INSERT INTO senddigest.night (installation, campaign, day, number, retries, throttle)
			SELECT $1, $2, day, 1 + (SELECT count(*) FROM senddigest.night n WHERE n.installation = $1 AND n.campaign = $2 AND n.day = today.day), $3, $4
			FROM today RETURNING id`, installation, campaign, rule.Retries, rule.Throttle).Scan(&n.ID)
	})
	if _, ok := err.(*NothingLeftError); ok { //nolint:errorlint // it is ours, and comes as it is
		return n, err
	}
	return n, db.fault("join the night", err)
}

// forgive forgets that the site was away or failed, where no run follows a night: that was another one's. Otherwise who begins
// would give up at once, with no trial made.
func forgive(ctx context.Context, tx pgx.Tx, installation int64) error {
	_, err := tx.Exec(ctx, `
		UPDATE senddigest.installation SET open = false, streak = 0, down_since = NULL, down_task = NULL, down_health = NULL
		WHERE id = $1 AND NOT EXISTS (SELECT FROM senddigest.night WHERE installation = $1 AND ended IS NULL AND id IN `+led+`)`, installation)
	return err
}

// A NothingLeftError is a night that was to go on and has nothing left to do, or none at all. That it is no success is for the
// crontab which always says so: it would never see a new night.
type NothingLeftError struct{ Age time.Duration } // of the newest night; 0: there is none

func (e *NothingLeftError) Error() string {
	if e.Age == 0 {
		return "--resume: there was no night before"
	}
	return fmt.Sprintf("--resume: the newest night began %s ago, and left nothing", printable.Span(e.Age))
}

// Hint says what to do.
func (*NothingLeftError) Hint() string {
	return fmt.Sprintf("leave out --resume: where the newest night is older than %.0f hours, a new one begins", nightLength.Hours())
}

// ExitCode is that of a wrong command line.
func (*NothingLeftError) ExitCode() int { return 64 }

// Superseded is why nothing more starts in a night that nobody followed when the next one began.
const Superseded = "superseded"

// leadLock is the first half of the advisory lock of whoever plans a night; the second is the night's number.
const leadLock = "28265"

// led are the nights of this database that somebody plans and follows. PostgreSQL shows the locks of its other databases as
// well, whose nights have the same numbers.
const led = `(
	SELECT objid::bigint FROM pg_locks
	WHERE locktype = 'advisory' AND granted AND classid = ` + leadLock + ` AND objsubid = 2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)`

// A Lead is the turn to plan a night. The database takes it back when its connection is lost. Then others may plan the night
// as well: that costs work, and no group a second request.
type Lead struct{ conn *pgx.Conn }

// Lead takes the turn to plan a night if nobody else has it; otherwise it returns nil.
func (db *DB) Lead(ctx context.Context, night int64) (*Lead, error) {
	ctx, cancel := asking(ctx)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig) // of its own: the pool closes what is idle
	if err != nil {
		return nil, db.fault("", err)
	}
	var mine bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+leadLock+", $1)", night).Scan(&mine); err != nil || !mine {
		_ = conn.Close(ctx)
		return nil, db.fault("take the turn to plan the night", err)
	}
	return &Lead{conn}, nil
}

// Held reports whether the turn is still had: a database that was restarted has taken it back, and says so to nobody. Of nil it
// is not.
func (l *Lead) Held(ctx context.Context) bool {
	if l == nil {
		return false
	}
	ctx, cancel := asking(ctx)
	defer cancel()
	return l.conn.Ping(ctx) == nil
}

// Release gives the turn back; nil has none.
func (l *Lead) Release(ctx context.Context) {
	if l == nil {
		return
	}
	ctx, cancel := asking(ctx)
	defer cancel()
	_, _ = l.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()") // at once; otherwise it goes when the server notes the end
	_ = l.conn.Close(ctx)
}

// Look returns a night as it is now.
func (db *DB) Look(ctx context.Context, night int64) (Night, error) {
	n, err := db.night(ctx, "n.id = $1", night)
	if err == nil && n.ID == 0 { // another copy of the database was put in its place
		err = db.fault("look at the night", pgx.ErrNoRows)
	}
	return n, err
}

// Newest returns the last night of a campaign; its ID is 0 where there was none.
func (db *DB) Newest(ctx context.Context, installation int64, campaign string) (Night, error) {
	return db.night(ctx, "n.installation = $1 AND n.campaign = $2 ORDER BY n.id DESC LIMIT 1", installation, campaign)
}

// StopNight has nothing more start this night, for a reason in one word. The first reason stays.
func (db *DB) StopNight(ctx context.Context, night int64, reason string) error {
	return db.exec(ctx, "stop the night", "UPDATE senddigest.night SET stopped = coalesce(stopped, $2) WHERE id = $1", night, reason)
}

// End ends a night, with the exit code and the summary of the run that saw it to its end. The first end stays.
func (db *DB) End(ctx context.Context, night int64, code int, summary string) error {
	return db.exec(ctx, "end the night",
		"UPDATE senddigest.night SET ended = clock_timestamp(), code = $2, summary = $3 WHERE id = $1 AND ended IS NULL", night, code, text(summary))
}

// Leave notes how a run ended that followed a night, and leaves the night to others.
func (db *DB) Leave(ctx context.Context, night int64, code int, summary string) error {
	return db.exec(ctx, "leave the night",
		"UPDATE senddigest.night SET code = $2, summary = $3 WHERE id = $1 AND ended IS NULL", night, code, text(summary))
}

// Forget deletes the nights of the same campaign that are more than keep older than a night. One of 200,000 groups takes some
// seconds, so each goes by itself.
func (db *DB) Forget(ctx context.Context, night int64, keep time.Duration) error {
	for gone := int64(1); gone > 0; {
		ctx, cancel := context.WithTimeout(ctx, 10*questionTime)
		tag, err := db.pool.Exec(ctx, `
			DELETE FROM senddigest.night WHERE id = (
				SELECT o.id FROM senddigest.night o JOIN senddigest.night n ON o.installation = n.installation AND o.campaign = n.campaign
				WHERE n.id = $1 AND o.started < n.started - $2::interval ORDER BY o.id LIMIT 1
			)`, night, keep)
		cancel()
		if err != nil {
			return db.fault("forget an old night", err)
		}
		gone = tag.RowsAffected()
	}
	return nil
}
