// Package fleet_test runs senddigest-fleet as processes on a real PostgreSQL: killed, frozen, without their database, and
// with a queue that somebody meddles with. The log of the stand-in site is the judge.
package fleet_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	fleetprogram "github.com/groupserver/senddigest/internal/fleet/program"
	"github.com/groupserver/senddigest/internal/process"
	"github.com/groupserver/senddigest/internal/standin"
)

// marker is set in the environment of a process that is the program.
const marker = "SENDDIGEST_FLEET_TEST_PROGRAM"

// password is that of the queue's database, which no output may hold.
const password = "queueS3cret"

var server = fleettest.Server{}

func TestMain(m *testing.M) {
	program.BeProgram() // senddigest
	if os.Getenv(marker) != "" {
		os.Exit(command.Main(fleetprogram.New(), process.OS("")))
	}
	server.Options = cluster.Options{Password: password, TCP: true, Settings: map[string]string{"max_connections": "400"}}
	os.Exit(server.Around(m).Run())
}

// A request is cut after timeout, and settled so long after its start: no less is allowed.
const (
	timeout = 3 * time.Second
	settled = timeout + fleet.LeaveWithin + time.Second
)

// A world is a site, and machines that send for it.
type world struct {
	t       testing.TB
	address string // of the database
	db      *fleet.DB
	site    *standin.Site
	url     string
	config  string // gsconfig.ini
	env     []string
}

func newWorld(t testing.TB, o standin.Options) *world { return newWorldOn(t, o, &server) }

func newWorldOn(t testing.TB, o standin.Options, s *fleettest.Server) *world {
	t.Helper()
	program.SkipIfShort(t)
	w := &world{t: t, address: s.DSN(t), config: filepath.Join(t.TempDir(), "gsconfig.ini")}
	o.Token = program.Token
	w.site = standin.New(o)
	socket, err := w.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		socket.Close()
		w.site.Close()
	})
	w.url = socket.URL
	text := "[config-default]\nwebservice = default\nsenddigest = fleet\n\n[webservice-default]\ntoken = " + program.Token +
		"\n\n[senddigest-fleet]\nqueue-dsn = " + w.address + "\nmax-workers = 3\n"
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must("migrate")
	w.db = fleettest.Open(t, w.address)
	return w
}

// A machine is one process of the program.
type machine struct {
	*exec.Cmd
	t      testing.TB
	output program.Output
	exited chan struct{} // closed when it has ended
	err    error
}

// start starts a process, which is killed with the test. state is its state directory.
func (w *world) start(state string, args ...string) *machine {
	w.t.Helper()
	m := &machine{Cmd: exec.Command(os.Args[0], args...), t: w.t, exited: make(chan struct{})}
	m.Env = append(os.Environ(), marker+"=1", "NO_PROXY=*", "GORACE="+program.RaceEnd, "XDG_STATE_HOME="+state, "SENDDIGEST_CONFIG="+w.config)
	m.Env = append(m.Env, w.env...)
	m.Stdout, m.Stderr = &m.output, &m.output
	if err := m.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(m.exited)
		m.err = m.Cmd.Wait()
	}()
	w.t.Cleanup(func() {
		m.kill()
		for _, secret := range []string{password, program.Token} {
			if strings.Contains(m.output.String(), secret) {
				w.t.Errorf("%v: a secret is in its output:\n%s", args, m.output.String())
			}
		}
	})
	return m
}

// kill kills the process, and returns when it has ended.
func (m *machine) kill() {
	_ = m.Process.Signal(syscall.SIGCONT)
	_ = m.Process.Kill()
	<-m.exited
}

// over reports whether the process has ended.
func (m *machine) over() bool {
	select {
	case <-m.exited:
		return true
	default:
		return false
	}
}

// code waits for the end of the process, and returns its exit code.
func (m *machine) code() int {
	m.t.Helper()
	select {
	case <-m.exited:
	case <-time.After(4 * time.Minute):
		m.t.Fatalf("%v does not end:\n%s", m.Args[1:], m.output.String())
	}
	return program.ExitCode(m.err)
}

// must runs a command that is to succeed, and returns its output.
func (w *world) must(args ...string) string {
	w.t.Helper()
	m := w.start(w.t.TempDir(), args...)
	if code := m.code(); code != 0 {
		w.t.Fatalf("%v: exit code %d\n%s", args, code, m.output.String())
	}
	return m.output.String()
}

func (w *world) work(state string, more ...string) *machine {
	return w.start(state, append([]string{"work", "--timeout", timeout.String(), "--log-level", "info", w.url}, more...)...)
}

func (w *world) run(state string, more ...string) *machine {
	return w.start(state, append([]string{"run", "--timeout", timeout.String(), "--settle", settled.String(), w.url}, more...)...)
}

// underWay is a night with one worker, of which some groups are mailed. limit is of the sends in flight.
func underWay(t testing.TB, groups []standin.Group, limit int) (w *world, run *machine) {
	t.Helper()
	w = newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: always(100 * time.Millisecond)})
	w.work(t.TempDir())
	run = w.run(t.TempDir(), "--workers", strconv.Itoa(limit))
	w.until("some are mailed", func() bool { return w.mailed() > 2 })
	return w, run
}

// until waits until something is so.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(3 * time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("%s: that does not come to be", what)
		}
	}
}

func (w *world) mailed() (n int) {
	for _, mails := range w.site.Mails() {
		n += min(mails, 1)
	}
	return n
}

// judge wants each group mailed once, no two requests for one at once, and no more in flight than allowed.
func (w *world) judge(groups []standin.Group, limit int) {
	w.t.Helper()
	mails := w.site.Mails()
	lost, twice := 0, 0
	for _, g := range groups {
		switch n := mails[g]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost+twice > 0 || w.site.Overlaps() > 0 || w.site.MaxInFlight() > limit {
		w.t.Errorf("of %d groups %d were not mailed and %d more than once; %d requests overlapped; %d were in flight, of at most %d",
			len(groups), lost, twice, w.site.Overlaps(), w.site.MaxInFlight(), limit)
	}
}

// stopped has the database be away for a time, and returns between which times it surely was.
func stopped(t testing.TB, c *cluster.Cluster, away time.Duration, crash bool) (from, to time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), away+time.Minute)
	defer cancel()
	if crash {
		c.Kill()
	} else if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
	from = time.Now()
	back := time.NewTimer(away)
	<-back.C
	to = time.Now()
	if err := c.Start(ctx); err != nil {
		t.Error(err)
	}
	return from, to
}

// seedOf is the seed of a test: the environment's, or one of its own.
func seedOf(t testing.TB, seed uint64) uint64 {
	if text := os.Getenv("SENDDIGEST_FLEET_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return seed
}
