package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// limited is the program in a shell that first says how long a file may grow, in blocks of 512 bytes.
func limited(t *testing.T, blocks int, args ...string) *exec.Cmd {
	cmd := program.Command(t)
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

// fullSite is a site with too many groups for a small disk, and its configuration. What a request costs follows from how many
// there were; nil: nothing.
func fullSite(t *testing.T, guard time.Duration, cost func(request int) time.Duration) *victim {
	v := &victim{
		config: filepath.Join(t.TempDir(), "gsconfig.ini"), groups: standin.Generate(200, 1),
		started: make(chan standin.Group, 10_000),
	}
	v.site = standin.New(standin.Options{
		Groups: v.groups, Threads: 16, Guard: guard,
		Cost: func(g standin.Group) time.Duration {
			v.started <- g
			if cost == nil {
				return 0
			}
			return cost(len(v.started))
		},
	})
	server, err := v.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); v.site.Close() })
	v.url = server.URL
	if err := program.WriteConfig(v.config, standin.DefaultToken); err != nil {
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
			fillDisk(t, guard, disk, func(args ...string) *exec.Cmd { return program.Command(t, args...) })
		}
	}
}

// fillDisk makes a run whose journal is too long for the disk that dir is on, and one that goes on with it.
func fillDisk(t *testing.T, guard time.Duration, dir string, small func(args ...string) *exec.Cmd) {
	t.Helper()
	v := fullSite(t, guard, nil)
	args := []string{"--config", v.config, "--state-dir", dir, "--workers", "4", v.url}
	out, err := small(args...).CombinedOutput()
	if code := program.ExitCode(err); code != 73 {
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
	out, err = program.Command(t, append(again, args...)...).CombinedOutput()
	if code := program.ExitCode(err); code != want && !(code == 0 && want == 73) { // a limit is gone with its shell
		t.Errorf("--resume: exit code %d: %s", code, out)
	}
	v.mailedOnce(t)
}

// The socket needs no room, and what an operator changed is in the report though the journal does not have it.
func TestARunIsSteeredAlthoughItsDiskIsFull(t *testing.T) {
	t.Parallel()
	v := fullSite(t, 0, func(request int) time.Duration {
		if request > 130 { // the disk is full by then, and the run is to go on for longer than this takes
			return 2 * time.Second
		}
		return 0
	})
	dir, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	args := []string{"--config", v.config, "--state-dir", dir, "--workers", "4", "--report", report, v.url}
	run := limited(t, 20, args...)
	if disk, ok := mounted(t, "size=24k"); ok {
		dir, args[3] = disk, disk
		run = program.Command(t, args...)
	}
	stderr, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Process.Kill() }) // or, where control has not stopped it, it sends for minutes
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.Contains(said.Text(), "the journal of this run was set aside") {
	}
	control := func(action ...string) string {
		out, err := program.Command(t, append([]string{"control", "--config", v.config, "--state-dir", dir, v.url}, action...)...).CombinedOutput()
		if err != nil {
			t.Errorf("control %v: %v: %s", action, err, out)
		}
		return string(out)
	}
	if out := control("workers", "1"); !strings.Contains(out, "workers   1\n") {
		t.Errorf("got %s", out)
	}
	if out := control("stop"); !strings.Contains(out, "stopping  stopped by control\n") {
		t.Errorf("got %s", out)
	}
	for said.Scan() { // until its end
	}
	if code := program.ExitCode(run.Wait()); code != 75 {
		t.Errorf("exit code %d, want 75", code)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"what": "workers"`, `"what": "stop"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %s", want)
		}
	}
}

func TestAGroupThatFailsIsWorseThanALostJournal(t *testing.T) {
	t.Parallel()
	v := fullSite(t, 0, nil)
	v.site.SetFaults(standin.Fault{Pattern: v.groups[0].Site + "/" + v.groups[0].Group, Kind: standin.Login})
	out, err := limited(t, 20, "--config", v.config, "--state-dir", t.TempDir(), v.url).CombinedOutput()
	if code := program.ExitCode(err); code != 1 || !strings.Contains(string(out), "the journal of this run was set aside") {
		t.Errorf("exit code %d, want 1: %s", code, out)
	}
}

func TestANewRunWaitsForWhatOneHadUnderWayThatWasKilledAfterItsJournalWasSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killedInDoubt(t, dir, fullSite(t, 0, nil), func(args ...string) *exec.Cmd { return limited(t, 20, args...) })
}

func TestANewRunWaitsForWhatOneHadUnderWayThatWasKilledAndHadNoJournal(t *testing.T) {
	t.Parallel()
	dir, ok := mounted(t, "size=64k") // a limit on files would keep the lock from being signed, a full disk does not
	if !ok {
		dir = t.TempDir()
	}
	v := fullSite(t, 0, nil)
	first := []string{"--config", v.config, "--state-dir", dir, "--only", "none/none", v.url}
	if out, err := program.Command(t, first...).CombinedOutput(); err != nil {
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
			return program.Command(t, args...)
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
	out, err := program.Command(t, "-v", "--settle", settled.String(), "--config", v.config, "--state-dir", dir, v.url).CombinedOutput()
	said := "\n201 of them wait for up to " + settled.String() + ", since an earlier send may still be under way\n"
	if code := program.ExitCode(err); code != 0 && code != 73 || !strings.Contains(string(out), said) {
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
			v := fullSite(t, 0, nil)
			args, want := []string{"--config", v.config, v.url}, 0
			if named {
				args, want = append([]string{"--state-dir", dir}, args...), 73
			}
			cmd := program.Command(t, args...)
			cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+dir)
			out, err := cmd.CombinedOutput()
			if code := program.ExitCode(err); code != want {
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
	v := fullSite(t, 0, nil)
	out, err := limited(t, 0, "--config", v.config, "--state-dir", t.TempDir(), v.url).CombinedOutput()
	if code := program.ExitCode(err); code != 73 {
		t.Errorf("exit code %d, want 73", code)
	}
	if strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "warning: no journal for this run: ") {
		t.Errorf("it said %q", out)
	}
	v.mailedOnce(t)
}
