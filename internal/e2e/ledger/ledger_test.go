// Package ledger_test runs the whole program against a stand-in site that keeps its tables in a real PostgreSQL: what the site
// mailed is the judge of what the program says of it.
package ledger_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
	"github.com/groupserver/senddigest/internal/standin/tables/tablestest"
)

// password is one that another reader of DSNs would take for a host.
const password = "p@ss:w%rd"

var postgresServer = tablestest.Server{Options: cluster.Options{Password: password, TCP: true}}

func TestMain(m *testing.M) {
	program.BeProgram()
	os.Exit(postgresServer.Around(m).Run())
}

// A place is a site with its database, and what a user of the program has of it.
type place struct {
	*testing.T
	site   *standin.Site
	server *standin.Server
	tables *tables.DB
	groups []standin.Group
	dir    string
	said   string // by all runs
}

// What a group of a place is: groups come in so many kinds, in turn.
const (
	posted    = iota // something to mail
	idle             // nothing
	webonly          // nobody to mail it to
	handMade         // mailed in the afternoon by hand
	noMembers        // nobody who can be mailed
	kinds
)

func kindOf(i int) int {
	if i < 10 {
		return posted // enough to know the server's clock by
	}
	return i % kinds
}

// newPlace makes one. zone is the site's, session the database's.
func newPlace(t *testing.T, groups int, zone, session string, change func(*standin.Options, *tables.Options)) *place {
	t.Helper()
	return newPlaceOn(t, &postgresServer, groups, zone, session, change)
}

// newPlaceOn makes one whose database is on some server.
func newPlaceOn(t *testing.T, on *tablestest.Server, groups int, zone, session string, change func(*standin.Options, *tables.Options)) *place {
	t.Helper()
	program.SkipIfShort(t)
	at, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{T: t, dir: t.TempDir(), groups: standin.Generate(groups, 1)}
	unreachable := map[standin.Group]bool{}
	to := tables.Options{Zone: at, SessionZone: session, Unreachable: func(g standin.Group) bool { return unreachable[g] }}
	so := standin.Options{
		Token: program.Token, Groups: p.groups, Zone: at, Threads: 4,
		Cost: func(standin.Group) time.Duration { return 5 * time.Millisecond },
	}
	if change != nil {
		change(&so, &to)
	}
	p.tables = on.Tables(t, to)
	now := time.Now()
	var posts []tables.Post
	var rows []tables.Row
	for i, g := range p.groups {
		at, setting := now.Add(-12*time.Hour), "digest"
		switch kindOf(i) {
		case idle:
			at = now.AddDate(0, 0, -3)
		case webonly:
			setting = "webonly"
		case handMade:
			rows = append(rows, tables.Digest{Group: g, Sent: now.Add(-8 * time.Hour)})
		case noMembers:
			unreachable[g] = true
		}
		posts = append(posts, tables.Post{Group: g, User: "u", Date: at})
		rows = append(rows, tables.Setting{User: "u", Group: g, Setting: setting})
	}
	if err := errors.Join(p.tables.Publish(t.Context(), posts...), p.tables.Add(t.Context(), rows...)); err != nil {
		t.Fatal(err)
	}
	so.Ledger = p.tables
	p.site = standin.New(so)
	if p.server, err = p.site.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.site.Close)
	t.Cleanup(p.server.Close)
	config := "[config-default]\nwebservice = default\ndatabase = groups\n\n[database-groups]\ndsn = " +
		strings.ReplaceAll(p.tables.DSN(), "%", "%%") + "\n\n[webservice-default]\ntoken = " + program.Token + "\n"
	if err := os.WriteFile(filepath.Join(p.dir, "gsconfig.ini"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// command is the program, to be started.
func (p *place) command(args ...string) *exec.Cmd {
	cmd := program.Command(p.T, append([]string{
		"-c", filepath.Join(p.dir, "gsconfig.ini"), "--state-dir", filepath.Join(p.dir, "state"),
	}, args...)...)
	cmd.Dir = p.dir
	return cmd
}

// A told report is what the tests look at of one.
type told struct {
	Counts map[string]int
	Ledger *struct{ Mailed, Nothing, Swallowed, Missing, Unknown int }
	Groups []struct{ Site, Group, Outcome, Mail, Reason string }
}

// run makes a whole run, and gives its report.
func (p *place) run(args ...string) told {
	p.Helper()
	report := filepath.Join(p.dir, "report.json")
	out, err := p.command(append(args, "--report", report, p.server.URL)...).CombinedOutput()
	p.said += string(out)
	text, rerr := os.ReadFile(report)
	var r told
	if err := errors.Join(rerr, json.Unmarshal(text, &r)); err != nil {
		p.Fatalf("%v; it said:\n%s", err, out)
	}
	p.said += string(text)
	if program.ExitCode(err) != 0 {
		p.Errorf("exit code %d; it said:\n%s", program.ExitCode(err), out)
	}
	return r
}

// judge compares what a report says with what the site mailed, and why it did not.
func (p *place) judge(r told) {
	p.Helper()
	words := map[int]string{posted: "mailed", idle: "nothing", webonly: "nothing", handMade: "swallowed", noMembers: "missing"}
	mails := p.site.Mails()
	for _, g := range r.Groups {
		group := standin.Group{Site: g.Site, Group: g.Group}
		want := words[kindOf(slices.Index(p.groups, group))]
		if g.Mail != want || (mails[group] == 1) != (want == "mailed") || mails[group] > 1 {
			p.Errorf("%v: %s, the report says %q, want %s; the site mailed it %d times", group, g.Outcome, g.Mail, want, mails[group])
		}
	}
	if strings.Contains(p.said, password) || strings.Contains(p.said, "w%rd") || strings.Contains(p.said, program.Token) {
		p.Errorf("a secret is in what was said:\n%s", p.said)
	}
}

func TestEachVerdictIsRightInWhateverZones(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, session string }{
		{"UTC", "UTC"}, {"Pacific/Auckland", "UTC"}, {"Europe/Berlin", "Europe/Berlin"}, {"UTC", "America/St_Johns"},
	} {
		t.Run(strings.ReplaceAll(tt.zone+" and "+tt.session, "/", "_"), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 40, tt.zone, tt.session, nil)
			p.judge(p.run("-v", "--log-level", "debug", "--guard-wait", "0"))
			if out, err := p.command("check", p.server.URL).CombinedOutput(); err != nil || !strings.Contains(string(out), "read-only") {
				t.Errorf("%v: %s", err, out)
			}
			mailed := p.groups[0]
			out, err := p.command("explain", p.server.URL, mailed.Site+"/"+mailed.Group).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "accepted, mailed") || !strings.Contains(string(out), "skips the group in silence") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// A proxy gives up while the site goes on, and its row is not visible before the second phase.
func TestALostAnswerIsSettledWhenItsRowAppears(t *testing.T) {
	t.Parallel()
	var lost standin.Group
	var between atomic.Int32
	p := newPlace(t, 20, "UTC", "UTC", func(s *standin.Options, to *tables.Options) {
		lost = s.Groups[0]
		s.Faults = []standin.Fault{{Pattern: lost.Site + "/" + lost.Group, Kind: standin.Proxy504, Times: 1}}
		to.Between = func(g standin.Group) error {
			if g == lost {
				between.Add(1)
				time.Sleep(1500 * time.Millisecond) // as a slow disk does
			}
			return nil
		}
	})
	began := time.Now()
	r := p.run("--guard-wait", "0")
	p.judge(r)
	if between.Load() != 1 || time.Since(began) > time.Minute {
		t.Errorf("%d commits, after %v", between.Load(), time.Since(began))
	}
	sends := 0
	for _, q := range p.site.Requests() {
		if q.Hook == standin.Send && q.Group == lost {
			sends++
		}
	}
	if sends != 1 {
		t.Errorf("%d requests for a group of which the tables tell", sends)
	}
}

// The database goes away in the midst of a run, for the site and for us, and comes back.
func TestADatabaseThatRestartsInMidRunIsReadAgain(t *testing.T) {
	t.Parallel()
	own := &tablestest.Server{Options: cluster.Options{Password: password, TCP: true}} // the others need theirs
	t.Cleanup(func() { _ = own.Close() })
	var once sync.Once
	restarted := make(chan error, 1)
	p := newPlaceOn(t, own, 40, "UTC", "UTC", func(s *standin.Options, _ *tables.Options) {
		started := atomic.Int32{}
		s.Cost = func(standin.Group) time.Duration {
			if started.Add(1) == 15 {
				once.Do(func() {
					c := own.Cluster(t)
					restarted <- errors.Join(c.Stop(t.Context()), c.Start(t.Context()))
				})
			}
			return 5 * time.Millisecond
		}
	})
	r := p.run("--guard-wait", "0")
	// A send may have been between the phases of its commit: its mail has gone, it ends in a 500 all the same and is tried again,
	// and its row hangs there. Nobody sees of whom, and so what is not mailed is not known of anybody.
	if hung, err := p.tables.Prepared(t.Context()); err != nil || len(hung) == 0 {
		p.judge(r)
	} else {
		mails, twice := p.site.Mails(), 0
		for _, g := range r.Groups {
			n := mails[standin.Group{Site: g.Site, Group: g.Group}]
			if n > 1 {
				twice++
				n--
			}
			if n > 1 || g.Mail == "mailed" && n != 1 || g.Mail == "swallowed" || g.Mail == "missing" || r.Ledger.Mailed == 0 {
				t.Errorf("%s/%s: %q, mailed %d times", g.Site, g.Group, g.Mail, n)
			}
		}
		if twice > len(hung) {
			t.Errorf("%d groups were mailed twice, and %d rows hang", twice, len(hung))
		}
	}
	if err := <-restarted; err != nil {
		t.Error(err)
	}
}

// What was in flight when the process died is settled by its rows: nobody waits ten minutes.
func TestAKilledRunIsResumedWithoutAWait(t *testing.T) {
	t.Parallel()
	const before = 5 // groups that are mailed while the process lives
	var something []standin.Group
	var begun atomic.Int32
	held, dead := make(chan struct{}, 30), make(chan struct{})
	p := newPlace(t, 30, "UTC", "UTC", func(s *standin.Options, _ *tables.Options) {
		for i, g := range s.Groups {
			if kindOf(i) == posted { // a row tells of these alone
				something = append(something, g)
			}
		}
		s.Cost = func(g standin.Group) time.Duration {
			if slices.Contains(something, g) && begun.Add(1) > before {
				held <- struct{}{}
				<-dead
			}
			return 5 * time.Millisecond
		}
	})
	release := sync.OnceFunc(func() { close(dead) })
	t.Cleanup(release) // before the server's, which waits for what is held
	cmd := p.command("--workers", "2", "--guard-wait", "0", p.server.URL)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.After(program.Patience)
	for i := range 2 {
		select {
		case <-held:
		case <-late:
			t.Errorf("%d sends are in flight, want 2", i)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	release()
	began := time.Now()
	r := p.run("--resume", "--guard-wait", "0")
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	if n := r.Counts["accepted"] + r.Counts["skipped"]; n != 30 {
		t.Errorf("got %v", r.Counts)
	}
	for i, g := range p.groups {
		if want := map[bool]int{true: 1}[kindOf(i) == posted]; p.site.Mails()[g] != want {
			t.Errorf("%v: mailed %d times, want %d", g, p.site.Mails()[g], want)
		}
	}
}
