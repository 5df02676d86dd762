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
func Manual() manual.Program {
	app := Process{}.app()
	m := manual.Program{
		Name: program, Summary: app.Usage, Before: manualBefore(), After: manualAfter(),
		Commands: []manual.Command{{Usage: app.UsageText, Options: describe(app.Flags)}},
	}
	for _, c := range app.Commands {
		m.Commands = append(m.Commands, manual.Command{Name: c.Name, Summary: c.Usage, Usage: c.UsageText, Options: describe(c.Flags)})
	}
	for line := range strings.Lines(codesHelp) {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		m.Codes = append(m.Codes, manual.Item{Term: code, Text: strings.TrimSpace(meaning)})
	}
	return m
}

// describe takes options back from the command-line library's form.
func describe(flags []cli.Flag) []manual.Option {
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
			o.Values = values(o)
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
func values(o manual.Option) []string {
	all := config.Flags()
	if i := slices.IndexFunc(all, func(f config.Flag) bool { return f.Name == o.Names[0] }); i >= 0 {
		return all[i].Values
	}
	if strings.Contains(o.Arg, "|") && strings.ToLower(o.Arg) == o.Arg {
		return strings.Split(o.Arg, "|")
	}
	return nil
}

func manualBefore() []manual.Section {
	return []manual.Section{{Title: "Description", Text: `
Sends the daily digests of a GroupServer site through its two web-hooks: it fetches the list of groups from one, and posts
to the other once for each group, with several sends in flight, bounded and paced. It reads every answer instead of
trusting its status, and ends with one report and an exit code. It is silent when every group was accepted.

URL is http[s]://host[:port][/prefix]. Options may stand before and after it. One run does all sites of an installation,
whichever of its host names the URL has, and only one run at a time can.

The first SIGINT, SIGTERM or SIGHUP starts nothing more and lets what is in flight end, for --grace at most; a second SIGINT
or SIGTERM cuts it. A SIGHUP that is ignored at the start, as nohup(1) has it, stays ignored.
SIGUSR1 prints one line that says how far the run is.`}}
}

func manualAfter() []manual.Section {
	return []manual.Section{
		{Title: "Environment", Text: strings.TrimSpace(sourcesHelp), Items: []manual.Item{
			{Term: config.EnvPrefix + "NAME", Text: "the option --name. Several values of a repeatable option are separated by commas."},
			{Term: "STATE_DIRECTORY, XDG_STATE_HOME", Text: "where journals and the lock are without --state-dir; systemd sets the first."},
			{Term: "NOTIFY_SOCKET", Text: "where a service manager is told of the start, the way and the end of a run, see sd_notify(3)."},
			{Term: "HTTP_PROXY, HTTPS_PROXY, NO_PROXY", Text: "the proxies to use, and the hosts that are reached without."},
		}},
		{Title: "Files", Items: []manual.Item{
			{Term: config.DefaultConfig, Text: "GroupServer's configuration file, which holds the token. If it is not in the working directory, it is looked for beside the program's own folder."},
			{Term: "~/.local/state/senddigest", Text: "the state directory: the lock, the journals of the last 30 runs, and what each group's send took."},
			{Term: "/etc/senddigest/NAME.conf", Text: "of the Debian package: the URL and the options of the service senddigest@NAME, as lines NAME=VALUE of an environment. /usr/share/doc/senddigest/examples/example.conf is one to begin with."},
			{Term: "/var/lib/senddigest", Text: "of the Debian package: the services' state directory."},
			{Term: "/var/log/senddigest/NAME.json, NAME.txt, NAME.prom", Text: "of the Debian package: the report and the metrics of the newest run of the service senddigest@NAME."},
		}},
		{Title: "Examples", Items: []manual.Item{
			{Term: "senddigest check https://groups.example.com/", Text: "sees whether a run can work, and sends nothing."},
			{Term: "senddigest --workers 4 --rate 600/m --deadline 06:00 https://groups.example.com/", Text: "has four sends in flight, starts ten a second at most, and none after six o'clock."},
			{Term: "senddigest --resume https://groups.example.com/", Text: "goes on with the run that was cut short."},
			{Term: "systemctl enable --now senddigest@example.timer", Text: "runs the package's service for /etc/senddigest/example.conf each night."},
		}},
		{Title: "See also", Text: "systemd.timer(5), crontab(5)"},
	}
}
