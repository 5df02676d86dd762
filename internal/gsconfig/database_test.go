package gsconfig

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func databaseOf(data string) (string, error) {
	f, err := Parse("gsconfig.ini", []byte(data))
	if err != nil {
		return "", err
	}
	s, err := f.Instance("default")
	if err != nil {
		return "", err
	}
	return s.Database()
}

func TestTheDatabaseIsThatOfTheInstallersFile(t *testing.T) {
	f, err := ReadFile(filepath.Join(fixtures, "installed.ini"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Instance("default")
	if err != nil {
		t.Fatal(err)
	}
	const want = "postgres://gsadmin:examplePassword@localhost:5432/groupserver"
	if got, err := s.Database(); err != nil || got != want {
		t.Errorf("got %q, %v, want %s", got, err, want)
	}
}

func TestTheDSNIsReadAsTheTokenIs(t *testing.T) {
	const set = "[config-default]\ndatabase = main\n[database-main]\n"
	for _, c := range []struct{ promise, data, want string }{
		{"byte for byte", set + "dsn = postgres://u:p@ss/#?:@h:5432/gs\n", "postgres://u:p@ss/#?:@h:5432/gs"},
		{"two percent signs are one", set + "dsn: postgres://u:p%%40%%%%@h/gs\n", "postgres://u:p%40%%@h/gs"},
		{"references are filled in", set + "dsn = postgres://u@h/%(__name__)s\n", "postgres://u@h/database-main"},
		{"only the first semicolon can begin a comment", set + "dsn = postgres://u:p;w@h/gs ; main\n", "postgres://u:p;w@h/gs ; main"},
		{"behind a blank", set + "dsn = postgres://u:pw@h/gs ; main\n", "postgres://u:pw@h/gs"},
		{"from DEFAULT, which joins", "[DEFAULT]\ndsn = postgres://h/gs\n" + set, "postgres://h/gs"},
		{"bytes that are no UTF-8", set + "dsn = postgres://u:p\xe4@h/gs\n", "postgres://u:p\xe4@h/gs"},
		{"what the web-service lacks is no matter", "[config-default]\nwebservice = no\ndatabase = main\n[database-main]\ndsn = x\n", "x"},
		{"no database named: none", "[config-default]\nwebservice = default\n[database-default]\ndsn = x\n", ""},
	} {
		if got, err := databaseOf(c.data); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.promise, got, err, c.want)
		}
	}
}

func TestWhatIsWrongWithTheDatabaseIsSaidWithoutTheDSN(t *testing.T) {
	const (
		set    = "[config-default]\ndatabase = main\n"
		secret = "S3same"
		write  = `write "dsn = postgres://USER:PASSWORD@HOST:PORT/DATABASE" there, as the installer did`
	)
	for _, c := range []struct{ promise, data, text, hint string }{
		{
			"a section that is not there", set,
			"line 2: [config-default] database: names a section [database-NAME] that is not in the file",
			`write in line 2 the NAME of a header "[database-NAME]" of the file, or add that header with "dsn = DSN" below it`,
		},
		{
			"the DSN in the place of the name", "[config-default]\ndatabase = postgres://u:S3same@h/gs\n",
			"line 2: [config-default] database: names a section [database-NAME] that is not in the file",
			`write in line 2 the NAME of a header "[database-NAME]" of the file, or add that header with "dsn = DSN" below it`,
		},
		{
			"in both places", "[config-default]\ndatabase = postgres://u:S3same@h/gs\n[database-postgres://u:S3same@h/gs]\n",
			"line 3: [database-NAME] dsn: is missing", write,
		},
		{"no DSN", set + "[database-main]\n", "line 3: [database-main] dsn: is missing", write},
		{"an empty one", set + "[database-main]\ndsn =\n", "line 4: [database-main] dsn: is empty", write},
		{"an empty one in DEFAULT", "[DEFAULT]\ndsn =\n" + set + "[database-main]\n", "line 2: [DEFAULT] dsn: is empty", write},
		{
			"another option", set + "[database-main]\ndsn = postgres://u:S3same@h/gs\nS3same = 5\n",
			"line 5: [database-main]: has an option other than dsn, the only one that GroupServer allows",
			`write "#" in the first column to make the line a comment, or "dsn = DSN" if it was meant to be that; ` +
				"if it is the rest of a dsn in the line above, join the two",
		},
		{
			"another option in DEFAULT", "[DEFAULT]\ntoken = S3same\n" + set + "[database-main]\ndsn = postgres://u:S3same@h/gs\n",
			"line 2: [DEFAULT]: has an option other than dsn, the only one that GroupServer allows in [database-main], which [DEFAULT] joins",
			"move the line to each section that needs it: options in [DEFAULT] join all sections",
		},
		{
			"a percent sign", set + "[database-main]\ndsn = postgres://u:S3same%@h/gs\n",
			`line 4: [database-main] dsn: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
	} {
		got, err := databaseOf(c.data)
		if got != "" {
			t.Errorf("%s: got DSN %q with an error", c.promise, got)
		}
		e := wholeError(t, err)
		if e.Error() != "gsconfig.ini: "+c.text || e.Advice != c.hint {
			t.Errorf("%s: got  %s\nhint %s\nwant %s\nhint %s", c.promise, e.Error(), e.Advice, c.text, c.hint)
		}
		if text := fmt.Sprintf("%+v %#v", e, e); strings.Contains(text, secret) {
			t.Errorf("%s: the password is in %s", c.promise, text)
		}
	}
}
