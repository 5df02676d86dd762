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
	known := map[string]cli.Flag{}
	add := func(flags []cli.Flag) {
		for _, f := range flags {
			for _, name := range f.Names() {
				known[name] = f
			}
		}
	}
	add(app.Flags)
	for _, c := range app.Commands {
		add(c.Flags)
	}

	var options, others []string
	option := func(f cli.Flag, value string, hasValue bool) {
		word := "--" + f.Names()[0] // the library takes no two names of one option
		if hasValue {
			word += "=" + value
		}
		options = append(options, word)
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		// value is what an option that needs one has behind it.
		value := func(name string) (string, error) {
			if i++; i >= len(args) {
				return "", &usageError{"option " + name + " needs a value", helpHint}
			}
			return args[i], nil
		}
		switch {
		case arg == "--":
			others = append(others, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(arg, "--"):
			name, text, hasValue := strings.Cut(arg[2:], "=")
			f, ok := known[name]
			if !ok || len(name) == 1 {
				return nil, unknown("--"+name, known, helpHint)
			}
			if !hasValue && takesValue(f) {
				var err error
				if text, err = value("--" + name); err != nil {
					return nil, err
				}
				hasValue = true
			}
			option(f, text, hasValue)
		case len(arg) > 1 && arg[0] == '-':
			for letters := arg[1:]; letters != ""; {
				name := letters[:1]
				letters = letters[1:]
				f, ok := known[name]
				switch {
				case !ok:
					return nil, unknown("-"+name, known, helpHint)
				case !takesValue(f) && strings.HasPrefix(letters, "="):
					option(f, letters[1:], true)
					letters = ""
				case !takesValue(f):
					option(f, "", false)
				case letters != "":
					option(f, strings.TrimPrefix(letters, "="), true)
					letters = ""
				default:
					text, err := value("-" + name)
					if err != nil {
						return nil, err
					}
					option(f, text, true)
				}
			}
		default:
			others = append(others, arg)
		}
	}
	var command []string
	if len(others) > 0 && app.Command(others[0]) != nil {
		command, others = others[:1], others[1:]
	}
	return slices.Concat(command, options, []string{"--"}, others), nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// unknown names the option that was meant, if there is one that begins alike.
func unknown(name string, known map[string]cli.Flag, helpHint string) error {
	e := &usageError{fmt.Sprintf("unknown option %s", name), helpHint}
	var alike []string
	for k := range known {
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
