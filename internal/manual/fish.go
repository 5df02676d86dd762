package manual

import (
	"fmt"
	"slices"
	"strings"
)

// Fish is the completion for fish.
func (p Program) Fish() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Completion of %[1]s for fish.\n\ncomplete -c %[1]s -f\n", p.Name)
	names := p.commandNames()
	none := "not __fish_seen_subcommand_from " + strings.Join(names, " ")
	for _, c := range p.Commands {
		if c.Name != "" {
			fmt.Fprintf(&b, "complete -c %s -n %s -a %s -d %s\n", p.Name, single(none), c.Name, single(c.Summary))
		}
	}
	for _, o := range p.all() {
		var where []string // the commands that have it
		for _, c := range p.Commands {
			if slices.ContainsFunc(c.Options, func(k Option) bool { return k.Names[0] == o.Names[0] }) {
				where = append(where, c.Name)
			}
		}
		fmt.Fprintf(&b, "complete -c %s", p.Name)
		switch {
		case len(where) == len(p.Commands):
		case where[0] == "" && len(where) == 1:
			fmt.Fprintf(&b, " -n %s", single(none))
		case where[0] == "":
			var others []string // those that have it not
			for _, name := range names {
				if !slices.Contains(where, name) {
					others = append(others, name)
				}
			}
			fmt.Fprintf(&b, " -n %s", single("not __fish_seen_subcommand_from "+strings.Join(others, " ")))
		default:
			fmt.Fprintf(&b, " -n %s", single("__fish_seen_subcommand_from "+strings.Join(where, " ")))
		}
		for _, name := range o.Names {
			kind := "-l"
			if len(name) == 1 {
				kind = "-s"
			}
			fmt.Fprintf(&b, " %s %s", kind, name)
		}
		switch {
		case o.Arg == "":
		case o.Values != nil:
			fmt.Fprintf(&b, " -x -a %s", single(strings.Join(o.Values, " ")))
		case o.Arg == "FILE":
			b.WriteString(" -r -F")
		case o.Arg == "DIR":
			b.WriteString(" -x -a '(__fish_complete_directories)'")
		default:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d %s\n", single(o.brief()))
	}
	return b.String()
}
