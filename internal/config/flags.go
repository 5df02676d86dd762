package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/ratelimit"
)

// A Flag is one option of the command line, the environment and the configuration file: one table, so that the
// three cannot differ.
type Flag struct {
	Name     string
	Aliases  []string
	Arg      string   // what --help calls its value; empty for a switch
	Values   []string // all that the value may be; nil: what set takes
	Default  string   // as a user would write it; empty: none
	Usage    string
	Category string
	Repeat   bool // may be given several times
	Lines    bool // .. and several values in one are on lines of their own, since commas belong to them
	NotFile  bool // may not stand in the configuration file: it says which file
	Secret   bool // its value is not to be printed, see Shown
	set      func(*Settings, string) error
	onLine   func(string) error // what speaks against a value that set took, on the command line alone; nil: nothing

	digest bool // it means something to the digests alone
}

// Shown is what a command that is proposed may show of a value: all of it, of a header its name, of a DSN all if it has no
// password, of any other secret nothing, which is empty.
func (f Flag) Shown(value string) string {
	if !f.Secret {
		return value
	}
	if f.Name == "ledger" || f.Name == "queue-dsn" {
		return shownLedger(value)
	}
	if name, _, found := strings.Cut(value, ":"); found && f.Name == "header" {
		return name + ":" + hidden
	}
	return ""
}

// hidden stands for a secret. No header has this value, so that a command that was copied with it is refused.
const hidden = "…"

// Categories of --help.
const (
	catFirst  = "First of all"
	catPace   = "Pace"
	catState  = "Earlier runs"
	catOutput = "Output"
	catGroups = "Which groups"
	catStop   = "When to stop"
	catSite   = "Site and connection"
)

// Categories are the categories of the flags in the order of need, which is that of --help.
func Categories() []string {
	return []string{catFirst, catFleet, catPace, catState, catOutput, catGroups, catStop, catSite}
}

// DefaultMaxWorkers bounds what --workers auto may find. More threads than that no GroupServer has.
const DefaultMaxWorkers = 16

// DefaultConfig is where the Python script looked for the token.
const DefaultConfig = "etc/gsconfig.ini"

// flags lists every option, in the order in which a proposed command has them. [Categories] is the order of --help.
func flags() []Flag {
	orders, formats, levels := []string{"auto", "name", "longest", "mixed"}, []string{"text", "json"}, []string{"debug", "info", "warn", "error"}
	return []Flag{
		{
			Name: "config", Aliases: []string{"c"}, Arg: "FILE", Default: DefaultConfig, Category: catFirst, NotFile: true,
			Usage: "GroupServer's configuration `FILE`, which holds the token",
			set:   func(s *Settings, v string) error { s.Config = v; return nil },
		},
		{
			Name: "instance", Aliases: []string{"i"}, Arg: "NAME", Default: "default", Category: catFirst, NotFile: true,
			Usage: "`NAME` of the configuration set in it",
			set:   func(s *Settings, v string) error { s.Instance = v; return nil },
		},
		{
			Name: "cacert", Arg: "FILE", Category: catSite,
			Usage: "trust the authorities in this PEM `FILE` as well",
			set:   func(s *Settings, v string) error { s.CACert = v; return nil },
		},
		{
			Name: "insecure", Aliases: []string{"k"}, Category: catSite,
			Usage: "do not verify the site's certificate: anybody on the way can read the token",
			set:   switchTo(func(s *Settings) *bool { return &s.Insecure }),
		},
		{
			Name: "header", Arg: "NAME:VALUE", Repeat: true, Lines: true, Secret: true, Category: catSite,
			Usage: "send the header `NAME:VALUE` with every request to the site, such as InstanceId:groups; repeatable",
			set:   header,
		},
		{
			Name: "workers", Aliases: []string{"w", "jobs", "j"}, Arg: "N|auto", Default: "auto", Category: catFirst,
			Usage: "at most `N|auto` sends in flight; auto begins with one and finds what the site bears while its pages stay quick",
			set: func(s *Settings, v string) error {
				if s.Auto = v == "auto"; s.Auto {
					return nil
				}
				if whole(1, maxWorkers, func(s *Settings) *int { return &s.Workers })(s, v) != nil {
					return problem(fmt.Sprintf("is neither a whole number from 1 to %d nor auto", maxWorkers))
				}
				return nil
			},
		},
		{
			Name: "max-workers", Arg: "N", Default: strconv.Itoa(DefaultMaxWorkers), Category: catPace,
			Usage: "with --workers auto: at most `N` sends in flight",
			set:   whole(1, maxWorkers, func(s *Settings) *int { return &s.MaxWorkers }),
		},
		{
			Name: "canary", Arg: "URL|none", Category: catPace,
			Usage: "with --workers auto: a light page at `URL|none` tells what visitors wait; without it the site's front page does, with none no page",
			set: func(s *Settings, v string) error {
				if v != "none" {
					if u, err := url.Parse(v); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
						return problem("is neither the http or https URL of a page nor none")
					}
				}
				s.Canary = v
				return nil
			},
		},
		{
			Name: "rate", Aliases: []string{"r"}, Arg: "RATE", Default: "0", Category: catPace,
			Usage: "start at most `RATE` sends, such as 10 (per second), 600/m or 0.5/h; 0: no limit",
			set: func(s *Settings, v string) (err error) {
				s.Rate, err = ratelimit.ParseRate(v)
				if e, ok := errors.AsType[*ratelimit.RateError](err); ok {
					return problem(e.Problem)
				}
				return err
			},
		},
		{
			Name: "burst", Arg: "N", Default: "1", Category: catPace,
			Usage: "with --rate, let `N` sends start at once after a lull",
			set:   whole(1, maxBurst, func(s *Settings) *int { return &s.Burst }),
		},
		{
			Name: "throttle", Aliases: []string{"t"}, Arg: "SECONDS", Default: "0", Category: catPace,
			Usage: "each worker rests for `SECONDS` after a send that the site had something to do for",
			set:   seconds(func(s *Settings) *time.Duration { return &s.Throttle }),
		},
		{
			Name: "timeout", Arg: "TIME", Default: "4m", Category: catPace,
			Usage: "give up on an answer after `TIME`; the server may still go on",
			set:   duration(func(s *Settings) *time.Duration { return &s.Timeout }),
		},
		{
			Name: "connect-timeout", Arg: "TIME", Default: "10s", Category: catPace,
			Usage: "give up on connecting after `TIME`",
			set:   duration(func(s *Settings) *time.Duration { return &s.ConnectTimeout }),
		},
		{
			Name: "retries", Arg: "N", Default: "2", Category: catPace,
			Usage: "try a send up to `N` times more that provably mailed nothing; 0: never",
			set:   whole(0, maxRetries, func(s *Settings) *int { return &s.Retries }),
		},
		{
			Name: "only", Arg: "PATTERN", Repeat: true, Category: catGroups, digest: true,
			Usage: "send only to groups that match `PATTERN`, SITE/GROUP with shell wildcards; repeatable",
			set:   patterns(func(s *Settings) *[]campaign.Pattern { return &s.Only }),
		},
		{
			Name: "exclude", Arg: "PATTERN", Repeat: true, Category: catGroups, digest: true,
			Usage: "leave out groups that match `PATTERN`, even those of --only; repeatable",
			set:   patterns(func(s *Settings) *[]campaign.Pattern { return &s.Exclude }),
		},
		{
			Name: "skip-idle", Category: catGroups, digest: true,
			Usage: "leave out groups that by GroupServer's database have nothing to mail, at any time until an hour after the expected end of the run",
			set:   switchTo(func(s *Settings) *bool { return &s.SkipIdle }),
		},
		{
			Name: "order", Arg: "ORDER", Values: orders, Default: "auto", Category: catGroups, digest: true,
			Usage: "`ORDER` of the sends: name is by site and group, longest begins with those that took longest in past runs, mixed with both ends of that; auto is longest where past runs tell",
			set:   oneOf(func(s *Settings, v string) { s.Order = schedule.Order(v) }, orders...),
		},
		{
			Name: "max-heavy", Arg: "N|P%", Category: catPace, digest: true,
			Usage: "have at most `N|P%` of the sends in flight on the heaviest twentieth of the groups while lighter ones are left; without it half of them",
			set: func(s *Settings, v string) (err error) {
				s.MaxHeavy, err = campaign.ParseShare(v)
				return err
			},
		},
		{
			Name: "dry-run", Aliases: []string{"n"}, Category: catFirst,
			Usage: "print the groups in the order of the sends, and send nothing",
			set:   switchTo(func(s *Settings) *bool { return &s.DryRun }),
		},
		{
			Name: "give-up-after", Arg: "TIME", Default: "15m", Category: catStop,
			Usage: "end the run when the site has given no list of groups, no answer, or errors alone for `TIME`, or asks for a longer pause; 0: never",
			set:   duration(func(s *Settings) *time.Duration { return &s.GiveUpAfter }),
		},
		{
			Name: "grace", Arg: "TIME", Category: catStop,
			Usage: "let what is in flight go on for `TIME` after a signal or another stop, then cut it; without it, for that of --timeout",
			set:   duration(func(s *Settings) *time.Duration { return &s.Grace }),
		},
		{
			Name: "max-duration", Arg: "TIME", Category: catStop,
			Usage: "start nothing once the run has had the lock for `TIME`, such as 3h",
			set:   duration(func(s *Settings) *time.Duration { return &s.MaxDuration }),
		},
		{
			Name: "deadline", Arg: "HH:MM", Category: catStop,
			Usage: "start nothing after `HH:MM`, the next such time of this machine's clock",
			set: func(s *Settings, v string) error {
				at, err := campaign.ParseClock(v)
				s.Deadline = &at
				return err
			},
		},
		{
			Name: "require-fit", Category: catStop, digest: true,
			Usage: "with --deadline or --max-duration: do not start a run that will not have started all its sends by then, as past runs tell",
			set:   switchTo(func(s *Settings) *bool { return &s.RequireFit }),
		},
		{
			Name: "max-failures", Arg: "N|P%", Category: catStop,
			Usage: "start nothing once `N|P%` groups have failed: a number, or a share of the groups such as 10%",
			set: func(s *Settings, v string) (err error) {
				s.MaxFailures, err = campaign.ParseShare(v)
				return err
			},
		},
		{
			Name: "state-dir", Arg: "DIR", Category: catState,
			Usage: "keep journals and the lock in `DIR`; without it in $STATE_DIRECTORY, else $XDG_STATE_HOME/senddigest, else ~/.local/state/senddigest",
			set:   func(s *Settings, v string) error { s.StateDir, s.StateNamed = v, true; return nil },
		},
		{
			Name: "no-state", Category: catState,
			Usage: "keep neither journal nor lock, and do not look at earlier runs; a later --resume or --retry-failed knows nothing of this one",
			set:   switchTo(func(s *Settings) *bool { return &s.NoState }),
		},
		{
			Name: "lock-wait", Arg: "TIME", Default: "0", Category: catState,
			Usage: "wait for `TIME` if another run holds the installation's lock; 0: not at all",
			set:   seconds(func(s *Settings) *time.Duration { return &s.LockWait }),
		},
		{
			Name: "resume", Category: catFirst,
			Usage: "go on with this site's newest run, which was cut short: what was accepted stays accepted",
			set:   switchTo(func(s *Settings) *bool { return &s.WantResume }),
		},
		{
			Name: "retry-failed", Category: catFirst,
			Usage: "send again what this site's newest run, which was finished, did not get accepted",
			set:   switchTo(func(s *Settings) *bool { return &s.WantRetryFailed }),
		},
		{
			Name: "settle", Arg: "TIME", Default: "10m", Category: catState, digest: true,
			Usage: "send once more to a group whose answer was lost, when `TIME` has passed since that send started: longer than any can take on the server, queueing included; never sooner than --timeout within the run",
			set:   duration(func(s *Settings) *time.Duration { return &s.Settle }),
		},
		{
			Name: "skip-ambiguous", Category: catState, digest: true,
			Usage: "do not send again to groups whose answer was lost, neither in the same run nor with --resume or --retry-failed",
			set:   switchTo(func(s *Settings) *bool { return &s.SkipAmbiguous }),
		},
		{
			Name: "guard-wait", Arg: "TIME", Default: "3h", Category: catState, digest: true,
			Usage: "hold a group back for up to `TIME` that the server would skip for a digest within 21.6 hours; 0: not at all",
			set:   seconds(func(s *Settings) *time.Duration { return &s.GuardWait }),
		},
		{
			Name: "server-zone", Arg: "ZONE", Category: catState, digest: true,
			Usage: "the 21.6 hours of --guard-wait are by a clock in the time zone `ZONE`, such as Europe/Berlin, where GroupServer's is not this machine's",
			set: func(s *Settings, v string) (err error) {
				if s.ServerZone, err = time.LoadLocation(v); err != nil || v == "" || v == "Local" {
					return problem("is not a time zone that this machine knows, such as Europe/Berlin; Debian's package tzdata brings them")
				}
				return nil
			},
		},
		{
			Name: "assume-previous", Arg: "HH:MM+TIME", Category: catState, digest: true,
			Usage: "take it that another program last sent from `HH:MM+TIME`, such as 02:00+6h, evenly through the list",
			set: func(s *Settings, v string) error {
				a, err := campaign.ParseAssumption(v)
				s.Assume = &a
				return err
			},
		},
		{
			Name: "ledger", Arg: "auto|off|DSN", Default: "auto", Category: catState, digest: true, Secret: true,
			Usage:  "read in GroupServer's own database what was really mailed, `auto|off|DSN`: auto where the configuration set names one that answers; a DSN that has a password is for the file or the environment alone",
			set:    ledger,
			onLine: withoutPassword,
		},
		{
			Name: "verbose", Aliases: []string{"v"}, Category: catFirst,
			Usage: "say what is going on, on standard error",
			set:   switchTo(func(s *Settings) *bool { return &s.Verbose }),
		},
		{
			Name: "report", Arg: "FILE", Repeat: true, Category: catFirst,
			Usage: "write the report to `FILE`, as JSON, text or HTML by its ending, .json, .txt or .html; - is JSON on standard output; repeatable",
			set: func(s *Settings, v string) error {
				if v != "-" && !slices.Contains([]string{".json", ".txt", ".html"}, filepath.Ext(v)) {
					return problem("does not end in .json, .txt or .html: the ending says which report to write")
				}
				s.Reports = append(s.Reports, v)
				return nil
			},
		},
		{
			Name: "metrics-file", Arg: "FILE", Category: catOutput,
			Usage: "write what became of the run to `FILE` for the node exporter's textfile collector; its name ends in .prom",
			set: func(s *Settings, v string) error {
				if filepath.Ext(v) != ".prom" || filepath.Base(v) == ".prom" {
					return problem("does not end in .prom: the collector passes other files by")
				}
				s.MetricsFile = v
				return nil
			},
		},
		{
			Name: "ping-url", Arg: "URL", Category: catOutput, Secret: true,
			Usage: "tell a monitor at `URL` that a run begins and how it ends, in the way of healthchecks.io",
			set:   pingURL,
		},
		{
			Name: "listen", Arg: "ADDRESS", Category: catOutput,
			Usage: "while the run goes, show it to browsers of this machine at `ADDRESS`, such as 127.0.0.1:8377, with /report.json and /metrics; port 0 is a free one, which -v says",
			set:   func(s *Settings, v string) error { s.Listen = v; return nil },
		},
		{
			Name: "listen-anywhere", Category: catOutput,
			Usage: "with --listen: take an address that other machines can reach; whoever does can read the page",
			set:   switchTo(func(s *Settings) *bool { return &s.ListenAnywhere }),
		},
		{
			Name: "linger", Arg: "TIME", Default: "0", Category: catOutput,
			Usage: "with --listen: keep the page for `TIME` after the run, or until a signal",
			set:   seconds(func(s *Settings) *time.Duration { return &s.Linger }),
		},
		{
			Name: "log-format", Arg: "FORMAT", Values: formats, Default: "text", Category: catOutput,
			Usage: "`FORMAT` of the log on standard error: text or json",
			set:   oneOf(func(s *Settings, v string) { s.LogJSON = v == "json" }, formats...),
		},
		{
			Name: "log-level", Arg: "LEVEL", Values: levels, Default: "warn", Category: catOutput,
			Usage: "log from this `LEVEL` on: debug (each send), info, warn or error",
			set:   oneOf(func(s *Settings, v string) { s.LogLevel = v }, levels...),
		},
	}
}
