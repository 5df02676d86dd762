package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

// A Database is the site's: a PostgreSQL of its own.
type Database struct {
	cluster *cluster.Cluster
	tables  *tables.DB
}

// password is that of a role on a server that ends with the demo.
const password = "demo@password" // as the installer writes it: not escaped

// startDatabase starts one, and fills it as the site's. Its error is a [*cluster.NotFoundError] where PostgreSQL is not
// installed.
func startDatabase(ctx context.Context, site *standin.Options) (*Database, error) {
	c, err := cluster.Start(ctx, cluster.Options{Password: password, TCP: true})
	if err != nil {
		return nil, err
	}
	d := &Database{cluster: c}
	unreachable := map[standin.Group]bool{}
	d.tables, err = tables.Create(ctx, c, "groupserver", tables.Options{
		Unreachable: func(g standin.Group) bool { return unreachable[g] },
	})
	if err == nil {
		err = d.fill(ctx, site.Groups, unreachable)
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("the demo's database: %w", err)
	}
	site.Ledger = d.tables
	return d, nil
}

// How a group of the demo is: of each dozen so many.
const dozen = 12

// fill gives some groups something to mail and others not, and lets a few be as a real site's are: mailed by day by hand, without
// members, with a post at the very edge of what a digest covers.
func (d *Database) fill(ctx context.Context, groups []standin.Group, unreachable map[standin.Group]bool) error {
	now := time.Now()
	var posts []tables.Post
	var rows []tables.Row
	sorted := slices.SortedFunc(slices.Values(groups), func(a, b standin.Group) int {
		return slices.Compare([]string{a.Site, a.Group}, []string{b.Site, b.Group})
	})
	few := map[int]int{} // of the rare kinds
	for i, g := range sorted {
		posted, setting := now.Add(-12*time.Hour), "digest"
		switch kind := i % dozen; kind {
		case 1, 2, 3, 4, 5, 6:
			posted = now.AddDate(0, 0, -3) // nothing to mail today
		case 7:
			setting = "webonly" // nobody on digest
		case 8, 9, 10:
			if few[kind]++; few[kind] > 2 {
				break
			}
			switch kind {
			case 8: // mailed by hand in the afternoon
				rows = append(rows, tables.Digest{Group: g, Sent: now.Add(-9 * time.Hour)})
			case 9:
				unreachable[g] = true
			case 10:
				posted = now.Add(-24*time.Hour - 30*time.Second)
			}
		}
		posts = append(posts, tables.Post{Group: g, User: "demo", Date: posted})
		rows = append(rows, tables.Setting{User: "demo", Group: g, Setting: setting})
	}
	if err := d.tables.Publish(ctx, posts...); err != nil {
		return err
	}
	return d.tables.Add(ctx, rows...)
}

func (d *Database) close() {
	if d == nil {
		return
	}
	if d.tables != nil {
		_ = d.tables.Close(context.Background())
	}
	_ = d.cluster.Close()
}
