package gsconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const fixtures = "../../testdata/groupserver/gsconfig"

// A fixture is a row of expected.tsv: what the real parser and the real script made of a file.
type fixture struct {
	file, instance string
	token          string // empty unless outcome is token
	outcome        string // token, config-error or crash
	exit           string
	data           []byte
}

func (c fixture) name() string { return c.file + " " + c.instance }

func loadFixtures(t testing.TB) []fixture {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(fixtures, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var all []fixture
	for line := range strings.Lines(string(table)) {
		cell := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cell) != 6 {
			t.Fatalf("got %d columns, want 6: %q", len(cell), line)
		}
		if cell[0] == "file" {
			continue
		}
		c := fixture{file: cell[0], instance: cell[1], outcome: cell[2], exit: cell[4]}
		if c.outcome == "token" {
			if c.token, err = strconv.Unquote(cell[3]); err != nil {
				t.Fatalf("%s: token %s: %v", c.file, cell[3], err)
			}
		}
		if c.data, err = os.ReadFile(filepath.Join(fixtures, c.file)); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) != 108 {
		t.Fatalf("got %d rows in expected.tsv, want 108", len(all))
	}
	return all
}

func tokenOf(file, instance string, data []byte) (string, error) {
	f, err := Parse(file, data)
	if err != nil {
		return "", err
	}
	s, err := f.Instance(instance)
	if err != nil {
		return "", err
	}
	return s.Token()
}

func optionsOf(data string) ([]FileOption, error) {
	f, err := Parse("gsconfig.ini", []byte(data))
	if err != nil {
		return nil, err
	}
	s, err := f.Instance("default")
	if err != nil {
		return nil, err
	}
	return s.Options("senddigest")
}

// wholeError fails the test unless err is an *Error that says what is wrong, in one line, and what to do.
func wholeError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %#v, want an *Error", err)
	}
	if e.Problem == "" || e.Advice == "" {
		t.Errorf("got problem %q and hint %q, want both", e.Problem, e.Advice)
	}
	for _, text := range []string{e.Error(), e.Advice} {
		if strings.ContainsAny(text, "\n\r\x1b") {
			t.Errorf("got %q, want one printable line", text)
		}
		if strings.HasSuffix(text, ".") {
			t.Errorf("got %q, want no full stop", text)
		}
	}
	return e
}

// secrets are what no message about data may hold: the tokens of the fixtures, and every line but the
// section headers and the bare word token. A line with a delimiter and no value tells nothing either.
func secrets(data []byte) []string {
	all := []string{"exampleToken123", "otherToken456", "examplePassword"}
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		if line == "" || line[0] == '[' || strings.TrimRight(line, " =:") == "token" {
			continue
		}
		all = append(all, line)
		if name == "token " && len(value) > 3 {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}

func TestTokenIsTheScriptsByteForByte(t *testing.T) {
	for _, c := range loadFixtures(t) {
		t.Run(c.name(), func(t *testing.T) {
			got, err := tokenOf(c.file, c.instance, c.data)
			if c.outcome == "token" {
				if err != nil || got != c.token {
					t.Fatalf("got token %q, error %v, want token %q", got, err, c.token)
				}
				return
			}
			if c.exit != "1" && c.exit != "78" {
				t.Fatalf("got exit %q in the table, want 1 or 78", c.exit)
			}
			if got != "" {
				t.Errorf("got token %q with an error, want none", got)
			}
			e := wholeError(t, err)
			for _, text := range []string{e.Error(), e.Advice, fmt.Sprintf("%+v %#v", e, e)} {
				for _, secret := range secrets(c.data) {
					if strings.Contains(text, secret) {
						t.Errorf("got %q, which holds %q", text, secret)
					}
				}
			}
		})
	}
}

// errorText has, for every fixture that is no good, what Error says after the file.
var errorText = map[string]string{
	"bad-line-has-token.ini default":            `line 5: [webservice-default]: a line without "=" or ":"`,
	"bom-comment-first.ini default":             `line 1: a byte-order mark before the first character`,
	"bom.ini default":                           `line 1: a byte-order mark before the first character`,
	"comment-indented.ini default":              `line 5: [webservice-default]: an indented line, but no option above it to continue`,
	"cr-only.ini default":                       `line 1: [config-default] webservice: is missing`,
	"default-extra-option.ini default":          `line 2: [DEFAULT]: has an option other than token, the only one that GroupServer allows in [webservice-default], which [DEFAULT] joins`,
	"default-supplies-token-no-sec.ini default": `line 4: [config-default] webservice: names a section [webservice-NAME] that is not in the file`,
	"default-supplies-webservice.ini default":   `line 2: [DEFAULT]: has an option other than token, the only one that GroupServer allows in [webservice-default], which [DEFAULT] joins`,
	"empty-key.ini default":                     `line 5: [webservice-default]: no option name before the "="`,
	"empty-quotes.ini default":                  `line 5: [webservice-default] token: is empty`,
	"empty-value-colon.ini default":             `line 5: [webservice-default] token: is empty`,
	"empty-value.ini default":                   `line 5: [webservice-default] token: is empty`,
	"extra-percent.ini default":                 `line 5: [webservice-default]: has an option other than token, the only one that GroupServer allows`,
	"extra-then-token.ini default":              `line 6: [webservice-default]: has an option other than token, the only one that GroupServer allows`,
	"indented-first-option.ini default":         `line 5: [webservice-default]: an indented line, but no option above it to continue`,
	"instance-case.ini Default":                 `line 1: [config-Default]: no such configuration set in the file`,
	"key-with-spaces.ini default":               `line 5: [webservice-default]: has an option other than token, the only one that GroupServer allows`,
	"no-delimiter.ini default":                  `line 5: [webservice-default]: a line without "=" or ":"`,
	"no-value.ini default":                      `line 5: [webservice-default]: a line without "=" or ":"`,
	"other-section-bad-line.ini default":        `line 2: [database-default]: a line without "=" or ":"`,
	"percent-default-nonref.ini default":        `line 2: [DEFAULT]: has an option other than token, the only one that GroupServer allows in [webservice-default], which [DEFAULT] joins`,
	"percent-end.ini default":                   `line 5: [webservice-default] token: has a "%" that neither "%" nor "(NAME)s" follows`,
	"percent-plain.ini default":                 `line 5: [webservice-default] token: has a "%" that neither "%" nor "(NAME)s" follows`,
	"percent-ref-default.ini default":           `line 2: [DEFAULT]: has an option other than token, the only one that GroupServer allows in [webservice-default], which [DEFAULT] joins`,
	"percent-ref-missing.ini default":           `line 5: [webservice-default] token: refers by "%(NAME)s" to an option that is neither in its section nor in [DEFAULT]`,
	"percent-ref-self.ini default":              `line 5: [webservice-default] token: refers by "%(NAME)s" to itself, or through more than 10 options`,
	"section-empty-name.ini default":            `line 1: a section header without a name`,
	"section-indented.ini default":              `line 1: an indented section header`,
	"section-spaces.ini default":                `line 1: [config-default]: no such configuration set in the file`,
	"section-unclosed.ini default":              `line 1: a section header without its "]"`,
	"section-upper.ini default":                 `line 1: [config-default]: no such configuration set in the file`,
	"text-before-section.ini default":           `line 1: text before the first section header`,
	"two-instances.ini three":                   `[config-three]: no such configuration set in the file`,
	"value-only-spaces.ini default":             `line 5: [webservice-default] token: is empty`,
	"webservice-value-case.ini default":         `line 2: [config-default] webservice: names a section [webservice-NAME] that is not in the file`,
	"webservice-value-percent.ini default":      `line 2: [config-default] webservice: has a "%" that neither "%" nor "(NAME)s" follows`,
}

func TestErrorNamesLineSectionAndOption(t *testing.T) {
	seen := 0
	for _, c := range loadFixtures(t) {
		if c.outcome == "token" {
			continue
		}
		t.Run(c.name(), func(t *testing.T) {
			want, ok := errorText[c.name()]
			if !ok {
				t.Fatal("got no wanted text for this fixture")
			}
			seen++
			_, err := tokenOf(c.file, c.instance, c.data)
			e := wholeError(t, err)
			if got := e.Error(); got != c.file+": "+want {
				t.Errorf("got  %s\nwant %s: %s", got, c.file, want)
			}
			if e.File != c.file {
				t.Errorf("got file %q, want %q", e.File, c.file)
			}
			if strings.HasPrefix(want, "line ") != (e.Line > 0) {
				t.Errorf("got line %d, want the one in %q", e.Line, want)
			}
		})
	}
	if seen != len(errorText) {
		t.Errorf("got %d failing fixtures, want all %d of errorText", seen, len(errorText))
	}
}

func TestHintTellsWhatToWrite(t *testing.T) {
	const (
		set   = "[config-default]\nwebservice = default\n"
		write = `write "token = TOKEN" there, with the token that the site knows`
		whole = `write a header "[config-default]" with "webservice = NAME" below it, and a header "[webservice-NAME]" with "token = TOKEN" below it`
	)
	for _, c := range []struct{ promise, data, text, hint string }{
		{
			"a blank file is shown the whole of what it needs", " \r\n\n",
			"is empty",
			`write a header "[config-default]" with "webservice = default" below it, and a header "[webservice-default]" with "token = TOKEN" below it`,
		},
		{
			"a file of comments has no set", "# nothing yet\n",
			"[config-default]: no such configuration set in the file", whole,
		},
		{
			"no set at all", "[smtp-on]\nport = 25\n",
			"[config-default]: no such configuration set in the file", whole,
		},
		{
			"another set", "[smtp-on]\nport = 25\n[config-live]\n",
			"[config-default]: no such configuration set in the file",
			`name a set of the file with --instance NAME: the headers "[config-NAME]" are in line 3`,
		},
		{
			"many other sets", "[config-a]\n[config-b]\n[config-c]\n[config-d]\n",
			"[config-default]: no such configuration set in the file",
			`name a set of the file with --instance NAME: the headers "[config-NAME]" are in lines 1, 2, 3 and more`,
		},
		{
			"a set in other capitals", "[Config-Default]\nwebservice = default\n",
			"line 1: [config-default]: no such configuration set in the file",
			`write "[config-default]" in line 1, where the header differs in capitals or blanks, or name the set with --instance as it is written there`,
		},
		{
			"a set without webservice", "[smtp-on]\n[config-default]\nsmtp = on\n",
			"line 2: [config-default] webservice: is missing",
			`write a line "webservice = NAME" there, naming the section [webservice-NAME] that holds the token`,
		},
		{
			"a web-service that is not there", set,
			"line 2: [config-default] webservice: names a section [webservice-NAME] that is not in the file",
			`write in line 2 the NAME of a header "[webservice-NAME]" of the file, or add that header with "token = TOKEN" below it`,
		},
		{
			"a web-service in other capitals", set + "[Webservice-default]\ntoken = abc\n",
			"line 2: [config-default] webservice: names a section [webservice-NAME] that is not in the file",
			"write in line 2 the same as in the header in line 3, which differs in capitals or blanks",
		},
		{
			"no token", set + "\n[webservice-default]\n",
			"line 4: [webservice-default] token: is missing", write,
		},
		{
			"an empty token", set + "\n[webservice-default]\ntoken =\n",
			"line 5: [webservice-default] token: is empty", write,
		},
		{
			"an empty token in DEFAULT", "[DEFAULT]\ntoken =\n" + set + "[webservice-default]\n",
			"line 2: [DEFAULT] token: is empty", write,
		},
		{
			"a percent sign in the token", set + "[webservice-default]\ntoken = abc%def\n",
			`line 4: [webservice-default] token: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
		{
			"a percent sign in a later line of the token", set + "[webservice-default]\ntoken = abc\n\n# no\n  def%\n",
			`line 7: [webservice-default] token: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
		{
			"a percent sign in what the set refers to", "[DEFAULT]\nx = 50%\n[config-default]\nwebservice = %(x)s\n",
			`line 2: [DEFAULT]: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
		{
			"no delimiter", set + "[webservice-default]\ntoken abc\n",
			`line 4: [webservice-default]: a line without "=" or ":"`,
			`write "NAME = VALUE", such as "token = TOKEN", or "#" in the first column to make it a comment; if it is the rest of the line above, join the two`,
		},
		{
			"no delimiter in a section of another name", "[mine]\ntoken abc\n",
			`line 2: a line without "=" or ":"`,
			`write "NAME = VALUE", such as "token = TOKEN", or "#" in the first column to make it a comment; if it is the rest of the line above, join the two`,
		},
		{
			"no option name", set + "[webservice-default]\n: abc\n",
			`line 4: [webservice-default]: no option name before the ":"`,
			`write "NAME = VALUE", such as "token = TOKEN"`,
		},
		{
			"an indented first option", set + "[webservice-default]\n  token = abc\n",
			"line 4: [webservice-default]: an indented line, but no option above it to continue",
			"begin the line in the first column, comments too",
		},
		{
			"an open header first", "[config-default\nwebservice = default\n",
			`line 1: a section header without its "]"`,
			`write it whole, such as "[config-default]"`,
		},
		{
			"an open header later", set + "[webservice-default\ntoken = abc\n",
			`line 3: [config-default]: a section header without its "]"`,
			`write it whole, such as "[config-default]"`,
		},
		{
			"a header without a name", "[]\n",
			"line 1: a section header without a name",
			`write the name in the brackets, such as "[config-default]"`,
		},
		{
			"a header indented after a header", "[config-default]\n [webservice-default]\n",
			"line 2: [config-default]: an indented section header",
			`begin it in the first column, such as "[config-default]"`,
		},
		{
			"UTF-16", "\xff\xfe[\x00c\x00]\x00\n\x00",
			"line 1: UTF-16 text",
			"save the file as plain text (UTF-8 without a byte-order mark)",
		},
		{
			"old Macintosh line ends", "[config-default]\rwebservice = default\r",
			"line 1: [config-default] webservice: is missing",
			"save the file with Unix line ends: its lines end in a lone carriage return, so it counts as one line",
		},
		{
			"an option that is not token", set + "[webservice-default]\ntoken = abc\nabc = \n",
			"line 5: [webservice-default]: has an option other than token, the only one that GroupServer allows",
			`write "#" in the first column to make the line a comment, or "token = TOKEN" if it was meant to be that; if it is the rest of a token in the line above, join the two`,
		},
		{
			"an option in DEFAULT", "[DEFAULT]\nhome = /x\n" + set + "[webservice-default]\ntoken = abc\n",
			"line 2: [DEFAULT]: has an option other than token, the only one that GroupServer allows in [webservice-default], which [DEFAULT] joins",
			"move the line to each section that needs it: options in [DEFAULT] join all sections",
		},
		{
			"more than a configuration", set + strings.Repeat("#", maxFileSize),
			"is larger than 1024 KiB, so it is not GroupServer's configuration",
			"name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini",
		},
	} {
		t.Run(c.promise, func(t *testing.T) {
			_, err := tokenOf("etc/gsconfig.ini", "default", []byte(c.data))
			e := wholeError(t, err)
			if got, want := e.Error(), "etc/gsconfig.ini: "+c.text; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if e.Advice != c.hint {
				t.Errorf("got hint  %s\nwant hint %s", e.Advice, c.hint)
			}
		})
	}
}

func TestReadFileReadsGroupServersOwnFile(t *testing.T) {
	f, err := ReadFile(filepath.Join(fixtures, "installed.ini"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Instance("default")
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Token()
	if err != nil || token != "exampleToken123" {
		t.Errorf("got token %q, error %v, want exampleToken123", token, err)
	}
	options, err := s.Options("senddigest")
	if err != nil || options != nil {
		t.Errorf("got options %v, error %v, want none", options, err)
	}
}

func TestReadFileNamesThePathItTried(t *testing.T) {
	const name = "name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini"
	const empty = `write a header "[config-default]" with "webservice = default" below it, and a header "[webservice-default]" with "token = TOKEN" below it`
	dir := t.TempDir()
	t.Chdir(dir)
	for file, size := range map[string]int{"empty.ini": 0, "large.ini": maxFileSize + 1, "file": 1} {
		if err := os.WriteFile(file, bytes.Repeat([]byte("#"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("etc", 0o700); err != nil {
		t.Fatal(err)
	}
	abs := func(file string) string {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		promise, path, text, hint string
		is                        error
	}{
		{"empty name", "", "the name of the configuration file is empty", name, nil},
		{"missing, relative", "etc/gsconfig.ini", "etc/gsconfig.ini: no such file (tried " + abs("etc/gsconfig.ini") + ")", name, fs.ErrNotExist},
		{"missing, absolute", abs("gone.ini"), abs("gone.ini") + ": no such file", name, fs.ErrNotExist},
		{"directory, relative", "etc", "etc: is a directory (tried " + abs("etc") + ")", "name the file in it: --config etc/gsconfig.ini", nil},
		{"directory, absolute", abs("etc"), abs("etc") + ": is a directory", "name the file in it: --config " + abs("etc/gsconfig.ini"), nil},
		{"device", os.DevNull, os.DevNull + ": is not a regular file", name, nil},
		{"file taken for a directory", "file/gsconfig.ini", "file/gsconfig.ini: cannot be read: not a directory (tried " + abs("file/gsconfig.ini") + ")", name, syscall.ENOTDIR},
		{"empty", "empty.ini", "empty.ini: is empty (tried " + abs("empty.ini") + ")", empty, nil},
		{"empty, absolute", abs("empty.ini"), abs("empty.ini") + ": is empty", empty, nil},
		{"too large", abs("large.ini"), abs("large.ini") + ": is larger than 1024 KiB, so it is not GroupServer's configuration", name, nil},
		{"a path of two lines", "a\nb", `a\nb: no such file (tried ` + filepath.Dir(abs("x")) + `/a\nb)`, name, fs.ErrNotExist},
	} {
		t.Run(c.promise, func(t *testing.T) {
			f, err := ReadFile(c.path)
			if f != nil {
				t.Errorf("got a file with error %v, want none", err)
			}
			e := wholeError(t, err)
			if got := e.Error(); got != c.text {
				t.Errorf("got  %s\nwant %s", got, c.text)
			}
			if e.Advice != c.hint {
				t.Errorf("got hint  %s\nwant hint %s", e.Advice, c.hint)
			}
			if e.File != c.path {
				t.Errorf("got file %q, want %q", e.File, c.path)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got cause %v, want %v", e.Err, c.is)
			}
		})
	}
}

// A test that runs as root may read everything, so what the operating system says is given by hand.
func TestReadErrorOfAFileThatMayNotBeRead(t *testing.T) {
	err := error(readError("/srv/gsconfig.ini", &fs.PathError{Op: "open", Path: "/srv/gsconfig.ini", Err: syscall.EACCES}))
	e := wholeError(t, err)
	if got, want := e.Error(), "/srv/gsconfig.ini: permission denied"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	const want = "run the program as the user that GroupServer runs as, or let the user it runs as read the file " +
		"and the directories above it; not everyone, for the token is in it"
	if e.Advice != want {
		t.Errorf("got hint  %s\nwant hint %s", e.Advice, want)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got cause %v, want fs.ErrPermission", e.Err)
	}
}

func TestOptionsAreThoseWrittenForUs(t *testing.T) {
	const set = "[config-default]\nwebservice = default\nsenddigest = night\n"
	section := "senddigest-night"
	for _, c := range []struct {
		promise, data string
		want          []FileOption
	}{
		{"none named: nil", "[config-default]\n[senddigest-default]\nrate = 5\n", nil},
		{"none written: empty, not nil", set + "[senddigest-night]\n", []FileOption{}},
		{
			"in file order, names in lower case", set + "[senddigest-night]\nWorkers: 3 ; few\nrate = 5/s\n",
			[]FileOption{{"workers", "3", section, 5}, {"rate", "5/s", section, 6}},
		},
		{
			"the last of a name counts, where it stands", set + "[senddigest-night]\nrate = 5\nburst = 2\nRATE = 6\n",
			[]FileOption{{"burst", "2", section, 6}, {"rate", "6", section, 7}},
		},
		{
			"sections of one name merge", set + "[senddigest-night]\nrate = 5\n[smtp-on]\nport = 25\n[senddigest-night]\nburst = 2\n",
			[]FileOption{{"rate", "5", section, 5}, {"burst", "2", section, 9}},
		},
		{
			"an empty value is a value", set + "[senddigest-night]\nreport =\n",
			[]FileOption{{"report", "", section, 5}},
		},
		{
			"lines join", set + "[senddigest-night]\nonly = main/*\n  test/*\n",
			[]FileOption{{"only", "main/*\ntest/*", section, 5}},
		},
		{
			"DEFAULT is referred to, not merged", "[DEFAULT]\nhome = /srv\n" + set + "[senddigest-night]\nreport = %(home)s/%(name)s%%.json\nname = run\n",
			[]FileOption{{"report", "/srv/run%.json", section, 7}, {"name", "run", section, 8}},
		},
		{
			"a section may refer to its name", set + "[senddigest-night]\nreport = %(__name__)s.txt\n__name__ = x\n",
			[]FileOption{{"report", "x.txt", section, 5}},
		},
		{
			"the name of the section may be a reference", "[config-default]\nsenddigest = %(smtp)s\nsmtp = on\n[senddigest-on]\nrate = 5\n",
			[]FileOption{{"rate", "5", "senddigest-on", 5}},
		},
		{
			"what the web-service lacks is no matter", "[config-default]\nsenddigest = on\n[senddigest-on]\nrate = 5\n",
			[]FileOption{{"rate", "5", "senddigest-on", 4}},
		},
	} {
		t.Run(c.promise, func(t *testing.T) {
			got, err := optionsOf(c.data)
			if err != nil {
				t.Fatalf("got error %v, want %v", err, c.want)
			}
			if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
}

func TestEachProgramHasASectionOfItsOwn(t *testing.T) {
	f, err := Parse("gsconfig.ini", []byte("[config-default]\nsenddigest = night\nsendprofile = month\n"+
		"[senddigest-night]\nrate = 5\n[sendprofile-month]\nrate = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := f.Instance("default")
	if err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string][]FileOption{
		"senddigest":  {{"rate", "5", "senddigest-night", 5}},
		"sendprofile": {{"rate", "1", "sendprofile-month", 7}},
		"another":     nil,
	} {
		if got, err := set.Options(program); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", program, got, err, want)
		}
	}
}

func TestOptionsErrorNamesLineAndSection(t *testing.T) {
	const set = "[config-default]\nsenddigest = night\n"
	for _, c := range []struct{ promise, data, text, hint string }{
		{
			"named but missing", set,
			"line 2: [config-default] senddigest: names a section [senddigest-NAME] that is not in the file",
			`write in line 2 the NAME of a header "[senddigest-NAME]" of the file, or add that header`,
		},
		{
			"named in other capitals", set + "[senddigest-Night]\n",
			"line 2: [config-default] senddigest: names a section [senddigest-NAME] that is not in the file",
			"write in line 2 the same as in the header in line 3, which differs in capitals or blanks",
		},
		{
			"named in DEFAULT but missing", "[DEFAULT]\nsenddigest = night\n[config-default]\n",
			"line 2: [DEFAULT] senddigest: names a section [senddigest-NAME] that is not in the file",
			`write in line 2 the NAME of a header "[senddigest-NAME]" of the file, or add that header`,
		},
		{
			"bad percent in the name", "[config-default]\nsenddigest = 5%\n",
			`line 2: [config-default] senddigest: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
		{
			"bad percent in an option", set + "[senddigest-night]\nmax-failures = 5%\n",
			`line 4: [senddigest-night]: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
		{
			"a section named like a token", "[config-default]\nsenddigest = exampleToken123\n[senddigest-exampleToken123]\nrate = 5%\n",
			`line 4: [senddigest-NAME]: has a "%" that neither "%" nor "(NAME)s" follows`,
			`write "%%" for each percent sign`,
		},
	} {
		t.Run(c.promise, func(t *testing.T) {
			got, err := optionsOf(c.data)
			if got != nil {
				t.Errorf("got options %v with an error, want none", got)
			}
			e := wholeError(t, err)
			if got, want := e.Error(), "gsconfig.ini: "+c.text; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if e.Advice != c.hint {
				t.Errorf("got hint  %s\nwant hint %s", e.Advice, c.hint)
			}
		})
	}
}

// Rules of ConfigParser.py that no fixture shows; the wanted values are what Python 2.7.18 gave.
func TestTokenFollowsTheRulesOfConfigParser(t *testing.T) {
	const set = "[config-default]\nwebservice = default\n[webservice-default]\n"
	for _, c := range []struct{ promise, data, want string }{
		{"a semicolon in front looks at the end of the line", set + "token = ;x \n  abc\n", "\nabc"},
		{"no inline comment in a continuation", set + "token = abc\n def ; g\n", "abc\ndef ; g"},
		{"a comment does not end an option", set + "token = abc\n# no\nrem\n def\n", "abc\ndef"},
		{"rem ends at any blank", set + "token = abc\nREM\tno\n", "abc"},
		{"a name may begin with rem", "[x]\nremote = 1\n" + set + "token = abc\n", "abc"},
		{"the section's own name can be referred to", set + "token = %(__name__)s\n", "webservice-default"},
		{"the parser's own option may be written", set + "__NAME__ = abc\ntoken = %(__name__)s\n", "abc"},
		{"names in references in any case", "[DEFAULT]\n__name__ = no\ntoken = %(__NAME__)s\n" + set, "webservice-default"},
		{"a byte that is a blank only in Latin-1 stays", set + "token = abc\x85\xa0\n", "abc\x85\xa0"},
		{"capitals outside ASCII are other names", "[\xd6]\n\xd6 = 1\n\xf6 = 2\n" + set + "token = abc\n", "abc"},
		{"vertical tab is a blank", set + "token\v=\vabc\v\n", "abc"},
		{"a header ends at its first bracket", "[config-default]]\nwebservice = default\n[webservice-default]x]\ntoken = abc\n", "abc"},
		{"an option may begin with a bracket", "[x]\n[open = 1\n" + set + "token = abc\n", "abc"},
		{"percent signs and references mix", set + "token = %(__name__)s%%\n", "webservice-default%"},
	} {
		t.Run(c.promise, func(t *testing.T) {
			got, err := tokenOf("gsconfig.ini", "default", []byte(c.data))
			if err != nil || got != c.want {
				t.Errorf("got token %q, error %v, want %q", got, err, c.want)
			}
		})
	}
}

// deep returns options o0 to on, each naming the next one times times; the last is value.
func deep(n, times int, value string) string {
	var b strings.Builder
	b.WriteString("[config-default]\nsenddigest = x\n[senddigest-x]\n")
	for i := range n {
		fmt.Fprintf(&b, "o%d = %s\n", i, strings.Repeat(fmt.Sprintf("%%(o%d)s", i+1), times))
	}
	fmt.Fprintf(&b, "o%d = %s\n", n, value)
	return b.String()
}

func TestReferencesGoTenDeepAsInPython(t *testing.T) {
	for _, c := range []struct {
		promise string
		data    string
		want    string // "" for an error
	}{
		{"ten options with a percent sign", deep(9, 1, "%%"), "%"},
		{"eleven", deep(10, 1, "%%"), ""},
		{"a plain value at the end is not counted", deep(10, 1, "end"), "end"},
		{"but no more", deep(11, 1, "end"), ""},
	} {
		t.Run(c.promise, func(t *testing.T) {
			got, err := optionsOf(c.data)
			if c.want == "" {
				if e := wholeError(t, err); e.Line != 4 {
					t.Errorf("got line %d, want 4, where the chain begins", e.Line)
				}
				return
			}
			if err != nil || got[0].Value != c.want {
				t.Errorf("got %v, error %v, want %q", got, err, c.want)
			}
		})
	}
}

// Each input is as large as a file may be. Whatever is more than linear in it never ends.
func TestNoFileTakesLong(t *testing.T) {
	const set = "[config-default]\nsenddigest = x\nwebservice = x\n[webservice-x]\ntoken = abc\n[senddigest-x]\n"
	full := func(head, part string) string {
		return head + strings.Repeat(part, (maxFileSize-len(head)-2)/len(part)) + "\n"
	}
	numbered := func(head, format string) string {
		b := bytes.NewBufferString(head)
		for i := 0; b.Len() < maxFileSize-64; i++ {
			fmt.Fprintf(b, format, i)
		}
		return b.String()
	}
	for promise, data := range map[string]string{
		"references to nothing, ten deep":     deep(9, 2000, ""),
		"references to something, ten deep":   deep(9, 2000, "0123456789"),
		"references to percents, ten deep":    deep(9, 2000, "%%%%"),
		"a circle":                            set + "a = %(b)s%(b)s\nb = %(a)s%(a)s\n",
		"many references to a large value":    set + "a = " + strings.Repeat("%(b)s", 80_000) + "\nb = " + strings.Repeat("x", 500_000) + "\n",
		"one long line":                       full(set+"a = ", "x"),
		"one long name":                       full(set, "x"),
		"one long header":                     full(set+"[", "x"),
		"open brackets":                       full(set+"a = ", "%("),
		"percent signs":                       full(set+"a = ", "%%"),
		"a bad percent sign behind many":      full(set+"a = b\n", " %%\n") + "%",
		"continuations":                       full(set+"a = b\n", " c\n"),
		"the same section":                    full(set, "[x]\n"),
		"the same option":                     full(set, "a=\n"),
		"many sections":                       numbered(set, "[s%d]\n"),
		"many sets":                           numbered("", "[config-%d]\n"),
		"many options":                        numbered(set, "o%d=1\n"),
		"many options that refer to the next": numbered(set+"a = 1\n", "o%d=%%(a)s\n"),
		"nothing but zero bytes":              full("", "\x00"),
		"blanks before text":                  full("", " ") + "x",
	} {
		t.Run(promise, func(t *testing.T) {
			if len(data) > maxFileSize {
				t.Fatalf("got an input of %d bytes, want %d at most", len(data), maxFileSize)
			}
			f, err := Parse("gsconfig.ini", []byte(data))
			if err == nil {
				var s *Instance
				if s, err = f.Instance("default"); err == nil {
					_, _ = s.Token()
					_, err = s.Options("senddigest")
				}
			}
			if err != nil {
				wholeError(t, err)
			}
		})
	}
}

func TestNoVerbPrintsAToken(t *testing.T) {
	f, err := ReadFile(filepath.Join(fixtures, "installed.ini"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Instance("default")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal([]any{f, s})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{f, *f, s, *s, struct{ F File }{*f}, []*Instance{s}} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
	}
	for _, text := range texts {
		if strings.Contains(text, "exampleToken123") || strings.Contains(text, fmt.Sprintf("%x", "exampleToken123")) {
			t.Errorf("got %s, which holds the token", text)
		}
	}
}

func TestSectionNameLikeATokenIsNotShown(t *testing.T) {
	for _, c := range []struct {
		name string
		want bool
	}{
		{"", false},
		{"default", false},
		{"my service", false},
		{"groups-2016", false},
		{"internationalisation", true}, // long enough to be one by chance
		{"exampleToken123", true},
		{"x-exampleToken123", true},
		{"abcdefghijklmnopqrstuvwxyzabcdef", true},
		{"12345678901", false},
		{"postgres://u:pw@h/gs", true},
		{"a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h", true},
	} {
		if got := tokenLike(c.name); got != c.want {
			t.Errorf("tokenLike(%q): got %v, want %v", c.name, got, c.want)
		}
	}
}

// The token, put anywhere by mistake, is in no message. Every "@" of the input becomes a token, so that it
// also gets into two places at once, and one more is planted at the offset.
func FuzzParse(f *testing.F) {
	const secret = "q7Zk2mW9xT4bN8vR" // the shape of GroupServer's: random letters and digits

	for _, c := range loadFixtures(f) {
		for _, token := range []string{"exampleToken123", "otherToken456"} {
			f.Add(bytes.ReplaceAll(c.data, []byte(token), []byte("@")), len(c.data)/2)
		}
	}
	for _, data := range []string{
		"[config-default]\nwebservice = @\n[webservice-@]\ntoken = @\n@ = @\n",
		"[config-default]\nwebservice = %(@)s\n@ = 5%\nsenddigest = @\n[senddigest-@]\n@ = %(@)s\n",
		"[DEFAULT]\n@: @\n[config-default]\nwebservice = default\n[webservice-default]\ntoken = @\n  @ %\n",
		"[config-default]\ndatabase = @\n[database-@]\ndsn = @\n  @ %\n@ = @\n",
		"[DEFAULT]\ndsn = @%\n[config-default]\ndatabase = x@\n[database-x@]\n",
		"[@]\n@\n", "[@\n", " @", "@", "[config-@]\n", "%(@", "[config-default]\nsenddigest=@@\n[ senddigest-@@]\n",
	} {
		f.Add([]byte(data), len(data))
	}
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		if bytes.Contains(bytes.ToLower(data), []byte(strings.ToLower(secret))) {
			return
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		if at >= 0 && at < len(data) {
			data = slices.Insert(slices.Clone(data), at, '@')
		}
		data = bytes.ReplaceAll(data, []byte("@"), []byte(secret))

		silent := func(text string) {
			t.Helper()
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Fatalf("got %q, which holds the token", text)
			}
		}
		check := func(err error) {
			t.Helper()
			e := wholeError(t, err)
			silent(e.Error())
			silent(e.Advice)
			silent(fmt.Sprintf("%+v %#v", e, e))
			if e.Line < 0 || e.Line > lines {
				t.Fatalf("got line %d, want one of the %d", e.Line, lines)
			}
		}
		file, err := Parse("gsconfig.ini", data)
		if err != nil {
			check(err)
			return
		}
		s, err := file.Instance("default")
		if err != nil {
			check(err)
			return
		}
		silent(fmt.Sprintf("%+v %#v", file, *s))
		token, err := s.Token()
		switch {
		case err != nil && token != "":
			t.Fatalf("got token %q with error %v", token, err)
		case err != nil:
			check(err)
		case strings.Trim(token, space) == "":
			t.Fatalf("got a blank token %q, want an error", token)
		}
		options, err := s.Options("senddigest")
		if err != nil {
			check(err)
		}
		switch dsn, err := s.Database(); {
		case err != nil && dsn != "":
			t.Fatalf("got DSN %q with error %v", dsn, err)
		case err != nil:
			check(err)
		}
		for _, o := range options {
			silent(o.Section)
			if o.Name == "" || o.Line < 1 || o.Line > lines {
				t.Fatalf("got option %+v, want a name and one of the %d lines", o, lines)
			}
		}
	})
}
