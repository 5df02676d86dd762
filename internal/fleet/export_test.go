package fleet

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// SetProbe has the next probe be due.
func (db *DB) SetProbe(ctx context.Context, installation int64) error {
	return db.exec(ctx, "", "UPDATE senddigest.installation SET probe_at = clock_timestamp() WHERE id = $1", installation)
}

// Age has a night begin so long ago.
func (db *DB) Age(ctx context.Context, night int64, age time.Duration) error {
	return db.exec(ctx, "", "UPDATE senddigest.night SET started = clock_timestamp() - $2::interval, day = (clock_timestamp() - $2::interval)::date WHERE id = $1", night, age)
}

// Starts are when the attempts of a night started, in the order of their numbers, since the first.
func (db *DB) Starts(ctx context.Context, night int64) ([]time.Duration, error) {
	return list(ctx, db, "", "SELECT extract(epoch FROM started - min(started) OVER ())::float8 FROM senddigest.attempt WHERE night = $1 ORDER BY id",
		[]any{night}, func(row pgx.CollectableRow) (time.Duration, error) {
			var s float64
			err := row.Scan(&s)
			return length(s), err
		})
}
