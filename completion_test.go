package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/config"
)

func TestTheManualAndTheCompletionsHaveEveryOption(t *testing.T) {
	t.Parallel()
	m := command.Manual()
	page := m.Man("v1", time.Unix(0, 0))
	for _, f := range config.Flags() {
		if dashed := `\fB\-\-` + strings.ReplaceAll(f.Name, "-", `\-`) + `\fR`; !strings.Contains(page, dashed) {
			t.Errorf("the man page has no --%s", f.Name)
		}
		if !strings.Contains(m.Bash(), " --"+f.Name) || !strings.Contains(m.Zsh(), "--"+f.Name) || !strings.Contains(m.Fish(), " -l "+f.Name+" ") {
			t.Errorf("a shell's completion has no --%s", f.Name)
		}
		if f.Default != "" && !strings.Contains(page, "(default: "+strings.ReplaceAll(f.Default, "-", `\-`)+")") {
			t.Errorf("the man page has not the default of --%s", f.Name)
		}
	}
	for _, text := range []string{`\fB78\fR`, `\fB143\fR`, `\fB\-\-serve\-only\fR`, `SENDDIGEST_NAME`} {
		if !strings.Contains(page, text) {
			t.Errorf("the man page has no %s", text)
		}
	}
}

// complete is what bash offers behind the words.
func complete(t *testing.T, script, dir string, words ...string) []string {
	t.Helper()
	// The words are the arguments, and the last of them is the one that is being typed.
	cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-c", `
		source "$0"
		COMP_WORDS=(senddigest "$@") COMP_CWORD=$#
		$(complete -p senddigest | sed 's/.*-F \([^ ]*\) .*/\1/')
		printf '%s\n' "${COMPREPLY[@]}"`, script)
	cmd.Args, cmd.Dir = append(cmd.Args, words...), dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	offers := strings.Fields(string(out))
	slices.Sort(offers)
	return offers
}

func TestBashCompletesCommandsOptionsValuesAndFiles(t *testing.T) {
	t.Parallel()
	script, dir := filepath.Join(t.TempDir(), "senddigest.bash"), t.TempDir()
	if err := os.WriteFile(script, []byte(command.Manual().Bash()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gsconfig.ini", "gs.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "gs.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][]string{
		"che":                             {"check"},
		"-v che":                          {"check"},
		"-w 4 che":                        {"check"},
		"--max-f":                         {"--max-failures"},
		"--config x --dead":               {"--deadline"},
		"http://groups.example.com/ --bu": {"--burst"},
		"--serve":                         {"--server-zone"},
		"demo --serve":                    {"--serve-only"},
		"demo --state":                    nil,
		"check --rep":                     nil,
		"check che":                       nil,
		"--order l":                       {"longest"},
		"--order ":                        {"auto", "longest", "mixed", "name"},
		"--order =":                       {"auto", "longest", "mixed", "name"},
		"--order = m":                     {"mixed"},
		"--order = mixed che":             {"check"},
		"check --log-level w":             {"warn"},
		"--log-level = d":                 {"debug"},
		"-c gs":                           {"gs.d", "gs.json", "gsconfig.ini"},
		"--report gs.j":                   {"gs.json"},
		"--state-dir g":                   {"gs.d"},
		"--workers ":                      nil,
		"--rate -":                        nil,
	} {
		if got := complete(t, script, dir, strings.Split(line, " ")...); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
