package command

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/manual"
	"github.com/urfave/cli/v2"
)

// Manual is what the man page and the shells' completions are made of: the definitions that --help shows.
func (p Program) Manual() manual.Program {
	app := command{program: p}.app()
	before, after := p.manual(p)
	m := manual.Program{
		Name: p.Name, Summary: app.Usage, Brief: p.text("send the digests of one GroupServer site"), Arguments: urlHelp, Sources: p.text(sourcesHelp),
		Before: before, After: after,
		Commands: []manual.Command{{Usage: app.UsageText, Options: p.describe(app.Flags)}},
	}
	for _, c := range app.Commands {
		m.Commands = append(m.Commands, manual.Command{Name: c.Name, Summary: c.Usage, Usage: c.UsageText, Options: p.describe(c.Flags)})
	}
	for line := range strings.Lines(p.text(codesHelp)) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		m.Codes = append(m.Codes, manual.Item{Term: code, Text: strings.TrimSpace(meaning)})
	}
	return m
}

// describe takes options back from the command-line library's form.
func (p Program) describe(flags []cli.Flag) []manual.Option {
	var options []manual.Option
	for _, f := range flags {
		d := f.(cli.DocGenerationFlag) // all of the library's are
		before, rest, quoted := strings.Cut(d.GetUsage(), "`")
		arg, after, _ := strings.Cut(rest, "`")
		o := manual.Option{Names: f.Names(), Usage: before + arg + after, Category: f.(cli.CategorizableFlag).GetCategory()}
		if d.TakesValue() {
			o.Arg, o.Default = "VALUE", d.GetDefaultText()
			if quoted {
				o.Arg = arg
			}
			if text, err := strconv.Unquote(o.Default); err == nil {
				o.Default = text
			}
			_, o.Repeat = f.(*cli.StringSliceFlag)
			o.Values = p.values(o)
		}
		options = append(options, o)
	}
	slices.SortStableFunc(options, func(a, b manual.Option) int { return cmp.Compare(rank(a), rank(b)) })
	return options
}

// rank is where an option's category stands: a command's own come first, those of all commands last.
func rank(o manual.Option) int {
	all := append(config.Categories(), catHelp)
	return slices.Index(all, o.Category)
}

// values are all that an option may have behind it, where that can be said: the table's, or those of a usage that calls
// its value `this|that`.
func (p Program) values(o manual.Option) []string {
	all := p.Flags
	if i := slices.IndexFunc(all, func(f config.Flag) bool { return f.Name == o.Names[0] }); i >= 0 {
		return all[i].Values
	}
	if strings.Contains(o.Arg, "|") && strings.ToLower(o.Arg) == o.Arg {
		return strings.Split(o.Arg, "|")
	}
	return nil
}

// setHelp has --help print our own text, which has nothing in it that the library's templates know.
func (p Program) setHelp(app *cli.App, columns int) {
	m := p.Manual()
	app.CustomAppHelpTemplate = m.Help(p.Name, columns)
	for _, c := range app.Commands {
		c.CustomHelpTemplate = m.Help(c.Name, columns)
	}
}
