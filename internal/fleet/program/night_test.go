package program

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"go.uber.org/goleak"
)

var server fleettest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Around(m)) }

// A watched night is one that a worker's page shows.
type watched struct {
	t     *testing.T
	db    *fleet.DB
	night fleet.Night
	page  *nightPage
	begun chan struct{} // receives a value for each page that was begun
	ended chan struct{} // .. and for each end that one was told of
}

// newWatched begins a night of some groups.
func newWatched(t *testing.T, groups int) *watched {
	t.Helper()
	w := &watched{t: t, db: server.Fresh(t), page: &nightPage{}, begun: make(chan struct{}, 8), ended: make(chan struct{}, 8)}
	installation, err := w.db.Installation(t.Context(), fleet.Site{Name: "site"})
	if err != nil {
		t.Fatal(err)
	}
	w.join(installation, false)
	tasks := make([]fleet.Task, groups)
	for i := range tasks {
		tasks[i] = fleet.Task{Site: "main", Name: fmt.Sprintf("g%d", i), Place: i, Settle: time.Hour}
	}
	if err := w.db.Add(t.Context(), w.night.ID, tasks); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) join(installation int64, again bool) {
	w.t.Helper()
	var err error
	if w.night, err = w.db.Join(w.t.Context(), installation, "digest", fleet.Rule{}, again); err != nil {
		w.t.Fatal(err)
	}
}

// watch has the page show the night until the test ends.
func (w *watched) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		c := campaign.Campaign{Name: "digest", Mail: "digest", Things: printable.NewNoun("group", "groups")}
		night.Watch(ctx, w.db, w.night.Installation, "http://site/", c, func(m report.Meta) campaign.Observer {
			page := w.page.begin(m)
			w.begun <- struct{}{}
			return campaign.ObserverFunc(func(e campaign.Event) {
				page.Observe(e)
				if _, ok := e.(campaign.Ended); ok {
					w.ended <- struct{}{}
				}
			})
		})
	})
	w.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// send has so many of the groups that are left accepted.
func (w *watched) send(n int) {
	w.t.Helper()
	tasks, err := w.db.Tasks(w.t.Context(), w.night.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, task := range tasks {
		if n == 0 {
			return
		}
		s, err := w.db.Start(w.t.Context(), task.ID, "worker", time.Second)
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Answer == fleet.Done {
			continue
		}
		if _, _, err := w.db.Finish(w.t.Context(), fleet.End{Attempt: s.Attempt, Outcome: dispatcher.Accepted}); err != nil {
			w.t.Fatal(err)
		}
		n--
	}
}

// end ends the night, so long ago.
func (w *watched) end(code int, ago time.Duration) {
	w.t.Helper()
	if err := w.db.End(w.t.Context(), w.night.ID, code, ""); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.Pool().Exec(w.t.Context(), "UPDATE senddigest.night SET started = started - $2::interval, ended = ended - $2::interval WHERE id = $1", w.night.ID, ago); err != nil {
		w.t.Fatal(err)
	}
}

// await waits for a value.
func (w *watched) await(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		w.t.Fatalf("the page does not show %s", what)
	}
}

// metrics is what the page answers to a scraper.
func (w *watched) metrics() string {
	a := httptest.NewRecorder()
	w.page.ServeHTTP(a, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return a.Body.String()
}

// shown waits until the page was told of the end, and wants these lines among its metrics.
func (w *watched) shown(want ...string) {
	w.t.Helper()
	w.await("the end of the night", w.ended)
	got := w.metrics()
	for _, line := range want {
		if !strings.Contains(got, line) {
			w.t.Errorf("got no %s in\n%s", line, got)
		}
	}
}

const (
	exitCode = "\nsenddigest_exit_code{site=\"http://site/\"} "
	success  = "\nsenddigest_last_success_timestamp_seconds{site=\"http://site/\"} "
	accepted = "\nsenddigest_groups{site=\"http://site/\",outcome=\"accepted\"} "
)

func TestAWorkersMetricsHaveTheExitCodeOfTheNightAndNoSuccessUnlessItIs0(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 3)
	w.send(1)
	if err := w.db.StopNight(t.Context(), w.night.ID, night.StopControl); err != nil {
		t.Fatal(err)
	}
	w.end(75, 0)
	w.watch()
	w.shown(exitCode+"75\n", success+"0\n", accepted+"1\n")
}

func TestAWorkersMetricsHaveTheLimitThatHolds(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 3)
	w.watch()
	w.await("a night", w.begun)
	const limit = "\nsenddigest_in_flight_limit{site=\"http://site/\"} "
	comes := func(want string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.After(time.Minute); !strings.Contains(w.metrics(), limit+want+"\n"); {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("the limit does not come to be %s:\n%s", want, w.metrics())
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	comes("2")
	must(w.db.SetPaused(t.Context(), w.night.Installation, true))
	comes("0")
	must(w.db.SetWorkers(t.Context(), w.night.Installation, 5))
	must(w.db.SetPaused(t.Context(), w.night.Installation, false))
	comes("5")
}

func TestAWorkersMetricsFollowANightThatGoesOnAfterItsEnd(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 3)
	w.watch()
	w.send(1)
	w.end(75, 0)
	w.shown(exitCode+"75\n", accepted+"1\n")
	w.join(w.night.Installation, true)
	w.send(1)
	w.end(75, 0) // perhaps nobody looked meanwhile
	w.shown(exitCode+"75\n", accepted+"2\n")
	<-w.begun
	<-w.begun
	w.join(w.night.Installation, true)
	w.await("that the night goes on", w.begun)
	if got := w.metrics(); strings.Contains(got, exitCode) {
		t.Errorf("a night that goes on has ended in\n%s", got)
	}
	w.send(1)
	w.end(0, 0)
	w.shown(exitCode+"0\n", accepted+"3\n")
}

func TestAWorkerThatStartsAfterTheNightShowsWhenTheNightEnded(t *testing.T) {
	t.Parallel()
	w := newWatched(t, 1)
	w.send(1)
	const ago = 30 * time.Hour
	w.end(0, ago)
	before := time.Now().Add(-ago - time.Minute) // PostgreSQL and this process may take so long, and share a clock
	w.watch()
	w.shown(exitCode + "0\n")
	_, rest, _ := strings.Cut(w.metrics(), success)
	var at float64
	if _, err := fmt.Sscan(rest, &at); err != nil {
		t.Fatal(err)
	}
	if got := time.UnixMilli(int64(at * 1000)); got.Before(before) || got.After(time.Now().Add(-ago)) {
		t.Errorf("got %v, want %v ago", got, ago)
	}
}
