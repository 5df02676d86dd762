package fleet

import (
	"context"
	"time"
)

// An Ending is how a night ended. The zero value is that of a night that goes on.
type Ending struct {
	At      time.Time     // by the database's clock; it tells two ends of one night apart
	Ago     time.Duration // since then
	Code    int           // exit code of the run that ended it
	Summary string        // one line, of the same
	Stopped string        // why nothing more started, in one word; empty: everything did
}

// EndingOf returns how a night ended.
func (db *DB) EndingOf(ctx context.Context, night int64) (e Ending, err error) {
	var at *time.Time
	var ago float64
	err = db.one(ctx, "look for the end of the night", `
		SELECT ended, coalesce(extract(epoch FROM clock_timestamp() - ended), 0)::float8, coalesce(code, 0), coalesce(summary, ''), coalesce(stopped, '')
		FROM senddigest.night WHERE id = $1`, []any{night}, &at, &ago, &e.Code, &e.Summary, &e.Stopped)
	if err != nil || at == nil {
		return Ending{}, err
	}
	e.At, e.Ago = *at, length(ago)
	return e, nil
}
