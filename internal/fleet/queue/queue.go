// Package queue hands the tasks of a night out to the workers of a fleet: River decides who looks at which next, and nothing
// else. A job is a proposal to look at a task. That there are two for one task, or that one is retried, cancelled or deleted,
// does no harm: whether a request may leave is the gate's decision (package fleet). That there is none is what [Queue.Fill]
// mends.
//
// It is the only package, with worker, that knows River. River's clients write times by their machines' clocks; what it writes
// here is made the database's.
package queue

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// Schema is where River's tables are.
const Schema = "river"

// Kind is that of all jobs, in River's words.
const Kind = "send"

// A Job is the proposal to look at a task. Task alone counts; the rest is for people. Fields are only ever added: a job may
// have been made by another version than that of the worker which gets it.
type Job struct {
	Task     int64  `json:"task" river:"unique"`
	Round    int    `json:"round" river:"unique"` // of the jobs for that task, from 1
	Night    int64  `json:"night"`
	Campaign string `json:"campaign"`
	Group    string `json:"group,omitempty"` // empty where it is personal data
}

// Kind is for River.
func (Job) Kind() string { return Kind }

// Name is the name of an installation's queue.
func Name(installation int64) string { return fmt.Sprintf("installation_%d", installation) }

// maxAttempts is beyond all that River may come to: whether a task is tried again is the gate's decision.
const maxAttempts = 10_000

// Retention is how long River keeps the jobs that are over.
const Retention = 7 * 24 * time.Hour

// Silent is a log for River where nobody wants to read one.
func Silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Migrate makes the tables of the fleet and River's, or brings them up to date. To do so twice, or twice at once, does no harm.
func Migrate(ctx context.Context, db *fleet.DB) error {
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	return db.Alone(ctx, "make River's tables", func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
			return err
		}
		m, err := migrator(db)
		if err != nil {
			return err
		}
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
}

func migrator(db *fleet.DB) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(db.Pool()), &rivermigrate.Config{Schema: Schema, Logger: Silent()})
}

// Check reports whether all tables are those of this program's version.
func Check(ctx context.Context, db *fleet.DB) error {
	if err := db.Check(ctx); err != nil {
		return err
	}
	m, err := migrator(db)
	if err != nil {
		return err
	}
	result, err := m.Validate(ctx, nil)
	if err != nil {
		return db.Fault("read the version of River's tables", err)
	}
	if !result.OK {
		return &OldError{db.String()}
	}
	return nil
}

// An OldError is a database in which River's tables are missing, or of an earlier version.
type OldError struct{ Database string }

func (e *OldError) Error() string {
	return fmt.Sprintf("the queue's database %s has no tables of River, or those of an earlier version", e.Database)
}

// Hint says what to do.
func (*OldError) Hint() string { return "senddigest-fleet migrate brings them up to date" }

// ExitCode is that of a configuration that is wrong.
func (*OldError) ExitCode() int { return 78 }

// A Queue gives River the tasks of nights.
type Queue struct {
	db     *fleet.DB
	client *river.Client[pgx.Tx]
}

// New makes a queue. It starts nothing.
func New(db *fleet.DB) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{Schema: Schema, Logger: Silent()})
	if err != nil {
		return nil, err
	}
	return &Queue{db, client}, nil
}

// Client is River's own, for its web pages.
func (q *Queue) Client() *river.Client[pgx.Tx] { return q.client }

// batch is how many jobs are made at a time, in one transaction.
const batch = 2000

// wanted finds tasks that are due, and whose last job nobody will get: there is none, it is over, it is with a worker that is
// dead, or a machine has put it off, by its clock, to a time that does not come. Each task knows its job, so that even of
// 100,000 the few that are wanted are found in a fraction of a second. A task that the gate changes at this moment is left for
// the next time: whoever locks several tasks must wait for none, or the two may wait for each other.
const wanted = `
	SELECT t.id, t.site, t.grp, t.round FROM senddigest.task t LEFT JOIN ` + Schema + `.river_job j ON j.id = t.job
	WHERE t.night = $1 AND NOT t.done AND t.not_before <= clock_timestamp()
		AND t.id NOT IN (SELECT a.task FROM senddigest.attempt a WHERE a.installation = $2 AND a.ended IS NULL)
		AND NOT coalesce(
			j.state = 'available' AND j.scheduled_at < clock_timestamp() + interval '10 s'
			OR j.state = 'pending'
			OR j.state IN ('scheduled', 'retryable') AND j.scheduled_at BETWEEN clock_timestamp() - $4::interval AND clock_timestamp() + interval '2 min'
			OR j.state = 'running' AND j.attempted_by[array_upper(j.attempted_by, 1)] IN (
				SELECT w.id FROM senddigest.worker w WHERE w.seen > clock_timestamp() - $4::interval), false)
	ORDER BY t.place LIMIT $3 FOR NO KEY UPDATE OF t SKIP LOCKED`

// Fill makes jobs for tasks of a night that are due and have none, in the plan's order, and returns how many: some at a time,
// 0 when there are no more. It is to be called again and again while the night goes on: so come tries after a back-off, and
// what became of jobs that somebody deleted, and of those that were with a worker that died. It takes a pause of River's queue
// back as well.
func (q *Queue) Fill(ctx context.Context, n fleet.Night, private bool) (made int, err error) {
	err = q.db.Transact(ctx, "hand out the groups of the night", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM senddigest.night WHERE id = $1 FOR NO KEY UPDATE", n.ID); err != nil { // one at a time, and no start waits
			return err
		}
		if err := q.resume(ctx, tx, Name(n.Installation)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, wanted, n.ID, n.Installation, batch, fleet.WorkerLost)
		if err != nil {
			return err
		}
		tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t fleet.Task, err error) {
			err = row.Scan(&t.ID, &t.Site, &t.Name, &t.Round)
			return t, err
		})
		if err != nil || len(tasks) == 0 {
			return err
		}
		ids, jobs := make([]int64, len(tasks)), make([]river.InsertManyParams, len(tasks))
		for i, t := range tasks {
			job := Job{Task: t.ID, Round: t.Round + 1, Night: n.ID, Campaign: n.Campaign, Group: t.Site + "/" + t.Name}
			if private {
				job.Group = ""
			}
			ids[i], jobs[i] = t.ID, river.InsertManyParams{Args: job, InsertOpts: &river.InsertOpts{
				Queue: Name(n.Installation), MaxAttempts: maxAttempts,
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()},
			}}
		}
		inserted, err := q.client.InsertManyTx(ctx, tx, jobs)
		if err != nil {
			return err
		}
		numbers := make([]int64, len(inserted))
		for i, r := range inserted {
			numbers[i] = r.Job.ID
		}
		if _, err := tx.Exec(ctx, `
			UPDATE senddigest.task t SET round = round + 1, job = n.job FROM unnest($1::bigint[], $2::bigint[]) AS n (task, job)
			WHERE t.id = n.task`, ids, numbers); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE "+Schema+".river_job SET scheduled_at = now(), created_at = now() WHERE id = ANY($1)", numbers)
		made = len(tasks)
		return err
	})
	return made, err
}

// resume takes back that another program paused the queue. The gate knows nothing of such a pause: the night would stand still,
// and nobody could say why. Who wants a pause sets the installation's.
func (q *Queue) resume(ctx context.Context, tx pgx.Tx, name string) error {
	var paused bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+Schema+".river_queue WHERE name = $1 AND paused_at IS NOT NULL)", name).Scan(&paused)
	if err != nil || !paused {
		return err
	}
	return q.client.QueueResumeTx(ctx, tx, name, nil) // tells the workers, too
}

// held are the jobs of a queue that River has given to a worker, and that are not over.
const held = "queue = $1 AND state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $2"

// HeldBy returns the jobs that River has given to a worker: those that it works, those whose end is about to be written, and
// those of which it never heard, since the answer was lost on its way.
func HeldBy(ctx context.Context, db *fleet.DB, installation int64, worker string) (jobs []int64, err error) {
	err = db.Transact(ctx, "read which jobs this worker has", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id FROM "+Schema+".river_job WHERE "+held, Name(installation), worker)
		if err != nil {
			return err
		}
		jobs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return jobs, err
}

// PutBack gives jobs that a worker has back to the queue. River itself does that when their time is up, after ten minutes and
// more; until then [Queue.Fill] takes them for worked, since the worker lives.
func PutBack(ctx context.Context, db *fleet.DB, installation int64, worker string, jobs []int64) error {
	return db.Transact(ctx, "put jobs back into the queue", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE "+Schema+".river_job SET state = 'available', scheduled_at = now() WHERE "+held+" AND id = ANY($3)",
			Name(installation), worker, jobs)
		return err
	})
}
