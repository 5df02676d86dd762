package gsconfig

import (
	"fmt"
	"strings"
)

// The law of this file is Python 2.7's ConfigParser.py: RawConfigParser._read for lines, sections and
// options, SafeConfigParser._interpolate_some for "%". It is followed to the letter, also where it looks
// like a slip, because a token that works with the script must work here. Bytes are never decoded, and
// only "\n" ends a line.

const (
	// space is what Python 2.7's str.isspace and the \s of its patterns take for blank, in the C locale.
	space = " \t\n\r\v\f"

	// defaultSection is DEFAULTSECT: its options join every other section, and it is none itself.
	defaultSection = "DEFAULT"

	// selfName is an option that the parser itself gives every section: the name in its header. It shows
	// only in "%(__name__)s".
	selfName = "__name__"

	// maxDepth is MAX_INTERPOLATION_DEPTH.
	maxDepth = 10

	// maxExpansion bounds what "%(name)s" may add up to, in bytes. Python has no such bound: ten options
	// that each name the next one ten times give 10 GB.
	maxExpansion = 1 << 20
)

// A document is a parsed file.
type document struct {
	sections map[string]*section // without defaults
	order    []*section          // by first header
	defaults *section
	loneCR   bool // lines seem to end in "\r", which the parser does not take for a line end
}

// A section is all sections of one name, merged.
type section struct {
	name    string
	line    int // of the first header
	options map[string]*option
	order   []*option // as first written, without selfName
}

// An option is the last one of its name in a section.
type option struct {
	name  string // lower case
	value string // lines joined with "\n", before interpolation
	lines []int  // where each line of value stands; never empty
	in    *section
}

func (o *option) line() int { return o.lines[0] }

// lineAt returns the line of the file in which byte at of the value stands: the value has a "\n" just where
// a line was joined on.
func (o *option) lineAt(at int) int { return o.lines[strings.Count(o.value[:at], "\n")] }

func newSection(name string, line int) *section {
	return &section{name: name, line: line, options: map[string]*option{}}
}

// set replaces or adds an option; it keeps its first place, as an OrderedDict does.
func (s *section) set(name string, line int) *option {
	o := s.options[name]
	if o == nil {
		o = &option{name: name, in: s}
		s.options[name] = o
		if name != selfName {
			s.order = append(s.order, o)
		}
	}
	o.lines = []int{line}
	return o
}

// parseINI does what RawConfigParser._read does, but ends at the first line it cannot read. Its Error
// lacks the file.
func parseINI(text string) (*document, *Error) {
	d := &document{
		sections: map[string]*section{},
		defaults: newSection(defaultSection, 0),
		loneCR:   strings.Contains(text, "\r") && !strings.Contains(text, "\n"),
	}
	var (
		sect  *section // cursect
		opt   *option  // cursect[optname]
		parts []string // what opt.value will be made of
	)
	finish := func() {
		if opt != nil {
			opt.value = strings.Join(parts, "\n")
		}
		opt, parts = nil, nil
	}
	for n, rest := 1, text; rest != ""; n++ {
		var line string
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end+1], rest[end+1:]
		} else {
			line, rest = rest, ""
		}
		trimmed := strings.Trim(line, space)
		if trimmed == "" || isComment(line) {
			continue // and an indented line below still continues the option above
		}
		if isSpace(line[0]) && opt != nil {
			parts = append(parts, trimmed)
			opt.lines = append(opt.lines, n)
			continue
		}
		if name, ok := parseHeader(line); ok {
			finish() // no section begins with a continuation
			sect = d.open(name, n)
			continue
		}
		if sect == nil {
			return nil, d.fail(n, "", headless(line, n))
		}
		name, value, ok := parseOption(line)
		if !ok {
			return nil, d.fail(n, knownSection(sect.name), unreadable(line))
		}
		finish()
		opt, parts = sect.set(name, n), []string{value}
	}
	finish()
	return d, nil
}

// open finds or adds the section of a header.
func (d *document) open(name string, line int) *section {
	if name == defaultSection {
		if d.defaults.line == 0 {
			d.defaults.line = line
		}
		return d.defaults
	}
	s := d.sections[name]
	if s == nil {
		s = newSection(name, line)
		s.set(selfName, line).value = name
		d.sections[name] = s
		d.order = append(d.order, s)
	}
	return s
}

// nearly returns the line of a header that differs from name in capitals and blanks only, or 0.
func (d *document) nearly(name string) int {
	simple := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
	name = simple(name)
	for _, s := range d.order {
		if simple(s.name) == name {
			return s.line
		}
	}
	return 0
}

// A finding is the part of an Error that tells what is wrong and what to write.
type finding struct{ problem, hint string }

// fail makes an Error. Where no line ends as the parser wants, nothing else is worth saying.
func (d *document) fail(line int, section string, is finding) *Error {
	if d.loneCR {
		is.hint = `save the file with Unix line ends: its lines end in a lone carriage return, so it counts as one line`
	}
	return &Error{Line: line, Section: section, Problem: is.problem, Advice: is.hint}
}

// isComment reports whether _read passes over a line that is not blank: "#", ";" or the word rem, in the
// first column.
func isComment(line string) bool {
	switch line[0] {
	case '#', ';':
		return true
	case 'r', 'R':
		word := line
		if end := strings.IndexAny(line, space); end >= 0 {
			word = line[:end]
		}
		return asciiLower(word) == "rem"
	}
	return false
}

// parseHeader matches SECTCRE, `\[(?P<header>[^]]+)\]`. What follows the bracket is not looked at.
func parseHeader(line string) (name string, ok bool) {
	end := strings.IndexByte(line, ']')
	if line[0] != '[' || end < 2 {
		return "", false
	}
	return line[1:end], true
}

// parseOption matches OPTCRE, `(?P<option>[^:=\s][^:=]*)\s*(?P<vi>[:=])\s*(?P<value>.*)$`, and cuts the
// inline comment from the value.
func parseOption(line string) (name, value string, ok bool) {
	end := strings.IndexAny(line, ":=")
	if end < 1 || isSpace(line[0]) {
		return "", "", false
	}
	name = asciiLower(strings.TrimRight(line[:end], space))
	value = strings.TrimSuffix(strings.TrimLeft(line[end+1:], space), "\n")
	// Only the first ";" can begin a comment, and only after a blank. Before a ";" in front Python's
	// optval[pos-1] is the last byte of the value, so with "\r\n" line ends "token = ;x" is empty.
	if at := strings.IndexByte(value, ';'); at >= 0 {
		before := (at - 1 + len(value)) % len(value)
		if isSpace(value[before]) {
			value = value[:at]
		}
	}
	value = strings.Trim(value, space)
	if value == `""` {
		value = ""
	}
	return name, value, true
}

// headless returns why there is no section yet (Python: MissingSectionHeaderError).
func headless(line string, n int) finding {
	switch {
	case n == 1 && strings.HasPrefix(line, "\xef\xbb\xbf"):
		return finding{
			"a byte-order mark before the first character",
			"save the file as plain text without a byte-order mark (in some editors: UTF-8 without BOM)",
		}
	case n == 1 && (strings.HasPrefix(line, "\xff\xfe") || strings.HasPrefix(line, "\xfe\xff")):
		return finding{"UTF-16 text", "save the file as plain text (UTF-8 without a byte-order mark)"}
	case strings.Trim(line, space)[0] == '[':
		return badHeader(line)
	}
	return finding{
		"text before the first section header",
		`write a section header such as [config-default] above it, or "#" in the first column to make it a comment`,
	}
}

// unreadable returns why a line in a section is neither header, option, continuation nor comment (Python:
// ParsingError).
func unreadable(line string) finding {
	switch c := line[0]; {
	case strings.Trim(line, space)[0] == '[':
		return badHeader(line)
	case isSpace(c):
		return finding{
			"an indented line, but no option above it to continue",
			"begin the line in the first column, comments too",
		}
	case c == '=' || c == ':':
		return finding{
			fmt.Sprintf("no option name before the %q", string(c)),
			`write "NAME = VALUE", such as "token = TOKEN"`,
		}
	}
	return finding{
		`a line without "=" or ":"`,
		`write "NAME = VALUE", such as "token = TOKEN", or "#" in the first column to make it a comment; ` +
			"if it is the rest of the line above, join the two",
	}
}

// badHeader returns what is wrong with a line that was meant to be a section header.
func badHeader(line string) finding {
	switch {
	case isSpace(line[0]):
		return finding{"an indented section header", `begin it in the first column, such as "[config-default]"`}
	case strings.HasPrefix(line, "[]"):
		return finding{"a section header without a name", `write the name in the brackets, such as "[config-default]"`}
	}
	return finding{`a section header without its "]"`, `write it whole, such as "[config-default]"`}
}

// An expansion fills in the "%(name)s" of options, as SafeConfigParser does. Several options may share
// one, and then share its bound.
type expansion struct {
	own, defaults *section
	used          int // towards maxExpansion
}

// A fault is a "%" that cannot be filled in. The key between the brackets is not kept: in a token with a
// percent sign it is a part of the token.
type fault struct {
	finding
	at   *option // where it stands, perhaps in another option than the one asked for
	line int
}

// percentHint is the way out for whoever has a percent sign in a value, which is nearly everyone who meets
// interpolation here.
const percentHint = `write "%%" for each percent sign`

// value returns what SafeConfigParser.get returns for o.
func (x *expansion) value(o *option) (string, *fault) {
	var out strings.Builder
	if f := x.expand(&out, o, 1); f != nil {
		if f.at == nil {
			f.at, f.line = o, o.line()
		}
		return "", f
	}
	return out.String(), nil
}

// expand is _interpolate_some; it recurses maxDepth times at most. A fault without a place belongs to the
// option asked for: where a circle begins is arbitrary.
func (x *expansion) expand(out *strings.Builder, o *option, depth int) *fault {
	if depth > maxDepth {
		return &fault{finding: finding{
			fmt.Sprintf(`refers by "%%(NAME)s" to itself, or through more than %d options`, maxDepth),
			percentHint + `, or the value itself in place of "%(NAME)s"`,
		}}
	}
	for rest := o.value; rest != ""; {
		p := strings.IndexByte(rest, '%')
		if p < 0 {
			out.WriteString(rest)
			return nil
		}
		out.WriteString(rest[:p])
		rest = rest[p:]
		if strings.HasPrefix(rest, "%%") {
			out.WriteByte('%')
			rest = rest[2:]
			continue
		}
		at := len(o.value) - len(rest)
		name, length, ok := parseReference(rest)
		if !ok {
			return &fault{finding{`has a "%" that neither "%" nor "(NAME)s" follows`, percentHint}, o, o.lineAt(at)}
		}
		rest = rest[length:]
		to := x.own.options[name]
		if to == nil {
			to = x.defaults.options[name]
		}
		if to == nil {
			return &fault{finding{
				`refers by "%(NAME)s" to an option that is neither in its section nor in [DEFAULT]`,
				percentHint,
			}, o, o.lineAt(at)}
		}
		// A reference costs one even if it stands for nothing, so that a tree of empty ones ends too.
		if x.used += len(to.value) + 1; x.used > maxExpansion {
			return &fault{finding: finding{
				fmt.Sprintf(`grows beyond %d KiB when each "%%(NAME)s" is filled in`, maxExpansion>>10),
				percentHint + `, or the value itself in place of "%(NAME)s"`,
			}}
		}
		if !strings.Contains(to.value, "%") {
			out.WriteString(to.value)
			continue
		}
		if f := x.expand(out, to, depth+1); f != nil {
			return f
		}
	}
	return nil
}

// parseReference matches `%\(([^)]+)\)s`.
func parseReference(s string) (name string, length int, ok bool) {
	end := strings.IndexByte(s, ')')
	if !strings.HasPrefix(s, "%(") || end < 3 || !strings.HasPrefix(s[end:], ")s") {
		return "", 0, false
	}
	return asciiLower(s[2:end]), end + 2, true
}

func isSpace(c byte) bool { return strings.IndexByte(space, c) >= 0 }

// asciiLower is str.lower in the C locale: strings.ToLower would change Latin-1 bytes.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
