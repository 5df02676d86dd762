package gsconfig

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/groupserver/senddigest/internal/printable"
)

// What an Error may say
//
// The script's parser printed the line it could not read, token and all, and cron mailed it
// (docs/groupserver.md section 10, defect 8). A mistake can move the token anywhere: to a line without
// "=", to the place of a name, into a section header, between "%(" and ")s". The database's password can go
// the same ways. So an Error holds no line, no value and no option name of the file; the line number
// leads there. It may hold
//
//   - the path and the name of the set, which come from the command line;
//   - the option names token, webservice, dsn, database and the program's, because we look for them;
//   - the section names that the installer writes (installedSections);
//   - a section name that the file has twice, in the header and in the line that refers to it, unless it
//     has the shape of a token (tokenLike). Where that is so the name is left at NAME.

// An Error says what is wrong with the configuration file, where, and what to write there. It holds
// nothing that could be the token or a password.
type Error struct {
	File    string // path as it was given, or "" where none was
	Line    int    // counted from 1; 0 where no line is at fault
	Section string // without brackets, or ""
	Option  string // or ""
	Problem string // goes on where "[section] option:" ends
	Advice  string // what to write or do
	Err     error  // what the operating system said, or nil
}

// Error returns one line, such as "etc/gsconfig.ini: line 5: [webservice-default] token: is empty".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(printable.Line(e.File) + ": ")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	switch {
	case e.Section != "" && e.Option != "":
		fmt.Fprintf(&b, "[%s] %s: ", e.Section, e.Option)
	case e.Section != "":
		fmt.Fprintf(&b, "[%s]: ", e.Section)
	case e.Option != "":
		b.WriteString(e.Option + ": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Hint says what to write or do.
func (e *Error) Hint() string { return e.Advice }

// Unwrap returns what the operating system said, so that errors.Is(err, fs.ErrNotExist) works.
func (e *Error) Unwrap() error { return e.Err }

// installedSections are the sections that GroupServer's installer writes, and the parser's own one
// (docs/groupserver.md section 9): none of these names can be a token.
var installedSections = map[string]bool{
	"DEFAULT": true, "config-default": true, "webservice-default": true, "senddigest-default": true,
	"database-default": true, "smtp-on": true, "smtp-off": true, "cache-on": true, "cache-off": true,
}

// knownSection returns the name of a section that nothing has looked for, or "" if it must not be shown.
func knownSection(name string) string {
	if installedSections[name] {
		return name
	}
	return ""
}

// tokenLike reports whether name may be, or hold, a token put in the wrong place. GroupServer's tokens are
// up to 32 random letters and digits, so a long run of these gives one away; people's names for sections
// have blanks, hyphens, or are short. A DSN in the wrong place is known by its "://".
func tokenLike(name string) bool {
	const (
		longestShown = 64 // bytes; longer is no name anyone gave
		mixedRun     = 12 // letters and digits, at least one of each
		anyRun       = 20
	)
	if len(name) > longestShown || strings.Contains(name, "://") {
		return true
	}
	run, letters, digits := 0, 0, 0
	for i := range len(name) {
		switch c := name[i]; {
		case '0' <= c && c <= '9':
			run, digits = run+1, digits+1
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			run, letters = run+1, letters+1
		default:
			run, letters, digits = 0, 0, 0
		}
		if run >= anyRun || run >= mixedRun && letters > 0 && digits > 0 {
			return true
		}
	}
	return false
}

// lineList names some lines: "line 1", "lines 1 and 4", "lines 1, 4, 9 and more".
func lineList(lines []int) string {
	const shown = 3
	if len(lines) == 1 {
		return fmt.Sprintf("line %d", lines[0])
	}
	last := "more"
	if len(lines) <= shown {
		last = strconv.Itoa(lines[len(lines)-1])
		lines = lines[:len(lines)-1]
	} else {
		lines = lines[:shown]
	}
	words := make([]string, len(lines))
	for i, n := range lines {
		words[i] = strconv.Itoa(n)
	}
	return "lines " + strings.Join(words, ", ") + " and " + last
}
