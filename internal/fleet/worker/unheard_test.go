package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/fleet/worker"
	"github.com/groupserver/senddigest/internal/state"
	"go.uber.org/goleak"
)

var server fleettest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Around(m)) }

// patience is how long a night of two groups may take.
const patience = 30 * time.Second

// A night is one of two groups, at an installation of one place. What is lost in it would settle in an hour.
type night struct {
	*fleet.DB
	t     *testing.T
	is    fleet.Night
	tasks []fleet.Task
}

func newNight(t *testing.T, address string) *night {
	t.Helper()
	n := &night{DB: fleettest.Open(t, address), t: t}
	ctx := t.Context()
	n.must(queue.Migrate(ctx, n.DB))
	installation, err := n.Installation(ctx, fleet.Site{Name: "site"})
	n.must(err)
	n.must(n.SetWorkers(ctx, installation, 1))
	n.is, err = n.Join(ctx, installation, "digest", fleet.Rule{}, false)
	n.must(err)
	n.must(n.Add(ctx, n.is.ID, []fleet.Task{{Site: "main", Name: "a", Settle: time.Hour}, {Site: "main", Name: "b", Place: 1, Settle: time.Hour}}))
	n.tasks, err = n.Tasks(ctx, n.is.ID)
	n.must(err)
	n.fill()
	return n
}

func (n *night) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// fill is what the run that plans the night does all the time.
func (n *night) fill() {
	n.t.Helper()
	q, err := queue.New(n.DB)
	n.must(err)
	_, err = q.Fill(n.t.Context(), n.is, false)
	n.must(err)
}

// work has a worker that reaches the database by db send to both groups, and returns to whom it sent.
func (n *night) work(db *fleet.DB, meanwhile func()) (sent []string) {
	n.t.Helper()
	sends := make(chan string, 9)
	ctx, stop := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Run(ctx, worker.Options{DB: db, Installation: n.is.Installation, Timeout: time.Second, Campaigns: []campaign.Campaign{{
			Name: n.is.Campaign, Send: func(_ context.Context, g state.Group) dispatcher.Verdict {
				sends <- g.Group
				return dispatcher.Verdict{Outcome: dispatcher.Accepted}
			},
		}}})
	}()
	defer func() {
		stop()
		n.must(<-ended)
	}()
	meanwhile()
	for end := time.After(patience); len(sent) < len(n.tasks); {
		select {
		case group := <-sends:
			sent = append(sent, group)
		case <-time.After(time.Second):
			n.fill()
		case <-end:
			n.t.Fatalf("sent to %q alone: the place stays taken", sent)
		}
	}
	return sent
}

// judge wants one request for each group, and one attempt that ended within seconds, of which none left.
func (n *night) judge(sent []string) {
	n.t.Helper()
	if len(sent) != 2 || sent[0] == sent[1] {
		n.t.Errorf("sent to %q, want each of two groups once", sent)
	}
	var unsent, soon, all int
	n.must(n.Pool().QueryRow(n.t.Context(), `
		SELECT count(*) FILTER (WHERE outcome = 'unsent'), count(*) FILTER (WHERE outcome = 'unsent' AND ended - started < interval '20 s'), count(*)
		FROM senddigest.attempt`).Scan(&unsent, &soon, &all))
	if unsent != 1 || soon != 1 || all != 3 {
		n.t.Errorf("of %d attempts %d were closed as unsent, %d of these soon, want one of 3", all, unsent, soon)
	}
}

func TestAnAttemptWhoseAnswerIsLostKeepsNoPlace(t *testing.T) {
	t.Parallel()
	address := server.DSN(t)
	through, lose := lossy(t, address)
	n := newNight(t, address)
	db := fleettest.Open(t, through)
	lose()
	n.judge(n.work(db, func() {}))
}

// A network may deliver the question when its asker has long given up, and asks for another group.
func TestAnAttemptThatComesLateOnRecordKeepsNoPlace(t *testing.T) {
	t.Parallel()
	n := newNight(t, server.DSN(t))
	late, err := n.Start(t.Context(), n.tasks[0].ID, "another", 0)
	n.must(err)
	n.judge(n.work(n.DB, func() { // who waits for the place then is not told of any error
		n.changes("UPDATE senddigest.attempt a SET worker = w.id FROM senddigest.worker w WHERE a.id = $1", late.Attempt)
	}))
}

// A worker that is frozen while River gives it a job drops the answer when it wakes: its time is up.
func TestAJobThatWasGivenUnheardGoesBackIntoTheQueue(t *testing.T) {
	t.Parallel()
	n := newNight(t, server.DSN(t))
	n.changes("UPDATE river.river_job SET state = 'scheduled', scheduled_at = now() + interval '1 h' WHERE (args->>'task')::bigint = $1", n.tasks[0].ID)
	sent := n.work(n.DB, func() { // nobody but a worker knows that its job is nowhere: the worker lives
		n.changes(`UPDATE river.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY[w.id]
			FROM senddigest.worker w WHERE (args->>'task')::bigint = $1`, n.tasks[0].ID)
	})
	if diff := cmp.Diff(sent, []string{"b", "a"}); diff != "" {
		t.Errorf("sent to -, want +:\n%s", diff)
	}
}

// River's client is started anew for that, and takes no jobs while it ends.
func TestMorePlacesAreFilledWhileALongSendIsInFlight(t *testing.T) {
	t.Parallel()
	n := newNight(t, server.DSN(t))
	both := make(chan struct{})
	var sends atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Run(ctx, worker.Options{DB: n.DB, Installation: n.is.Installation, Timeout: time.Second, Campaigns: []campaign.Campaign{{
			Name: n.is.Campaign, Send: func(ctx context.Context, _ state.Group) dispatcher.Verdict {
				switch sends.Add(1) {
				case 1:
					if err := n.SetWorkers(ctx, n.is.Installation, 9); err != nil {
						t.Error(err)
					}
				case 2:
					close(both)
				}
				select {
				case <-both:
				case <-time.After(patience):
					t.Error("the second send does not start beside the first")
				}
				return dispatcher.Verdict{Outcome: dispatcher.Accepted}
			},
		}}})
	}()
	select {
	case <-both:
	case <-time.After(2 * patience):
		t.Error("nothing is sent")
	}
	stop()
	n.must(<-ended)
}

// changes gives an order until it has changed something.
func (n *night) changes(sql string, values ...any) {
	n.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for changed := int64(0); changed == 0; {
		select {
		case <-tick.C:
		case <-end:
			n.t.Fatalf("nothing to change: %s", sql)
		}
		done, err := n.Pool().Exec(n.t.Context(), sql, values...)
		n.must(err)
		changed = done.RowsAffected()
	}
}

// lossy makes a way to a database on which one answer of the gate is lost after lose: one that lets a request leave, and that
// the database has on record.
func lossy(t *testing.T, address string) (through string, lose func()) {
	t.Helper()
	c, dir := server.Cluster(t), t.TempDir()
	socket := fmt.Sprintf(".s.PGSQL.%d", c.Port())
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { // the database's connections are closed by then
		_ = listener.Close()
		all.Wait()
	})
	var armed atomic.Bool
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { carry(client, filepath.Join(c.SocketFolder(), socket), &armed) })
		}
	})
	return strings.Replace(address, c.SocketFolder(), dir, 1), func() { armed.Store(true) }
}

// goes is in a row of six columns of which the first is "go", as PostgreSQL's protocol has it. The server sends it when it has
// committed.
var goes = []byte("\x00\x06\x00\x00\x00\x02go")

// carry carries what client and server say until one of them ends, or an answer is lost.
func carry(client net.Conn, to string, armed *atomic.Bool) {
	var questions sync.WaitGroup
	defer questions.Wait()
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	questions.Go(func() {
		_, _ = io.Copy(upstream, client)
		_ = upstream.Close()
	})
	for answer := make([]byte, 1<<16); ; {
		n, err := upstream.Read(answer)
		if err != nil || bytes.Contains(answer[:n], goes) && armed.CompareAndSwap(true, false) {
			return
		}
		if _, err := client.Write(answer[:n]); err != nil {
			return
		}
	}
}
