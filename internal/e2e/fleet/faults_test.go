package fleet_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

// killsVariable says how many workers are killed; so does make soak-fleet.
const killsVariable = "SENDDIGEST_FLEET_KILLS"

// perNight is how many workers are killed in one night at most, and lanes how many nights go on side by side.
const perNight, lanes = 35, 3

func TestKilledAtAnyPointWorkersLoseNoDigestAndOverlapNowhere(t *testing.T) {
	t.Parallel()
	kills := perNight * lanes
	if text := os.Getenv(killsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	base := seedOf(t, rand.Uint64()>>16)
	var killed, lost, nights atomic.Int64
	var all sync.WaitGroup
	for range lanes {
		all.Go(func() {
			for killed.Load() < int64(kills) && !t.Failed() {
				seed := base + uint64(nights.Add(1))
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					k, l := killNight(t, seed)
					killed.Add(int64(k))
					lost.Add(int64(l))
				})
			}
		})
	}
	all.Wait()
	if lost.Load() == 0 {
		t.Error("no attempt was lost: nobody was killed in one")
	}
	t.Logf("%d workers killed in %d nights, seeds from %d on: SENDDIGEST_FLEET_SEED=%d plays them again", killed.Load(), nights.Load(), base+1, base)
}

// varied is a cost between two bounds, the same for the same group and seed.
func varied(seed uint64, least, most time.Duration) func(standin.Group) time.Duration {
	return func(g standin.Group) time.Duration {
		h := seed
		for _, b := range []byte(g.Site + "/" + g.Group) {
			h = h*1099511628211 + uint64(b)
		}
		return least + time.Duration(rand.New(rand.NewPCG(h, 1)).Int64N(int64(most-least)))
	}
}

// killNight returns how many workers were killed before the night was over, and how many attempts were lost by it.
func killNight(t *testing.T, seed uint64) (killed, lost int) {
	const limit = 12
	rng := rand.New(rand.NewPCG(seed, 7))
	groups := standin.Generate(250, seed)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 32, Cost: varied(seed, 10*time.Millisecond, 400*time.Millisecond)})
	run := w.run(t.TempDir(), "--workers", strconv.Itoa(limit))
	killed = w.kills(rng, perNight, run)
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	w.judge(groups, limit)
	return killed, w.settles()
}

// kills has two workers, of which one or the other is killed and started anew, at most so many times and while the run goes:
// at any moment, and each third time when some more requests have come. Otherwise a program that is slow to start, as with
// -race, is killed in nothing else. It returns how many were killed.
func (w *world) kills(rng *rand.Rand, most int, run *machine) (killed int) {
	w.t.Helper()
	states := []string{w.t.TempDir(), w.t.TempDir()}
	workers := []*machine{w.work(states[0]), w.work(states[1])}
	for n := range most {
		pause := time.NewTimer(time.Duration(rng.Int64N(int64(900 * time.Millisecond))))
		<-pause.C
		if n%3 == 2 {
			come := len(w.site.Starts()) + rng.IntN(4)
			w.until("more requests, or the end", func() bool { return run.over() || len(w.site.Starts()) > come })
		}
		if run.over() {
			break
		}
		i := rng.IntN(len(workers))
		workers[i].kill()
		workers[i] = w.work(states[i])
		killed++
	}
	return killed
}

// settles wants each attempt closed a minute after it had settled at the latest. It began before its worker was killed, so that
// is within as much of the kill. It returns how many were lost.
func (w *world) settles() (lost int) {
	w.t.Helper()
	const most = settled + time.Minute
	var open int
	var longest float64
	if err := w.db.Pool().QueryRow(w.t.Context(), `
		SELECT count(*) FILTER (WHERE ended IS NULL), count(*) FILTER (WHERE outcome = 'ambiguous'), extract(epoch FROM max(ended - started))
		FROM senddigest.attempt`).Scan(&open, &lost, &longest); err != nil {
		w.t.Fatal(err)
	}
	if open > 0 || longest > most.Seconds() {
		w.t.Errorf("%d attempts are open, and one was closed %.1f s after its start, want 0, and at most %v", open, longest, most)
	}
	w.t.Logf("%d attempts were lost, and one was closed %.1f s after its start", lost, longest)
	return lost
}

func TestWithoutItsDatabaseNothingStartsAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		away  time.Duration
		crash bool
	}{{time.Second, false}, {10 * time.Second, true}, {time.Minute, false}} {
		t.Run(tt.away.String(), func(t *testing.T) {
			t.Parallel()
			own := &fleettest.Server{}
			own.Options = cluster.Options{Password: password, TCP: true}
			t.Cleanup(func() {
				if err := own.Close(); err != nil {
					t.Error(err)
				}
			})
			groups := some(150)
			w := newWorldOn(t, standin.Options{Groups: groups, Threads: 16, Cost: always(200 * time.Millisecond)}, own)
			w.work(t.TempDir(), "--timeout", "1m") // none of them is lost because the machine is slow
			w.work(t.TempDir(), "--timeout", "1m")
			run := w.run(t.TempDir(), "--workers", "6")
			w.until("some are mailed", func() bool { return w.mailed() > 20 })
			from, to := stopped(t, own.Cluster(t), tt.away, tt.crash)
			for _, at := range w.site.Starts() { // what was committed before may still leave
				if at.After(from.Add(fleet.LeaveWithin)) && at.Before(to) {
					t.Errorf("a request came %v after the database had gone, and before it was back", at.Sub(from))
				}
			}
			if code := run.code(); code != 0 {
				t.Errorf("the run ends with %d:\n%s", code, run.output.String())
			}
			w.judge(groups, 6)
			var lost int // no worker died, so each knows how its attempts ended
			if err := w.db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM senddigest.attempt WHERE outcome = 'ambiguous'").Scan(&lost); err != nil || lost > 0 {
				t.Errorf("the ends of %d attempts were lost, %v", lost, err)
			}
		})
	}
}

func TestAWorkerThatWasFrozenWakesIntoNoSecondRequest(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(seedOf(t, 3), 7))
	groups := some(800)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: varied(3, 50*time.Millisecond, 300*time.Millisecond)})
	workers := []*machine{w.work(t.TempDir()), w.work(t.TempDir())}
	run := w.run(t.TempDir(), "--workers", "6")
	w.until("some are mailed", func() bool { return w.mailed() > 20 })
	for i := range 2 {
		_ = workers[i].Process.Signal(syscall.SIGSTOP)
		frozen := time.NewTimer(settled + 3*time.Second + time.Duration(rng.Int64N(int64(time.Second))))
		<-frozen.C
		_ = workers[i].Process.Signal(syscall.SIGCONT)
		awake := time.NewTimer(time.Second)
		<-awake.C
	}
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	w.judge(groups, 6)
}

func TestWhoPlansIsKilledAndAnotherMachineGoesOn(t *testing.T) {
	t.Parallel()
	groups := some(100)
	w, first := underWay(t, groups, 2)
	w.must("pause") // the night is not over before the second run waits
	kept := t.TempDir()
	second := w.run(kept, "-v")
	w.until("the second run waits", func() bool {
		return strings.Contains(second.output.String(), "Another machine's run is at it; waiting for its end\n")
	})
	first.kill()
	w.must("resume")
	if code := second.code(); code != 0 {
		t.Errorf("the run that goes on ends with %d:\n%s", code, second.output.String())
	}
	w.judge(groups, 2)
	// Its journal has the attempts that are older than itself.
	report := program.Command(t, "report", "latest")
	report.Env = append(report.Env, "XDG_STATE_HOME="+kept)
	if text, err := report.CombinedOutput(); err != nil || !strings.Contains(string(text), "100 of 100") {
		t.Errorf("the report of its journal: %v\n%s", err, text)
	}
}

// What River's pages can do to a job, and what a machine whose clock is an hour off does to all of them.
func TestWhatSomebodyDoesToTheQueueChangesOnlyTheOrder(t *testing.T) {
	t.Parallel()
	seed := seedOf(t, 5)
	rng := rand.New(rand.NewPCG(seed, 7))
	groups := some(200)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: varied(seed, 20*time.Millisecond, 300*time.Millisecond)})
	w.work(t.TempDir())
	w.work(t.TempDir())
	q, err := queue.New(w.db)
	if err != nil {
		t.Fatal(err)
	}
	run := w.run(t.TempDir(), "--workers", "4")
	w.until("some are mailed", func() bool { return w.mailed() > 5 })
	ctx := t.Context()
	seen := map[string]int{}
	for !run.over() {
		var id int64
		var state string
		// A job of a random state, and of these a random one: otherwise nearly all are over, or wait.
		if err := w.db.Pool().QueryRow(ctx, `
			SELECT id, state FROM (SELECT DISTINCT ON (state) id, state FROM river.river_job ORDER BY state, random()) j ORDER BY random() LIMIT 1`,
		).Scan(&id, &state); err != nil {
			t.Fatal(err)
		}
		what := rng.IntN(6)
		switch what {
		case 0:
			_, err = q.Client().JobRetry(ctx, id)
		case 1:
			_, err = q.Client().JobCancel(ctx, id)
		case 2:
			_, err = q.Client().JobDelete(ctx, id)
		case 3: // rescued by one whose clock is ahead, while it runs
			_, err = w.db.Pool().Exec(ctx, "UPDATE river.river_job SET state = 'available', scheduled_at = now() WHERE state = 'running' AND id % 3 = 0")
		case 4: // put off by one whose clock is ahead
			_, err = w.db.Pool().Exec(ctx, "UPDATE river.river_job SET scheduled_at = now() + interval '1 hour' WHERE state = 'available' AND id = $1", id)
		case 5: // made by a newer version
			_, err = w.db.Pool().Exec(ctx, `UPDATE river.river_job SET args = args || '{"new": {"field": 1}}' WHERE state = 'available' AND id = $1`, id)
		}
		if err == nil {
			seen[state+"/"+strconv.Itoa(what)]++
		}
		pause := time.NewTimer(20 * time.Millisecond)
		<-pause.C
	}
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	for _, want := range []string{"available/1", "available/2", "completed/0", "completed/2", "cancelled/0", "running/0", "running/1"} {
		if seen[want] == 0 {
			t.Logf("%s did not come to be", want)
		}
	}
	w.judge(groups, 4)
}

func TestTheLedgerSettlesWhatADeadWorkerLeft(t *testing.T) {
	t.Parallel()
	ledger := server.Tables(t, tables.Options{})
	groups := some(30)
	for _, g := range groups {
		if err := errors.Join(
			ledger.Publish(t.Context(), tables.Post{Group: g, User: "u", Date: time.Now().Add(-12 * time.Hour)}),
			ledger.Add(t.Context(), tables.Setting{User: "u", Group: g, Setting: "digest"}),
		); err != nil {
			t.Fatal(err)
		}
	}
	const limit, first = 4, 5
	dead := make(chan struct{})
	var sends atomic.Int64
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Ledger: ledger, Cost: func(standin.Group) time.Duration {
		if sends.Add(1) > first {
			<-dead // the site works on, and mails after the end of who asked
		}
		return 0
	}})
	killed := sync.OnceFunc(func() { close(dead) })
	t.Cleanup(killed)
	w.env = []string{"SENDDIGEST_LEDGER=" + ledger.DSN()}
	victim := w.work(t.TempDir(), "--timeout", "1m")
	run := w.start(t.TempDir(), "run", "--timeout", timeout.String(), "--settle", "1m", "--workers", strconv.Itoa(limit), w.url)
	w.until("as many as may be are in flight", func() bool { return len(w.site.Starts()) == first+limit })
	victim.kill()
	killed()
	w.work(t.TempDir())
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	w.judge(groups, limit)
	var told int // what a worker says of an attempt that was accepted has the site's status
	if err := w.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM senddigest.attempt WHERE outcome = 'accepted' AND status = 0`).Scan(&told); err != nil || told != limit {
		t.Errorf("the ledger settled %d of the %d attempts that were in flight, %v", told, limit, err)
	}
}

func TestAnUpgradeInTheNightStopsNobodyWhoWorks(t *testing.T) {
	t.Parallel()
	groups := some(60)
	w, run := underWay(t, groups, 3)
	// A later version adds to the tables, and says so.
	for _, sql := range []string{
		"UPDATE senddigest.version SET version = version + 1", "ALTER TABLE senddigest.attempt ADD COLUMN later text DEFAULT 'x'",
		"ALTER TABLE senddigest.task ADD COLUMN later int DEFAULT 1", "ALTER TABLE senddigest.installation ADD COLUMN later int DEFAULT 1",
		"ALTER TABLE senddigest.night ADD COLUMN later int DEFAULT 1",
	} {
		if _, err := w.db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if old := w.work(t.TempDir()); old.code() != 78 || !strings.Contains(old.output.String(), "newer") {
		t.Errorf("an older program that is started then ends with %d:\n%s", old.code(), old.output.String())
	}
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	w.judge(groups, 3)
}

// The site has no duplicate check for these: whoever is asked for twice is mailed twice.
func TestKilledAtAnyPointWorkersMailNobodyOfAProfileCampaignTwice(t *testing.T) {
	t.Parallel()
	seed := seedOf(t, rand.Uint64()>>16)
	t.Logf("SENDDIGEST_FLEET_SEED=%d plays it again", seed)
	rng := rand.New(rand.NewPCG(seed, 7))
	var people []string
	for i := range 200 {
		people = append(people, fmt.Sprintf("person%d", i))
	}
	w := newWorld(t, standin.Options{People: people, Threads: 32, Cost: varied(seed, 10*time.Millisecond, 400*time.Millisecond)})
	run := w.run(t.TempDir(), "--workers", "8", "--campaign", "profile")
	w.kills(rng, 20, run)
	if code := run.code(); code > 1 { // 1: some are ambiguous
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	mails := w.site.Mails()
	for _, id := range people {
		if n := mails[standin.Person(id)]; n > 1 {
			t.Errorf("%s was mailed %d times", id, n)
		}
	}
	var unknown int
	if err := w.db.Pool().QueryRow(t.Context(), `
		SELECT count(DISTINCT task) FROM senddigest.attempt WHERE outcome = 'ambiguous'`).Scan(&unknown); err != nil {
		t.Fatal(err)
	}
	if w.site.Overlaps() > 0 || w.site.MaxInFlight() > 8 || len(mails) < len(people)-unknown {
		t.Errorf("%d overlaps, %d in flight, %d of %d mailed and %d ambiguous", w.site.Overlaps(), w.site.MaxInFlight(), len(mails), len(people), unknown)
	}
	if output := run.output.String(); regexp.MustCompile(`person\d`).MatchString(output) {
		t.Errorf("a person is named:\n%s", output)
	}
	var jobs string
	if err := w.db.Pool().QueryRow(t.Context(), "SELECT string_agg(args::text, ' ') FROM river.river_job").Scan(&jobs); err != nil || strings.Contains(jobs, "person") {
		t.Errorf("a job names a person, %v", err)
	}
}
