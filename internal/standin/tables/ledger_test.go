package tables_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
	"github.com/groupserver/senddigest/internal/standin/tables/tablestest"
)

func TestBetweenThePhasesTheMailHasGoneAndNobodySeesTheRow(t *testing.T) {
	t.Parallel()
	var site *standin.Site
	var d *tables.DB
	between := 0
	d = postgres.Tables(t, tables.Options{Between: func(g standin.Group) error {
		between++
		if mails, rows, open := site.Mails()[g], digests(t, d), prepared(t, d); mails != 1 || rows != nil || open != 1 {
			t.Errorf("between: got %d mails, rows %v, %d prepared, want a mail, no row, one prepared", mails, rows, open)
		}
		return nil
	}})
	ready(t, d, time.Now(), alpha)
	site, send := serve(t, standin.Options{Groups: []standin.Group{alpha}, Ledger: d})
	for range 2 { // the second finds the row
		if got := send(alpha); got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	}
	rows, q := digests(t, d), site.Requests()[0]
	if len(rows) != 1 || rows[0].Group != alpha || between != 1 || prepared(t, d) != 0 || site.Mails()[alpha] != 1 {
		t.Fatalf("got rows %v, %d commits, %d prepared, %d mails, want one of each, none prepared", rows, between, prepared(t, d), site.Mails()[alpha])
	}
	if sent := rows[0].Sent; sent.Before(q.Started.Truncate(time.Microsecond)) || sent.After(q.Ended) {
		t.Errorf("sent_date: got %v, want a time within %v and %v", sent, q.Started, q.Ended)
	}
}

func TestASendWhoseCheckComesBetweenThePhasesOfAnotherMailsToo(t *testing.T) {
	t.Parallel()
	first, second := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	d := postgres.Tables(t, tables.Options{Between: func(standin.Group) error {
		if held.CompareAndSwap(false, true) {
			close(first)
			<-second
		}
		return nil
	}})
	ready(t, d, time.Now(), alpha)
	site, send := serve(t, standin.Options{Groups: []standin.Group{alpha}, Ledger: d})
	var wg sync.WaitGroup
	wg.Go(func() { send(alpha) })
	<-first
	send(alpha)
	close(second)
	wg.Wait()
	if mails, rows := site.Mails()[alpha], len(digests(t, d)); mails != 2 || rows != 2 {
		t.Errorf("got %d mails and %d rows, want 2 of each", mails, rows)
	}
}

func TestASendThatDiesBetweenThePhasesHasMailedAndStaysPrepared(t *testing.T) {
	t.Parallel()
	dies := true
	d := postgres.Tables(t, tables.Options{Between: func(standin.Group) error {
		if dies {
			return errors.New("died")
		}
		return nil
	}})
	ready(t, d, time.Now(), alpha)
	site, send := serve(t, standin.Options{Groups: []standin.Group{alpha}, Ledger: d})
	if got := send(alpha); got != 500 || site.Mails()[alpha] != 1 || digests(t, d) != nil || prepared(t, d) != 1 {
		t.Errorf("got %d, %v, rows %v, %d prepared, want 500, a mail, no row, one prepared", got, site.Mails(), digests(t, d), prepared(t, d))
	}
	dies = false
	if got := send(alpha); got != 200 || site.Mails()[alpha] != 2 {
		t.Errorf("sent again: got %d, %v, want a second mail", got, site.Mails())
	}
}

func TestManyThreadsSendAtOnce(t *testing.T) {
	t.Parallel()
	var groups []standin.Group
	for i := range 60 {
		groups = append(groups, standin.Group{Site: "main", Group: "g" + strconv.Itoa(i)})
	}
	d := postgres.Tables(t, tables.Options{})
	ready(t, d, time.Now(), groups[:40]...)
	site, send := serve(t, standin.Options{Groups: groups, Threads: 4, Ledger: d})
	var wg sync.WaitGroup
	for _, g := range groups {
		wg.Go(func() {
			if got := send(g); got != 200 {
				t.Errorf("%s: got %d, want 200", g.Group, got)
			}
		})
	}
	wg.Wait()
	mails, rows := site.Mails(), digests(t, d)
	if len(mails) != 40 || len(rows) != 40 {
		t.Errorf("got %d groups mailed and %d rows, want 40 of each", len(mails), len(rows))
	}
	for _, r := range rows {
		if mails[r.Group] != 1 {
			t.Errorf("%s: got a row and %d mails", r.Group.Group, mails[r.Group])
		}
	}
}

// The nights pass on a fake clock, and the rows bear it.
func TestALedgerWorksUnderFakeTime(t *testing.T) {
	t.Parallel()
	d := postgres.Tables(t, tables.Options{Zone: time.UTC})
	add(t, d, onDigest(alpha))
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		site := standin.New(standin.Options{
			Groups: []standin.Group{alpha}, Ledger: d, Zone: time.UTC, Cost: func(standin.Group) time.Duration { return 10 * time.Minute },
		})
		for range 3 {
			if err := d.Publish(t.Context(), tables.Post{Group: alpha, Date: time.Now().Add(-hour)}); err != nil {
				t.Fatal(err)
			}
			site.Work(standin.Send, alpha)
			site.Work(standin.Send, alpha) // skipped
			time.Sleep(24*hour - 20*time.Minute)
		}
		site.Close()
		rows, err := d.Digests(t.Context())
		if err != nil || len(rows) != 3 || site.Mails()[alpha] != 3 {
			t.Fatalf("got rows %v, %v, %d mails, want 3 of each", rows, err, site.Mails()[alpha])
		}
		for i, r := range rows {
			if want := began.Add(time.Duration(i)*24*hour + 9*time.Minute); !r.Sent.Equal(want) {
				t.Errorf("night %d: got %v, want %v", i+1, r.Sent, want)
			}
		}
		d.CloseIdle(t.Context())
	})
}

// oneAtATime is a database on a cluster of the test's own, in which one transaction may be prepared.
func oneAtATime(t *testing.T, o tables.Options) (*cluster.Cluster, *tables.DB) {
	t.Helper()
	own := &tablestest.Server{Options: cluster.Options{MaxPrepared: 1}}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	return own.Cluster(t), own.Tables(t, o)
}

func TestASendBeyondMaxPreparedTransactionsIsRolledBack(t *testing.T) {
	t.Parallel()
	first, second := make(chan struct{}), make(chan struct{})
	_, d := oneAtATime(t, tables.Options{Between: func(standin.Group) error { close(first); <-second; return nil }})
	ready(t, d, time.Now(), alpha, beta)
	site, send := serve(t, standin.Options{Groups: []standin.Group{alpha, beta}, Ledger: d})
	var wg sync.WaitGroup
	wg.Go(func() { send(alpha) })
	<-first
	got := send(beta)
	close(second)
	wg.Wait()
	if q := site.Requests()[1]; got != 500 || q.Fault != standin.NoPrepared || site.Mails()[beta] != 0 || len(digests(t, d)) != 1 {
		t.Errorf("got %d, %v, mails %v, want 500, %v, and nothing for beta", got, q.Fault, site.Mails(), standin.NoPrepared)
	}
}

func TestASiteOutlivesRestartsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	var between func() error
	c, d := oneAtATime(t, tables.Options{Between: func(standin.Group) error {
		if between == nil {
			return nil
		}
		return between()
	}})
	var groups []standin.Group
	for i := range 5 {
		groups = append(groups, standin.Group{Site: "main", Group: "g" + strconv.Itoa(i)})
	}
	ready(t, d, time.Now(), groups...)
	site, send := serve(t, standin.Options{Groups: groups, Ledger: d})
	expect := func(what string, i, status, mails, rows int) {
		t.Helper()
		if got := send(groups[i]); got != status || site.Mails()[groups[i]] != mails {
			t.Errorf("%s: got %d and %d mails, want %d and %d", what, got, site.Mails()[groups[i]], status, mails)
		}
		if rows < 0 {
			return // nobody can ask
		}
		if got := len(digests(t, d)); got != rows {
			t.Errorf("%s: got %d rows, want %d", what, got, rows)
		}
	}
	restart := func() error { return errors.Join(c.Stop(patient(t)), c.Start(patient(t))) }

	expect("at first", 0, 200, 1, 1)
	if err := restart(); err != nil {
		t.Fatal(err)
	}
	expect("the first after a restart", 1, 500, 0, 1)
	expect("the second", 1, 200, 1, 2)

	if err := c.Stop(patient(t)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expect("while it is away", 2, 500, 0, -1)
	}
	if err := c.Start(patient(t)); err != nil {
		t.Fatal(err)
	}
	expect("when it is back", 2, 200, 1, 3)

	between = restart
	expect("a restart between the phases", 3, 500, 1, 3)
	if got := prepared(t, d); got != 1 {
		t.Errorf("got %d prepared, want the one that the restart cut off", got)
	}
}
