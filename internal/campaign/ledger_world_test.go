package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// A world is a site with its database, both in memory: what its hook does with each group (docs/groupserver.md sections 2 and
// 15), and the tables that it leaves. It is a [ledger.Source], and the judge of what a run says of it.
type world struct {
	*rand.Rand
	zone   *time.Location // of the server
	cost   func(state.Group) time.Duration
	faults func(state.Group) fault
	under  sync.WaitGroup // requests whose client has left

	mu     sync.Mutex
	groups []state.Group
	all    map[state.Group]*groupOf
	broken error // why the database cannot be read; nil: it can
	asked  int   // requests for any group
	known  int   // questions to the database
	flying map[state.Group]int
	faulty []string // what went wrong in the world
}

// A groupOf is what the world knows of a group.
type groupOf struct {
	posts      []time.Time // instants
	rows       []time.Time // of its digests
	subscribed bool        // somebody is set to digest
	members    bool        // .. and is a member, with an address
	last       ledger.Mail // what its last request did
	lastAt     time.Time
}

// A fault is what goes wrong with one request.
type fault int

const (
	fine       fault = iota
	lostBefore       // the connection breaks, and the request never runs
	lostAfter        // .. and it runs all the same, perhaps later
	failing          // it is rolled back, and answered with a 500
)

func newWorld(seed uint64, groups int, zone *time.Location) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 0x1ed9)), zone: zone, all: map[state.Group]*groupOf{}, flying: map[state.Group]int{},
		cost: func(state.Group) time.Duration { return 2 * time.Second }, faults: func(state.Group) fault { return fine },
	}
	for i := range groups {
		g := state.Group{Site: "main", Group: fmt.Sprintf("group%03d", i)}
		w.groups = append(w.groups, g)
		w.all[g] = &groupOf{subscribed: true, members: true}
	}
	return w
}

// campaign is that of the digests of this world, by a clock that the program takes to be the server's.
func (w *world) campaign(ours *time.Location) campaign.Campaign {
	return campaign.Campaign{
		Name: "digest", Mail: "digest", Things: printable.NewNoun("group", "groups"),
		List: func(context.Context) (*campaign.List, error) {
			return &hooks.List[state.Group]{Entries: slices.Clone(w.groups)}, nil
		},
		Send: w.send, Guard: guard.New(guard.NewClock(ours, 0)),
	}
}

// send is a request of the hook.
func (w *world) send(ctx context.Context, g state.Group) dispatcher.Verdict {
	w.mu.Lock()
	f, cost, late := w.faults(g), w.cost(g), time.Duration(w.Int64N(int64(time.Minute)))
	w.asked++
	w.mu.Unlock()
	work := func() { w.work(g, cost) }
	lost := dispatcher.Verdict{Outcome: dispatcher.Ambiguous, Reason: "the connection broke", Err: errors.New("the connection broke")}
	switch f {
	case lostBefore:
		time.Sleep(cost / 2)
		return lost
	case lostAfter:
		w.under.Go(func() {
			time.Sleep(late)
			work()
		})
		time.Sleep(cost / 2)
		return lost
	case failing:
		time.Sleep(cost)
		return dispatcher.Verdict{
			Outcome: dispatcher.NotOK, Status: 500, Reason: "500", NotDelivered: true, Retry: true, Err: errors.New("500"),
		}
	}
	done := make(chan struct{})
	w.under.Go(func() {
		defer close(done)
		work()
	})
	select {
	case <-done:
		return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200, Health: ratelimit.Up}
	case <-ctx.Done(): // the server goes on
		return lost
	}
}

// work is what the server does with a group.
func (w *world) work(g state.Group, cost time.Duration) {
	w.mu.Lock()
	if w.flying[g]++; w.flying[g] > 1 {
		w.faulty = append(w.faulty, g.Key()+": two requests overlap")
	}
	w.mu.Unlock()
	time.Sleep(cost * 9 / 10)
	w.mu.Lock()
	now := time.Now()
	what := w.mail(w.all[g], now)
	w.all[g].last, w.all[g].lastAt = what, now
	w.mu.Unlock()
	time.Sleep(cost / 10)
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == ledger.Mailed { // the commit
		w.all[g].rows = append(w.all[g].rows, now)
	}
	w.flying[g]--
}

// mail is what becomes of a group at an instant. The caller holds mu.
func (w *world) mail(g *groupOf, now time.Time) ledger.Mail {
	switch {
	case !g.subscribed || !w.due(g, now):
		return ledger.Nothing
	case len(g.rows) > 0 && w.wall(now).Sub(w.wall(g.rows[len(g.rows)-1])) <= guard.Time:
		return ledger.Swallowed
	case !g.members:
		return ledger.Missing
	}
	return ledger.Mailed
}

func (w *world) wall(at time.Time) time.Time { return guard.NewClock(w.zone, 0).At(at) }

// due tells whether a group has something to mail at an instant.
func (w *world) due(g *groupOf, now time.Time) bool {
	var newest time.Time
	for _, p := range g.posts {
		if p.After(now) {
			continue
		}
		if w.wall(now).Sub(w.wall(p)) <= 24*time.Hour {
			return true
		}
		if p.After(newest) {
			newest = p
		}
	}
	days := int(w.wall(now).Sub(w.wall(newest)) / (24 * time.Hour))
	return !newest.IsZero() && days > 0 && days%7 == 0
}

// The tables.

func (w *world) reading(at time.Time) ledger.Reading { return ledger.ReadingOf(w.wall(at)) }

// question is the start of each question to the database.
func (w *world) question() error {
	w.known++
	return w.broken
}

// Newest implements [ledger.Source].
func (w *world) Newest(_ context.Context, groups []ledger.Group) ([]ledger.Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]ledger.Reading, len(groups))
	for i, g := range groups {
		if known := w.all[state.Group(g)]; known != nil && len(known.rows) > 0 {
			rows := known.rows
			list[i] = w.reading(rows[len(rows)-1])
		}
	}
	return list, w.question()
}

// Digests implements [ledger.Source].
func (w *world) Digests(_ context.Context, g ledger.Group, most int) (list []ledger.Reading, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.all[state.Group(g)]
	if known == nil {
		return nil, w.question()
	}
	for _, row := range slices.Backward(known.rows) {
		if len(list) < most {
			list = append(list, w.reading(row))
		}
	}
	return list, w.question()
}

// Posts implements [ledger.Source].
func (w *world) Posts(ctx context.Context, since ledger.Reading, each func(ledger.Group, ledger.Reading)) error {
	for _, g := range w.groups {
		list, err := w.PostsOf(ctx, ledger.Group(g), since)
		if err != nil {
			return err
		}
		for _, p := range list {
			each(ledger.Group(g), p)
		}
	}
	return nil
}

// PostsOf implements [ledger.Source].
func (w *world) PostsOf(_ context.Context, g ledger.Group, since ledger.Reading) (list []ledger.Reading, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.all[state.Group(g)].posts {
		if r := w.reading(p); r >= since && !p.After(time.Now()) {
			list = append(list, r)
		}
	}
	slices.Sort(list)
	return list, w.question()
}

// Topics implements [ledger.Source].
func (w *world) Topics(_ context.Context, each func(ledger.Group, ledger.Reading)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, g := range w.all {
		var newest ledger.Reading
		for _, p := range g.posts {
			if !p.After(time.Now()) {
				newest = max(newest, w.reading(p))
			}
		}
		if newest != 0 {
			each(ledger.Group(name), newest)
		}
	}
	return w.question()
}

// Subscribed implements [ledger.Source].
func (w *world) Subscribed(_ context.Context, each func(string)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, g := range w.all {
		if g.subscribed {
			each(name.Group)
		}
	}
	return w.question()
}

// Pending implements [ledger.Source].
func (w *world) Pending(context.Context, time.Duration) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, w.question()
}

// breakDatabase lets the database answer no question from now on; nil lets it again.
func (w *world) breakDatabase(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

// mailedBetween counts the digests of a group from one instant to another.
func (w *world) mailedBetween(g state.Group, from, to time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, row := range w.all[g].rows {
		if !row.Before(from) && !row.After(to) {
			n++
		}
	}
	return n
}

// verdictOf is what a report says of a group, and whether the tables were read.
func mailOf(r campaign.Result, key string) string {
	for g := range r.Document.Groups() {
		if g.Site+"/"+g.Group == key && g.Mail != nil {
			return *g.Mail
		}
	}
	return ""
}

// sortedPosts puts the posts of a group into order.
func (g *groupOf) sorted() { slices.SortFunc(g.posts, time.Time.Compare) }

// snapshot keeps the files of a folder. What it returns puts them back.
func snapshot(t *testing.T, dir string) (restore func(*testing.T)) {
	kept := map[string][]byte{}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, n := range names {
		if kept[n.Name()], err = os.ReadFile(filepath.Join(dir, n.Name())); err != nil {
			t.Error(err)
		}
	}
	return func(t *testing.T) {
		for _, n := range names {
			if err := os.WriteFile(filepath.Join(dir, n.Name()), kept[n.Name()], 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}
