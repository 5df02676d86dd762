package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
)

func TestCommandLineOverEnvironmentOverFileOverDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range samples {
		// Both ways round: a switch has only two values, and one of them is the default.
		for i, top := range s.good {
			low := s.good[1-i]
			args := func(value string) map[string][]string { return map[string][]string{s.name: {value}} }
			env := func(value string) map[string]string {
				return map[string]string{config.Senddigest().EnvName(s.name): value}
			}
			for _, tt := range []struct {
				name  string
				given given
			}{
				{"command line over environment", given{args: args(top[0]), env: env(low[0])}},
				{"command line over file", given{args: args(top[0]), file: s.inFile(low[0])}},
				{"command line over both", given{args: args(top[0]), env: env(low[0]), file: s.inFile(low[0])}},
				{"environment over file", given{env: env(top[0]), file: s.inFile(low[0])}},
				{"file over default", given{file: s.inFile(top[0])}},
			} {
				if got := s.shown(settings(t, tt.given)); got != top[1] {
					t.Errorf("%s, %s: got %s, want %s", s.name, tt.name, got, top[1])
				}
			}
		}
	}
}

// An option that is overridden need not even make sense.
func TestWhatIsOverriddenIsNotRead(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range samples {
		if s.bad == nil {
			continue
		}
		good, bad := s.good[0], s.bad[len(s.bad)-1][0]
		for _, g := range []given{
			{args: map[string][]string{s.name: {good[0]}}, env: map[string]string{config.Senddigest().EnvName(s.name): bad}, file: s.inFile(bad)},
			{env: map[string]string{config.Senddigest().EnvName(s.name): good[0]}, file: s.inFile(bad)},
		} {
			if got := s.shown(settings(t, g)); got != good[1] {
				t.Errorf("%s: got %s, want %s", s.name, got, good[1])
			}
		}
	}
}

func TestAnEmptyVariableIsAsGoodAsNone(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range samples {
		top := s.good[0]
		for _, empty := range []string{"", " , \n ,"} {
			if empty != "" && s.name != "only" && s.name != "exclude" && s.name != "report" {
				continue // a list of nothing is one for the options that take several values
			}
			g := given{env: map[string]string{config.Senddigest().EnvName(s.name): empty}, file: s.inFile(top[0])}
			if got := s.shown(settings(t, g)); got != top[1] {
				t.Errorf("%s=%q: got %s, want %s of the file", config.Senddigest().EnvName(s.name), empty, got, top[1])
			}
		}
	}
}

func TestRepeatedOptions(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		name  string
		given given
		want  string // of --only
	}{
		{"several on the command line", given{args: map[string][]string{"only": {"a/b", "c/d"}}}, "[a/b c/d]"},
		{"there a comma belongs to the pattern", given{args: map[string][]string{"only": {"a/b,c"}}}, "[a/b,c]"},
		{"commas in the environment", given{env: map[string]string{"SENDDIGEST_ONLY": "a/b,c/d, e/f"}}, "[a/b c/d e/f]"},
		{"lines in the environment", given{env: map[string]string{"SENDDIGEST_ONLY": "a/b\nc/d\n"}}, "[a/b c/d]"},
		{"a comma too many", given{env: map[string]string{"SENDDIGEST_ONLY": ",a/b, , c/d, "}}, "[a/b c/d]"},
		{"commas in the file", given{file: "only = a/b, c/d"}, "[a/b c/d]"},
		{"lines in the file", given{file: "only = a/b\n   c/d\n\te/f"}, "[a/b c/d e/f]"},
		{"lines with commas in the file", given{file: "only = a/b,\n  c/d,\n"}, "[a/b c/d]"},
		{"one source replaces the other", given{args: map[string][]string{"only": {"x/y"}}, env: map[string]string{"SENDDIGEST_ONLY": "a/b,c/d"}}, "[x/y]"},
		{"a pattern may have blanks inside", given{env: map[string]string{"SENDDIGEST_ONLY": "a/b c, d/e"}}, "[a/b c d/e]"},
	} {
		if got := fmt.Sprint(settings(t, tt.given).Only); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	s := settings(t, given{file: "report = a.json, b.txt\nexclude = a/b,c/d"})
	if got, want := fmt.Sprint(s.Reports, s.Exclude), "[a.json b.txt] [a/b c/d]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOneBadValueOfSeveralIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := resolve(t, given{env: map[string]string{"SENDDIGEST_ONLY": "main/a, nonsense, main/b"}})
	wantValueError(t, err, `SENDDIGEST_ONLY "nonsense" `+noPattern)
	_, err = resolve(t, given{args: map[string][]string{"report": {"a.json", "b.pdf"}}})
	wantValueError(t, err, `--report "b.pdf" `+noEnding)
}

func TestOptionsThatSayWhichFileHaveNoPlaceInIt(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, f := range config.Senddigest().Flags {
		if !f.NotFile {
			continue
		}
		// Also where it would change nothing.
		for _, g := range []given{
			{file: f.Name + " = S3cretValue"},
			{file: f.Name + " = S3cretValue", args: map[string][]string{f.Name: {f.Default}}},
		} {
			_, err := resolve(t, g)
			e, ok := errors.AsType[*gsconfig.Error](err)
			if !ok {
				t.Errorf("%s: got %v, want an Error", f.Name, err)
				continue
			}
			want := fmt.Sprintf("etc/gsconfig.ini: line 7: [senddigest-on] %s: has no place in the file", f.Name)
			if err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			if want := "give it on the command line, or in the environment as " + config.Senddigest().EnvName(f.Name); e.Advice != want {
				t.Errorf("got hint %q, want %q", e.Advice, want)
			}
		}
	}
}

// A token is as likely to stand in the place of a name as in that of a value.
func TestAnUnknownOptionOfTheFileIsNamedByItsLineAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, option := range []string{"worker = 4", "exampleToken123 = x", "token = exampleToken123", "j = 4", "--workers = 4", "dry_run = yes"} {
		_, err := resolve(t, given{file: "workers = 4\n" + option, args: map[string][]string{"workers": {"3"}}})
		e, ok := errors.AsType[*gsconfig.Error](err)
		if !ok {
			t.Errorf("%s: got %v, want an Error", option, err)
			continue
		}
		if want := "etc/gsconfig.ini: line 8: [senddigest-on]: is not an option of senddigest"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if want := "senddigest --help lists the options; here they stand without the --"; e.Advice != want {
			t.Errorf("got hint %q, want %q", e.Advice, want)
		}
		for word := range strings.FieldsFuncSeq(option, func(r rune) bool { return r == ' ' || r == '=' }) {
			if text := fmt.Sprintf("%#v", *e); len(word) > 8 && strings.Contains(text, word) {
				t.Errorf("%s is in %s", word, text)
			}
		}
	}
}

func TestTheSetIsThatOfTheInstance(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "gs.ini", "[config-default]\nwebservice=a\nsenddigest=a\n[config-test]\nwebservice=b\nsenddigest=b\n[config-bare]\nwebservice=b\n"+
		"[webservice-a]\ntoken=tokenA\n[webservice-b]\ntoken=tokenB\n[senddigest-a]\nworkers=3\n[senddigest-b]\nworkers=4\n")
	for _, tt := range []struct {
		name    string
		given   given
		token   string
		workers int
	}{
		{"the default one", given{args: map[string][]string{"config": {"gs.ini"}}}, "tokenA", 3},
		{"of the command line", given{args: map[string][]string{"config": {"gs.ini"}, "instance": {"test"}}, env: map[string]string{"SENDDIGEST_INSTANCE": "no"}}, "tokenB", 4},
		{"of the environment", given{env: map[string]string{"SENDDIGEST_CONFIG": "gs.ini", "SENDDIGEST_INSTANCE": "test"}}, "tokenB", 4},
		{"without options of ours", given{args: map[string][]string{"config": {"gs.ini"}, "instance": {"bare"}}}, "tokenB", 16},
	} {
		s, err := resolveIn(tt.given)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := s.Token.Scrub(tt.token); got != "[token]" || s.Workers != tt.workers {
			t.Errorf("%s: got %d workers and a token that makes %q of %s, want %d and %s", tt.name, s.Workers, got, tt.token, tt.workers, tt.token)
		}
		if text := fmt.Sprintf("%v %+v %#v", *s, *s, *s); strings.Contains(text, tt.token) {
			t.Errorf("%s: the token is in %s", tt.name, text)
		}
	}
	_, err := resolveIn(given{args: map[string][]string{"config": {"gs.ini"}, "instance": {"no"}}})
	if e, ok := errors.AsType[*gsconfig.Error](err); !ok || e.Section != "config-no" {
		t.Errorf("got %v, want an Error for [config-no]", err)
	}
}

// The installer gave the script the path of INSTALL_DIR/etc/gsconfig.ini, and cron starts programs elsewhere.
func TestTheFileBesideTheProgramIsFound(t *testing.T) {
	install, elsewhere := t.TempDir(), t.TempDir()
	binary, beside := filepath.Join(install, "bin", "senddigest"), filepath.Join(install, "etc", "gsconfig.ini")
	writeFile(t, beside, fileText("workers = 5"))
	writeFile(t, filepath.Join(elsewhere, "other.ini"), fileText("workers = 6"))
	t.Chdir(elsewhere)

	for _, tt := range []struct {
		name   string
		given  given
		config string
		found  bool
	}{
		{"nothing names it", given{binary: binary}, beside, true},
		{"the command line does", given{binary: binary, args: map[string][]string{"config": {"other.ini"}}}, "other.ini", true},
		{"the environment does", given{binary: binary, env: map[string]string{"SENDDIGEST_CONFIG": "other.ini"}}, "other.ini", true},
		{"a path that was given stands, though nothing is there", given{binary: binary, args: map[string][]string{"config": {"no.ini"}}}, "no.ini", false},
		{"also if it is the default's", given{binary: binary, args: map[string][]string{"config": {"etc/gsconfig.ini"}}}, "etc/gsconfig.ini", false},
		{"and if it is empty", given{binary: binary, args: map[string][]string{"config": {""}}}, "", false},
		{"the program is not known", given{}, "etc/gsconfig.ini", false},
		{"the program is somewhere else", given{binary: filepath.Join(elsewhere, "bin", "senddigest")}, "etc/gsconfig.ini", false},
	} {
		s, err := resolveIn(tt.given)
		if !tt.found {
			if e, ok := errors.AsType[*gsconfig.Error](err); !ok || e.File != tt.config {
				t.Errorf("%s: got %v, want an Error for %q", tt.name, err, tt.config)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if s.Config != tt.config {
			t.Errorf("%s: got %s, want %s", tt.name, s.Config, tt.config)
		}
	}

	// Where the script looked comes first.
	writeFile(t, filepath.Join(elsewhere, "etc", "gsconfig.ini"), fileText("workers = 7"))
	if s, err := resolveIn(given{binary: binary}); err != nil || s.Workers != 7 {
		t.Errorf("got %v, %v, want the file of the working directory", s, err)
	}
}

// Only the file is a place for the token.
func TestTheTokenComesFromTheFileAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	s := settings(t, given{
		args: map[string][]string{"token": {"otherToken456"}}, env: map[string]string{"SENDDIGEST_TOKEN": "otherToken456"},
	})
	if got := s.Token.Scrub(token + " otherToken456"); got != "[token] otherToken456" {
		t.Errorf("the token makes %q of the file's token and another", got)
	}
	if err := os.WriteFile(config.DefaultConfig, []byte("[config-default]\nwebservice = default\n[webservice-default]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := resolveIn(given{env: map[string]string{"SENDDIGEST_TOKEN": "otherToken456"}}); err == nil {
		t.Error("without a token in the file: got no error")
	}
}

func TestEnvNameIsTheOptionInCapitals(t *testing.T) {
	for flag, want := range map[string]string{
		"workers": "SENDDIGEST_WORKERS", "max-failures": "SENDDIGEST_MAX_FAILURES", "connect-timeout": "SENDDIGEST_CONNECT_TIMEOUT",
	} {
		if got := config.Senddigest().EnvName(flag); got != want {
			t.Errorf("%s: got %s, want %s", flag, got, want)
		}
	}
	for _, f := range config.Senddigest().Flags {
		if got := config.Senddigest().EnvName(f.Name); strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			t.Errorf("%s: %q is no name that every shell takes", f.Name, got)
		}
	}
}
