package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange moves the command's name and all options before the other arguments. The Python script took options
// after the URL, and several short ones in one word ("-vi two"); the command-line library stops at the first
// argument and knows no such words.
func arrange(args []string, app *cli.App, helpHint string) ([]string, error) {
	a := arrangement{known: map[string]cli.Flag{}, left: args, helpHint: helpHint}
	for _, c := range app.Commands {
		a.know(c.Flags)
	}
	a.know(app.Flags) // of two options with one name, this one stands before the command
	var others []string
	for len(a.left) > 0 {
		arg := a.left[0]
		a.left = a.left[1:]
		var err error
		switch {
		case arg == "--":
			others, a.left = append(others, a.left...), nil
		case strings.HasPrefix(arg, "--"):
			err = a.long(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			err = a.short(arg[1:])
		default:
			others = append(others, arg)
			if c := app.Command(arg); c != nil && len(others) == 1 {
				a.know(c.Flags)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	var command []string
	if len(others) > 0 && app.Command(others[0]) != nil {
		command, others = others[:1], others[1:]
	}
	return slices.Concat(command, a.options, []string{"--"}, others), nil
}

// An arrangement is a command line that is being arranged.
type arrangement struct {
	known    map[string]cli.Flag // by each of their names
	left     []string            // the arguments that are still to be looked at
	options  []string            // as the library takes them
	helpHint string
}

func (a *arrangement) know(flags []cli.Flag) {
	for _, f := range flags {
		for _, name := range f.Names() {
			a.known[name] = f
		}
	}
}

// option takes an option in; the library takes no two names of one.
func (a *arrangement) option(f cli.Flag, value ...string) {
	a.options = append(a.options, strings.Join(append([]string{"--" + f.Names()[0]}, value...), "="))
}

// separate takes an option in whose value is the next argument.
func (a *arrangement) separate(f cli.Flag, name string) error {
	if len(a.left) == 0 {
		return &usageError{"option " + name + " needs a value", a.helpHint}
	}
	a.option(f, a.left[0])
	a.left = a.left[1:]
	return nil
}

// long takes --NAME, --NAME=VALUE or --NAME VALUE in, without its dashes.
func (a *arrangement) long(word string) error {
	name, text, hasValue := strings.Cut(word, "=")
	f, ok := a.known[name]
	switch {
	case !ok || len(name) == 1:
		return a.unknown("--" + name)
	case hasValue:
		a.option(f, text)
	case takesValue(f):
		return a.separate(f, "--"+name)
	default:
		a.option(f)
	}
	return nil
}

// short takes a word of short options in, without its dash: the last may have its value behind it, or as the next argument.
func (a *arrangement) short(letters string) error {
	for letters != "" {
		name := letters[:1]
		letters = letters[1:]
		f, ok := a.known[name]
		switch {
		case !ok:
			return a.unknown("-" + name)
		case !takesValue(f) && !strings.HasPrefix(letters, "="):
			a.option(f)
		case letters != "":
			a.option(f, strings.TrimPrefix(letters, "="))
			return nil
		default:
			return a.separate(f, "-"+name)
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// unknown names the option that was meant, if there is one that begins alike.
func (a *arrangement) unknown(name string) error {
	e := &usageError{fmt.Sprintf("unknown option %s", name), a.helpHint}
	var alike []string
	for k := range a.known {
		if bare := strings.TrimLeft(name, "-"); len(k) > 1 && len(bare) > 1 && strings.HasPrefix(k, bare) {
			alike = append(alike, "--"+k)
		}
	}
	slices.Sort(alike)
	if len(alike) > 0 {
		e.hint = "did you mean " + strings.Join(alike, " or ") + "?"
	}
	return e
}
