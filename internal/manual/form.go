package manual

import (
	"embed"
	"slices"
	"strings"
	"text/template"
	"time"
)

// forms are the man page and the completions, to be filled in.
//
//go:embed form
var forms embed.FS

// Man is the man page of section 8, in the macros of man(7). version and date go into its foot.
func (p Program) Man(version string, date time.Time) string {
	return p.fill("man", struct {
		Program
		Version, Date string
		Options       []Option
		After         []Section
	}{
		p, version, date.UTC().Format(time.DateOnly), p.Commands[0].Options,
		append([]Section{{Title: "Exit status", Items: p.Codes}}, p.After...),
	})
}

// Bash is the completion for bash. It needs nothing but bash itself, and never runs the program.
func (p Program) Bash() string { return p.fill("bash", p) }

// Zsh is the completion for zsh, a file to autoload as _NAME.
func (p Program) Zsh() string { return p.fill("zsh", p) }

// Fish is the completion for fish.
func (p Program) Fish() string { return p.fill("fish", p) }

// fill fills a form in. It panics where the form does not fit, for it is a part of the program.
func (p Program) fill(form string, data any) string {
	t := template.Must(template.New(form).Funcs(template.FuncMap{
		"join": strings.Join, "upper": strings.ToUpper, "single": single, "escape": escape, "paragraphs": paragraphs,
		"all": p.all, "takers": p.takers, "commands": p.commandNames, "backward": p.backward,
		"where": p.where, "shared": p.shared, "own": p.own,
	}).ParseFS(forms, "form/"+form))
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		panic(err)
	}
	return b.String()
}

// commandNames are those of the commands, without the program itself.
func (p Program) commandNames() []string {
	var names []string
	for _, c := range p.Commands[1:] {
		names = append(names, c.Name)
	}
	return names
}

// backward are the commands, the program itself last: it is what any other word means.
func (p Program) backward() []Command {
	commands := slices.Clone(p.Commands)
	slices.Reverse(commands)
	return commands
}

// all are the options of all commands, each name once.
func (p Program) all() []Option {
	var options []Option
	for _, c := range p.Commands {
		for _, o := range c.Options {
			if !has(options, o) {
				options = append(options, o)
			}
		}
	}
	return options
}

// has reports whether one of the options is called as o is.
func has(options []Option, o Option) bool {
	return slices.ContainsFunc(options, func(k Option) bool { return k.Names[0] == o.Names[0] })
}

// takers are the names of all options that have a value behind them.
func (p Program) takers() []string {
	var names []string
	for _, o := range p.all() {
		if o.Arg != "" {
			names = append(names, o.Dashed()...)
		}
	}
	return names
}

// shared are the names of the options that a command has of the program's own.
func (p Program) shared(c Command) []string {
	var names []string
	for _, o := range c.Options {
		if has(p.Commands[0].Options, o) {
			names = append(names, dash(o.Names[0]))
		}
	}
	return names
}

// own are the options of a command that the program itself has not.
func (p Program) own(c Command) []Option {
	return slices.DeleteFunc(slices.Clone(c.Options), func(o Option) bool { return has(p.Commands[0].Options, o) })
}

// where is fish's condition for an option: the commands that have it. It is empty if all have.
func (p Program) where(o Option) string {
	var with, without []string
	for _, c := range p.Commands[1:] {
		if has(c.Options, o) {
			with = append(with, c.Name)
		} else {
			without = append(without, c.Name)
		}
	}
	switch {
	case !has(p.Commands[0].Options, o):
		return "__fish_seen_subcommand_from " + strings.Join(with, " ")
	case without != nil:
		return "not __fish_seen_subcommand_from " + strings.Join(without, " ")
	}
	return ""
}

// Specs are the option as zsh's _arguments wants it, once for each of its names.
func (o Option) Specs() []string {
	names := o.Dashed()
	before := "(" + strings.Join(names, " ") + ")"
	if o.Repeat {
		before = "*"
	} else if len(names) == 1 {
		before = ""
	}
	explained := "[" + strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(o.Brief()) + "]"
	action := " "
	switch {
	case o.Values != nil:
		action = "(" + strings.Join(o.Values, " ") + ")"
	case o.Arg == "FILE":
		action = "_files"
	case o.Arg == "DIR":
		action = "_files -/"
	}
	for i, name := range names {
		joint := "+"
		if strings.HasPrefix(name, "--") {
			joint = "="
		}
		if o.Arg == "" {
			names[i] = before + name + explained
		} else {
			names[i] = before + name + joint + explained + ":" + strings.ReplaceAll(o.Arg, ":", `\:`) + ":" + action
		}
	}
	return names
}

// single is text in single quotes, as all shells here read it.
func single(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// paragraphs are the parts of a text between empty lines; none of an empty one.
func paragraphs(text string) []string {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
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
