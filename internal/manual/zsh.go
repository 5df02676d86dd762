package manual

import (
	"fmt"
	"strings"
)

// Zsh is the completion for zsh, a file to autoload as _NAME.
func (p Program) Zsh() string {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef %[1]s
# Completion of %[1]s for zsh.

_%[1]s() {
	local command word
	local -a commands options
`, p.Name)
	b.WriteString("\tcommands=(\n")
	for _, c := range p.Commands {
		if c.Name != "" {
			fmt.Fprintf(&b, "\t\t%s\n", single(c.Name+":"+c.Summary))
		}
	}
	b.WriteString("\t)\n\tfor word in ${words[2,CURRENT-1]}; do\n\t\tif (( ${commands[(I)$word:*]} )); then\n\t\t\tcommand=$word\n\t\t\tbreak\n\t\tfi\n\tdone\n")
	b.WriteString("\tcase $command in\n")
	for i := len(p.Commands) - 1; i >= 0; i-- {
		c := p.Commands[i]
		pattern := c.Name
		if c.Name == "" {
			pattern = "*"
		}
		fmt.Fprintf(&b, "\t%s)\n\t\toptions=(\n", pattern)
		for _, o := range c.Options {
			for _, spec := range o.zsh() {
				fmt.Fprintf(&b, "\t\t\t%s\n", single(spec))
			}
		}
		b.WriteString("\t\t)\n\t\t;;\n")
	}
	fmt.Fprintf(&b, "\tesac\n\t_arguments -s $options '1: :{_describe command commands || _urls}' '*: :_urls'\n}\n\n_%[1]s \"$@\"\n", p.Name)
	return b.String()
}

// zsh is the option as _arguments wants it, once for each of its names.
func (o Option) zsh() []string {
	names := o.dashed()
	before := "(" + strings.Join(names, " ") + ")"
	if o.Repeat {
		before = "*"
	} else if len(names) == 1 {
		before = ""
	}
	explained := "[" + strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(o.brief()) + "]"
	value := ""
	if o.Arg != "" {
		action := " "
		switch {
		case o.Values != nil:
			action = "(" + strings.Join(o.Values, " ") + ")"
		case o.Arg == "FILE":
			action = "_files"
		case o.Arg == "DIR":
			action = "_files -/"
		}
		value = ":" + strings.ReplaceAll(o.Arg, ":", `\:`) + ":" + action
	}
	var specs []string
	for _, name := range names {
		joint := ""
		switch {
		case o.Arg == "":
		case strings.HasPrefix(name, "--"):
			joint = "="
		default:
			joint = "+"
		}
		specs = append(specs, before+name+joint+explained+value)
	}
	return specs
}

// single is text in single quotes, as all shells here read it.
func single(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
