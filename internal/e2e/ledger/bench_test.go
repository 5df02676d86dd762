package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/ledger/postgres"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

// BenchmarkRun makes runs of 5,000 groups, with the ledger and without, on a site of four threads that takes 10 ms for each: the
// cheapest sends that a real site was seen to have take 5. To compare them within one run:
//
//	go test -run '^$' -bench Run -benchtime 1x -count 5 ./internal/e2e/ledger >new.txt
//	go tool -modfile=tools/go.mod benchstat -col /ledger new.txt
func BenchmarkRun(b *testing.B) {
	const groups = 5000
	db := postgresServer.Tables(b, tables.Options{Zone: time.UTC})
	now := time.Now()
	var posts []tables.Post
	var rows []tables.Row
	all := standin.Generate(groups, 1)
	for i, g := range all {
		at := now.AddDate(0, 0, -3)
		if i%200 == 0 {
			at = now.Add(-time.Hour)
		}
		posts = append(posts, tables.Post{Group: g, User: "u", Date: at})
		rows = append(rows, tables.Setting{User: "u", Group: g, Setting: "digest"})
		for week := range 20 {
			rows = append(rows, tables.Digest{Group: g, Sent: now.AddDate(0, 0, -7*week-2)})
		}
	}
	if err := db.Publish(b.Context(), posts...); err != nil {
		b.Fatal(err)
	}
	if err := db.Add(b.Context(), rows...); err != nil {
		b.Fatal(err)
	}
	d, err := dsn.Parse(db.DSN())
	if err != nil {
		b.Fatal(err)
	}
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("ledger=%v", with), func(b *testing.B) {
			for b.Loop() {
				site := standin.New(standin.Options{
					Groups: all, Threads: 4, Cost: func(standin.Group) time.Duration { return 10 * time.Millisecond },
				})
				server, err := site.Start()
				if err != nil {
					b.Fatal(err)
				}
				u, err := hooks.ParseURL(server.URL)
				if err != nil {
					b.Fatal(err)
				}
				client := hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: hooks.NewTransport(hooks.TransportOptions{})})
				s := campaign.Settings{NoState: true, Workers: 4}
				reader := postgres.New(d)
				if with {
					s.Ledger, s.LedgerNamed = reader, true
				}
				result, err := campaign.Run(b.Context(), campaign.Digest(client, nil), s)
				if err != nil || result.Document.Counts.Accepted != groups || with != (result.Document.Ledger != nil) {
					b.Fatal(err, result.Document.Counts, result.Document.Ledger)
				}
				reader.Close()
				server.Close()
				site.Close()
			}
		})
	}
}
