package command

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// The help's texts. The options come from the flags, so that they cannot differ from what is read.
const (
	sourcesHelp = `  Each option can also come from the environment (--max-failures as SENDDIGEST_MAX_FAILURES) and from the
  configuration file: "senddigest = NAME" in its set names the section [senddigest-NAME], with lines such as
  "max-failures = 10%%". The command line comes before the environment, the environment before the file. The
  token comes from the file alone.
`

	// One code a line: the man page takes these apart.
	codesHelp = `    0  every group was accepted, or left out on purpose, or there was none
    1  the run finished, and at least one group failed
   64  a bad option or URL, or nothing to --resume or --retry-failed; nothing was sent
   69  the site stopped answering, failed every send, or asked for too long a pause, and the run gave up
   70  a fault of the program itself, or of the machine, that is none of the others
   73  a report, the metrics, the journal or standard output could not be written; the digests went out all the same
   75  another run holds the lock, --require-fit, or the deadline, --max-duration or --max-failures left groups; run again
   76  the list of groups could not be had, or made no sense
   77  the site refused the token
   78  the configuration file, set, section or token is missing or wrong
  129  SIGHUP, with groups left
  130  SIGINT, with groups left
  143  SIGTERM, with groups left
`

	urlHelp = "URL is http[s]://host[:port][/prefix]. Options may stand before and after it."
)

// The help's columns: where texts begin behind a usage, an option and an exit code, and how wide it is where there is no
// terminal to ask.
const (
	usageColumn, optionColumn, codeColumn = 35, 8, 7
	noTerminal                            = 80
)

// setHelp has --help print our own text, which has nothing in it that the library's templates know.
func (p Program) setHelp(app *cli.App, columns int) {
	app.CustomAppHelpTemplate = p.help(p.Name, columns)
	for _, c := range app.Commands {
		c.CustomHelpTemplate = p.help(c.Name, columns)
	}
}

// help is what --help of a command prints, the program's own by its name, with no line wider than columns where words allow.
func (p Program) help(name string, columns int) string {
	m := p.Manual()
	c := m.Commands[0]
	for _, other := range m.Commands {
		if other.Name == name {
			c = other
		}
	}
	whole := c.Name == ""
	summary := m.Summary
	title := m.Name
	if !whole {
		title, summary = title+" "+c.Name, c.Summary
	}
	var b strings.Builder
	b.WriteString(wrap(title+" - "+summary, "", 0, columns) + "\nUSAGE\n")
	if whole {
		b.WriteString(wrap(p.text("send the digests of one GroupServer site"), "  "+c.Usage, usageColumn, columns))
		for _, other := range m.Commands[1:] {
			b.WriteString(wrap(other.Summary, "  "+other.Usage, usageColumn, columns))
		}
		b.WriteString("\n" + wrap(urlHelp, "", 2, columns))
	} else {
		b.WriteString("  " + c.Usage + "\n")
	}
	b.WriteString("\nOPTIONS\n")
	category := c.Options[0].Category
	for i, o := range c.Options {
		if i == 0 || o.Category != category {
			if i > 0 {
				b.WriteString("\n")
			}
			category = o.Category
			b.WriteString("  " + category + "\n")
		}
		b.WriteString("    " + o.Form() + "\n" + wrap(o.Explained(), "", optionColumn, columns))
	}
	if whole {
		b.WriteString("\n" + wrap(p.text(sourcesHelp), "", 2, columns) + "\nEXIT CODES\n")
		for _, code := range m.Codes {
			b.WriteString(wrap(code.Text, fmt.Sprintf("%5s", code.Term), codeColumn, columns))
		}
	}
	return b.String()
}

// wrap breaks a text into lines that begin at a column and end before another, behind a head in the first of them. A head
// that is too long for that has a line of its own, and so has a word.
func wrap(text, head string, from, to int) string {
	var b strings.Builder
	line := head
	if len(head) > from-2 && head != "" {
		b.WriteString(head + "\n")
		line = ""
	}
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > to {
			b.WriteString(line + "\n")
			line, empty = "", true
		}
		if empty {
			line += strings.Repeat(" ", from-len(line)) + word
		} else {
			line += " " + word
		}
		empty = false
	}
	b.WriteString(line + "\n")
	return b.String()
}

// columns is how wide the help may be: as the terminal that standard output is.
func (p Process) columns() int {
	w := p.Stdout
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return noTerminal
}
