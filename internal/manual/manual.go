// Package manual writes what a packager ships beside a command-line program, from one description of it: the man page, and
// the completions for bash, zsh and fish; and what --help prints. It knows no program and no flag library.
package manual

import (
	"cmp"
	"slices"
	"strings"
)

// A Program is what there is to tell about a program.
type Program struct {
	Name     string
	Summary  string // a few words, as after the dash in "name - summary"
	Commands []Command
	// Of --help alone: what the command without a name does, what its arguments are, where else options come from.
	Brief, Arguments, Sources string
	Codes                     []Item    // exit codes
	Before                    []Section // between SYNOPSIS and OPTIONS
	After                     []Section // after EXIT STATUS
}

// A Command is the program itself, the first and with an empty name, or one of its commands.
type Command struct {
	Name    string
	Summary string
	Usage   string // "name [options] URL"
	Options []Option
}

// An Option is one option of a command.
type Option struct {
	Names    []string // without dashes: the first is what it is called, the others are aliases
	Arg      string   // what its value is called, "FILE" and "DIR" being files and directories; empty for a switch
	Values   []string // all that its value may be; nil: anything
	Default  string   // empty: none
	Usage    string
	Category string
	Repeat   bool // may be given several times
}

// A Section is a part of the man page: text, in paragraphs that an empty line parts, and then items.
type Section struct {
	Title string
	Text  string
	Items []Item
}

// An Item is something and what is to be said about it.
type Item struct{ Term, Text string }

// Dashed are the option's names as they are typed, short ones first.
func (o Option) Dashed() []string {
	var names []string
	for _, n := range o.Names {
		names = append(names, dash(n))
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(min(len(a), 3), min(len(b), 3)) })
	return names
}

func dash(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Form is how an option is typed: its names, short ones first and the option's own last, and what its value is called.
func (o Option) Form() string {
	names := slices.DeleteFunc(o.Dashed(), func(n string) bool { return n == dash(o.Names[0]) })
	form := strings.Join(append(names, dash(o.Names[0])), ", ")
	if o.Arg != "" {
		form += " " + o.Arg
	}
	return form
}

// Explained is the usage with the default.
func (o Option) Explained() string {
	if o.Default == "" {
		return o.Usage
	}
	return o.Usage + " (default: " + o.Default + ")"
}

// Brief is the usage up to where it goes into detail: a shell has one line for it.
func (o Option) Brief() string {
	text, _, _ := strings.Cut(o.Usage, "; ")
	return text
}
