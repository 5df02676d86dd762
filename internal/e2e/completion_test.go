package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/e2e/program"
)

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
	program.SkipIfShort(t)
	t.Parallel()
	script, dir := filepath.Join(t.TempDir(), "senddigest.bash"), t.TempDir()
	if err := os.WriteFile(script, []byte(command.Senddigest().Manual().Bash()), 0o600); err != nil {
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
