//go:build packaging

// Package contrib_test makes the Debian packages, installs them on this machine, uses them as systemd, a reader and the shells
// would, and purges them. It is for root on Debian, and on a machine where senddigest is not installed: make package-test.
package contrib_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
)

// patience is how long a program may take that this test only looks at.
const patience = 2 * time.Minute

// instance is that of the service, senddigest@packaging-test.
const instance = "packaging-test"

// packages are those that are made. The second needs the first.
var packages = []string{"senddigest", "senddigest-fleet"}

// ours are the folders that the package, its service or its user bring, besides what dpkg lists.
var ours = []string{"/etc/senddigest", "/etc/sendprofile", "/var/lib/senddigest", "/var/log/senddigest"}

func TestThePackage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this installs a package: run it as root, on Debian, where senddigest is not installed")
	}
	// The checkout may be somebody else's, whom git would not trust.
	for name, value := range map[string]string{"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"} {
		t.Setenv("GIT_CONFIG_"+name, value)
	}
	purgeLeftOver(t)
	for _, path := range append(slices.Clone(ours), "/usr/bin/senddigest", "/usr/bin/sendprofile", "/usr/bin/senddigest-fleet") {
		if _, err := os.Lstat(path); err == nil {
			t.Fatalf("%s is there already: this would end with its removal", path)
		}
	}
	debs := made(t)
	sign(t, debs[0])
	// Images of containers often leave out manuals and documents.
	run(t, "dpkg", append([]string{"--path-include=/usr/share/man/*", "--path-include=/usr/share/doc/*", "--install"}, debs...)...)
	files := installed(t)
	ok := t.Run("the units are sound and hardened", unitsAreSound) &&
		t.Run("a run of the unit's command ends 0 and leaves journal and reports", digestRuns) &&
		t.Run("and so does one of sendprofile's, in files for their owner alone", profileRuns) &&
		t.Run("and one of senddigest-fleet's, beside a worker", fleetRuns) &&
		t.Run("the manual can be read", manualCanBeRead) &&
		t.Run("zsh completes", zshCompletes) &&
		t.Run("fish completes", fishCompletes) &&
		t.Run("bash completes", bashCompletes)
	if !ok {
		return
	}
	t.Run("removal keeps what the runs left, purging keeps nothing", func(t *testing.T) { removed(t, files) })
}

// signed says which version this test has installed, for as long as it is installed. A test that is killed purges nothing; by
// this the next one knows that the package is no person's.
const signed = "/var/tmp/senddigest-package-test"

// sign is to be called before the package is installed. The package is purged when the test ends, however it fails.
func sign(t *testing.T, deb string) {
	t.Helper()
	if err := os.WriteFile(signed, []byte(run(t, "dpkg-deb", "--field", deb, "Version")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = exec.Command("dpkg", append([]string{"--purge"}, packages...)...).Run()
		}
		if err := os.Remove(signed); err != nil {
			t.Error(err)
		}
	})
}

// purgeLeftOver purges what a killed test has left, and nothing of another version.
func purgeLeftOver(t *testing.T) {
	t.Helper()
	version, err := os.ReadFile(signed)
	if err != nil {
		return
	}
	for _, name := range slices.Backward(packages) {
		have, err := exec.Command("dpkg-query", "--show", "--showformat=${Version}\n", name).Output()
		if err == nil && bytes.Equal(have, version) {
			run(t, "dpkg", "--force-remove-reinstreq", "--purge", name)
		}
	}
}

// run runs a program that must end with 0, and returns what it says on standard output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	return runIn(t, "", nil, name, args...)
}

func runIn(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environ...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd, err, out, &stderr)
	}
	return string(out)
}

// made makes the packages here and once more in another folder, at another time of the clock's zone, with every file of the
// programs compiled anew, and checks that both times they are the same bytes.
func made(t *testing.T) (debs []string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSpace(run(t, "git", "-C", root, "describe", "--tags", "--always", "--dirty"))
	epoch := strings.TrimSpace(run(t, "git", "-C", root, "log", "-1", "--format=%ct"))
	runIn(t, root, nil, "make", "package")

	elsewhere := filepath.Join(t.TempDir(), "another folder")
	for path := range strings.SplitSeq(strings.TrimSuffix(run(t, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) { // and not committed yet
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(elsewhere, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"TZ=Pacific/Kiritimati", "GOWORK=off"}
	runIn(t, elsewhere, append(environ, "GOFLAGS=-a"), "make", "build", "VERSION="+version)
	runIn(t, elsewhere, environ, "make", "package", "VERSION="+version, "SOURCE_DATE_EPOCH="+epoch)

	for _, name := range packages {
		var texts [2][]byte
		for i, dir := range []string{elsewhere, root} {
			found, err := filepath.Glob(filepath.Join(dir, "dist", name+"_*.deb"))
			if err != nil || len(found) != 1 {
				t.Fatalf("packages in %s: %q, %v", dir, found, err)
			}
			if texts[i], err = os.ReadFile(found[0]); err != nil {
				t.Fatal(err)
			}
			if dir == root {
				debs = append(debs, found[0])
			}
		}
		if !bytes.Equal(texts[0], texts[1]) {
			t.Errorf("the same source made two different packages %s", name)
		}
	}
	for _, name := range []string{"senddigest", "sendprofile", "senddigest-fleet"} {
		binary := filepath.Join(root, name)
		if got, want := run(t, binary, "--version"), name+" "+version+"\n"; got != want {
			t.Errorf("--version: got %q, want %q", got, want)
		}
		program, err := elf.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = program.Close() }()
		if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s is not static", name)
		}
	}
	return debs
}

// installed lists the files of the packages and checks that each belongs to root and is nobody else's to write.
func installed(t *testing.T) (files []string) {
	t.Helper()
	for path := range strings.Lines(run(t, "dpkg-query", append([]string{"--listfiles"}, packages...)...)) {
		path = strings.TrimSpace(path)
		if path == "" { // from one package to the next
			continue
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o022 != 0 || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: %v, not root's alone to write", path, info.Mode())
		}
		if info.Mode().IsRegular() {
			files = append(files, path)
		}
	}
	return files
}

// unitFile is where a unit of the package is.
func unitFile(name string) string { return "/usr/lib/systemd/system/" + name }

func unitsAreSound(t *testing.T) {
	example := "/usr/share/doc/senddigest/examples/"
	verify := []string{"verify", example + "senddigest-failed@.service"}
	for _, program := range []string{"senddigest", "sendprofile"} {
		for _, name := range []string{"@.service", "@.timer", "-resume@.service", "-retry-failed@.service"} {
			verify = append(verify, unitFile(program+name))
		}
	}
	for _, name := range []string{"@.service", "@.timer", "-worker@.service"} {
		verify = append(verify, unitFile("senddigest-fleet"+name))
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", verify...).CombinedOutput()
	// It says what it does not know, and ends with 0 all the same. Other units of the machine are not our business.
	if err != nil || strings.Contains(string(out), "senddigest") || strings.Contains(string(out), "sendprofile") {
		t.Errorf("systemd-analyze verify: %v, %s", err, out)
	}
	// Of 100; above 90 systemd calls a service unsafe.
	run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unitFile("senddigest-fleet-worker@.service"))
	for _, program := range []string{"senddigest", "sendprofile", "senddigest-fleet"} {
		run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unitFile(program+"@.service"))
		timer, err := readUnit(unitFile(program+"@.timer"), instance)
		if err != nil {
			t.Fatal(err)
		}
		run(t, "systemd-analyze", "calendar", timer.one("Timer.OnCalendar"))
	}
	drop, err := readUnit(example+"tell-failures.conf", instance)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := drop.one("Unit.OnFailure"), "senddigest-failed@%n.service"; got != want {
		t.Errorf("OnFailure=%s, want %s", got, want)
	}
}

// demoSite serves a site of so many groups until the test ends. Each seed is an installation of its own.
func demoSite(t *testing.T, groups, seed int) (url, config string) {
	t.Helper()
	site := exec.Command("/usr/bin/senddigest", "demo", "--serve-only", "--no-faults", "--groups", strconv.Itoa(groups), "--seed", strconv.Itoa(seed))
	stdout, err := site.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = site.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stdout)
		if err := site.Wait(); err != nil {
			t.Errorf("the site ended with %v", err)
		}
	})
	for lines := bufio.NewScanner(stdout); url == "" || config == ""; {
		if !lines.Scan() {
			t.Fatal("the site does not say where it is")
		}
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "url":
			url = value
		case "config":
			config = value
		}
	}
	return url, config
}

func digestRuns(t *testing.T) {
	serviceRuns(t, service{"senddigest", "senddigest", "example.conf", instance, "", 40, "groups", 0o644, 1, nil})
}

func profileRuns(t *testing.T) {
	serviceRuns(t, service{"sendprofile", "sendprofile", "profile.conf", "profile-" + instance, "profile-", 20, "people", 0o600, 1, nil})
}

func fleetRuns(t *testing.T) {
	serviceRuns(t, service{"senddigest", "senddigest-fleet", "example.conf", instance, "", 40, "groups", 0o644, 2, startWorker})
}

// startWorker makes a queue, names it in the configuration file, and starts a worker, until the test ends.
func startWorker(t *testing.T, url, config string) {
	queue, err := cluster.Start(t.Context(), cluster.Options{TCP: true, Password: "packaging"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queue.Close() })
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	named := strings.Replace(string(text), "[config-default]\n", "[config-default]\nsenddigest = fleet\n", 1) + "\n[senddigest-fleet]\nqueue-dsn = " + queue.DSN("postgres") + "\n"
	if err := os.WriteFile(config, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	const program = "/usr/bin/senddigest-fleet"
	run(t, program, "migrate", "--config", config)
	worker := exec.Command(program, "work", "--config", config, "--state-dir", t.TempDir(), url)
	var said bytes.Buffer
	worker.Stdout, worker.Stderr = &said, &said
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Signal(syscall.SIGTERM)
		if err := worker.Wait(); err != nil {
			t.Errorf("the worker ended with %v\n%s", err, &said)
		}
	})
}

// A service of the package, and what its run is to leave.
type service struct {
	program  string // whose folder in /etc, state and metrics are used
	unit     string // without @.service
	example  string
	report   string // the name of its report
	journal  string // how the names of its files in the state directory begin
	accepted int
	things   string
	mode     fs.FileMode                            // of its report
	seed     int                                    // of its site
	before   func(t *testing.T, url, config string) // nil: there is nothing to do
}

// serviceRuns does what systemd does to start a service, without the sandbox.
func serviceRuns(t *testing.T, s service) {
	const groups = 40
	url, config := demoSite(t, groups, s.seed)
	if s.before != nil {
		s.before(t, url, config)
	}
	conf := "/etc/" + s.program + "/" + instance + ".conf"
	example, err := os.ReadFile("/usr/share/doc/senddigest/examples/" + s.example)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(example), "https://groups.example.com/", url, 1)
	if text == string(example) {
		t.Fatal("the example has no URL to replace")
	}
	text = strings.Replace(text, "_THROTTLE=1\n", "_THROTTLE=0\n", 1) // there is no time for rests
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	u, err := readUnit(unitFile(s.unit+"@.service"), instance)
	if err != nil {
		t.Fatal(err)
	}
	account, err := user.Lookup(u.one("Service.User"))
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if uid == 0 {
		t.Fatal("the service runs as root")
	}
	folder := func(path, mode string) string {
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, fs.FileMode(bits)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run, err := os.MkdirTemp("", "senddigest-run-") // t.TempDir is for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	folder(run, "0700")
	state := folder("/var/lib/"+u.one("Service.StateDirectory"), u.one("Service.StateDirectoryMode"))
	logs := folder("/var/log/"+u.one("Service.LogsDirectory"), u.one("Service.LogsDirectoryMode"))
	environ := map[string]string{
		"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": account.HomeDir, "USER": account.Username, "LANG": "C.UTF-8",
		"STATE_DIRECTORY": state, "LOGS_DIRECTORY": logs, "CREDENTIALS_DIRECTORY": folder(filepath.Join(run, "credentials"), "0500"),
		"NOTIFY_SOCKET": filepath.Join(run, "notify"),
	}
	for _, line := range u["Service.Environment"] {
		name, value, _ := strings.Cut(line, "=")
		environ[name] = value
	}
	if err := readEnvironment(u.one("Service.EnvironmentFile"), environ); err != nil {
		t.Fatal(err)
	}
	// The demo's configuration file in the place of GroupServer's, as a LoadCredential= in a drop-in would have it.
	name, source, _ := strings.Cut(u.one("Service.LoadCredential"), ":")
	if source != "/opt/groupserver/etc/gsconfig.ini" {
		t.Errorf("LoadCredential= reads %s", source)
	}
	secret, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	credential := filepath.Join(environ["CREDENTIALS_DIRECTORY"], name)
	if err := os.WriteFile(credential, secret, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(credential, uid, gid); err != nil {
		t.Fatal(err)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: environ["NOTIFY_SOCKET"], Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	if err := os.Chmod(environ["NOTIFY_SOCKET"], 0o777); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	go func() {
		var all strings.Builder
		for buffer := make([]byte, 4096); ; {
			n, err := manager.Read(buffer)
			if err != nil || string(buffer[:n]) == "END" {
				told <- all.String()
				return
			}
			all.Write(append(buffer[:n], '\n'))
		}
	}()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	words := expand(u.one("Service.ExecStart"), environ)
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", "umask " + u.one("Service.UMask") + `; exec "$@"`, "sh"}, words...)...)
	cmd.Dir, cmd.Env = "/", []string{}
	for name, value := range environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v ended with %v, and should be silent: %s", cmd, err, out)
	}
	end, err := net.Dial("unixgram", environ["NOTIFY_SOCKET"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = end.Close() }()
	if _, err := end.Write([]byte("END")); err != nil {
		t.Fatal(err)
	}
	if u.one("Service.Type") != "notify" {
		t.Error("the unit waits for no READY=1")
	}
	said := <-told
	for _, word := range []string{"READY=1\n", fmt.Sprintf("\nSTATUS=%[1]d of %[1]d %s accepted at ", s.accepted, s.things)} {
		if !strings.Contains(said, word) {
			t.Errorf("the manager was not told %q: %s", word, said)
		}
	}

	var report struct {
		Counts struct{ Groups, Accepted int }
	}
	if err := json.Unmarshal(leaves(t, environ, filepath.Join(logs, s.report+".json")), &report); err != nil || report.Counts.Groups != s.accepted || report.Counts.Accepted != s.accepted {
		t.Errorf("the report has %+v, %v; want %d, all accepted", report.Counts, err, s.accepted)
	}
	if text := leaves(t, environ, filepath.Join(logs, s.report+".prom")); !strings.Contains(string(text), s.program+"_"+s.things+`{site="`) {
		t.Errorf("the metrics begin with %.80q", text)
	}
	if text := leaves(t, environ, filepath.Join(logs, s.report+".txt")); !strings.HasPrefix(string(text), fmt.Sprintf("%[1]d of %[1]d %s accepted at ", s.accepted, s.things)) {
		t.Errorf("the text report: %s", text)
	}
	for _, name := range []string{".json", ".txt"} {
		if info, err := os.Stat(filepath.Join(logs, s.report+name)); err != nil || info.Mode().Perm() != s.mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, s.mode)
		}
	}
	journals, err := filepath.Glob(filepath.Join(state, s.journal+"2*.jsonl"))
	if err != nil || len(journals) == 0 {
		t.Fatalf("journals: %q, %v", journals, err)
	}
	if text := leaves(t, environ, journals[len(journals)-1]); bytes.Count(text, []byte("\n")) < 2*s.accepted {
		t.Errorf("the journal has not two lines for each group:\n%s", text)
	}
}

// leaves reads a file that a run left, and looks for the token in it, which is the credential's.
func leaves(t *testing.T, environ map[string]string, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(filepath.Join(environ["CREDENTIALS_DIRECTORY"], "gsconfig.ini"))
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`(?m)^token = (.+)$`).FindSubmatch(secret)
	if token == nil || bytes.Contains(text, token[1]) {
		t.Errorf("%s holds the token, or there is none", path)
	}
	return text
}

func manualCanBeRead(t *testing.T) {
	if page := runIn(t, "", []string{"MANWIDTH=80", "LC_ALL=C.UTF-8", "MANPAGER=cat"}, "man", "8", "sendprofile"); !strings.Contains(page, "the monthly profile-status notifications") {
		t.Errorf("the manual of sendprofile: %s", page)
	}
	if page := runIn(t, "", []string{"MANWIDTH=80", "LC_ALL=C.UTF-8", "MANPAGER=cat"}, "man", "8", "senddigest-fleet"); !strings.Contains(page, "--queue-dsn DSN") {
		t.Errorf("the manual of senddigest-fleet: %s", page)
	}
	page := runIn(t, "", []string{"MANWIDTH=80", "MAN_KEEP_FORMATTING=", "LC_ALL=C.UTF-8", "MANPAGER=cat"}, "man", "8", "senddigest")
	for _, text := range []string{"NAME\n", "SYNOPSIS\n", "OPTIONS\n", "EXIT STATUS\n", "ENVIRONMENT\n", "FILES\n", "EXAMPLES\n", "--max-failures N|P%", "COMMAND DEMO\n"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page has no %q", text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "man", "--warnings", "8", "senddigest")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANPAGER=cat")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("man complains: %v, %s", err, &complaints)
	}
	// What whatis and apropos will know of it, once their index is made.
	if out := run(t, "lexgrog", "/usr/share/man/man8/senddigest.8.gz"); !strings.Contains(out, "send the daily digests") {
		t.Errorf("lexgrog: %s", out)
	}
}

// completions are lines, up to where TAB is hit, and what is offered there.
var completions = map[string][]string{
	"senddigest che":               {"check"},
	"senddigest --order ":          {"auto", "longest", "mixed", "name"},
	"senddigest --log-level d":     {"debug"},
	"senddigest --dead":            {"--deadline"},
	"senddigest demo --serve":      {"--serve-only"},
	"senddigest check --dead":      nil,
	"senddigest --resume --max-f":  {"--max-failures"},
	"senddigest --config gscon":    {"gsconfig.ini"},
	"senddigest --report gs.json ": {"check", "demo"},
	"sendprofile --thr":            {"--throttle"},
	"sendprofile --guard":          nil,
	"senddigest-fleet migr":        {"migrate"},
	"senddigest-fleet run --queue": {"--queue-dsn"},
}

func shellCompletes(t *testing.T, offers func(dir, line string) string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gsconfig.ini"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range completions {
		var got []string
		for offer := range strings.Lines(offers(dir, line)) {
			word, _, _ := strings.Cut(strings.TrimSpace(offer), "\t") // fish says what it means, too
			got = append(got, strings.TrimSuffix(word, "/"))
		}
		slices.Sort(got)
		for _, word := range want {
			if !slices.Contains(got, word) {
				t.Errorf("%q: got %q, want %q", line, got, want)
			}
		}
		if want == nil && len(got) > 0 {
			t.Errorf("%q: got %q, want nothing", line, got)
		}
	}
}

func zshCompletes(t *testing.T) {
	run(t, "zsh", "-n", "/usr/share/zsh/vendor-completions/_senddigest")
	run(t, "zsh", "-n", "/usr/share/zsh/vendor-completions/_sendprofile")
	run(t, "zsh", "-n", "/usr/share/zsh/vendor-completions/_senddigest-fleet")
	script, err := filepath.Abs("testdata/complete.zsh")
	if err != nil {
		t.Fatal(err)
	}
	shellCompletes(t, func(dir, line string) string { return runIn(t, dir, nil, "zsh", "-f", script, line) })
}

func fishCompletes(t *testing.T) {
	run(t, "fish", "-n", "/usr/share/fish/vendor_completions.d/senddigest.fish")
	home := t.TempDir()
	shellCompletes(t, func(dir, line string) string {
		return runIn(t, dir, []string{"HOME=" + home}, "fish", "-c", "complete --do-complete "+strconv.Quote(line))
	})
}

// Its own test looks at what it offers; here it is where bash-completion looks for it.
func bashCompletes(t *testing.T) {
	out := run(t, "bash", "-c", "source /usr/share/bash-completion/completions/senddigest && complete -p senddigest")
	if out != "complete -F _senddigest senddigest\n" {
		t.Errorf("got %q", out)
	}
}

func removed(t *testing.T, files []string) {
	gone := func(path string) {
		t.Helper()
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	run(t, "dpkg", append([]string{"--remove"}, packages...)...)
	for _, path := range files {
		gone(path)
	}
	for _, path := range ours {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("removed, and not only with --purge: %v", err)
		}
	}
	run(t, "dpkg", append([]string{"--purge"}, packages...)...)
	for _, path := range append(slices.Clone(ours), "/usr/share/doc/senddigest", "/usr/share/doc/senddigest-fleet") {
		gone(path)
	}
	if _, err := user.Lookup("senddigest"); err == nil {
		t.Error("the user senddigest is still there")
	}
	if _, err := user.LookupGroup("senddigest"); err == nil {
		t.Error("the group senddigest is still there")
	}
	for _, name := range packages {
		if out, err := exec.Command("dpkg-query", "--status", name).CombinedOutput(); err == nil {
			t.Errorf("dpkg still knows it: %s", out)
		}
	}
}
