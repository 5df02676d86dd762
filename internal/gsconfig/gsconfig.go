// Package gsconfig reads GroupServer's own configuration file, gsconfig.ini, which holds the token and the database's DSN.
//
// It reads the file as the Python script read it: wherever the script found a token this package finds the
// same bytes, and wherever the script failed, or ended in a traceback, it returns an [Error] that says what
// to write in which line. No Error holds a line or a value of the file. The rules are in
// docs/groupserver.md section 9.
package gsconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groupserver/senddigest/internal/printable"
)

// maxFileSize bounds what is read, in bytes. The installer's file has less than one KiB; larger than this
// is another file named by mistake.
const maxFileSize = 1 << 20

// A File is a configuration file that could be parsed. Its contents are behind a pointer, so that no verb
// of fmt prints them.
type File struct {
	path string
	doc  *document
}

// ReadFile reads and parses the file at path. A failure is an *Error, and holds the absolute path too where
// path is relative: under cron the working directory is rarely the one that was meant.
func ReadFile(path string) (*File, error) {
	if path == "" {
		return nil, &Error{
			Problem: "the name of the configuration file is empty",
			Advice:  "name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini",
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, readError(path, err)
	}
	if info.IsDir() {
		return nil, &Error{
			File:    path,
			Problem: "is a directory" + tried(path),
			Advice:  "name the file in it: --config " + printable.Line(filepath.Join(path, "gsconfig.ini")),
		}
	}
	if !info.Mode().IsRegular() {
		// To open a pipe that nobody writes to would wait for ever. The script refused it too.
		return nil, &Error{
			File:    path,
			Problem: "is not a regular file" + tried(path),
			Advice:  "name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini",
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, readError(path, err)
	}
	file, err := Parse(path, data)
	if e, ok := errors.AsType[*Error](err); ok && e.Line == 0 {
		e.Problem += tried(path) // the file as a whole is wrong: empty, or far too large
	}
	return file, err
}

// readError makes an Error of what the operating system said of path.
func readError(path string, err error) *Error {
	e := &Error{
		File:    path,
		Problem: "cannot be read",
		Advice:  "name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini",
		Err:     err,
	}
	switch pathError, ok := errors.AsType[*fs.PathError](err); {
	case errors.Is(err, fs.ErrNotExist):
		e.Problem = "no such file"
	case errors.Is(err, fs.ErrPermission):
		e.Problem = "permission denied"
		e.Advice = "run the program as the user that GroupServer runs as, or let the user it runs as read the file " +
			"and the directories above it; not everyone, for the token is in it"
	case ok:
		e.Problem += ": " + pathError.Err.Error() // without the path, which comes first already
	}
	e.Problem += tried(path)
	return e
}

// tried returns the absolute path of a relative one, in brackets.
func tried(path string) string {
	if filepath.IsAbs(path) {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "" // the working directory is gone
	}
	return " (tried " + printable.Line(abs) + ")"
}

// Parse parses data, the contents of the file at path. A failure is an *Error. As in the script one
// unreadable line anywhere spoils the whole file.
func Parse(path string, data []byte) (*File, error) {
	if len(data) > maxFileSize {
		return nil, &Error{
			File:    path,
			Problem: fmt.Sprintf("is larger than %d KiB, so it is not GroupServer's configuration", maxFileSize>>10),
			Advice:  "name GroupServer's file with --config FILE, such as /opt/groupserver/etc/gsconfig.ini",
		}
	}
	text := string(data)
	if strings.Trim(text, space) == "" {
		return nil, &Error{
			File:    path,
			Problem: "is empty",
			Advice: `write a header "[config-default]" with "webservice = default" below it, ` +
				`and a header "[webservice-default]" with "token = TOKEN" below it`,
		}
	}
	doc, e := parseINI(text)
	if e != nil {
		e.File = path
		return nil, e
	}
	return &File{path, doc}, nil
}

// An Instance is one configuration set of a file: the section [config-NAME].
type Instance struct {
	file *File
	name string
	set  *section
}

// Instance finds the configuration set [config-NAME].
func (f *File) Instance(name string) (*Instance, error) {
	header := "config-" + name
	if set := f.doc.sections[header]; set != nil {
		return &Instance{f, name, set}, nil
	}
	header = printable.Line(header)
	is := finding{problem: "no such configuration set in the file"}
	var sets []int
	for _, s := range f.doc.order {
		if strings.HasPrefix(s.name, "config-") {
			sets = append(sets, s.line)
		}
	}
	near := f.doc.nearly("config-" + name)
	switch {
	case near > 0:
		is.hint = fmt.Sprintf(`write "[%s]" in line %d, where the header differs in capitals or blanks, `+
			"or name the set with --instance as it is written there", header, near)
	case len(sets) > 0:
		is.hint = fmt.Sprintf(`name a set of the file with --instance NAME: the headers "[config-NAME]" are in %s`, lineList(sets))
	default:
		is.hint = fmt.Sprintf(`write a header "[%s]" with "webservice = NAME" below it, and a header "[webservice-NAME]" `+
			`with "token = TOKEN" below it`, header)
	}
	return nil, f.fail(near, header, "", is)
}

// Token follows the set's "webservice = NAME" to the option token of [webservice-NAME]. The token is never
// empty or blank; it may hold any byte.
func (s *Instance) Token() (string, error) {
	token, found, err := s.only("webservice", `write "token = TOKEN" there, with the token that the site knows`)
	if err == nil && !found {
		return "", s.fail(s.set.line, s.label("config", s.name), "webservice", finding{
			"is missing",
			`write a line "webservice = NAME" there, naming the section [webservice-NAME] that holds the token`,
		})
	}
	return token, err
}

// Database follows the set's "database = NAME" to the option dsn of [database-NAME], which says where GroupServer's
// database is. It is empty where the set has no such line. It may hold a password.
func (s *Instance) Database() (dsn string, err error) {
	dsn, _, err = s.only("database", `write "dsn = postgres://USER:PASSWORD@HOST:PORT/DATABASE" there, as the installer did`)
	return dsn, err
}

// onlyOption is the one option that GroupServer allows in the sections of a kind.
var onlyOption = map[string]string{"webservice": "token", "database": "dsn"}

// only follows the set's "KIND = NAME" to the one option that the section [KIND-NAME] may have. Its value is never blank,
// unless the set has no such line. A hint says what to write where the option is missing or empty.
func (s *Instance) only(kind, hint string) (value string, found bool, err error) {
	option := onlyOption[kind]
	sect, label, err := s.follow(kind)
	if err != nil || sect == nil {
		return "", false, err
	}
	// gs.config hands out a section only if it knows every option in it, and for this one it knows no other.
	defaults := s.file.doc.defaults
	for _, o := range sect.order {
		if o.name != option {
			return "", false, s.fail(o.line(), label, "", finding{
				fmt.Sprintf("has an option other than %s, the only one that GroupServer allows", option),
				fmt.Sprintf(`write "#" in the first column to make the line a comment, or "%[1]s = %[2]s" if it was meant to be that; `+
					"if it is the rest of a %[1]s in the line above, join the two", option, strings.ToUpper(option)),
			})
		}
	}
	for _, o := range defaults.order {
		if o.name != option {
			return "", false, s.fail(o.line(), defaultSection, "", finding{
				fmt.Sprintf("has an option other than %s, the only one that GroupServer allows in [%s], which [DEFAULT] joins", option, label),
				"move the line to each section that needs it: options in [DEFAULT] join all sections",
			})
		}
	}
	o := sect.options[option]
	if o == nil {
		o = defaults.options[option]
	}
	if o == nil {
		return "", false, s.fail(sect.line, label, option, finding{"is missing", hint})
	}
	value, err = s.value(&expansion{own: sect, defaults: defaults}, o, label, option)
	if err != nil {
		return "", false, err
	}
	if strings.Trim(value, space) == "" {
		if o.in == defaults {
			label = defaultSection
		}
		return "", false, s.fail(o.line(), label, option, finding{"is empty", hint})
	}
	return value, true, nil
}

// A FileOption is an option of a program's own section.
type FileOption struct {
	Name    string // lower case
	Value   string // "%" filled in; lines joined with "\n"
	Section string // as an Error may show it
	Line    int
}

// Options follows the set's "PROGRAM = X" to [PROGRAM-X] and returns its options in the order of their lines,
// or nil if the set has no such line. What stands in [DEFAULT] was not written for us: it may be
// named by "%(name)s", but is no option here.
//
// A name or a value may be anything that somebody wrote into the wrong section, so whoever judges them
// does well to say the line, and the name only if it is one of ours.
func (s *Instance) Options(program string) ([]FileOption, error) {
	sect, label, err := s.follow(program)
	if err != nil || sect == nil {
		return nil, err
	}
	order := slices.Clone(sect.order)
	slices.SortFunc(order, func(a, b *option) int { return a.line() - b.line() })
	options := make([]FileOption, 0, len(order))
	x := &expansion{own: sect, defaults: s.file.doc.defaults}
	for _, o := range order {
		value, err := s.value(x, o, label, "")
		if err != nil {
			return nil, err
		}
		options = append(options, FileOption{o.name, value, label, o.line()})
	}
	return options, nil
}

// follow finds the section [KIND-NAME] for the set's "KIND = NAME", and what to call it in an Error. Without
// such an option the section is nil.
func (s *Instance) follow(kind string) (sect *section, label string, err error) {
	doc := s.file.doc
	set := s.label("config", s.name)
	o := s.set.options[kind]
	if o == nil {
		o = doc.defaults.options[kind]
	}
	if o == nil {
		return nil, "", nil
	}
	name, err := s.value(&expansion{own: s.set, defaults: doc.defaults}, o, set, kind)
	if err != nil {
		return nil, "", err
	}
	header := kind + "-" + name
	if sect = doc.sections[header]; sect != nil {
		return sect, s.label(kind, name), nil
	}
	if o.in == doc.defaults {
		set = defaultSection
	}
	// The name is left out: it is a value, and a token put here by mistake would look just like it.
	is := finding{
		problem: fmt.Sprintf("names a section [%s-NAME] that is not in the file", kind),
		hint:    fmt.Sprintf(`write in line %d the NAME of a header "[%s-NAME]" of the file, or add that header`, o.line(), kind),
	}
	if line := doc.nearly(header); line > 0 {
		is.hint = fmt.Sprintf("write in line %d the same as in the header in line %d, which differs in capitals or blanks", o.line(), line)
	} else if option := onlyOption[kind]; option != "" {
		is.hint += fmt.Sprintf(` with "%s = %s" below it`, option, strings.ToUpper(option))
	}
	return nil, "", s.fail(o.line(), set, kind, is)
}

// value fills in the "%" of o. In an Error the option shows as shown; a "%" in another option than o, which
// o refers to, shows as its line.
func (s *Instance) value(x *expansion, o *option, label, shown string) (string, error) {
	value, f := x.value(o)
	if f == nil {
		return value, nil
	}
	if f.at != o {
		shown = ""
	}
	if f.at.in == x.defaults {
		label = defaultSection
	}
	return "", s.fail(f.line, label, shown, f.finding)
}

// label returns a section's name for an Error; see "What an Error may say".
func (s *Instance) label(kind, name string) string {
	if name != s.name && tokenLike(name) {
		return kind + "-NAME"
	}
	return printable.Line(kind + "-" + name)
}

func (s *Instance) fail(line int, section, option string, is finding) error {
	return s.file.fail(line, section, option, is)
}

func (f *File) fail(line int, section, option string, is finding) error {
	e := f.doc.fail(line, section, is)
	e.File, e.Option = f.path, option
	return e
}
