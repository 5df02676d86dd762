package fleet_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/standin"
)

func some(n int) []standin.Group { return standin.Generate(n, 7) }

// always is the cost of every send.
func always(d time.Duration) func(standin.Group) time.Duration {
	return func(standin.Group) time.Duration { return d }
}

func TestANightIsMadeFromTwoMachinesAndSteered(t *testing.T) {
	t.Parallel()
	groups := some(60)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: always(30 * time.Millisecond)})
	status := w.must("workers", "3")
	for _, want := range []string{"0, of at most 3", "no limit", "none"} {
		if !strings.Contains(status, want) {
			t.Errorf("want %q in\n%s", want, status)
		}
	}
	if status := w.must("pause"); !strings.Contains(status, "senddigest-fleet resume") {
		t.Errorf("got\n%s", status)
	}
	one, two := w.work(t.TempDir()), w.work(t.TempDir())
	first, second := w.run(t.TempDir()), w.run(t.TempDir())
	w.until("two workers, and a plan", func() bool {
		status := w.must("status")
		return strings.Count(status, "lives") == 2 && strings.Contains(status, "0 of 60 done")
	})
	if n := w.mailed(); n != 0 {
		t.Errorf("%d digests were sent in a pause", n)
	}
	const paused = "senddigest-fleet: warning: an operator has paused the fleet: nothing starts until senddigest-fleet resume\n"
	w.until("whoever plans says so", func() bool { return first.output.String()+second.output.String() == paused })
	w.must("resume")
	const resumed = "senddigest-fleet: warning: an operator lets the fleet go on\n" // the night may be over before that is seen
	if a, b := first.code(), second.code(); a != 0 || b != 0 || strings.TrimSuffix(first.output.String()+second.output.String(), resumed) != paused {
		t.Errorf("got exit codes %d and %d, and\n%s%s", a, b, first.output.String(), second.output.String())
	}
	w.judge(groups, 3)
	if code := w.run(t.TempDir()).code(); code != 0 { // the night has been
		t.Errorf("a run that comes late ends with %d", code)
	}
	w.judge(groups, 3)
	if status := w.must("status"); !strings.Contains(status, "ended with 0") || !strings.Contains(status, "60 of 60 done, 60 accepted") {
		t.Errorf("got\n%s", status)
	}
	for _, m := range []*machine{one, two} {
		_ = m.Process.Signal(syscall.SIGTERM)
		if code := m.code(); code != 0 {
			t.Errorf("a worker that was told to end ends with %d:\n%s", code, m.output.String())
		}
	}
	if status := w.must("status"); !strings.Contains(status, "workers    none") {
		t.Errorf("the workers have not taken their leave:\n%s", status)
	}
}

func TestARunThatASignalEndsSaysThatTheNightGoesOnWithoutIt(t *testing.T) {
	t.Parallel()
	groups := some(60)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: always(100 * time.Millisecond)})
	w.work(t.TempDir())
	w.must("workers", "2")
	run := w.run(t.TempDir(), "-v")
	w.until("some are mailed", func() bool { return w.mailed() > 2 })
	_ = run.Process.Signal(syscall.SIGTERM)
	if code := run.code(); code != 143 {
		t.Errorf("the run ends with %d", code)
	}
	for _, want := range []string{
		"each of 60 groups, 2 at a time",
		"stopped by SIGTERM: the night goes on without this run; senddigest-fleet stop ends it\n",
		"not_attempted: stopped by SIGTERM; the night goes on without this run\n",
	} {
		if !strings.Contains(run.output.String(), want) {
			t.Errorf("the run does not say %q:\n%s", want, run.output.String())
		}
	}
	for _, untrue := range []string{"nothing more starts", "which may take up to"} {
		if strings.Contains(run.output.String(), untrue) {
			t.Errorf("the run says %q:\n%s", untrue, run.output.String())
		}
	}
	w.until("the worker goes on", func() bool { return w.mailed() == len(groups) })
	if code := w.run(t.TempDir()).code(); code != 0 {
		t.Errorf("the next run ends with %d", code)
	}
	w.judge(groups, 2)
}

func TestAStoppedNightLeavesGroupsAndGoesOnWithResume(t *testing.T) {
	t.Parallel()
	groups := some(300)
	w, m := underWay(t, groups, 1)
	w.must("stop")
	if code := m.code(); code != 75 {
		t.Errorf("a night that an operator stopped ends with %d:\n%s", code, m.output.String())
	}
	if n := w.mailed(); n > 250 {
		t.Errorf("%d of %d were mailed all the same", n, len(groups))
	}
	if code := w.run(t.TempDir()).code(); code != 75 {
		t.Errorf("who comes late is told %d", code)
	}
	if m := w.run(t.TempDir(), "--resume", "--workers", "4"); m.code() != 0 {
		t.Errorf("--resume ends with %d:\n%s", m.code(), m.output.String())
	}
	w.judge(groups, 4)
}

// What excludes the two is the lock of the machine's state directory, which a run holds while it waits as well. The cron
// program on a machine that makes no run of the fleet, or with another state directory, is not kept out.
func TestOnAMachineThatTakesPartSenddigestItselfHasToWait(t *testing.T) {
	t.Parallel()
	groups := some(20)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: always(50 * time.Millisecond)})
	w.must("workers", "2")
	w.must("pause")
	w.work(t.TempDir())
	planner, waiter := t.TempDir(), t.TempDir()
	first := w.run(planner)
	w.until("a plan", func() bool { return strings.Contains(w.must("status"), "0 of 20 done") })
	second := w.run(waiter)
	w.until("a second run", func() bool {
		locks, err := filepath.Glob(filepath.Join(waiter, "senddigest", "*.lock"))
		return err == nil && len(locks) > 0
	})
	for _, state := range []string{planner, waiter} {
		cron := exec.Command(os.Args[0], "-c", w.config, w.url)
		cron.Env = append(program.Environ(), "XDG_STATE_HOME="+state)
		out, err := cron.CombinedOutput()
		if code := program.ExitCode(err); code != 75 || !strings.Contains(string(out), "another run holds the lock") {
			t.Errorf("senddigest ends with %d:\n%s", code, out)
		}
		if m := w.run(state); m.code() != 75 {
			t.Errorf("a second run of the fleet on one machine ends with %d:\n%s", m.code(), m.output.String())
		}
	}
	w.must("resume")
	if a, b := first.code(), second.code(); a != 0 || b != 0 {
		t.Errorf("got exit codes %d and %d:\n%s%s", a, b, first.output.String(), second.output.String())
	}
	w.judge(groups, 2)
}

func TestExitCodesAreThoseOfSenddigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, standin.Options{Groups: some(2)})
	fresh, riverless, newer := server.DSN(t), server.DSN(t), server.DSN(t)
	for address, do := range map[string]string{riverless: "SELECT", newer: "UPDATE senddigest.version SET version = 99"} {
		db := fleettest.Open(t, address)
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Pool().Exec(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	w.order("CREATE ROLE stranger LOGIN PASSWORD '" + password + "'")
	bare, tokenless := filepath.Join(t.TempDir(), "bare.ini"), filepath.Join(t.TempDir(), "tokenless.ini")
	if err := program.WriteConfig(bare, program.Token); err != nil {
		t.Fatal(err)
	}
	if err := program.WriteConfig(tokenless, ""); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, says string
		code       int
		args       []string
		env        []string
	}{
		{"no command", "no command given", 64, nil, nil},
		{"an unknown command", "there is no command", 64, []string{"senddigest"}, nil},
		{"no URL", "run takes one argument", 64, []string{"run"}, nil},
		{"workers 0", "is not a whole number", 64, []string{"workers", "0"}, nil},
		{"a rate that is none", "rate", 64, []string{"rate", "fast"}, nil},
		{"an argument too many", "status takes no argument", 64, []string{"status", "now"}, nil},
		{"no queue", "name its database with --queue-dsn", 64, []string{"status", "-c", bare}, nil},
		{"a DSN that is none", "SENDDIGEST_QUEUE_DSN", 64, []string{"status"}, []string{"SENDDIGEST_QUEUE_DSN=" + password}},
		{"no token", "token", 78, []string{"status", "-c", tokenless}, nil},
		{"no tables of River", "River.*\n.*senddigest-fleet migrate", 78, []string{"status"}, []string{"SENDDIGEST_QUEUE_DSN=" + riverless}},
		{"tables of a newer version", "version 99.*\n.*put the newer one here", 78, []string{"status"}, []string{"SENDDIGEST_QUEUE_DSN=" + newer}},
		{"migrate to an older version", "version 99.*\n.*put the newer one here", 78, []string{"migrate"}, []string{"SENDDIGEST_QUEUE_DSN=" + newer}},
		{"a password on the command line", "everybody on this machine can read", 64, []string{"status", "--queue-dsn", w.address}, nil},
		{"pages for everybody", "other machines could reach", 64, []string{"work", "--listen", "0.0.0.0:0", w.url}, nil},
		{"no tables", "senddigest-fleet migrate", 78, []string{"status"}, []string{"SENDDIGEST_QUEUE_DSN=" + fresh}},
		{"no database", "127.0.0.1:1/queue cannot be used", 75, []string{"status", "--queue-dsn", "postgres://nobody@127.0.0.1:1/queue"}, nil},
		{"a wrong password", `cannot be used: FATAL: .*\(SQLSTATE 28P01\)\n.*hint: .*--queue-dsn`, 78, []string{"status"}, []string{"SENDDIGEST_QUEUE_DSN=" + strings.Replace(w.address, password, "other", 1)}},
		{"a worker's wrong password", "hint: .*--queue-dsn", 78, []string{"work", w.url}, []string{"SENDDIGEST_QUEUE_DSN=" + strings.Replace(w.address, password, "other", 1)}},
		{"no such database", "hint: createdb", 78, []string{"run", w.url}, []string{"SENDDIGEST_QUEUE_DSN=" + w.address + "_not"}},
		{"a role without rights", "hint: .*rights", 78, []string{"work", w.url}, w.as("stranger")},
		{"a role that may not migrate", "hint: .*right to make schemas", 78, []string{"migrate"}, w.as("stranger")},
		{"an unknown set", "nothing", 78, []string{"status", "-i", "nothing"}, nil},
	} {
		v := *w
		v.env = tt.env
		m := v.start(t.TempDir(), tt.args...)
		if code := m.code(); code != tt.code || !regexp.MustCompile(tt.says).MatchString(m.output.String()) {
			t.Errorf("%s: got exit code %d, want %d and %q:\n%s", tt.name, code, tt.code, tt.says, m.output.String())
		}
	}
}

// as is the environment in which a command is of another role.
func (w *world) as(role string) []string {
	return []string{"SENDDIGEST_QUEUE_DSN=" + strings.Replace(w.address, cluster.Role, role, 1)}
}

// order has the queue's database do something.
func (w *world) order(sql string) {
	w.t.Helper()
	if _, err := w.db.Pool().Exec(w.t.Context(), sql); err != nil {
		w.t.Fatal(err)
	}
}

// At its start the same refusal is a wrong configuration.
func TestWhatIsGoingRidesOutADatabaseThatRefusesItForAWhile(t *testing.T) {
	t.Parallel()
	groups := some(300)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Cost: always(50 * time.Millisecond)})
	w.order("CREATE ROLE guest LOGIN PASSWORD '" + password + "'; GRANT " + cluster.Role + " TO guest")
	w.env = w.as("guest")
	worker := w.work(t.TempDir())
	run := w.run(t.TempDir())
	w.until("some are mailed", func() bool { return w.mailed() > 2 })
	w.order("ALTER ROLE guest NOLOGIN")
	w.order("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
	w.until("both have heard", func() bool {
		return strings.Contains(worker.output.String(), "nothing starts") && strings.Contains(run.output.String(), "nothing starts")
	})
	for range 5 { // they ask again meanwhile
		if m := w.start(t.TempDir(), "status"); m.code() != 78 || !strings.Contains(m.output.String(), "SQLSTATE 28000") {
			t.Errorf("what begins now ends with %d:\n%s", m.code(), m.output.String())
		}
	}
	if worker.over() || run.over() {
		t.Errorf("what is going gives up:\n%s%s", worker.output.String(), run.output.String())
	}
	w.order("ALTER ROLE guest LOGIN")
	if code := run.code(); code != 0 {
		t.Errorf("the run ends with %d:\n%s", code, run.output.String())
	}
	w.judge(groups, 2)
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

func TestThePagesShowTheQueueAndNoSecret(t *testing.T) {
	t.Parallel()
	groups := some(5)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4})
	m := w.work(t.TempDir(), "--listen", "127.0.0.1:0")
	if code := w.run(t.TempDir()).code(); code != 0 {
		t.Fatal(code)
	}
	w.until("the pages", func() bool { return address.MatchString(m.output.String()) })
	base := address.FindString(m.output.String())
	get := func(path, host string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{password, program.Token} {
			if strings.Contains(string(body), secret) {
				t.Errorf("%s: a secret is on the page", path)
			}
		}
		return resp.StatusCode, string(body)
	}
	const jobs = "queue/api/jobs?state=completed&limit=20"
	w.until("River notes that the jobs are done", func() bool { // some time later
		_, body := get(jobs, "")
		return strings.Contains(body, `"kind":"send"`)
	})
	w.until("the page has seen the end of the night", func() bool {
		_, body := get("report.json", "")
		return strings.Contains(body, `"complete": true`)
	})
	for path, want := range map[string]string{
		"": "5 of 5", "report.json": `"accepted": 5`, "metrics": `senddigest_groups{site="` + w.url + `/",outcome="accepted"} 5`, "status": "5 of 5 done, 5 accepted", "profile/": "5 of 5 done", "healthz": "ok", "queue/": "<html",
	} {
		if code, body := get(path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/%s: got %d, want %q in\n%.2000s", path, code, want, body)
		}
	}
	if code, _ := get("", "evil.example.com"); code != http.StatusMisdirectedRequest {
		t.Errorf("another host's name: got %d", code)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"queue/api/jobs/delete", strings.NewReader(`{"ids":["1"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://evil.example.com")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("an order from another site's page: got %d", resp.StatusCode)
	}
}

func TestTheDatabaseHoldsNoSecret(t *testing.T) {
	t.Parallel()
	groups := some(12)
	var faults []standin.Fault
	for i, kind := range []standin.Kind{
		standin.Error500, standin.OwnError, standin.WrongToken, standin.Blank, standin.Login, standin.Proxy502, standin.HTML, standin.CutBody, standin.NotFound,
	} {
		faults = append(faults, standin.Fault{Pattern: groups[i].Site + "/" + groups[i].Group, Kind: kind})
	}
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Faults: faults})
	w.work(t.TempDir(), "--log-level", "debug")
	if m := w.run(t.TempDir(), "-v", "--retries", "0"); m.code() != 77 { // the site refused the token of one
		t.Errorf("got exit code %d:\n%s", m.code(), m.output.String())
	}
	for _, table := range []string{"senddigest.installation", "senddigest.night", "senddigest.task", "senddigest.attempt", "senddigest.worker", "river.river_job"} {
		var all string
		if err := w.db.Pool().QueryRow(t.Context(), "SELECT coalesce(string_agg(t::text, E'\n'), '') FROM "+table+" t").Scan(&all); err != nil {
			t.Fatal(err)
		}
		if all == "" && table != "senddigest.worker" {
			t.Errorf("%s is empty", table)
		}
		for _, secret := range []string{password, program.Token} {
			if strings.Contains(all, secret) {
				t.Errorf("a secret is in %s:\n%s", table, all)
			}
		}
	}
}

func TestTheStatusIsForProgramsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, standin.Options{Groups: some(3)})
	w.must("workers", "5")
	w.must("rate", "600/m")
	worker := w.work(t.TempDir())
	if code := w.run(t.TempDir()).code(); code != 0 {
		t.Fatalf("the run ends with %d", code)
	}
	type status struct {
		URL       string
		Workers   int
		Rate      float64
		InFlight  *int `json:"in_flight"`
		Nights    []map[string]any
		Processes []struct{ PID int }
	}
	var s status
	w.until("the database has seen that the run is gone", func() bool {
		var got []status
		if err := json.Unmarshal([]byte(w.must("status", "--json")), &got); err != nil || len(got) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		s = got[0]
		return len(s.Nights) != 1 || s.Nights[0]["followed"] != true
	})
	if len(s.Nights) != 1 || len(s.Processes) != 1 || s.InFlight == nil {
		t.Fatalf("got %+v", s)
	}
	if s.URL != w.url+"/" || s.Workers != 5 || s.Rate != 10 || *s.InFlight != 0 || s.Processes[0].PID != worker.Process.Pid {
		t.Errorf("got %+v", s)
	}
	night := s.Nights[0]
	delete(night, "age")
	want := map[string]any{
		"campaign": "digest", "ended": true, "exit_code": 0.0, "stopped_by": "", "followed": false, "groups": 3.0, "done": 3.0,
		"waiting": 0.0, "wait_for": 0.0,
		"outcomes": map[string]any{"accepted": 3.0},
	}
	if diff := cmp.Diff(night, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}
