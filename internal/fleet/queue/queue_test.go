package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

var server fleettest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Around(m)) }

// fresh is a queue, and a night of so many groups.
func fresh(t testing.TB, groups int) (*fleet.DB, *queue.Queue, fleet.Night) {
	t.Helper()
	db := fleettest.Open(t, server.DSN(t))
	if err := queue.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := queue.Check(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	q, err := queue.New(db)
	if err != nil {
		t.Fatal(err)
	}
	installation, err := db.Installation(t.Context(), fleet.Site{Name: "site"})
	if err != nil {
		t.Fatal(err)
	}
	night, err := db.Join(t.Context(), installation, "digest", fleet.Rule{}, false)
	if err != nil {
		t.Fatal(err)
	}
	tasks := make([]fleet.Task, groups)
	for i := range tasks {
		tasks[i] = fleet.Task{Site: "main", Name: fmt.Sprintf("g%d", i), Place: i, Settle: time.Hour}
	}
	if err := db.Add(t.Context(), night.ID, tasks); err != nil {
		t.Fatal(err)
	}
	return db, q, night
}

func fill(t testing.TB, q *queue.Queue, n fleet.Night, want int) {
	t.Helper()
	for got := 0; ; {
		made, err := q.Fill(t.Context(), n, false)
		if err != nil {
			t.Fatal(err)
		}
		if got += made; made == 0 {
			if got != want {
				t.Fatalf("got %d jobs, want %d", got, want)
			}
			return
		}
	}
}

func TestEachGroupThatIsDueHasOneJobInThePlansOrder(t *testing.T) {
	t.Parallel()
	const groups = 2500 // more than are made at once
	db, q, night := fresh(t, groups)
	fill(t, q, night, groups)
	fill(t, q, night, 0)
	var ordered, distinct int
	err := db.Pool().QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE next IS NULL OR next = place + 1), count(DISTINCT place)
		FROM (SELECT t.place, lead(t.place) OVER (ORDER BY j.priority, j.scheduled_at, j.id) AS next
			FROM river.river_job j JOIN senddigest.task t ON t.id = (j.args->>'task')::bigint) x`).Scan(&ordered, &distinct)
	if err != nil || ordered != groups || distinct != groups {
		t.Errorf("got %d in order, and %d different ones, %v", ordered, distinct, err)
	}
}

func TestAGroupWhoseJobIsOfNoUseGetsAnother(t *testing.T) {
	t.Parallel()
	db, q, night := fresh(t, 1)
	change := func(sql string) {
		t.Helper()
		if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, q, night, 1)
	for _, is := range []string{
		"state = 'completed', finalized_at = now()", "state = 'cancelled', finalized_at = now()", "state = 'discarded', finalized_at = now()",
		"state = 'running', attempted_by = '{dead}'", "state = 'available', scheduled_at = now() + interval '1 hour'",
		"state = 'scheduled', scheduled_at = now() + interval '1 hour'", "state = 'retryable', scheduled_at = now() - interval '1 minute'",
	} {
		change("UPDATE river.river_job SET " + is + " WHERE id = (SELECT max(id) FROM river.river_job)")
		fill(t, q, night, 1)
		fill(t, q, night, 0)
	}
	change("DELETE FROM river.river_job")
	fill(t, q, night, 1)

	// A job that somebody who lives has is of use, and so is one that waits for a moment.
	if err := db.Seen(t.Context(), night.Installation, "lives", "host", 1); err != nil {
		t.Fatal(err)
	}
	for _, is := range []string{"state = 'running', attempted_by = '{dead,lives}'", "state = 'scheduled', scheduled_at = now() + interval '30 s'"} {
		change("UPDATE river.river_job SET " + is + " WHERE id = (SELECT max(id) FROM river.river_job)")
		fill(t, q, night, 0)
	}
	change("DELETE FROM river.river_job")
	for _, is := range []string{"done = true", "done = false, not_before = now() + interval '1 minute'"} {
		change("UPDATE senddigest.task SET " + is)
		fill(t, q, night, 0)
	}
}

// The gate holds a group, and may want the night or another group, which are held here.
func TestWhoHandsOutGroupsWaitsForNoneThatIsBeingChanged(t *testing.T) {
	t.Parallel()
	db, q, night := fresh(t, 3)
	err := pgx.BeginFunc(t.Context(), db.Pool(), func(gate pgx.Tx) error {
		if _, err := gate.Exec(t.Context(), "UPDATE senddigest.task SET attempts = 1 WHERE place = 1"); err != nil {
			return err
		}
		fill(t, q, night, 2)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, q, night, 1)
}

func TestAPauseOfTheNightsQueueIsTakenBack(t *testing.T) {
	t.Parallel()
	db, q, night := fresh(t, 1)
	ours, other := queue.Name(night.Installation), queue.Name(night.Installation+1)
	for _, name := range []string{ours, other} { // as a worker that starts does
		if _, err := db.Pool().Exec(t.Context(), "INSERT INTO river.river_queue (name, updated_at) VALUES ($1, now())", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Client().QueuePause(t.Context(), "*", nil); err != nil {
		t.Fatal(err)
	}
	fill(t, q, night, 1)
	for name, want := range map[string]bool{ours: false, other: true} {
		got, err := q.Client().QueueGet(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if paused := got.PausedAt != nil; paused != want {
			t.Errorf("%s: paused is %v, want %v", name, paused, want)
		}
	}
}

// BenchmarkFill is what a run that plans a night does each second while nothing is to be mended.
func BenchmarkFill(b *testing.B) {
	for _, groups := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			_, q, night := fresh(b, groups)
			start := time.Now()
			fill(b, q, night, groups)
			first := time.Since(start).Seconds()
			for b.Loop() {
				fill(b, q, night, 0)
			}
			b.ReportMetric(first, "s-at-first")
		})
	}
}
