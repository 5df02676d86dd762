package postgres

import (
	"context"
	"strconv"
	"time"
)

// A Condition is the state of the server, as far as it matters to sends.
type Condition struct {
	Version     string
	Role        string // that we are
	MaxPrepared int    // its max_prepared_transactions: so many sends that mail may be committed at once
	Hung        int    // transactions that were left between the two phases of their commits: each holds one of these
	Oldest      time.Duration
}

// hungAfter is how long a send may be between the two phases: they follow each other at once.
const hungAfter = 5 * time.Minute

// Condition asks the server about itself.
func (r *Reader) Condition(ctx context.Context) (c Condition, err error) {
	err = r.ask(ctx, "pg_prepared_xacts", `
SELECT current_setting('server_version'), current_user, current_setting('max_prepared_transactions'), count(x.prepared),
	coalesce(extract(epoch FROM now() - min(x.prepared)), 0)::bigint
FROM (SELECT prepared FROM pg_prepared_xacts WHERE database = current_database() AND prepared < now() - $1::interval) x`,
		[]string{seconds(hungAfter)}, func(values [][]byte) error {
			c.Version, c.Role = string(values[0]), string(values[1])
			numbers := make([]int, 3)
			for i := range numbers {
				n, err := strconv.Atoi(string(values[2+i]))
				if err != nil {
					return err
				}
				numbers[i] = n
			}
			c.MaxPrepared, c.Hung, c.Oldest = numbers[0], numbers[1], time.Duration(numbers[2])*time.Second
			return nil
		})
	return c, err
}

// seconds is a length of time as PostgreSQL reads one.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " seconds"
}
