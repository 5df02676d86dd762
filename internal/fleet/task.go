package fleet

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/jackc/pgx/v5"
)

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

// Tasks returns the tasks of a night in the plan's order.
func (db *DB) Tasks(ctx context.Context, night int64) ([]Task, error) {
	return list(ctx, db, "read the groups of the night",
		"SELECT id, site, grp, place, round FROM senddigest.task WHERE night = $1 ORDER BY place", []any{night},
		func(row pgx.CollectableRow) (t Task, err error) {
			err = row.Scan(&t.ID, &t.Site, &t.Name, &t.Place, &t.Round)
			return t, err
		})
}
