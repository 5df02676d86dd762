package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
)

// killSeed is the environment variable that plays the killing of one seed again. The system's scheduler has its say
// in when a process dies, so the same seed may have to be played a few times.
const killSeed = "SENDDIGEST_KILL_SEED"

// kills is how many processes each of the two tests kills at least.
const kills = 105

// settled is longer than any request can live here: one takes some milliseconds, and none has to queue.
const settled = 700 * time.Millisecond

func TestKilledAtAnyPointAndResumedEveryGroupIsMailedOnceWithTheGuardOn(t *testing.T) {
	t.Parallel()
	killMany(t, true)
}

func TestKilledAtAnyPointAndResumedNobodyIsMailedTwiceWithTheGuardOff(t *testing.T) {
	t.Parallel()
	killMany(t, false)
}

// killMany plays scenarios side by side until enough processes were killed.
func killMany(t *testing.T, guard bool) {
	if text := os.Getenv(killSeed); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			_, err = killScenario(t, seed, guard)
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
	var killed, scenarios atomic.Int64
	base := rand.Uint64() >> 16
	var lanes sync.WaitGroup
	for range 4 {
		lanes.Go(func() {
			for killed.Load() < kills && !t.Failed() {
				seed := base + uint64(scenarios.Add(1))
				n, err := killScenario(t, seed, guard)
				killed.Add(int64(n))
				if err != nil {
					t.Errorf("%v\nto play it again: %s=%d go test -run '^%s$' .", err, killSeed, seed, t.Name())
				}
			}
		})
	}
	lanes.Wait()
	t.Logf("%d processes killed at %d sites, seeds from %d on", killed.Load(), scenarios.Load(), base+1)
}

// A victim is a site, which sees everything, and an operator whose processes are killed.
type victim struct {
	rng     *rand.Rand
	site    *standin.Site
	url     string
	started chan standin.Group // a send has come
	config  string
	state   string
	report  string
	groups  []standin.Group // the site's list
	all     int             // how many groups there ever were
	always  []string        // options of every run
}

func newVictim(t *testing.T, seed uint64, guard bool) (v *victim, end func(), err error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	v = &victim{
		rng: rng, started: make(chan standin.Group, 10_000), config: filepath.Join(dir, "gsconfig.ini"),
		state: filepath.Join(dir, "state"), report: filepath.Join(dir, "report.json"), all: 10 + rng.IntN(31),
	}
	v.groups = standin.Generate(v.all, seed)
	slowest := 1 + rng.IntN(12)
	o := standin.Options{Groups: v.groups, Threads: 64, Cost: func(g standin.Group) time.Duration {
		v.started <- g
		return time.Duration(1+len(g.Group)%slowest) * time.Millisecond
	}}
	v.always = []string{
		"--config", v.config, "--state-dir", v.state, "--workers", strconv.Itoa(1 + rng.IntN(4)), "--report", v.report,
		"--settle", settled.String(),
	}
	if guard {
		// Some answers are lost, and their groups are settled in the run, if it is not killed before.
		v.always = append(v.always, "--timeout", settled.String())
		for _, i := range rng.Perm(len(v.groups))[:rng.IntN(4)] {
			g := v.groups[i]
			o.Faults = append(o.Faults, standin.Fault{Pattern: g.Site + "/" + g.Group, Kind: standin.Proxy504, Times: 1})
		}
	} else {
		o.Guard = -1
		v.always = append(v.always, "--skip-ambiguous")
	}
	v.site = standin.New(o)
	server, err := v.site.Start()
	if err != nil {
		return nil, nil, err
	}
	v.url = server.URL
	end = func() { server.Close(); v.site.Close() }
	return v, end, writeConfig(v.config, standin.DefaultToken)
}

func writeConfig(path, token string) error {
	text := "[config-default]\nwebservice = default\n\n[webservice-default]\ntoken = " + token + "\n"
	return os.WriteFile(path, []byte(text), 0o600)
}

// killScenario is the story of one site: a run that is killed, resumed, killed again while the list changes, and at
// last let to its end. It gives how many processes were killed.
func killScenario(t *testing.T, seed uint64, guard bool) (killed int, err error) {
	v, end, err := newVictim(t, seed, guard)
	if err != nil {
		return 0, err
	}
	defer end()
	var how []string           // what the next run is asked for
	var before []standin.Group // the list that a run was about which was killed last
	for most := 3 + v.rng.IntN(8); ; {
		var kill <-chan struct{}
		lists := v.lists()
		over := make(chan struct{})
		if killed < most {
			kill = v.killer(over)
		}
		dead, code, said := v.run(t, kill, how...)
		close(over)
		switch {
		case dead:
			killed++
			how = []string{"--resume"}
			if guard && v.rng.IntN(3) == 0 {
				how = nil // somebody starts the night anew
			}
			if v.lists() > lists { // else it knew of none, such as one that was killed before it could say what it is refused for
				before = v.groups
			}
			v.changeList()
			continue
		case code == 64 && strings.Contains(said, "no earlier run"):
			how = nil // all were killed before they began
			continue
		case code == 64 && strings.Contains(said, "was finished") && guard:
			how = nil // killed at the very end: the next night
			continue
		case code == 64 && strings.Contains(said, "was finished"):
			how = []string{"--retry-failed"} // killed before it could report
			continue
		case code == 64 && strings.Contains(said, "had no group that failed"):
			return killed, v.judgeMails(before, nil)
		}
		if code != 0 && (guard || code != 1) {
			return killed, fmt.Errorf("%v ended with %d: %s", how, code, said)
		}
		return killed, v.judge(guard)
	}
}

// lists counts how often the site was asked for its list.
func (v *victim) lists() (n int) {
	for _, q := range v.site.Requests() {
		if q.Hook == standin.Groups {
			n++
		}
	}
	return n
}

// killer closes its channel when the process that comes next is to die: after some time, or so many sends. It ends when
// over does.
func (v *victim) killer(over <-chan struct{}) <-chan struct{} {
	for len(v.started) > 0 {
		<-v.started
	}
	sends, after := 0, time.Duration(v.rng.Int64N(int64(200*time.Millisecond)))
	if v.rng.IntN(3) > 0 {
		sends, after = 1+v.rng.IntN(8), time.Duration(v.rng.Int64N(int64(8*time.Millisecond)))
	}
	kill := make(chan struct{})
	go func() {
		for range sends {
			select {
			case <-v.started:
			case <-over: // fewer came
				return
			}
		}
		select { // a random point in time is what this is about
		case <-time.After(after):
			close(kill)
		case <-over:
		}
	}()
	return kill
}

// run runs the program, perhaps until it is killed.
func (v *victim) run(t *testing.T, kill <-chan struct{}, how ...string) (dead bool, code int, said string) {
	args := append(slices.Concat(v.always, how), v.url)
	cmd := program(t, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return false, -1, err.Error()
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-kill:
		_ = cmd.Process.Kill()
		err = <-ended
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled(), exitCode(err), out.String()
}

// changeList makes groups come and go, and come back, and shuffles them.
func (v *victim) changeList() {
	v.groups = slices.DeleteFunc(slices.Clone(v.groups), func(standin.Group) bool { return v.rng.IntN(12) == 0 })
	listed := map[standin.Group]bool{}
	for _, g := range v.groups {
		listed[g] = true
	}
	for g := range v.site.Mails() { // who was mailed and has gone may come back
		if !listed[g] && v.rng.IntN(2) == 0 {
			v.groups = append(v.groups, g)
		}
	}
	for range v.rng.IntN(3) {
		v.all++
		v.groups = append(v.groups, standin.Group{Site: "new", Group: fmt.Sprintf("group-%d", v.all)})
	}
	v.rng.Shuffle(len(v.groups), func(i, j int) { v.groups[i], v.groups[j] = v.groups[j], v.groups[i] })
	v.site.SetGroups(v.groups...)
}

// judge compares what the site did with what was promised, and with the last run's own report.
func (v *victim) judge(guard bool) error {
	text, err := os.ReadFile(v.report)
	if err != nil {
		return err
	}
	var report struct {
		Groups []struct{ Site, Group, Outcome, Reason string }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	excused := map[standin.Group]bool{}
	for _, g := range report.Groups {
		if !guard && (g.Outcome == "ambiguous" || strings.HasPrefix(g.Reason, "not in run ")) { // listed only since the run ended
			excused[standin.Group{Site: g.Site, Group: g.Group}] = true
		}
	}
	wrong := v.judgeMails(v.groups, excused)
	if wrong != nil {
		wrong = errors.Join(wrong, fmt.Errorf("the last run's report: %s", text))
	}
	if len(report.Groups) != len(v.groups) {
		wrong = errors.Join(wrong, fmt.Errorf("%d groups in the report, want %d", len(report.Groups), len(v.groups)))
	}
	return wrong
}

// judgeMails tells whether each group of a list was mailed once, but for those with an excuse for not being mailed.
func (v *victim) judgeMails(list []standin.Group, excused map[standin.Group]bool) error {
	var wrong []error
	mails := v.site.Mails()
	for g, n := range mails {
		if n > 1 {
			wrong = append(wrong, fmt.Errorf("%s/%s was mailed %d times", g.Site, g.Group, n))
		}
	}
	for _, g := range list {
		if mails[g] == 0 && !excused[g] {
			wrong = append(wrong, fmt.Errorf("%s/%s was not mailed, and the report has no word of it", g.Site, g.Group))
		}
	}
	if n := v.site.Overlaps(); n > 0 {
		wrong = append(wrong, fmt.Errorf("%d sends came while one for the same group was under way", n))
	}
	return errors.Join(wrong...)
}

// A holder is a process that has the lock, and a send that is never answered.
type holder struct {
	*victim
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

// hold starts a run of a small site whose first group hangs, and returns when that send has come.
func hold(t *testing.T) *holder {
	t.Helper()
	dir := t.TempDir()
	h := &holder{ended: make(chan error, 1), victim: &victim{
		started: make(chan standin.Group, 100), config: filepath.Join(dir, "gsconfig.ini"), state: filepath.Join(dir, "state"),
	}}
	h.site = standin.New(standin.Options{
		Groups: []standin.Group{{Site: "main", Group: "a"}, {Site: "main", Group: "b"}},
		Cost:   func(g standin.Group) time.Duration { h.started <- g; return 0 },
		Faults: []standin.Fault{{Pattern: "main/a", Kind: standin.Hang}},
	})
	server, err := h.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	h.url = server.URL
	h.always = []string{"--config", h.config, "--state-dir", h.state, "--workers", "1"}
	if err := writeConfig(h.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	h.cmd = program(t, append(h.always, h.url)...)
	h.cmd.Stderr = &h.stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { h.ended <- h.cmd.Wait() }()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill() // it may have ended
		server.Close()
		h.site.Close()
	})
	select {
	case <-h.started:
	case err := <-h.ended:
		t.Fatalf("the first run ended with %v: %s", err, h.stderr.String())
	case <-time.After(patience):
		t.Fatal("the first run sent nothing")
	}
	return h
}

// kill ends the holder as kill -9 does.
func (h *holder) kill() {
	_ = h.cmd.Process.Kill()
	<-h.ended
}

func TestASecondRunOfAnInstallationIsToldWhoHasTheLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	journals, err := filepath.Glob(filepath.Join(h.state, "*.jsonl"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals %v, %v, want one", journals, err)
	}
	run := strings.TrimSuffix(filepath.Base(journals[0]), ".jsonl")
	otherToken := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := writeConfig(otherToken, "anotherToken"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, url string
		args      []string
	}{
		{"the same command", h.url, nil},
		{"another host name, the same token", strings.Replace(h.url, "127.0.0.1", "localhost", 1), nil},
		{"another prefix, the same token", h.url + "/other", nil},
		{"the same address, another token", h.url, []string{"--config", otherToken}},
		{"--resume", h.url, []string{"--resume"}},
		{"--lock-wait that is over", h.url, []string{"--lock-wait", "10ms"}},
	} {
		other := victim{always: h.always, url: test.url}
		_, code, said := other.run(t, nil, test.args...)
		want := fmt.Sprintf("another run holds the lock: %s for %s, process %d, since ", run, h.url, h.cmd.Process.Pid)
		if code != 75 || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want 75 and %q", test.name, code, said, want)
		}
	}
	if n := len(h.site.Starts()); n != 1 {
		t.Errorf("%d sends came, want the one of the first run", n)
	}
}

func TestARunWithoutStateTakesNoLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	cmd := program(t, "--config", h.config, "--no-state", "--only", "main/b", h.url)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("it ended with %v: %s", err, out)
	}
	if n := h.site.Mails()[standin.Group{Site: "main", Group: "b"}]; n != 1 {
		t.Errorf("its group was mailed %d times, want once", n)
	}
}

func TestAnotherInstallationIsNotLocked(t *testing.T) {
	t.Parallel()
	first, second := hold(t), standin.New(standin.Options{Token: "anotherToken", Groups: standin.Generate(3, 1)})
	server, err := second.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	defer server.Close()
	config := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := writeConfig(config, "anotherToken"); err != nil {
		t.Fatal(err)
	}
	if out, err := program(t, "--config", config, "--state-dir", first.state, server.URL).CombinedOutput(); err != nil {
		t.Errorf("it ended with %v: %s", err, out)
	}
}

func TestKillingTheHolderFreesTheLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	h.kill()
	h.site.SetFaults()
	if _, code, said := h.run(t, nil, "--resume", "--settle", settled.String()); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, said)
	}
	for g, n := range h.site.Mails() {
		if n != 1 {
			t.Errorf("%s was mailed %d times, want once", g.Group, n)
		}
	}
}

func TestLockWaitRunsWhenTheHolderIsGone(t *testing.T) {
	t.Parallel()
	h := hold(t)
	cmd := program(t, append(slices.Concat(h.always, []string{"--lock-wait", "1m", "--settle", settled.String()}), h.url)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.site.SetFaults()
	if n := len(h.site.Starts()); n != 1 {
		t.Errorf("%d sends came while the lock was held, want 1", n)
	}
	h.kill()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, said.String())
	}
	if n := h.site.Mails()[standin.Group{Site: "main", Group: "b"}]; n != 1 {
		t.Errorf("the second group was mailed %d times, want once", n)
	}
}

// limited is the program in a shell that first says how long a file may grow, in blocks of 512 bytes.
func limited(t *testing.T, blocks int, args ...string) *exec.Cmd {
	cmd := program(t)
	script := []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -f %d; exec "$0" "$@"`, blocks), cmd.Path}
	cmd.Path, cmd.Args = "/bin/sh", append(script, args...)
	return cmd
}

// mounted makes a file system in memory, where this process may.
func mounted(t *testing.T, options string) (dir string, ok bool) {
	dir = t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run(); err != nil {
		return "", false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir, true
}

// fullSite is a site with too many groups for a small disk, and its configuration.
func fullSite(t *testing.T, guard time.Duration) *victim {
	v := &victim{
		config: filepath.Join(t.TempDir(), "gsconfig.ini"), groups: standin.Generate(200, 1),
		started: make(chan standin.Group, 10_000),
	}
	v.site = standin.New(standin.Options{
		Groups: v.groups, Threads: 16, Guard: guard,
		Cost: func(g standin.Group) time.Duration { v.started <- g; return 0 },
	})
	server, err := v.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); v.site.Close() })
	v.url = server.URL
	if err := writeConfig(v.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) mailedOnce(t *testing.T) {
	t.Helper()
	mails := v.site.Mails()
	for _, g := range v.groups {
		if n := mails[g]; n != 1 {
			t.Errorf("%s/%s was mailed %d times, want once", g.Site, g.Group, n)
		}
	}
}

func TestADiskThatFillsUpCostsTheJournalAndNoDigest(t *testing.T) {
	t.Parallel()
	for _, guard := range []time.Duration{0, -1} {
		dir := t.TempDir()
		fillDisk(t, guard, dir, func(args ...string) *exec.Cmd { return limited(t, 20, args...) })
		if disk, ok := mounted(t, "size=24k"); ok {
			fillDisk(t, guard, disk, func(args ...string) *exec.Cmd { return program(t, args...) })
		}
	}
}

// fillDisk makes a run whose journal is too long for the disk that dir is on, and one that goes on with it.
func fillDisk(t *testing.T, guard time.Duration, dir string, small func(args ...string) *exec.Cmd) {
	t.Helper()
	v := fullSite(t, guard)
	args := []string{"--config", v.config, "--state-dir", dir, "--workers", "4", v.url}
	out, err := small(args...).CombinedOutput()
	if code := exitCode(err); code != 73 {
		t.Errorf("exit code %d, want 73", code)
	}
	if strings.Count(string(out), "\n") != 1 ||
		!strings.Contains(string(out), "warning: the journal of this run was set aside: ") {
		t.Errorf("it said %q", out)
	}
	v.mailedOnce(t)
	if aside, _ := filepath.Glob(filepath.Join(dir, "*.aside.jsonl")); len(aside) != 1 {
		t.Errorf("%d journals were set aside, want 1", len(aside))
	}

	// Who is not on record may have been mailed, so a run that goes on leaves them, or trusts the guard.
	want := 73 // the disk is still full
	again := []string{"--resume", "--settle", "1ms"}
	if guard < 0 {
		again, want = append(again, "--skip-ambiguous"), 1
	}
	out, err = program(t, append(again, args...)...).CombinedOutput()
	if code := exitCode(err); code != want && !(code == 0 && want == 73) { // a limit is gone with its shell
		t.Errorf("--resume: exit code %d: %s", code, out)
	}
	v.mailedOnce(t)
}

func TestAGroupThatFailsIsWorseThanALostJournal(t *testing.T) {
	t.Parallel()
	v := fullSite(t, 0)
	v.site.SetFaults(standin.Fault{Pattern: v.groups[0].Site + "/" + v.groups[0].Group, Kind: standin.Login})
	out, err := limited(t, 20, "--config", v.config, "--state-dir", t.TempDir(), v.url).CombinedOutput()
	if code := exitCode(err); code != 1 || !strings.Contains(string(out), "the journal of this run was set aside") {
		t.Errorf("exit code %d, want 1: %s", code, out)
	}
}

func TestANewRunWaitsForWhatOneHadUnderWayThatWasKilledAfterItsJournalWasSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killedInDoubt(t, dir, fullSite(t, 0), func(args ...string) *exec.Cmd { return limited(t, 20, args...) })
}

func TestANewRunWaitsForWhatOneHadUnderWayThatWasKilledAndHadNoJournal(t *testing.T) {
	t.Parallel()
	dir, ok := mounted(t, "size=64k") // a limit on files would keep the lock from being signed, a full disk does not
	if !ok {
		dir = t.TempDir()
	}
	v := fullSite(t, 0)
	first := []string{"--config", v.config, "--state-dir", dir, "--only", "none/none", v.url}
	if out, err := program(t, first...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for ok && err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	_ = filler.Close()
	killedInDoubt(t, dir, v, func(args ...string) *exec.Cmd {
		if ok {
			return program(t, args...)
		}
		return limited(t, 20, args...) // nobody may mount here
	})
}

// killedInDoubt kills a run of which no journal tells in the middle of a send, and starts a new one.
func killedInDoubt(t *testing.T, dir string, v *victim, doomed func(args ...string) *exec.Cmd) {
	t.Helper()
	last := standin.Group{Site: "zoo", Group: "zebras"} // by name
	v.site.SetGroups(append(v.groups, last)...)
	v.site.SetFaults(standin.Fault{Pattern: "zoo/zebras", Kind: standin.Hang})
	cmd := doomed("--config", v.config, "--state-dir", dir, v.url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for g := range v.started {
		if g == last {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	v.site.SetFaults()
	out, err := program(t, "-v", "--settle", settled.String(), "--config", v.config, "--state-dir", dir, v.url).CombinedOutput()
	said := "\n201 of them wait for up to " + settled.String() + ", since an earlier send may still be under way\n"
	if code := exitCode(err); code != 0 && code != 73 || !strings.Contains(string(out), said) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAStateDirectoryThatCannotBeUsedCostsOneWarning(t *testing.T) {
	t.Parallel()
	notADirectory := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := t.TempDir()
	if err := os.Chmod(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"not a directory": notADirectory}
	if os.Getuid() != 0 {
		dirs["read-only"] = readOnly
	} else if disk, ok := mounted(t, "ro"); ok { // permissions do not stop root
		dirs["read-only"] = disk
	}
	for name, dir := range dirs {
		for _, named := range []bool{true, false} {
			v := fullSite(t, 0)
			args, want := []string{"--config", v.config, v.url}, 0
			if named {
				args, want = append([]string{"--state-dir", dir}, args...), 73
			}
			cmd := program(t, args...)
			cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+dir)
			out, err := cmd.CombinedOutput()
			if code := exitCode(err); code != want {
				t.Errorf("%s: exit code %d, want %d", name, code, want)
			}
			if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 1 ||
				!strings.Contains(lines[0], "warning: neither lock nor journal for this run: ") {
				t.Errorf("%s: it said %q", name, lines)
			}
			v.mailedOnce(t)
		}
	}
}

func TestADiskThatIsFullFromTheStartCostsOneWarning(t *testing.T) {
	t.Parallel()
	v := fullSite(t, 0)
	out, err := limited(t, 0, "--config", v.config, "--state-dir", t.TempDir(), v.url).CombinedOutput()
	if code := exitCode(err); code != 73 {
		t.Errorf("exit code %d, want 73", code)
	}
	if strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "warning: no journal for this run: ") {
		t.Errorf("it said %q", out)
	}
	v.mailedOnce(t)
}
