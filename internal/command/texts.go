package command

import (
	"strings"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/manual"
)

// signalsManual is the same for every program.
const signalsManual = `
The first SIGINT, SIGTERM or SIGHUP starts nothing more and lets what is in flight end, for --grace at most; a second SIGINT
or SIGTERM cuts it. A SIGHUP that is ignored at the start, as nohup(1) has it, stays ignored.
SIGUSR1 prints one line that says how far the run is.`

func digestManual(p Program) (before, after []manual.Section) {
	before = []manual.Section{{Title: "Description", Text: `
Sends the daily digests of a GroupServer site through its two web-hooks: it fetches the list of groups from one, and posts
to the other once for each group, with several sends in flight, bounded and paced. It reads every answer instead of
trusting its status, and ends with one report and an exit code. It is silent when every group was accepted.

URL is http[s]://host[:port][/prefix]. Options may stand before and after it. One run does all sites of an installation,
whichever of its host names the URL has, and only one run at a time can.
` + signalsManual}}
	after = []manual.Section{
		p.environmentManual(),
		{Title: "Files", Items: append(p.filesManual(), []manual.Item{
			{Term: "/etc/senddigest/NAME.conf", Text: "of the Debian package: the URL and the options of the service senddigest@NAME, as lines NAME=VALUE of an environment. /usr/share/doc/senddigest/examples/example.conf is one to begin with."},
			{Term: "/var/lib/senddigest", Text: "of the Debian package: the services' state directory."},
			{Term: "/var/log/senddigest/NAME.json, NAME.txt, NAME.prom", Text: "of the Debian package: the report and the metrics of the newest run of the service senddigest@NAME."},
		}...)},
		{Title: "Examples", Items: []manual.Item{
			{Term: "senddigest check https://groups.example.com/", Text: "sees whether a run can work, and sends nothing."},
			{Term: "senddigest --workers 4 --rate 600/m --deadline 06:00 https://groups.example.com/", Text: "has four sends in flight, starts ten a second at most, and none after six o'clock."},
			{Term: "senddigest --resume https://groups.example.com/", Text: "goes on with the run that was cut short."},
			{Term: "senddigest --listen 127.0.0.1:8377 https://groups.example.com/", Text: "shows the run in a browser of this machine while it goes."},
			{Term: "senddigest report --serve", Text: "shows the runs that are kept in a browser."},
			{Term: "systemctl enable --now senddigest@example.timer", Text: "runs the package's service for /etc/senddigest/example.conf each night."},
		}},
		{Title: "See also", Text: "sendprofile(8), systemd.timer(5), crontab(5)"},
	}
	return before, after
}

func profileManual(p Program) (before, after []manual.Section) {
	before = []manual.Section{{Title: "Description", Text: `
Sends the monthly profile-status notifications of a GroupServer site through its two web-hooks: it fetches the list of people
from one, and posts to the other once for each of them, one after the other unless --workers says more. It reads every answer
instead of trusting its status, and ends with one report and an exit code. It is silent when everybody was accepted, or left
out by the site: for want of a verified address or of activity this month, or because the person wants no notifications.

The site does not notice when it is asked twice, and mails twice. So what may have been mailed is never repeated: not by the
run itself, and neither with --resume nor with --retry-failed. A run that is begun anew mails everybody again.

The ids of people's profiles are personal data. They are in the report and the journal, which are for their owner alone.

URL is http[s]://host[:port][/prefix]. Options may stand before and after it. One run does all sites of an installation,
whichever of its host names the URL has, and only one run at a time can. It may go on beside one of senddigest(8).
` + signalsManual}}
	after = []manual.Section{
		p.environmentManual(),
		{Title: "Files", Items: append(p.filesManual(), []manual.Item{
			{Term: "/etc/sendprofile/NAME.conf", Text: "of the Debian package: the URL and the options of the service sendprofile@NAME, as lines NAME=VALUE of an environment. /usr/share/doc/senddigest/examples/profile.conf is one to begin with."},
			{Term: "/var/lib/senddigest", Text: "of the Debian package: the services' state directory."},
			{Term: "/var/log/senddigest/profile-NAME.json, profile-NAME.txt, profile-NAME.prom", Text: "of the Debian package: the report and the metrics of the newest run of the service sendprofile@NAME."},
		}...)},
		{Title: "Examples", Items: []manual.Item{
			{Term: "sendprofile check https://groups.example.com/", Text: "sees whether a run can work, and sends nothing."},
			{Term: "sendprofile -t1 https://groups.example.com/", Text: "rests for a second after each notification, as the line of the script's crontab has it."},
			{Term: "sendprofile --resume https://groups.example.com/", Text: "goes on with the run that was cut short."},
			{Term: "systemctl enable --now sendprofile@example.timer", Text: "runs the package's service for /etc/sendprofile/example.conf on the first Wednesday of each month."},
		}},
		{Title: "See also", Text: "senddigest(8), systemd.timer(5), crontab(5)"},
	}
	return before, after
}

func (p Program) environmentManual() manual.Section {
	return manual.Section{Title: "Environment", Text: strings.TrimSpace(p.text(sourcesHelp)), Items: []manual.Item{
		{Term: p.EnvPrefix() + "NAME", Text: "the option --name. Several values of a repeatable option are separated by commas."},
		{Term: "STATE_DIRECTORY, XDG_STATE_HOME", Text: "where journals and the lock are without --state-dir; systemd sets the first."},
		{Term: "NOTIFY_SOCKET", Text: "where a service manager is told of the start, the way and the end of a run, see sd_notify(3)."},
		{Term: "HTTP_PROXY, HTTPS_PROXY, NO_PROXY", Text: "the proxies to use, and the hosts that are reached without."},
	}}
}

func (p Program) filesManual() []manual.Item {
	text := "the state directory: the lock, the journals of the last 30 runs"
	if p.Has("guard-wait") {
		text += ", and what each group's send took"
	}
	return []manual.Item{
		{Term: config.DefaultConfig, Text: "GroupServer's configuration file, which holds the token. If it is not in the working directory, it is looked for beside the program's own folder."},
		{Term: "~/.local/state/senddigest", Text: text + "."},
	}
}

// The help's texts. The options come from the flags, so that they cannot differ from what is read.
const (
	sourcesHelp = `  Each option can also come from the environment (--max-failures as SENDDIGEST_MAX_FAILURES) and from the
  configuration file: "senddigest = NAME" in its set names the section [senddigest-NAME], with lines such as
  "max-failures = 10%%". The command line comes before the environment, the environment before the file. The
  token comes from the file alone.
`

	// One code a line: the man page takes these apart.
	codesHelp = `    0  every group was accepted, or left out on purpose, or there was none
    1  the run finished, and at least one group failed
   64  a bad option or URL, or nothing to --resume or --retry-failed; nothing was sent
   69  the site stopped answering, failed every send, or asked for too long a pause, and the run gave up
   70  a fault of the program itself, or of the machine, that is none of the others
   73  a report, the metrics, the journal or standard output could not be written; the digests went out all the same
   75  another run holds the lock, --require-fit, or the deadline, --max-duration, --max-failures or control left groups; run again
   76  the list of groups could not be had, or made no sense
   77  the site refused the token
   78  the configuration file, set, section or token is missing or wrong
  129  SIGHUP, with groups left
  130  SIGINT, with groups left
  143  SIGTERM, with groups left
`

	urlHelp = "URL is http[s]://host[:port][/prefix]. Options may stand before and after it."
)
