package manual

import (
	"fmt"
	"strings"
)

// The help's columns: where texts begin behind a usage, an option and an exit code, and how wide it is where there is no
// terminal to ask.
const (
	usageColumn, optionColumn, codeColumn = 35, 8, 7
	noTerminal                            = 80
)

// Help is what --help of a command prints, the program's own by its name, with no line wider than columns where words allow.
func (p Program) Help(name string, columns int) string {
	if columns <= 0 {
		columns = noTerminal
	}
	c := p.Commands[0]
	for _, other := range p.Commands {
		if other.Name == name {
			c = other
		}
	}
	whole := c.Name == ""
	summary := p.Summary
	title := p.Name
	if !whole {
		title, summary = title+" "+c.Name, c.Summary
	}
	var b strings.Builder
	b.WriteString(wrap(title+" - "+summary, "", 0, columns) + "\nUSAGE\n")
	if whole {
		b.WriteString(wrap(p.Brief, "  "+c.Usage, usageColumn, columns))
		for _, other := range p.Commands[1:] {
			b.WriteString(wrap(other.Summary, "  "+other.Usage, usageColumn, columns))
		}
		b.WriteString("\n" + wrap(p.Arguments, "", 2, columns))
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
		b.WriteString("\n" + wrap(p.Sources, "", 2, columns) + "\nEXIT CODES\n")
		for _, code := range p.Codes {
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
