package campaign_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/state"
)

// Nights with the ledger: each is made from a number. A site with its database goes through some nights, with lost answers,
// errors, kills and resumed runs, its duplicate check in force. Its judge is the world, which knows what it mailed.
//
//	SOAK_NIGHTS=1000 SOAK_FIRST=1 go test -race -run TestSoakWithTheLedger ./internal/campaign

// ledgerNights are made in the tests; make soak makes a tenth of its nights.
const ledgerNights = 200

// An account of what a soak's runs said.
type account struct {
	judged, unknown, settled, before, idle, kills int
	broken                                        []string
}

func (a *account) fail(format string, args ...any) {
	a.broken = append(a.broken, fmt.Sprintf(format, args...))
}

// soaked is a world in which much goes wrong.
func soaked(seed uint64) *world {
	zones := []string{"UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns"}
	zone, err := time.LoadLocation(zones[seed%uint64(len(zones))])
	if err != nil {
		panic(err)
	}
	w := newWorld(seed, 60, zone)
	begin := time.Now()
	for i, name := range w.groups {
		g := w.all[name]
		g.subscribed, g.members = w.IntN(10) > 0, w.IntN(15) > 0
		if i < 10 {
			g.subscribed, g.members = true, true // enough to know the server's clock by
		}
		often := w.IntN(4)
		if i < 10 {
			often = 3
		}
		for h := -240.0; h < 100; h += 24 / float64(often+1) * 2 * w.Float64() {
			if often > 0 || w.IntN(30) == 0 {
				g.posts = append(g.posts, begin.Add(time.Duration(h*float64(time.Hour))))
			}
			h += 0.1
		}
	}
	costs := map[state.Group]time.Duration{}
	for _, g := range w.groups {
		costs[g] = time.Duration(w.Int64N(int64(8 * time.Second)))
	}
	w.cost = func(g state.Group) time.Duration { return costs[g] }
	return w
}

func soakWithTheLedger(t *testing.T, seed uint64, a *account) {
	w := soaked(seed)
	dir := t.TempDir()
	begin := time.Now().Truncate(24 * time.Hour).Add(26 * time.Hour)
	for night := range 4 {
		time.Sleep(time.Until(begin.Add(time.Duration(night) * 24 * time.Hour)))
		started := time.Now()
		w.wreck(w.IntN(3) > 0)
		s := w.nightly(dir)
		s.Workers, s.Retries = 1+w.IntN(4), w.IntN(3)
		s.SkipIdle = w.IntN(3) == 0
		s.Observers = hear(func(e campaign.Warned) {
			if strings.Contains(e.Text, "earlier runs") { // a journal that cannot be read
				a.fail("night %d: %s", night, e.Text)
			}
		})
		if w.IntN(3) == 0 {
			a.kills++
			w.killed(t, s, time.Duration(w.Int64N(int64(3*time.Minute))))
		} else {
			a.take(w, started, w.night(t, s))
		}
		for i := range 3 { // until all is well
			mode, ok := w.unfinished(t, dir)
			if !ok {
				break
			}
			w.wreck(false)
			s.Resume = mode
			resumed := time.Now()
			if i == 0 && w.IntN(2) == 0 {
				time.Sleep(time.Duration(w.Int64N(int64(20 * time.Minute))))
			}
			a.take(w, resumed, w.night(t, s))
		}
		w.under.Wait()
		a.lost(w, started, time.Now())
	}
	for _, text := range w.faulty {
		a.fail("%s", text)
	}
}

// wreck lets some requests go wrong from now on, or none.
func (w *world) wreck(some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = func(state.Group) fault {
		if n := w.IntN(20); some && n < 3 {
			return fault(n + 1)
		}
		return fine
	}
}

// unfinished is how the newest run is gone on with; false where all is done.
func (w *world) unfinished(t *testing.T, dir string) (campaign.Mode, bool) {
	opened, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := opened.For("digest").Runs(soakedInstallation())
	if err != nil {
		t.Fatal(err)
	}
	newest, ok := state.Newest(runs)
	switch {
	case !ok:
		return "", true // it was killed at birth
	case newest.Unfinished():
		return campaign.Resume, true
	case newest.Counts.Failed() > 0:
		return campaign.RetryFailed, true
	}
	return "", false
}

// take compares what a report says of each group with what the world did.
func (a *account) take(w *world, started time.Time, r campaign.Result) {
	w.under.Wait() // what is still under way when the report is written is not known to it: it must not say that it is
	for g := range r.Document.Groups() {
		if g.Mail == nil {
			continue
		}
		name := state.Group{Site: g.Site, Group: g.Group}
		a.judged++
		if g.Reason == state.IdleReason {
			a.idle++
		}
		if g.Lost != nil && g.Outcome == "accepted" {
			a.settled++
		}
		since := started
		if g.Lost != nil || g.Attempts == 0 { // it may be that a run before this one had it mailed
			since = started.Add(-time.Hour)
		}
		mails := w.mailedBetween(name, since, r.Document.Finished.Add(time.Second))
		last := w.all[name].last.String()
		before := strings.HasPrefix(g.Reason, "accepted already")
		if before {
			a.before++
		}
		// Its last request is the one that is judged, and no request that was lost on its way.
		sure := g.Lost == nil && (before && w.all[name].lastAt.After(since) || g.Outcome == "accepted" && g.Attempts > 0)
		switch {
		case *g.Mail == "unknown":
			a.unknown++
		case (*g.Mail == "mailed") != (mails > 0), sure && *g.Mail != "mailed" && *g.Mail != last && !w.all[name].lastAt.After(r.Document.Finished):
			a.fail("%s: %s, and the report says %s: mailed %d times, and its last request: %s; %+v", name.Key(), g.Outcome, *g.Mail, mails, last, g)
		}
	}
}

// lost finds digests that a night owed and that nobody got, and any that somebody got twice.
func (a *account) lost(w *world, from, to time.Time) {
	for name, g := range w.all {
		mails := w.mailedBetween(name, from, to)
		if mails > 1 {
			a.fail("%s: mailed %d times in one night", name.Key(), mails)
		}
		owed := false
		for _, p := range g.posts {
			owed = owed || p.Before(from) && w.wall(to).Sub(w.wall(p)) < 24*time.Hour
		}
		guarded := false
		for _, row := range g.rows {
			guarded = guarded || row.Before(from) && w.wall(to).Sub(w.wall(row)) < 22*time.Hour
		}
		if owed && !guarded && g.subscribed && g.members && mails == 0 {
			a.fail("%s: had something to mail from %v to %v, and got nothing", name.Key(), from, to)
		}
	}
}

func TestSoakWithTheLedgerEachVerdictIsRight(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: nights by the hundred")
	}
	nights, first := fromEnvironment(t, "SOAK_NIGHTS", 10*ledgerNights)/10, fromEnvironment(t, "SOAK_FIRST", 1)
	var a account
	for i := range (nights + 3) / 4 {
		seed, before := first+i, len(a.broken)
		synctest.Test(t, func(t *testing.T) { soakWithTheLedger(t, seed, &a) })
		if broken := a.broken[before:]; len(broken) > 0 {
			t.Errorf("nights of number %d:\n\t%s", seed, strings.Join(broken, "\n\t"))
		}
	}
	t.Logf("%d verdicts, %d of them unknown, %d groups settled by the tables or once more, %d accepted in an earlier run, %d left out, %d kills",
		a.judged, a.unknown, a.settled, a.before, a.idle, a.kills)
	if a.unknown*100 > a.judged {
		t.Errorf("%d of %d verdicts are unknown: more than one in a hundred", a.unknown, a.judged)
	}
}
