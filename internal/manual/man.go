package manual

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Man is the man page of section 8, in the macros of man(7). version and date go into its foot.
func (p Program) Man(version string, date time.Time) string {
	r := &roff{}
	title := strings.ToUpper(p.Name)
	fmt.Fprintf(r, ".TH \"%s\" \"8\" \"%s\" \"%s\" \"System Administration\"\n",
		escape(title), date.UTC().Format(time.DateOnly), escape(p.Name+" "+version))
	r.text(".nh\n.ad l\n") // names of options and paths are not to be taken apart
	r.section("NAME")
	r.text(escape(p.Name) + ` \- ` + escape(p.Summary) + "\n")
	r.section("SYNOPSIS")
	for i, c := range p.Commands {
		if i > 0 {
			r.text(".br\n")
		}
		name, rest, _ := strings.Cut(c.Usage, " ")
		r.text(`\fB` + escape(name) + `\fR ` + escape(rest) + "\n")
	}
	for _, s := range p.Before {
		r.whole(s)
	}
	for _, c := range p.Commands {
		r.options(p, c)
	}
	r.whole(Section{Title: "Exit status", Items: p.Codes})
	for _, s := range p.After {
		r.whole(s)
	}
	return r.String()
}

// roff is a page while it is written.
type roff struct{ strings.Builder }

func (r *roff) text(s string) { r.WriteString(s) }

func (r *roff) section(title string) { fmt.Fprintf(r, ".SH \"%s\"\n", escape(strings.ToUpper(title))) }

func (r *roff) whole(s Section) {
	r.section(s.Title)
	for i, paragraph := range strings.Split(strings.TrimSpace(s.Text), "\n\n") {
		if i > 0 {
			r.text(".PP\n")
		}
		if paragraph != "" {
			r.text(escape(paragraph) + "\n")
		}
	}
	for _, item := range s.Items {
		r.item(`\fB`+escape(item.Term)+`\fR`, item.Text)
	}
}

func (r *roff) item(term, text string) { fmt.Fprintf(r, ".TP\n%s\n%s\n", term, escape(text)) }

// options are those of a command: the program's own by category; of another command what the program has not, and the
// names of what it has.
func (r *roff) options(p Program, c Command) {
	if c.Name == "" {
		r.section("Options")
		for _, category := range categories(c.Options) {
			fmt.Fprintf(r, ".SS \"%s\"\n", escape(category))
			for _, o := range c.Options {
				if o.Category == category {
					r.option(o)
				}
			}
		}
		return
	}
	r.section("Command " + c.Name)
	r.text(`\fB` + escape(c.Usage) + `\fR: ` + escape(c.Summary) + ".\n")
	var shared []string
	for _, o := range c.Options {
		name := o.Names[0]
		if slices.ContainsFunc(p.Commands[0].Options, func(k Option) bool { return k.Names[0] == name }) {
			shared = append(shared, `\fB`+escape(dash(name))+`\fR`)
		}
	}
	if len(shared) > 0 {
		r.text(".PP\nIt takes these of the options above: " + strings.Join(shared, ", ") + ".\n")
	}
	for _, o := range c.Options {
		name := o.Names[0]
		if !slices.ContainsFunc(p.Commands[0].Options, func(k Option) bool { return k.Names[0] == name }) {
			r.option(o)
		}
	}
}

func (r *roff) option(o Option) {
	var names []string
	for _, name := range o.dashed() {
		name = `\fB` + escape(name) + `\fR`
		if o.Arg != "" {
			name += ` \fI` + escape(o.Arg) + `\fR`
		}
		names = append(names, name)
	}
	r.item(strings.Join(names, ", "), o.Explained())
}

// escape is text that roff prints as it is: hyphens that can be copied into a shell, backslashes, quotes, and lines that
// are no requests.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\(ga", `~`, `\(ti`, `^`, `\(ha`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}
