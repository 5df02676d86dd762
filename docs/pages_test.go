package docs_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/e2e/program"
	fleetprogram "github.com/groupserver/senddigest/internal/fleet/program"
	"github.com/groupserver/senddigest/internal/process"
)

// The pages for people: what they say to type is typed here. A code block is, by the word after its fence,
//
//	sh, or none where it is indented    commands, one a line
//	cron                                lines of a crontab
//	ini                                 settings: of the service, of gsconfig.ini, or of a systemd unit
//	text                                what a program prints; only the commands in it are typed
//
// A command ends with 0, unless a comment behind it says "# exits N". Whoever writes a command of a new kind teaches it
// to type.

func TestMain(m *testing.M) {
	if os.Args[0] == fleetName {
		os.Exit(command.Main(fleetprogram.New(), process.OS("")))
	}
	program.BeProgram()
	if err := os.Chdir(".."); err != nil { // the paths here are those of the project
		panic(err)
	}
	os.Exit(queue.Around(m).Run())
}

// A block is a code block of a page.
type block struct {
	page  string
	line  int
	kind  string
	lines []string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("docs/*.md")
	if err != nil || len(found) < 4 {
		t.Fatalf("pages: %v, %v", found, err)
	}
	return append(found, "README.md")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks parts a page into its code and its prose.
func blocks(page, text string) (code []block, prose string) {
	var open *block
	fenced, blank := false, true
	var rest strings.Builder
	for i, line := range strings.Split(text, "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		indented := !fenced && strings.HasPrefix(line, "    ")
		switch {
		case fence && fenced:
			open, fenced = nil, false
		case fence:
			code = append(code, block{page: page, line: i + 1, kind: cmp.Or(kind, "none")})
			open, fenced = &code[len(code)-1], true
		case fenced:
			open.lines = append(open.lines, line)
		case indented && open != nil:
			open.lines = append(open.lines, line[4:])
		case indented && blank:
			code = append(code, block{page: page, line: i + 1, kind: "sh", lines: []string{line[4:]}})
			open = &code[len(code)-1]
		default:
			open = nil
			rest.WriteString(line + "\n")
		}
		blank = line == ""
	}
	return code, rest.String()
}

// commands are the lines of a block that somebody would type.
func (b block) commands(t *testing.T) (commands []string) {
	t.Helper()
	crontab := regexp.MustCompile(`^(?:[0-9*/,-]+ ){5}(.+)$`)
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", " "), "\n") {
		switch b.kind {
		case "sh":
			commands = append(commands, line)
		case "text":
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "senddigest ") || strings.HasPrefix(line, "sendprofile ") {
				commands = append(commands, line)
			}
		case "cron":
			found := crontab.FindStringSubmatch(line)
			if found == nil {
				t.Errorf("%v: no line of a crontab: %s", b, line)
				continue
			}
			commands = append(commands, strings.ReplaceAll(found[1], `\%`, "%"))
		default:
			t.Errorf("%v: nobody knows what a block of %q is", b, b.kind)
		}
	}
	return commands
}

func TestWhatThePagesSayToTypeWorks(t *testing.T) {
	program.SkipIfShort(t)
	typed := 0
	done := map[string]bool{} // what several pages say is typed once
	for _, page := range pages(t) {
		code, prose := blocks(page, readText(t, page))
		if page != "docs/groupserver.md" { // there the commands are the Python script's
			for _, span := range spans(prose) {
				if strings.HasPrefix(span, "senddigest ") && strings.Contains(span, "://") ||
					strings.HasPrefix(span, "make ") || strings.HasPrefix(span, "go test ") {
					code = append(code, block{page: page, kind: "sh", lines: []string{span}})
				}
			}
		}
		for _, b := range code {
			d := &scribe{root: t.TempDir()}
			if b.kind == "ini" {
				typed++
				t.Run(b.String(), func(t *testing.T) { t.Parallel(); d.settings(t, b) })
				continue
			}
			commands := slices.DeleteFunc(b.commands(t), func(c string) bool { again := done[c]; done[c] = true; return again })
			typed += len(commands)
			t.Run(b.String(), func(t *testing.T) {
				t.Parallel()
				for _, c := range commands {
					d.typed(t, c)
				}
			})
		}
	}
	if typed < 50 {
		t.Errorf("only %d commands were found", typed)
	}
}

// A new command, a new kind of block and a wrong exit code do not pass unseen.
func TestWhatThePagesMayNotSayIsFound(t *testing.T) {
	program.SkipIfShort(t)
	for _, tt := range []struct{ name, command, fault string }{
		{"a command that nobody knows", "frobnicate --all", "nobody knows how to try frobnicate"},
		{"a target that is none", "make tea", "no target tea"},
		{"an option that is none", "senddigest --faster http://groups.example.com/", "ended with 64, want 0"},
		{"another exit code", "senddigest http://groups.example.com/ # exits 1: never", "ended with 0, want 1"},
		{"a unit that is none", "systemctl start senddigest.socket", "no such unit"},
		{"a test that is none", "go test -run NoSuchTest ./hooks", "no test NoSuchTest"},
		{"a command behind another", "make build && frobnicate", "nobody knows how to try frobnicate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &scribe{root: t.TempDir()}
			if err := d.try(t, tt.command); err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("got %v, want %s", err, tt.fault)
			}
		})
	}
}

func TestTheReadmeIsReadInThreeMinutes(t *testing.T) {
	_, prose := blocks("README.md", readText(t, "README.md"))
	words := 0
	for word := range strings.FieldsSeq(prose) {
		if strings.ContainsFunc(word, unicode.IsLetter) {
			words++
		}
	}
	if most := 3 * 250; words > most { // a minute for each 250
		t.Errorf("%d words besides code, want %d: what not everybody needs belongs into docs/", words, most)
	}
}

// spans are the pieces of code in running text.
func spans(prose string) (all []string) {
	for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(prose, -1) {
		all = append(all, strings.ReplaceAll(found[1], "\n", " "))
	}
	return all
}

func TestThePagesNameOnlyOptionsTestsAndFilesThatExist(t *testing.T) {
	known := map[string]bool{"--conf": true} // an abbreviation, which the script took
	for _, c := range slices.Concat(command.Senddigest().Manual().Commands, fleetprogram.New().Manual().Commands) {
		for _, o := range c.Options {
			for _, name := range o.Names {
				known["--"+name] = true
			}
		}
	}
	tests := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go", "*/*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(readText(t, file), -1) {
				tests[found[1]] = true
			}
		}
	}
	option := regexp.MustCompile(`(?:^|[\s(])(--[a-z][a-z-]+)`)
	link := regexp.MustCompile(`\]\(([^)#:]+)?(#[^)]+)?\)`)
	for _, page := range pages(t) {
		_, prose := blocks(page, readText(t, page))
		for _, span := range spans(prose) {
			if page == "docs/groupserver.md" || strings.HasPrefix(span, "systemctl ") {
				continue
			}
			for _, found := range option.FindAllStringSubmatch(span, -1) {
				if !known[found[1]] {
					t.Errorf("%s: %s is no option", page, found[1])
				}
			}
			if strings.HasPrefix(span, "Test") && !tests[span] {
				t.Errorf("%s: %s is no test", page, span)
			}
		}
		for _, found := range link.FindAllStringSubmatch(prose, -1) {
			file := page
			if found[1] != "" {
				file = filepath.Join(filepath.Dir(page), found[1])
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if found[2] != "" && !slices.Contains(anchors(readText(t, file)), found[2]) {
				t.Errorf("%s: %s has no heading %s", page, file, found[2])
			}
		}
	}
}

// anchors are what links to the headings of a page are called.
func anchors(text string) (all []string) {
	for _, found := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func TestThePageOfOptionsListsEveryOptionOfARun(t *testing.T) {
	var rows strings.Builder // the first column of its tables
	for line := range strings.Lines(readText(t, "docs/options.md")) {
		if cells := strings.Split(strings.ReplaceAll(line, `\|`, ""), "|"); len(cells) > 2 {
			rows.WriteString(cells[1])
		}
	}
	for _, o := range command.Senddigest().Manual().Commands[0].Options {
		for _, name := range o.Names {
			name = "-" + name
			if len(name) > 2 {
				name = "-" + name
			}
			if !regexp.MustCompile("[` ]" + name + "[` ,]").MatchString(rows.String()) {
				t.Errorf("docs/options.md has no row for %s", name)
			}
		}
	}
}

func TestOperatorsAreToldWhatToDoAboutEveryExitCodeAndOutcome(t *testing.T) {
	first := map[string]bool{} // words of the tables' first columns
	for line := range strings.Lines(readText(t, "docs/operators.md")) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for word := range strings.FieldsFuncSeq(cells[1], func(r rune) bool { return strings.ContainsRune(" `,", r) }) {
				first[word] = true
			}
		}
	}
	for _, code := range command.Senddigest().Manual().Codes {
		if !first[code.Term] {
			t.Errorf("no row for exit code %s", code.Term)
		}
	}
	for _, outcome := range dispatcher.Outcomes() {
		if outcome != dispatcher.Accepted && !first[outcome.String()] {
			t.Errorf("no row for %v", outcome)
		}
	}
}
