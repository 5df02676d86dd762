package manual

import (
	"fmt"
	"strings"
)

// Bash is the completion for bash. It needs nothing but bash itself, and never runs the program.
func (p Program) Bash() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Completion of %[1]s for bash.

_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word i
	# bash takes --option=value for three words.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
`, p.Name)
	if takers := p.takers(); len(takers) > 0 {
		fmt.Fprintf(&b, "\t\t%s)\n\t\t\t[[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))\n\t\t\t((i++))\n\t\t\t;;\n", strings.Join(takers, " | "))
	}
	b.WriteString("\t\t-*) ;;\n\t\t*)\n\t\t\tcommand=$word\n\t\t\tbreak\n\t\t\t;;\n\t\tesac\n\tdone\n\tCOMPREPLY=()\n")

	b.WriteString("\tcase $prev in\n")
	for _, o := range p.all() {
		if o.Arg == "" {
			continue
		}
		names := strings.Join(o.dashed(), " | ")
		switch {
		case o.Values != nil:
			fmt.Fprintf(&b, "\t%s)\n\t\tmapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n\t\treturn\n\t\t;;\n", names, strings.Join(o.Values, " "))
		case o.Arg == "FILE" || o.Arg == "DIR":
			action := map[string]string{"FILE": "-f", "DIR": "-d"}[o.Arg]
			fmt.Fprintf(&b, "\t%s)\n\t\tcompopt -o filenames 2>/dev/null\n\t\tmapfile -t COMPREPLY < <(compgen %s -- \"$cur\")\n\t\treturn\n\t\t;;\n", names, action)
		}
	}
	if takers := p.takers(); len(takers) > 0 {
		fmt.Fprintf(&b, "\t%s) return ;;\n", strings.Join(takers, " | "))
	}
	b.WriteString("\tesac\n")

	b.WriteString("\tif [[ $cur != -* ]]; then\n")
	if names := p.commandNames(); len(names) > 0 {
		fmt.Fprintf(&b, "\t\t[[ -n $command ]] || mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n", strings.Join(names, " "))
	}
	b.WriteString("\t\treturn\n\tfi\n\tcase $command in\n")
	for i := len(p.Commands) - 1; i >= 0; i-- { // the program itself comes last: it is what any other word means
		c := p.Commands[i]
		pattern := c.Name
		if c.Name == "" {
			pattern = "*"
		}
		var names []string
		for _, o := range c.Options {
			names = append(names, o.dashed()...)
		}
		fmt.Fprintf(&b, "\t%s) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\") ;;\n", pattern, strings.Join(names, " "))
	}
	fmt.Fprintf(&b, "\tesac\n}\n\ncomplete -F _%[1]s %[1]s\n", p.Name)
	return b.String()
}

// takers are the names of all options that have a value behind them.
func (p Program) takers() []string {
	var names []string
	for _, o := range p.all() {
		if o.Arg != "" {
			names = append(names, o.dashed()...)
		}
	}
	return names
}
