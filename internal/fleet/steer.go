package fleet

import (
	"context"
	"strings"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
	"github.com/jackc/pgx/v5"
)

// Limits are those of an installation. They hold for all machines together; whoever sets them sets them for all.
type Limits struct {
	Workers int            // the most attempts in flight
	Rate    ratelimit.Rate // starts a second; 0: no limit
	Burst   int            // starts at once after a lull
	Paused  bool           // by an operator: nothing starts
}

// LimitsOf returns the limits of an installation.
func (db *DB) LimitsOf(ctx context.Context, installation int64) (l Limits, err error) {
	var rate float64
	err = db.one(ctx, "read the limits", "SELECT workers, rate, burst, paused FROM senddigest.installation WHERE id = $1", []any{installation},
		&l.Workers, &rate, &l.Burst, &l.Paused)
	l.Rate = ratelimit.Rate(rate)
	return l, err
}

// SetWorkers sets how many attempts may be in flight from the next start on.
func (db *DB) SetWorkers(ctx context.Context, installation int64, n int) error {
	return db.exec(ctx, "set the number of workers", "UPDATE senddigest.installation SET workers = $2 WHERE id = $1", installation, n)
}

// SetRate sets how many attempts may start a second, and at once after a lull. Those that have started count: each machine's
// run may set the rate, in the midst of a night.
func (db *DB) SetRate(ctx context.Context, installation int64, rate ratelimit.Rate, burst int) error {
	return db.exec(ctx, "set the rate", `
		UPDATE senddigest.installation SET rate = $2::float8, burst = $3::int, tat = CASE WHEN $2::float8 > 0
			THEN least(tat, clock_timestamp() + make_interval(secs => $3::int / $2::float8)) ELSE '-infinity' END
		WHERE id = $1`,
		installation, float64(rate), max(burst, 1))
}

// SetPaused has nothing start, or lets it start again. It ends a pause that the site asked for, too. For how long the site has
// been away counts from the end of the pause: nobody asked it meanwhile.
func (db *DB) SetPaused(ctx context.Context, installation int64, paused bool) error {
	return db.exec(ctx, "pause or resume", `
		UPDATE senddigest.installation SET paused = $2, paused_until = CASE WHEN $2 THEN paused_until ELSE '-infinity' END,
			down_since = CASE WHEN paused AND NOT $2 AND open THEN clock_timestamp() ELSE down_since END
		WHERE id = $1`,
		installation, paused)
}

// Stop has nothing more start in the nights that go on. It returns how many these are.
func (db *DB) Stop(ctx context.Context, installation int64, reason string) (nights int, err error) {
	err = db.one(ctx, "stop the nights", `
		WITH stopped AS (UPDATE senddigest.night SET stopped = coalesce(stopped, $2) WHERE installation = $1 AND ended IS NULL RETURNING 1)
		SELECT count(*) FROM stopped`, []any{installation, reason}, &nights)
	return nights, err
}

// Seen notes that a worker lives.
func (db *DB) Seen(ctx context.Context, installation int64, worker, host string, pid int) error {
	return db.exec(ctx, "enter the worker", `
		INSERT INTO senddigest.worker (id, installation, host, pid) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET seen = clock_timestamp()`, worker, installation, text(host), pid)
}

// Gone forgets a worker that has ended, and those that were not heard of for a day.
func (db *DB) Gone(ctx context.Context, worker string) error {
	return db.exec(ctx, "forget the worker", "DELETE FROM senddigest.worker WHERE id = $1 OR seen < clock_timestamp() - interval '1 day'", worker)
}

// OpenAttempts returns the numbers of a worker's attempts that are not closed.
func (db *DB) OpenAttempts(ctx context.Context, worker string) ([]int64, error) {
	return list(ctx, db, "read the worker's attempts", "SELECT id FROM senddigest.attempt WHERE worker = $1 AND ended IS NULL", []any{worker}, pgx.RowTo[int64])
}

// A Status is what goes on at an installation.
type Status struct {
	Site
	Limits
	Installation int64
	PausedFor    time.Duration // by the site, for so long; 0: it is not
	DownFor      time.Duration // since the site last worked, where the breaker is open; 0: it works
	InFlight     int           // open attempts, of dead workers too
	Processes    []Worker
	Nights       []NightStatus // those that go on, or the last one of each campaign
}

// A Worker is a process that sends.
type Worker struct {
	ID, Host string
	PID      int
	Seen     time.Duration // ago
	Lost     bool          // it was not heard of for so long that it counts as dead
	DownFor  time.Duration // since the site last worked for it; 0: it does
	InFlight int
}

// A NightStatus is how far a night is.
type NightStatus struct {
	Night
	Led      bool // a run follows it
	Tasks    int
	Done     int
	Waiting  int            // tasks that are held back, or wait for another try
	WaitFor  time.Duration  // for so long, the last of them
	Outcomes map[string]int // of the tasks that are done, by their last attempt
}

// Statuses returns what goes on at the installations whose names begin so. Limits, groups and attempts are of one moment. Ages are
// by the clock of each statement, and so is who follows a night, since locks are in no snapshot.
func (db *DB) Statuses(ctx context.Context, name string) (all []Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*questionTime)
	defer cancel()
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.pool, snapshot, func(tx pgx.Tx) (err error) {
		if all, err = installations(ctx, tx, name); err != nil {
			return err
		}
		for i := range all {
			if err := fill(ctx, tx, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return all, db.fault("read the status", err)
}

// installations are those whose names begin so.
func installations(ctx context.Context, tx pgx.Tx, name string) ([]Status, error) {
	return rows(ctx, tx, `
		SELECT i.id, i.name, i.url, i.workers, i.rate, i.burst, i.paused,
			CASE WHEN i.paused_until > clock_timestamp() THEN extract(epoch FROM i.paused_until - clock_timestamp()) ELSE 0 END::float8,
			CASE WHEN i.open THEN extract(epoch FROM clock_timestamp() - i.down_since) ELSE 0 END::float8,
			(SELECT count(*) FROM senddigest.attempt a WHERE a.installation = i.id AND a.ended IS NULL)
		FROM senddigest.installation i WHERE starts_with(i.name, $1) ORDER BY i.id`, []any{name},
		func(row pgx.CollectableRow) (s Status, err error) {
			var rate, paused, down float64
			err = row.Scan(&s.Installation, &s.Name, &s.URL, &s.Limits.Workers, &rate, &s.Burst, &s.Paused, &paused, &down, &s.InFlight)
			s.Rate, s.PausedFor, s.DownFor = ratelimit.Rate(rate), length(paused), length(down)
			return s, err
		})
}

// fill adds what an installation has: workers and nights.
func fill(ctx context.Context, tx pgx.Tx, s *Status) (err error) {
	s.Processes, err = rows(ctx, tx, `
		SELECT w.id, w.host, w.pid, extract(epoch FROM clock_timestamp() - w.seen)::float8, w.seen < clock_timestamp() - $2::interval,
			CASE WHEN senddigest.is_down(w) THEN extract(epoch FROM clock_timestamp() - w.down_since) ELSE 0 END::float8,
			(SELECT count(*) FROM senddigest.attempt a WHERE a.worker = w.id AND a.ended IS NULL)
		FROM senddigest.worker w WHERE w.installation = $1 ORDER BY w.host, w.pid`, []any{s.Installation, WorkerLost},
		func(row pgx.CollectableRow) (w Worker, err error) {
			var seen, down float64
			err = row.Scan(&w.ID, &w.Host, &w.PID, &seen, &w.Lost, &down, &w.InFlight)
			w.Seen, w.DownFor = length(seen), length(down)
			return w, err
		})
	if err != nil {
		return err
	}
	s.Nights, err = rows(ctx, tx, `
		SELECT `+nightColumns+`, n.id IN `+led+`,
			t.tasks, t.done, t.waiting, t.wait
		FROM (
			SELECT DISTINCT ON (campaign, ended IS NULL) * FROM senddigest.night WHERE installation = $1 ORDER BY campaign, ended IS NULL, id DESC
		) n CROSS JOIN LATERAL (
			SELECT count(*) AS tasks, count(*) FILTER (WHERE done) AS done, count(*) FILTER (WHERE waits) AS waiting,
				coalesce(extract(epoch FROM max(not_before) FILTER (WHERE waits) - clock_timestamp()), 0)::float8 AS wait
			FROM (SELECT *, NOT done AND n.ended IS NULL AND n.stopped IS NULL AND isfinite(not_before)
				AND not_before > clock_timestamp() + interval '1 s' AS waits FROM senddigest.task WHERE night = n.id) t
		) t ORDER BY n.campaign, n.ended IS NULL`, []any{s.Installation},
		func(row pgx.CollectableRow) (n NightStatus, err error) {
			n.Outcomes = map[string]int{}
			var wait float64
			err = n.scan(row, &n.Led, &n.Tasks, &n.Done, &n.Waiting, &wait)
			n.WaitFor = length(wait)
			return n, err
		})
	if err != nil {
		return err
	}
	for i := range s.Nights {
		n := &s.Nights[i]
		type count struct {
			outcome string
			n       int
		}
		counts, err := rows(ctx, tx, `
			SELECT a.outcome, count(*) FROM senddigest.attempt a JOIN senddigest.task t ON t.id = a.task AND a.number = t.attempts
			WHERE a.night = $1 AND t.done AND a.ended IS NOT NULL GROUP BY 1`, []any{n.ID},
			func(row pgx.CollectableRow) (c count, err error) {
				err = row.Scan(&c.outcome, &c.n)
				return c, err
			})
		if err != nil {
			return err
		}
		for _, c := range counts {
			n.Outcomes[c.outcome] = c.n
		}
	}
	return nil
}

// A Health is what the tables tell of the site, and of who sends to it.
type Health struct {
	Workers int           // that live
	Open    bool          // the breaker: one attempt starts now and then
	Failing bool          // the site answers, if only that it fails
	For     time.Duration // since the site last worked; 0: it works
	Asked   time.Duration // the site asked for a pause of so much from now on; 0: it did not
	Apart   []string      // the machines for which the site has not worked for a minute, while it does for others
}

// Health returns what the last attempts told of the site.
func (db *DB) Health(ctx context.Context, installation int64) (h Health, err error) {
	var since, asked float64
	err = db.one(ctx, "look at the site's health", `
		SELECT open, open AND down_health = 'failing', coalesce(extract(epoch FROM clock_timestamp() - down_since), 0)::float8,
			CASE WHEN paused_until > clock_timestamp() THEN extract(epoch FROM paused_until - clock_timestamp()) ELSE 0 END::float8,
			(SELECT count(*) FROM senddigest.worker WHERE installation = $1 AND seen > clock_timestamp() - $2::interval),
			ARRAY(SELECT DISTINCT host FROM senddigest.worker w WHERE installation = $1 AND seen > clock_timestamp() - $2::interval
				AND down_since < clock_timestamp() - interval '1 min' AND senddigest.is_down(w)
				AND EXISTS (SELECT FROM senddigest.worker o WHERE o.installation = $1 AND o.reached > w.down_since + interval '1 min') ORDER BY 1)
		FROM senddigest.installation WHERE id = $1`, []any{installation, WorkerLost}, &h.Open, &h.Failing, &since, &asked, &h.Workers, &h.Apart)
	h.For, h.Asked = length(since), length(asked)
	return h, err
}

// Storable reports whether PostgreSQL can hold a name as it is.
func Storable(name string) bool { return text(name) == name }

// text is a text as PostgreSQL takes it: valid UTF-8 without zero bytes.
func text(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "") }
