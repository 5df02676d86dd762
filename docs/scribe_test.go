package docs_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// A scribe is where the commands of one block are typed: what is /etc and /var elsewhere is below its root.
type scribe struct{ root string }

func (d *scribe) typed(t *testing.T, command string) {
	t.Helper()
	if err := d.try(t, command); err != nil {
		t.Errorf("%s: %v", command, err)
	}
}

// try types a command, or does what can be done of it here.
func (d *scribe) try(t *testing.T, line string) error {
	t.Helper()
	text, comment, _ := strings.Cut(line, " # ")
	want := 0
	if found := regexp.MustCompile(`^exits (\d+)`).FindStringSubmatch(comment); found != nil {
		want, _ = strconv.Atoi(found[1])
	}
	for command := range strings.SplitSeq(strings.TrimSpace(text), " && ") {
		command = strings.TrimPrefix(command, "sudo ")
		words := strings.Fields(command)
		name := words[0]
		var err error
		switch {
		case strings.Contains(command, "[options]"):
			err = usage(t, command)
		case strings.HasPrefix(command, "go run . "):
			err = d.run(t, strings.Replace(command, "go run .", "senddigest", 1), want)
		case name == "podman" && words[1] == "run":
			_, inside, _ := strings.Cut(command, " senddigest ") // the image's name is the program's
			err = d.run(t, "senddigest "+inside, want)
		case filepath.Base(name) == "senddigest", filepath.Base(name) == "senddigest-go", name == "sendprofile", name == "grep":
			err = d.run(t, command, want)
		case filepath.Base(name) == "senddigest-fleet":
			err = d.fleet(t, command, want)
		case name == "go":
			err = goTest(t, words)
		case name == "make":
			err = target(t, words)
		default:
			err = elsewhere(t, words)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run has a shell run a command line of the program against a site of its own.
func (d *scribe) run(t *testing.T, command string, want int, env ...string) error {
	t.Helper()
	site := standin.New(standin.Options{
		Token: program.Token, Threads: 4,
		People: []string{"up1", "up2", "up3"},
		Groups: []standin.Group{{Site: "council", Group: "chess"}, {Site: "main", Group: "choir"}, {Site: "parks", Group: "airport"}},
	})
	defer site.Close()
	start := site.Start
	whole := command + strings.Join(env, " ")
	if strings.Contains(whole, "https://") {
		start = site.StartTLS
	}
	server, err := start()
	if err != nil {
		return err
	}
	defer server.Close()
	monitor := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer monitor.Close()

	name := "senddigest"
	if strings.HasPrefix(command, "sendprofile ") {
		name = "sendprofile"
	}
	path := d.installed(t)
	here := func(text string) string { return d.here(t, text, server, monitor.URL) }
	shell := func(command string, more ...string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = d.root
		cmd.Env = append(program.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"),
			"XDG_STATE_HOME="+t.TempDir(), "SENDDIGEST_CONFIG="+here("/etc/gsconfig.ini"), "SENDPROFILE_CONFIG="+here("/etc/gsconfig.ini"))
		if name == "sendprofile" {
			cmd.Env = program.BeProfile(cmd.Env)
		}
		if server.CA != nil {
			cmd.Env = append(cmd.Env, "SENDDIGEST_CACERT="+here("/etc/ca.pem"))
		}
		cmd.Env = append(cmd.Env, more...)
		return cmd
	}
	for i := range env {
		env[i] = here(env[i])
	}
	cmd := shell(here(small(command)), env...)
	// What goes on with an earlier run, or shows it, has one, of which a group failed, and which was cut short if that is gone
	// on with. It has two where it may want the one before.
	resumes := strings.Contains(whole, "--resume") || strings.Contains(whole, "SENDDIGEST_RESUME")
	shows := strings.Contains(command, " report")
	if want != 64 && (resumes || shows || strings.Contains(whole, "--retry-failed")) {
		fault, err := standin.ParseFault(map[string]string{"senddigest": "council/chess=500*1", "sendprofile": "people/up1=500*1"}[name])
		if err != nil {
			return err
		}
		site.SetFaults(fault)
		earlier, code := name+" -w 1 --retries 0 "+server.URL, 1
		if _, dir, ok := strings.Cut(command, "--state-dir "); shows && ok {
			earlier += " --state-dir " + here(strings.Fields(dir)[0])
		}
		if resumes {
			earlier, code = earlier+" --max-failures 1", 75
		}
		before := shell(earlier)
		before.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(v string) bool { return strings.HasPrefix(v, "SENDDIGEST_RESUME=") })
		if out, err := before.CombinedOutput(); program.ExitCode(err) != code {
			return fmt.Errorf("the run before ended with %d, want %d: %s", program.ExitCode(err), code, out)
		}
		if shows {
			if out, err := shell(earlier, cmd.Env...).CombinedOutput(); program.ExitCode(err) != 0 {
				return fmt.Errorf("the second run before ended with %d: %s", program.ExitCode(err), out)
			}
		}
	}
	var out []byte
	if strings.Contains(command, " report --serve") {
		out, err = lookedAt(cmd)
	} else {
		out, err = cmd.CombinedOutput()
	}
	if got := program.ExitCode(err); got != want {
		return fmt.Errorf("ended with %d, want %d: %s", got, want, out)
	}
	for group, n := range site.Mails() {
		if n > 1 && !(shows && name == "sendprofile") { // it had two runs, of which the second mails everybody again
			return fmt.Errorf("%v was mailed %d times", group, n)
		}
	}
	return nil
}

// lookedAt runs a program that serves pages until a signal comes, reads the first of them, and sends the signal.
func lookedAt(cmd *exec.Cmd) (said []byte, err error) {
	cmd.Args[2] = "exec " + cmd.Args[2] // the signal is not for the shell
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(stderr)
	line, _ := lines.ReadString('\n')
	answer, err := http.Get(regexp.MustCompile(`http://[^,]+`).FindString(line))
	if err == nil {
		_ = answer.Body.Close()
	}
	_ = cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(lines)
	if ended := cmd.Wait(); ended != nil || err == nil {
		err = ended
	}
	return append([]byte(line), rest...), err
}

// installed is the program as the pages have it, in the search path and beside the script.
func (d *scribe) installed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(d.root, "bin", "senddigest")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{path, filepath.Join(d.root, "bin", "sendprofile"), filepath.Join(d.root, "opt/groupserver/bin/senddigest-go")} {
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(self, link); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	return path
}

var (
	exampleSite   = regexp.MustCompile(`https?://([a-z]+\.)*groups\.example\.com|http://127\.0\.0\.1:8080`)
	examplePath   = regexp.MustCompile(`(^|[\s=])(/(?:etc|opt|var)/[^\s]+)`)
	exampleEnd    = regexp.MustCompile(`(?i)(deadline[ =]+)\d\d:\d\d`)
	exampleBefore = regexp.MustCompile(`(--assume-previous )\d\d:\d\d`)
)

// here makes a command, a setting or a path one of this machine. The times of the pages' night become such that the run
// is before its deadline, and that nobody is held back for hours.
func (d *scribe) here(t *testing.T, text string, server *standin.Server, monitor string) string {
	t.Helper()
	text = exampleSite.ReplaceAllLiteralString(text, server.URL)
	text = strings.ReplaceAll(text, "https://hc-ping.com", monitor)
	text = exampleEnd.ReplaceAllString(text, "${1}"+time.Now().Add(12*time.Hour).Format("15:04"))
	text = exampleBefore.ReplaceAllString(text, "${1}"+time.Now().Add(-10*time.Hour).Format("15:04"))
	return examplePath.ReplaceAllStringFunc(text, func(found string) string {
		parts := examplePath.FindStringSubmatch(found)
		path := filepath.Join(d.root, parts[2])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		switch filepath.Base(path) {
		case "gsconfig.ini":
			write(t, path, "[config-default]\nwebservice = default\n\n[webservice-default]\ntoken = "+program.Token+"\n")
		case "ca.pem":
			write(t, path, string(server.CA))
		}
		return parts[1] + path
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// small keeps a demo short.
func small(command string) string {
	if strings.HasPrefix(command, "senddigest demo") {
		return command + " --groups 20"
	}
	return command
}

// settings tries a block of settings.
func (d *scribe) settings(t *testing.T, b block) {
	t.Helper()
	text := strings.Join(b.lines, "\n") + "\n"
	var err error
	switch first := b.lines[0]; {
	case strings.HasPrefix(first, "URL="): // the service's environment
		err = d.run(t, `senddigest "$URL"`, 0, b.lines...)
	case first == "[config-default]":
		file := filepath.Join(d.root, "night.ini")
		write(t, file, strings.Replace(exampleEnd.ReplaceAllString(text, "${1}23:59"), "token = TOKEN", "token = "+program.Token, 1))
		err = d.run(t, "senddigest --dry-run -c "+file+" https://groups.example.com/", 0)
	default:
		err = dropIn(t, b.lines)
	}
	if err != nil {
		t.Error(err)
	}
}

// dropIn checks settings of a unit: they are in the unit that they change.
func dropIn(t *testing.T, lines []string) error {
	t.Helper()
	units := readText(t, "contrib/systemd/senddigest@.timer") + readText(t, "contrib/systemd/senddigest@.service")
	for _, line := range lines {
		key, _, ok := strings.Cut(line, "=")
		if section := strings.HasPrefix(line, "["); !ok && !section || ok && !strings.Contains(units, "\n"+key+"=") || section && !strings.Contains(units, line+"\n") {
			return fmt.Errorf("%q changes nothing of a unit of ours", line)
		}
	}
	return nil
}

// usage checks a form of the command line: --help has it, word for word.
func usage(t *testing.T, line string) error {
	t.Helper()
	out, err := program.Command(t, "--help").Output()
	squeeze := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	if err != nil || !strings.Contains(squeeze(string(out)), squeeze(line)) {
		return fmt.Errorf("--help has no such line (%v)", err)
	}
	return nil
}

// target checks that make knows what it is to make.
func target(t *testing.T, words []string) error {
	t.Helper()
	makefile := readText(t, "Makefile")
	for _, word := range words[1:] {
		if strings.Contains(word, "=") {
			continue
		}
		if !strings.Contains(makefile, "\n"+word+":") {
			return fmt.Errorf("the Makefile has no target %s", word)
		}
	}
	return nil
}

// goTest checks that a package has tests of that name.
func goTest(t *testing.T, words []string) error {
	t.Helper()
	at := slices.Index(words, "-run") + 1
	if words[1] != "test" || at == 0 || at == len(words) {
		return fmt.Errorf("nobody knows how to try %v", words)
	}
	files, err := filepath.Glob(filepath.Join(words[len(words)-1], "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if regexp.MustCompile(`func Test\w*` + strings.TrimPrefix(words[at], "Test")).MatchString(readText(t, file)) {
			return nil
		}
	}
	return fmt.Errorf("no test %s in %s", words[at], words[len(words)-1])
}

// elsewhere checks a command that changes the machine, or asks its systemd: by its names. make package-test installs the
// package and uses it.
func elsewhere(t *testing.T, words []string) error {
	t.Helper()
	last := words[len(words)-1]
	packaged := func(path string) error {
		if !strings.Contains(readText(t, "contrib/nfpm.yaml")+readText(t, "contrib/nfpm-fleet.yaml"), "dst: "+path+",") {
			return fmt.Errorf("the package has no %s", path)
		}
		return nil
	}
	switch words[0] {
	case "systemctl", "journalctl":
		unit := regexp.MustCompile(`^(send(?:digest|profile)(?:-resume|-retry-failed|-fleet|-fleet-worker)?@)[a-z-]+(\.timer|\.service)?$`).FindStringSubmatch(last)
		if unit == nil {
			return fmt.Errorf("no such unit: %s", last)
		}
		return packaged("/usr/lib/systemd/system/" + unit[1] + cmp.Or(unit[2], ".service"))
	case "cp":
		return cmp.Or(packaged(words[1]), packaged(filepath.Dir(last)))
	case "sudoedit":
		return packaged(filepath.Dir(last))
	case "install": // what make build makes
		if words[1] == "senddigest" && strings.Contains(readText(t, "Makefile"), "-o . . ./cmd/sendprofile") {
			return nil
		}
	case "apt": // what make package makes
		if words[1] == "install" && regexp.MustCompile(`^\./dist/senddigest(-fleet)?_`).MatchString(last) && strings.Contains(readText(t, "Makefile"), "--target dist") {
			return nil
		}
	case "-u": // what sudo is told
		if words[1] == "postgres" && slices.Contains([]string{"createuser", "createdb"}, words[2]) && last == "senddigest" {
			return nil
		}
	case "ssh":
		if words[1] == "-NL" && last == "groups.example.com" {
			return nil
		}
	case "podman":
		if at := slices.Index(words, "-f"); words[1] == "build" && at > 0 && readText(t, words[at+1]) != "" {
			return nil
		}
	}
	return fmt.Errorf("nobody knows how to try %s", words[0])
}
