package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
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

// A Night is one run of a campaign, which all machines share.
type Night struct {
	ID           int64
	Installation int64
	Campaign     string
	Ended        bool
	Code         int    // exit code of the run that ended it
	Summary      string // one line, of the same
	Age          time.Duration
	Old          bool // it began so long ago that it is not tonight's
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
	n.Installation, n.Campaign = installation, campaign
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM senddigest.installation WHERE id = $1 FOR UPDATE", installation); err != nil {
			return err
		}
		var age float64
		var stopped, followed bool
		err := tx.QueryRow(ctx, `
			SELECT id, ended IS NOT NULL, coalesce(code, 0), coalesce(summary, ''), extract(epoch FROM clock_timestamp() - started),
				stopped IS NOT NULL, ended IS NULL AND id IN `+led+`
			FROM senddigest.night WHERE installation = $1 AND campaign = $2 ORDER BY id DESC LIMIT 1`,
			installation, campaign).Scan(&n.ID, &n.Ended, &n.Code, &n.Summary, &age, &stopped, &followed)
		n.Age = length(age)
		recent := n.Age < cmp.Or(rule.Length, nightLength)
		switch {
		case errors.Is(err, pgx.ErrNoRows) && again:
			return &NothingLeftError{}
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case again && !followed && (n.Ended || stopped || !recent):
			var left bool
			if err := tx.QueryRow(ctx, `
				SELECT EXISTS (SELECT FROM senddigest.task WHERE night = $1 AND NOT done)
					OR $2 AND NOT EXISTS (SELECT FROM senddigest.task WHERE night = $1)`, n.ID, n.Age < nightLength).Scan(&left); err != nil {
				return err
			}
			if !left {
				return &NothingLeftError{n.Age}
			}
			n.Ended = false
			_, err := tx.Exec(ctx, "UPDATE senddigest.night SET ended = NULL, stopped = NULL, code = NULL, retries = $2 WHERE id = $1", n.ID, rule.Retries)
			return err
		case recent || followed:
			n.Old = !recent
			return nil
		}
		n.Ended, n.Code, n.Summary, n.Age = false, 0, "", 0
		return tx.QueryRow(ctx, `
			WITH superseded AS (
				UPDATE senddigest.night SET ended = clock_timestamp(), stopped = coalesce(stopped, 'superseded')
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

// Release gives the turn back.
func (l *Lead) Release(ctx context.Context) {
	ctx, cancel := asking(ctx)
	defer cancel()
	_, _ = l.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()") // at once; otherwise it goes when the server notes the end
	_ = l.conn.Close(ctx)
}

// Look returns a night as it is now.
func (db *DB) Look(ctx context.Context, night int64) (n Night, stopped string, err error) {
	n.ID = night
	var age float64
	err = db.one(ctx, "look at the night", `
		SELECT installation, campaign, ended IS NOT NULL, coalesce(code, 0), coalesce(summary, ''), coalesce(stopped, ''),
			extract(epoch FROM clock_timestamp() - started)
		FROM senddigest.night WHERE id = $1`, []any{night}, &n.Installation, &n.Campaign, &n.Ended, &n.Code, &n.Summary, &stopped, &age)
	n.Age = length(age)
	return n, stopped, err
}

// Newest returns the last night of a campaign; its ID is 0 where there was none.
func (db *DB) Newest(ctx context.Context, installation int64, campaign string) (n Night, err error) {
	n.Installation, n.Campaign = installation, campaign
	var age float64
	err = db.one(ctx, "look for the night", `
		SELECT id, ended IS NOT NULL, coalesce(code, 0), coalesce(summary, ''), extract(epoch FROM clock_timestamp() - started)
		FROM senddigest.night WHERE installation = $1 AND campaign = $2 ORDER BY id DESC LIMIT 1`, []any{installation, campaign},
		&n.ID, &n.Ended, &n.Code, &n.Summary, &age)
	n.Age = length(age)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return n, err
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

// A Task is somebody to send to, once a night.
type Task struct {
	ID         int64
	Site, Name string
	Place      int           // in the plan, from 0
	Settle     time.Duration // for which the site may be at work on a request
	Hold       time.Duration // for which it is held back from now; 0: not at all
	Round      int           // jobs that the queue was given for it
}

// Add enters tasks of a night. Of those that it has already nothing changes.
func (db *DB) Add(ctx context.Context, night int64, tasks []Task) error {
	sites, names := make([]string, len(tasks)), make([]string, len(tasks))
	places, settles, holds := make([]int, len(tasks)), make([]float64, len(tasks)), make([]float64, len(tasks))
	for i, t := range tasks {
		sites[i], names[i], places[i], settles[i], holds[i] = t.Site, t.Name, t.Place, seconds(t.Settle), seconds(t.Hold)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*questionTime)
	defer cancel()
	_, err := db.pool.Exec(ctx, `
		INSERT INTO senddigest.task (night, site, grp, place, settle, not_before)
		SELECT $1, site, grp, place, make_interval(secs => settle), clock_timestamp() + make_interval(secs => hold)
		FROM unnest($2::text[], $3::text[], $4::int[], $5::float8[], $6::float8[]) AS t (site, grp, place, settle, hold)
		ON CONFLICT (night, site, grp) DO NOTHING`, night, sites, names, places, settles, holds)
	return db.fault("enter the groups of the night", err)
}

// Settled decides what becomes of the task of an ambiguous attempt: another attempt may be made in wait, or none, which ends it.
// Where another attempt was made meanwhile, somebody else has decided, and nothing changes.
func (db *DB) Settled(ctx context.Context, attempt int64, repeat bool, wait time.Duration) error {
	return db.exec(ctx, "decide about an ambiguous attempt", `
		UPDATE senddigest.task t SET done = NOT $2, not_before = clock_timestamp() + make_interval(secs => $3)
		FROM senddigest.attempt a WHERE a.id = $1 AND t.id = a.task AND t.attempts = a.number AND NOT t.done`,
		attempt, repeat, max(seconds(wait), 0))
}

// Told ends a task of which the service's own tables told that an attempt was done. An attempt that is open is closed.
func (db *DB) Told(ctx context.Context, attempt int64, outcome dispatcher.Outcome) error {
	_, _, err := db.Finish(ctx, End{Attempt: attempt, Outcome: outcome})
	if err != nil {
		return err
	}
	return db.exec(ctx, "end a task", "UPDATE senddigest.task SET done = true WHERE id = (SELECT task FROM senddigest.attempt WHERE id = $1)", attempt)
}

// An Attempt is one as a run follows it.
type Attempt struct {
	ID, Task     int64
	Site, Name   string
	Number       int // of the task's attempts, from 1
	Worker       string
	Seq          int64
	Age          time.Duration // since its start
	Ended        bool
	Took         time.Duration
	Outcome      string // one of package dispatcher's, or "unsent"
	Status       int
	Reason       string
	Detail       string
	NotDelivered bool
	Again        bool // another follows, in Wait
	Wait         time.Duration
	Ambiguous    bool // it is undecided what follows
	Lost         bool // its worker never said how it ended
	Done         bool // the task is done
	Last         bool // no other attempt of the task was made since
}

// Unsent reports whether the request of the attempt never left.
func (a Attempt) Unsent() bool { return a.Outcome == unsent }

// Changes returns the attempts of a night that have changed since the one with that Seq, in the order of their changes.
func (db *DB) Changes(ctx context.Context, night, since int64) ([]Attempt, error) {
	return list(ctx, db, "follow the night", `
		SELECT a.id, a.task, a.site, a.grp, a.number, a.worker, a.seq, extract(epoch FROM clock_timestamp() - a.started)::float8,
			a.ended IS NOT NULL, extract(epoch FROM coalesce(a.took, a.ended - a.started, '0'))::float8, coalesce(a.outcome, ''), a.status,
			a.reason, a.detail, a.not_delivered, coalesce(a.verdict, ''),
			coalesce(extract(epoch FROM a.again - clock_timestamp()), 0)::float8, t.done, a.number = t.attempts
		FROM senddigest.attempt a JOIN senddigest.task t ON t.id = a.task WHERE a.night = $1 AND a.seq > $2 ORDER BY a.seq LIMIT 5000`,
		[]any{night, since}, func(row pgx.CollectableRow) (a Attempt, err error) {
			var age, took, wait float64
			var verdict string
			err = row.Scan(&a.ID, &a.Task, &a.Site, &a.Name, &a.Number, &a.Worker, &a.Seq, &age, &a.Ended, &took, &a.Outcome, &a.Status,
				&a.Reason, &a.Detail, &a.NotDelivered, &verdict, &wait, &a.Done, &a.Last)
			a.Age, a.Took, a.Wait = length(age), length(took), length(wait)
			a.Again, a.Ambiguous, a.Lost = verdict == again, verdict == undecided, a.Reason == lost
			return a, err
		})
}

// lost is the reason of an attempt of which nobody says how it ended.
const lost = "its worker ended without the answer"

// CloseSettled closes the attempts of a campaign whose workers have not said how they ended, and with which the site is surely
// done by now. They may have been delivered.
func (db *DB) CloseSettled(ctx context.Context, installation int64, campaign string) error {
	type open struct {
		id     int64
		worker string
	}
	all, err := list(ctx, db, "look for lost attempts", `
		SELECT id, worker FROM senddigest.attempt
		WHERE installation = $1 AND campaign = $2 AND ended IS NULL AND settles <= clock_timestamp()`,
		[]any{installation, campaign}, func(row pgx.CollectableRow) (o open, err error) {
			err = row.Scan(&o.id, &o.worker)
			return o, err
		})
	if err != nil {
		return err
	}
	for _, l := range all {
		_, _, err := db.Finish(ctx, End{
			Attempt: l.id, Outcome: dispatcher.Ambiguous, Reason: lost,
			Detail: fmt.Sprintf("worker %s ended without the answer", l.worker),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WorkerLost is how long a worker is not heard of before it counts as dead. That only decides who is asked about: its attempts
// stay open until they settle.
const WorkerLost = 15 * time.Second

// LostAttempts returns the open attempts of workers that are not heard of, and those that are undecided.
func (db *DB) LostAttempts(ctx context.Context, night int64) (map[int64]bool, error) {
	ids, err := list(ctx, db, "look for attempts of dead workers", `
		SELECT a.id FROM senddigest.attempt a JOIN senddigest.task t ON t.id = a.task
		LEFT JOIN senddigest.worker w ON w.id = a.worker AND w.seen > clock_timestamp() - $2::interval
		WHERE a.night = $1 AND NOT t.done AND a.number = t.attempts AND (a.ended IS NULL AND w.id IS NULL OR a.outcome = 'ambiguous')`,
		[]any{night, WorkerLost}, pgx.RowTo[int64])
	set := map[int64]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set, err
}

// InFlight counts the attempts of a night that are under way.
func (db *DB) InFlight(ctx context.Context, night int64) (n int, err error) {
	err = db.one(ctx, "count the attempts in flight",
		"SELECT count(*) FROM senddigest.attempt WHERE night = $1 AND ended IS NULL AND settles > clock_timestamp()", []any{night}, &n)
	return n, err
}

// Tasks returns the tasks of a night in the plan's order.
func (db *DB) Tasks(ctx context.Context, night int64) ([]Task, error) {
	return list(ctx, db, "read the groups of the night",
		"SELECT id, site, grp, place, round FROM senddigest.task WHERE night = $1 ORDER BY place", []any{night},
		func(row pgx.CollectableRow) (t Task, err error) {
			err = row.Scan(&t.ID, &t.Site, &t.Name, &t.Place, &t.Round)
			return t, err
		})
}

// Known returns what the attempts of the last nights tell of the groups, as far back as memory.
func (db *DB) Known(ctx context.Context, installation int64, campaign string, night int64, memory time.Duration) ([]Known, error) {
	return list(ctx, db, "read what earlier nights did", `
		SELECT site, grp, bool_or(night = $3),
			extract(epoch FROM clock_timestamp() - max(started) FILTER (WHERE outcome IN ('accepted', 'ambiguous') OR ended IS NULL))::float8,
			extract(epoch FROM clock_timestamp() - max(started) FILTER (WHERE outcome = 'ambiguous' OR ended IS NULL))::float8
		FROM senddigest.attempt
		WHERE installation = $1 AND campaign = $2 AND started > clock_timestamp() - $4::interval GROUP BY site, grp`,
		[]any{installation, campaign, night, memory}, func(row pgx.CollectableRow) (k Known, err error) {
			var accepted, open *float64
			err = row.Scan(&k.Site, &k.Name, &k.Tonight, &accepted, &open)
			if accepted != nil {
				k.Accepted = length(*accepted)
			}
			if open != nil {
				k.Open = length(*open)
			}
			return k, err
		})
}

// Known is what the attempts of some nights tell of a group.
type Known struct {
	Site, Name string
	Tonight    bool          // an attempt was made this night
	Accepted   time.Duration // since the start of the last attempt that was accepted, or may have been; 0: there was none
	Open       time.Duration // since the start of the last one of unknown fate; 0: there was none
}
