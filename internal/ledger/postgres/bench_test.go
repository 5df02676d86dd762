package postgres_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
)

// A large site: as many listed groups and as many digests each as docs/groupserver.md section 15 measured with, and posts of
// some months.
const largeGroups, largeDigests, largePosts = 200_000, 30, 2_000_000

func (b *base) large(groups, digests, posts int) []ledger.Group {
	b.Helper()
	b.exec(fmt.Sprintf(`INSERT INTO group_digest SELECT 'main', 'group' || g, localtimestamp - (d * 7 || ' days')::interval - (g || ' ms')::interval
		FROM generate_series(0, %d) g, generate_series(1, %d) d`, groups-1, digests))
	b.exec(fmt.Sprintf(`INSERT INTO topic SELECT 't' || t, 'main', 'group' || t %% %d, localtimestamp - random() * interval '200 days', NULL FROM generate_series(0, %d) t`, groups, 2*groups-1))
	b.exec(`INSERT INTO topic_keywords SELECT topic_id FROM topic`)
	b.exec(fmt.Sprintf(`INSERT INTO post SELECT 'p' || p, t.topic_id, t.site_id, t.group_id, t.last_post_date - random() * interval '90 days', NULL
		FROM generate_series(0, %d) p JOIN topic t ON t.topic_id = 't' || p %% %d`, posts-1, 2*groups))
	b.exec(fmt.Sprintf(`INSERT INTO email_setting SELECT 'u' || u, 'main', 'group' || u %% %d, CASE WHEN u %% 3 = 0 THEN 'webonly' ELSE 'digest' END FROM generate_series(0, %d) u`, groups, 4*groups-1))
	b.exec("ANALYZE")
	list := make([]ledger.Group, groups)
	for i := range list {
		list[i] = ledger.Group{Site: "main", Group: fmt.Sprintf("group%d", i)}
	}
	return list
}

func TestALargeSiteIsReadWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 200,000 groups")
	}
	b := newBase(t)
	groups := b.large(200_000, 1, 20_000)
	book, err := ledger.Open(t.Context(), b.reader(), ledger.Clock{Clock: guard.NewClock(time.UTC, 0), Known: true}, slices.Clone(groups), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	idle := 0
	for _, g := range groups {
		if book.Digest(g) == 0 {
			t.Fatalf("%v has no digest", g)
		}
		if book.Idle(g, time.Now(), time.Now().Add(time.Hour)) {
			idle++
		}
	}
	if idle == 0 || idle == len(groups) {
		t.Errorf("%d of %d are idle", idle, len(groups))
	}
}

// BenchmarkBaseline reads what a run reads before its first send, and reports what it holds in memory. It needs minutes to
// fill the tables: go test -run '^$' -bench Baseline -benchtime 3x ./internal/ledger/postgres
func BenchmarkBaseline(b *testing.B) {
	base := newBase(b)
	groups := base.large(largeGroups, largeDigests, largePosts)
	r := base.reader()
	clock := ledger.Clock{Clock: guard.NewClock(time.UTC, 0), Known: true}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		book, err := ledger.Open(context.Background(), r, clock, slices.Clone(groups), time.Now())
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		idle := 0
		for _, g := range groups {
			if book.Idle(g, time.Now(), time.Now().Add(time.Hour)) {
				idle++
			}
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		b.ReportMetric(float64(idle), "idle")
	}
}

// BenchmarkSettle asks what became of one group.
func BenchmarkSettle(b *testing.B) {
	base := newBase(b)
	groups := base.large(20_000, largeDigests, 200_000)
	book, err := ledger.Open(context.Background(), base.reader(), ledger.Clock{Clock: guard.NewClock(time.UTC, 0), Known: true}, slices.Clone(groups), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := book.Settle(context.Background(), groups[i%len(groups)], time.Now(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
