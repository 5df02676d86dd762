package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/gsconfig"
)

const password = "S3same"

// withDatabase is a configuration file whose set names a database.
func withDatabase(line, section string) string {
	return "[config-default]\nwebservice = default\n" + line + "\n[webservice-default]\ntoken = " + token + "\n" + section + "\n"
}

// resolved resolves what is given beside a configuration file that is written out.
func resolved(t *testing.T, file string, args map[string][]string) *config.Settings {
	t.Helper()
	writeFile(t, config.DefaultConfig, file)
	s, err := resolveIn(given{args: args})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// free fails if anything that can be printed of a value holds the password.
func free(t *testing.T, value any) {
	t.Helper()
	asJSON, _ := json.Marshal(value)
	if text := fmt.Sprintf("%v %+v %#v %s", value, value, value, asJSON); strings.Contains(text, password) {
		t.Errorf("the password is in %s", text)
	}
}

func TestTheLedgerIsThatOfTheConfigurationSet(t *testing.T) {
	t.Chdir(t.TempDir())
	file := withDatabase("database = main", "[database-main]\ndsn = postgres://gs:S3same%%@@db:6432/groups")
	for _, args := range []map[string][]string{nil, {"ledger": {"auto"}}} {
		s := resolved(t, file, args)
		l := s.Database
		if l.Mode != config.LedgerAuto || l.Err != nil || l.DSN.String() != "db:6432/groups" || l.DSN.User != "gs" || l.DSN.Password.Reveal() != "S3same%@" {
			t.Errorf("%v: got mode %d, %v, %v, want auto and the set's", args, l.Mode, l.DSN, l.Err)
		}
		free(t, *s)
		free(t, l)
	}
	for value, mode := range map[string]config.LedgerMode{"off": config.LedgerOff, "postgres:///other": config.LedgerNamed} {
		l := resolved(t, file, map[string][]string{"ledger": {value}}).Database
		if l.Mode != mode || l.Err != nil || l.DSN.Host != "" || l.DSN.User != "" {
			t.Errorf("%s: got mode %d, %v, %v", value, l.Mode, l.DSN, l.Err)
		}
	}
}

// Without a ledger the digests go out all the same.
func TestNothingAboutTheSetsDatabaseEndsARun(t *testing.T) {
	t.Chdir(t.TempDir())
	const at = "etc/gsconfig.ini: "
	for _, tt := range []struct{ name, line, section, want string }{
		{"no database", "", "", at + "database: is missing from the configuration set"},
		{"no section", "database = S3same", "", at + "line 3: [config-default] database: names a section [database-NAME] that is not in the file"},
		{"no DSN", "database = x", "[database-x]", at + "line 6: [database-x] dsn: is missing"},
		{"another option", "database = x", "[database-x]\ndsn = postgres://u:S3same@h/gs\nS3same = 1", at + "line 8: [database-x]: has an option other than dsn, the only one that GroupServer allows"},
		{"a bad percent sign", "database = x", "[database-x]\ndsn = postgres://u:S3same%@h/gs", at + `line 7: [database-x] dsn: has a "%" that neither "%" nor "(NAME)s" follows`},
		{"no DSN at all", "database = x", "[database-x]\ndsn = S3same", at + "[database-NAME] dsn: is no address of a database"},
		{"another database", "database = x", "[database-x]\ndsn = sqlite:///S3same", at + "[database-NAME] dsn: does not begin with postgres://, postgresql:// or postgresql+psycopg2://"},
		{"a bad port", "database = x", "[database-x]\ndsn = postgres://u:S3same", at + "[database-NAME] dsn: has a port that is not a whole number from 1 to 65535"},
	} {
		file := withDatabase(tt.line, tt.section)
		l := resolved(t, file, nil).Database
		e, ok := errors.AsType[*gsconfig.Error](l.Err)
		if !ok || l.Mode != config.LedgerAuto || l.DSN != (dsn.DSN{}) {
			t.Errorf("%s: got mode %d, %v, %v, want auto and an Error", tt.name, l.Mode, l.DSN, l.Err)
			continue
		}
		if e.Error() != tt.want || e.Advice == "" {
			t.Errorf("%s: got %s, hint %q, want %s", tt.name, e.Error(), e.Advice, tt.want)
		}
		free(t, l)
		free(t, *e)
		for _, value := range []string{"off", "postgres:///gs"} {
			if l := resolved(t, file, map[string][]string{"ledger": {value}}).Database; l.Err != nil {
				t.Errorf("%s, --ledger %s: got %v", tt.name, value, l.Err)
			}
		}
	}
}

func TestADSNWithAPasswordIsNotForTheCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	const want = "--ledger has a password, which on a command line everybody on this machine can read: " +
		"write the DSN into the configuration file, as ledger = DSN, or into the environment, as SENDDIGEST_LEDGER"
	for _, value := range []string{
		"postgres://u:S3same@h/gs", "postgres://u:S3@s/S3same@h/gs", "postgresql+psycopg2://:S3same@/gs",
		"postgres://u@h/gs?password=S3same", "postgres://u@h/gs?sslpassword=S3same",
	} {
		_, err := resolve(t, given{args: map[string][]string{"ledger": {value}}})
		wantValueError(t, err, want)
		if e, ok := errors.AsType[*config.ValueError](err); ok {
			free(t, *e)
		}
		for source, g := range map[string]given{
			"environment": {env: map[string]string{"SENDDIGEST_LEDGER": value}}, "file": {file: "ledger = " + value},
		} {
			s := settings(t, g)
			if s.Database.Mode != config.LedgerNamed || s.Database.DSN.Database != "gs" || !s.Database.DSN.HoldsSecret() {
				t.Errorf("%s, %s: got mode %d, %v", value, source, s.Database.Mode, s.Database.DSN)
			}
			free(t, *s)
		}
	}
}

func TestABadLedgerIsRefusedAndNotPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	for value, problem := range map[string]string{
		"S3same":                   "is neither auto, off nor a DSN such as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		"Auto":                     "is neither auto, off nor a DSN such as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		"host=h password=S3same":   "is neither auto, off nor a DSN such as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		"mysql://u:S3same@h/gs":    "does not begin with postgres://, postgresql:// or postgresql+psycopg2://: write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		"postgres://u:S3same@h":    "names no database: write the name of the database behind the host: postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		"postgres://u:S3same/gs":   "has a port that is not a whole number from 1 to 65535: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or leave out :PORT; a password has an @ behind it",
		"postgres://u/:S3same@/gs": `has an "@" that does not end user and password: in the name of the user write %3A for ":" and %2F for "/", behind the "?" write %40 for "@", and all in one line`,
	} {
		_, onLine := resolve(t, given{args: map[string][]string{"ledger": {value}}})
		wantValueError(t, onLine, "--ledger "+problem)
		_, inEnv := resolve(t, given{env: map[string]string{"SENDDIGEST_LEDGER": value}})
		wantValueError(t, inEnv, "SENDDIGEST_LEDGER "+problem)
		_, inFile := resolve(t, given{file: "ledger = " + value})
		if want := "etc/gsconfig.ini: line 7: [senddigest-on] ledger: " + problem; inFile == nil || inFile.Error() != want {
			t.Errorf("got %v, want %s", inFile, want)
		}
		for _, err := range []error{onLine, inEnv, inFile} {
			free(t, err)
			if e, ok := errors.AsType[*config.ValueError](err); ok {
				free(t, *e)
			}
		}
	}
	_, empty := resolve(t, given{args: map[string][]string{"ledger": {""}}})
	wantValueError(t, empty, "--ledger is neither auto, off nor a DSN such as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
}

func TestAProposedCommandHasTheLedgerUnlessItHasAPassword(t *testing.T) {
	for value, want := range map[string][]string{
		"off":                      {"senddigest", "--skip-idle", "--ledger", "off"},
		"auto":                     {"senddigest", "--skip-idle", "--ledger", "auto"},
		"postgres://u@h/gs":        {"senddigest", "--skip-idle", "--ledger", "postgres://u@h/gs"},
		"postgres:///gs?host=/run": {"senddigest", "--skip-idle", "--ledger", "'postgres:///gs?host=/run'"},
		"postgres://u:S3same@h/gs": {"senddigest", "--skip-idle"},
		"postgres://u:S3same":      {"senddigest", "--skip-idle"},
		"S3same":                   {"senddigest", "--skip-idle"},
	} {
		line := config.Line{Program: config.Senddigest(), Args: map[string][]string{"ledger": {value}, "skip-idle": {"true"}}}
		if got := line.Words(false); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", value, got, want)
		}
	}
}

func TestSendprofileHasNoLedger(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, config.DefaultConfig, withDatabase("database = x", "[database-x]\ndsn = postgres:///gs"))
	s, err := config.Sendprofile().Resolve(config.Sources{Getenv: func(string) (string, bool) { return "", false }})
	if err != nil || s.Database != (config.Ledger{}) || s.GuardWaitGiven {
		t.Errorf("got %+v, %v, want none", s.Database, err)
	}
}

// With a ledger the default is longer, and the user's value is none.
func TestItIsKnownWhetherTheGuardsWaitIsTheUsers(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tt := range map[string]struct {
		given given
		want  bool
	}{
		"nothing said":                {given{}, false},
		"an empty variable":           {given{env: map[string]string{"SENDDIGEST_GUARD_WAIT": ""}}, false},
		"the command line":            {given{args: map[string][]string{"guard-wait": {"2h"}}}, true},
		"also if it says the default": {given{args: map[string][]string{"guard-wait": {"3h"}}}, true},
		"the environment":             {given{env: map[string]string{"SENDDIGEST_GUARD_WAIT": "0"}}, true},
		"the file":                    {given{file: "guard-wait = 4h"}, true},
		"another option":              {given{file: "settle = 4h"}, false},
	} {
		if got := settings(t, tt.given).GuardWaitGiven; got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}
