package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/ledger/postgres"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

var server *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		server, err = cluster.Start(context.Background(), cluster.Options{Password: "p@ss/w%rd #1", TCP: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := errors.Join(server.Close(), goleak.Find()); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

const schema = `
CREATE TABLE group_digest (site_id text NOT NULL, group_id text NOT NULL, sent_date timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (site_id, group_id, sent_date));
CREATE TABLE topic (topic_id text PRIMARY KEY, site_id text NOT NULL, group_id text NOT NULL, last_post_date timestamptz NOT NULL, hidden timestamptz);
CREATE INDEX ON topic (group_id, site_id);
CREATE INDEX ON topic (last_post_date DESC);
CREATE TABLE topic_keywords (topic_id text PRIMARY KEY);
CREATE TABLE post (post_id text PRIMARY KEY, topic_id text NOT NULL, site_id text NOT NULL, group_id text NOT NULL, date timestamptz NOT NULL, hidden timestamptz);
CREATE INDEX ON post (site_id, group_id);
CREATE INDEX ON post (topic_id);
CREATE INDEX ON post (date DESC);
CREATE TABLE email_setting (user_id text NOT NULL, site_id text NOT NULL DEFAULT '', group_id text NOT NULL DEFAULT '', setting text NOT NULL, PRIMARY KEY (user_id, site_id, group_id));`

// A base is a database of a test's own.
type base struct {
	testing.TB
	name string
	conn *pgconn.PgConn
}

func newBase(t testing.TB) *base {
	t.Helper()
	b := &base{TB: t, name: strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_"))}
	b.name = b.name[max(0, len(b.name)-60):]
	admin := b.open("postgres")
	defer admin.Close(context.Background())
	b.on(admin, "CREATE DATABASE "+b.name)
	b.conn = b.open(b.name)
	t.Cleanup(func() { _ = b.conn.Close(context.Background()) })
	b.exec(schema)
	return b
}

func (b *base) open(name string) *pgconn.PgConn {
	b.Helper()
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s", server.SocketFolder(), server.Port(), cluster.Role, name))
	if err != nil {
		b.Fatal(err)
	}
	config.Password = server.Password()
	conn, err := pgconn.ConnectConfig(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func (b *base) on(conn *pgconn.PgConn, sql string) {
	b.Helper()
	if _, err := conn.Exec(context.Background(), sql).ReadAll(); err != nil {
		b.Fatal(err)
	}
}

func (b *base) exec(sql string) { b.Helper(); b.on(b.conn, sql) }

// reader reads it as the program does.
func (b *base) reader() *postgres.Reader {
	b.Helper()
	return b.readerAt(server.DSN(b.name))
}

func (b *base) readerAt(address string) *postgres.Reader {
	b.Helper()
	d, err := dsn.Parse(address)
	if err != nil {
		b.Fatal(err)
	}
	r := postgres.New(d)
	b.Cleanup(r.Close)
	return r
}

// at is a reading of the server's clock.
func at(text string) ledger.Reading {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return ledger.ReadingOf(t)
}

func group(name string) ledger.Group { return ledger.Group{Site: "main", Group: name} }

func TestTheNewestDigestOfEachGroupIsReadInTheOrderOfTheQuestion(t *testing.T) {
	b := newBase(t)
	odd := ledger.Group{Site: `si"te`, Group: `b\ra{c}e,ü`}
	b.exec(`INSERT INTO group_digest VALUES
		('main', 'alpha', timestamp '2026-11-23 02:00:00'), ('main', 'alpha', timestamp '2026-11-24 02:00:01.25'), ('other', 'alpha', timestamp '2026-11-25 02:00:00'),
		('si"te', E'b\\ra{c}e,ü', timestamp '2026-11-22 02:00:00')`)
	groups := []ledger.Group{odd, group("none"), group("no\x00ne"), group("\xff"), group("alpha")}
	want := []ledger.Reading{at("2026-11-22 02:00:00"), 0, 0, 0, at("2026-11-24 02:00:01") + 250_000}
	got, err := b.reader().Newest(t.Context(), groups)
	if diff := cmp.Diff(got, want); err != nil || diff != "" {
		t.Errorf("%v; got -, want +:\n%s", err, diff)
	}
	digests, err := b.reader().Digests(t.Context(), group("alpha"), 5)
	if diff := cmp.Diff(digests, []ledger.Reading{want[4], at("2026-11-23 02:00:00")}); err != nil || diff != "" {
		t.Errorf("%v; the digests of one group: got -, want +:\n%s", err, diff)
	}
	// As many as a book asks for at once.
	many := slices.Repeat(groups, 1000)
	got, err = b.reader().Newest(t.Context(), many)
	if err != nil || len(got) != len(many) || !slices.Equal(got[len(got)-5:], want) {
		t.Errorf("%v, %d of %d", err, len(got), len(many))
	}
}

func TestPostsAreThoseThatADailyDigestCounts(t *testing.T) {
	b := newBase(t)
	b.exec(`INSERT INTO topic VALUES
		('t1', 'main', 'alpha', timestamp '2026-11-24 01:00', NULL), ('t2', 'main', 'alpha', timestamp '2026-11-24 01:00', now()),
		('t3', 'main', 'beta', timestamp '2026-11-24 01:00', NULL), ('t4', 'main', 'gamma', timestamp '2026-11-20 01:00', NULL);
		INSERT INTO topic_keywords VALUES ('t1'), ('t2'), ('t4');
		INSERT INTO post VALUES
		('p1', 't1', 'main', 'alpha', timestamp '2026-11-24 01:00', NULL), ('p2', 't1', 'main', 'alpha', timestamp '2026-11-20 01:00', NULL),
		('p3', 't2', 'main', 'alpha', timestamp '2026-11-23 12:00', now()), ('p4', 't3', 'main', 'beta', timestamp '2026-11-24 01:00', NULL),
		('p5', 't4', 'main', 'gamma', timestamp '2026-11-20 01:00', NULL)`)
	want := map[ledger.Group][]ledger.Reading{group("alpha"): {at("2026-11-23 12:00:00"), at("2026-11-24 01:00:00")}}
	got := map[ledger.Group][]ledger.Reading{}
	err := b.reader().Posts(t.Context(), at("2026-11-23 02:00:00"), func(g ledger.Group, at ledger.Reading) {
		got[g] = append(got[g], at)
	})
	if diff := cmp.Diff(got, want); err != nil || diff != "" {
		t.Errorf("%v; hidden ones count, a topic without keywords does not; got -, want +:\n%s", err, diff)
	}
	one, err := b.reader().PostsOf(t.Context(), group("alpha"), at("2026-11-23 02:00:00"))
	if diff := cmp.Diff(one, want[group("alpha")]); err != nil || diff != "" {
		t.Errorf("%v; got -, want +:\n%s", err, diff)
	}
}

func TestTopicsAreTheNewestVisibleOnesWithKeywords(t *testing.T) {
	b := newBase(t)
	b.exec(`INSERT INTO topic VALUES
		('t1', 'main', 'alpha', timestamp '2026-11-10 01:00', NULL), ('t2', 'main', 'alpha', timestamp '2026-11-12 01:00', NULL),
		('t3', 'main', 'alpha', timestamp '2026-11-14 01:00', now()), ('t4', 'main', 'alpha', timestamp '2026-11-16 01:00', NULL);
		INSERT INTO topic_keywords VALUES ('t1'), ('t2'), ('t3')`)
	got := map[ledger.Group]ledger.Reading{}
	err := b.reader().Topics(t.Context(), func(g ledger.Group, at ledger.Reading) { got[g] = at })
	if diff := cmp.Diff(got, map[ledger.Group]ledger.Reading{group("alpha"): at("2026-11-12 01:00:00")}); err != nil || diff != "" {
		t.Errorf("%v; got -, want +:\n%s", err, diff)
	}
}

func TestSubscribedAreGroupsThatSomebodyIsSetToGetDigestsOf(t *testing.T) {
	b := newBase(t)
	b.exec(`INSERT INTO email_setting VALUES ('u1', '', 'alpha', 'digest'), ('u2', 'main', 'alpha', 'digest'), ('u1', '', 'beta', 'webonly')`)
	got := map[string]bool{}
	err := b.reader().Subscribed(t.Context(), func(name string) { got[name] = true })
	if diff := cmp.Diff(got, map[string]bool{"alpha": true}); err != nil || diff != "" {
		t.Errorf("%v; got -, want +:\n%s", err, diff)
	}
}

// GroupServer sends the time of its clock on the wall, and the session's zone makes an instant of it. What we read is the
// clock on the wall again, whatever that zone is.
func TestReadingsAreTheServersClockInWhateverZoneTheDatabaseIs(t *testing.T) {
	for _, zone := range []string{"UTC", "Pacific/Auckland", "America/St_Johns", "Europe/Berlin"} {
		t.Run(zone, func(t *testing.T) {
			b := newBase(t)
			b.exec("ALTER DATABASE " + b.name + " SET timezone = '" + zone + "'")
			_ = b.conn.Close(t.Context())
			b.conn = b.open(b.name)
			t.Setenv("PGTZ", "Asia/Tokyo") // ours is not the server's
			for i, wall := range []string{"2026-11-24 02:00:00", "2026-10-25 02:30:00", "2026-03-29 03:30:00", "2026-04-05 02:30:00", "2026-09-27 03:30:00"} {
				g := group(fmt.Sprint(i))
				b.exec("INSERT INTO group_digest VALUES ('main', '" + g.Group + "', timestamp '" + wall + "')")
				got, err := b.reader().Newest(t.Context(), []ledger.Group{g})
				if err != nil || got[0] != at(wall) {
					t.Errorf("%s: got %v, %v", wall, got, err)
				}
			}
		})
	}
}

func TestADigestBetweenTheTwoPhasesIsPendingAndNotSeen(t *testing.T) {
	b := newBase(t)
	b.exec("BEGIN; INSERT INTO group_digest VALUES ('main', 'alpha', timestamp '2026-11-24 02:00'); PREPARE TRANSACTION '" + b.name + "'")
	r := b.reader()
	look := func() (ledger.Reading, int) {
		t.Helper()
		rows, err := r.Newest(t.Context(), []ledger.Group{group("alpha")})
		n, nerr := r.Pending(t.Context(), time.Minute)
		if err != nil || nerr != nil {
			t.Fatal(err, nerr)
		}
		return rows[0], n
	}
	if row, n := look(); row != 0 || n != 1 {
		t.Errorf("between them: %v, %d pending", row, n)
	}
	if n, err := r.Pending(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("of the last 0 seconds: %d, %v", n, err)
	}
	b.exec("COMMIT PREPARED '" + b.name + "'")
	if row, n := look(); row != at("2026-11-24 02:00:00") || n != 0 {
		t.Errorf("after them: %v, %d pending", row, n)
	}
}

func TestTheLeastRightsSufficeAndNothingCanBeWritten(t *testing.T) {
	b := newBase(t)
	role := "reader_of_" + b.name[:20]
	b.exec("CREATE ROLE " + role + " LOGIN PASSWORD 'secret'")
	b.Cleanup(func() { b.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	address := fmt.Sprintf("postgres://%s:secret@127.0.0.1:%d/%s", role, server.Port(), b.name)
	_, err := b.readerAt(address).Newest(t.Context(), []ledger.Group{group("alpha")})
	if e, ok := errors.AsType[*postgres.Error](err); !ok || !strings.Contains(e.Error(), "may not read group_digest") || !strings.Contains(e.Hint(), "GRANT") && !strings.Contains(e.Hint(), "grant") {
		t.Errorf("without rights: %v", err)
	}
	b.exec(strings.ReplaceAll(postgres.Grants, "ROLE", role))
	r := b.readerAt(address)
	for _, ask := range []func() error{
		func() error { _, err := r.Newest(t.Context(), []ledger.Group{group("alpha")}); return err },
		func() error { return r.Posts(t.Context(), 1, func(ledger.Group, ledger.Reading) {}) },
		func() error { _, err := r.PostsOf(t.Context(), group("alpha"), 1); return err },
		func() error { return r.Topics(t.Context(), func(ledger.Group, ledger.Reading) {}) },
		func() error { return r.Subscribed(t.Context(), func(string) {}) },
		func() error { _, err := r.Pending(t.Context(), time.Minute); return err },
	} {
		if err := ask(); err != nil {
			t.Error(err)
		}
	}
	if err := postgres.Write(t.Context(), b.reader()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write: %v, want that the session refuses it", err)
	}
}

func TestWhatIsWrongIsSaidWithoutThePassword(t *testing.T) {
	b := newBase(t)
	port := server.Port()
	for name, tt := range map[string]struct{ address, want string }{
		"another password":  {fmt.Sprintf("postgres://gsadmin:wr0ng@127.0.0.1:%d/%s", port, b.name), "refuses the password"},
		"no such database":  {fmt.Sprintf("postgres://gsadmin:p@ss/w%%25rd #1@127.0.0.1:%d/nowhere", port), "no such database"},
		"nobody there":      {"postgres://gsadmin:wr0ng@127.0.0.1:1/x", "refused"},
		"no such host":      {"postgres://gsadmin:wr0ng@nowhere.invalid:1/x", "nowhere.invalid"},
		"not GroupServer's": {server.DSN("postgres"), "it is not GroupServer's"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.readerAt(tt.address).Newest(t.Context(), []ledger.Group{group("alpha")})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than a line", err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, secret := range []string{"wr0ng", "p@ss", "w%rd"} {
					if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, secret) {
						t.Errorf("the password is in %s", text)
					}
				}
			}
		})
	}
}

func TestALockIsNotWaitedForLongAndALongStatementIsEnded(t *testing.T) {
	b := newBase(t)
	other := b.open(b.name)
	defer other.Close(context.Background())
	b.on(other, "BEGIN; LOCK TABLE group_digest")
	_, err := b.reader().Newest(t.Context(), []ledger.Group{group("alpha")})
	if err == nil || !strings.Contains(err.Error(), "holds a lock on group_digest") {
		t.Errorf("locked: %v", err)
	}
	b.on(other, "ROLLBACK")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r := b.reader()
	if err := postgres.Sleep(ctx, r, 20); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("slow: %v", err)
	}
	if _, err := r.Newest(t.Context(), []ledger.Group{group("alpha")}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestAReaderGoesOnWhenTheServerIsBack(t *testing.T) {
	own, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	d, err := dsn.Parse(own.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	r := postgres.New(d)
	defer r.Close()
	if _, err := r.Pending(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := own.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pending(t.Context(), time.Minute); err == nil {
		t.Error("no error while it is away")
	}
	if err := own.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pending(t.Context(), time.Minute); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestTheConditionOfTheServerIsThatOfItsSettings(t *testing.T) {
	b := newBase(t)
	c, err := b.reader().Condition(t.Context())
	if err != nil || c.Role != cluster.Role || c.MaxPrepared != cluster.DefaultMaxPrepared || c.Hung != 0 || c.Version == "" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAConnectionThatWasLostMeanwhileIsMadeAnew(t *testing.T) {
	b := newBase(t)
	r := b.reader()
	if _, err := r.Pending(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	b.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'senddigest' AND datname = current_database()")
	if _, err := r.Pending(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
}
