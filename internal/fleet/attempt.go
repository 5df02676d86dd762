package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/jackc/pgx/v5"
)

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
