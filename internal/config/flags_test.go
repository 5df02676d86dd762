package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/gsconfig"
)

const token = "exampleToken123"

// given is what a run is told of its options.
type given struct {
	args map[string][]string
	env  map[string]string
	file string // what stands in [senddigest-on], from optionLine on

	binary string
	clear  bool
}

// optionLine is the line of the configuration file in which the first option stands.
const optionLine = 7

func fileText(options string) string {
	return "[config-default]\nwebservice = default\nsenddigest = on\n[webservice-default]\ntoken = " + token +
		"\n[senddigest-on]\n" + options + "\n"
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// resolveIn resolves what is given, with nothing more than that.
func resolveIn(g given) (*config.Settings, error) {
	return config.Senddigest().Resolve(config.Sources{
		Args: g.args,
		Getenv: func(name string) (string, bool) {
			value, ok := g.env[name]
			return value, ok
		},
		Binary: g.binary, Clear: g.clear,
	})
}

// resolve resolves what is given beside a configuration file, in the working directory if nothing names it.
func resolve(t testing.TB, g given) (*config.Settings, error) {
	t.Helper()
	writeFile(t, config.DefaultConfig, fileText(g.file))
	return resolveIn(g)
}

// settings is resolve for what must do.
func settings(t testing.TB, g given) *config.Settings {
	t.Helper()
	s, err := resolve(t, g)
	if err != nil {
		t.Fatalf("%+v: %v", g, err)
	}
	return s
}

// A sample is an option with values to try: what is written, and what show makes of the settings then.
type sample struct {
	name string
	show func(*config.Settings) any
	none string       // what show gives where nothing was written: the default
	good [2][2]string // two values that differ: as written, and as shown
	more [][2]string  // other good values
	bad  [][2]string  // as written, and what is wrong
}

var switches = [][2]string{
	{"true", "true"},
	{"YES", "true"},
	{"On", "true"},
	{"1", "true"},
	{"false", "false"},
	{"No", "false"},
	{"OFF", "false"},
	{"0", "false"},
}

func noSwitch() [][2]string {
	const problem = "is neither yes nor no"
	return [][2]string{{"maybe", problem}, {"2", problem}, {"y", problem}, {" yes", problem}}
}

func all(problem string, values ...string) [][2]string {
	var rows [][2]string
	for _, value := range values {
		rows = append(rows, [2]string{value, problem})
	}
	return rows
}

const (
	noTime    = "is not a length of time such as 90s, 4m or 1h30m"
	rateForms = ": write a number, or one per second, minute or hour, such as 10, 600/m or 0.5/h"
	noPattern = "is not SITE/GROUP, such as main/announce or '*/announce'"
	noEnding  = "does not end in .json, .txt or .html: the ending says which report to write"
)

var badPatterns = append(all(noPattern, "", "main", "/", "/announce", "main/"),
	[2]string{"main/[ab", "has a [ without its ]"}, [2]string{"[ab/main", "has a [ without its ]"}, [2]string{`main/a\`, `has a \ before nothing`})

// samples has every option but config and instance, which say where the others are read.
var samples = []sample{
	{
		name: "verbose", show: func(s *config.Settings) any { return s.Verbose }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "insecure", show: func(s *config.Settings) any { return s.Insecure }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "dry-run", show: func(s *config.Settings) any { return s.DryRun }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "cacert", show: func(s *config.Settings) any { return s.CACert }, none: "",
		good: [2][2]string{{"ca.pem", "ca.pem"}, {"/etc/ca.pem", "/etc/ca.pem"}},
	},
	{
		name: "workers", none: "auto",
		show: func(s *config.Settings) any {
			if s.Auto {
				return "auto"
			}
			return s.Workers
		},
		good: [2][2]string{{"1", "1"}, {"16", "16"}}, more: [][2]string{{"1000", "1000"}, {"auto", "auto"}},
		bad: all("is neither a whole number from 1 to 1000 nor auto", "0", "-1", "1001", "1.5", "two", "", "99999999999999999999", "Auto"),
	},
	{
		name: "max-workers", show: func(s *config.Settings) any { return s.MaxWorkers }, none: "16",
		good: [2][2]string{{"1", "1"}, {"32", "32"}}, more: [][2]string{{"1000", "1000"}},
		bad: all("is not a whole number from 1 to 1000", "0", "-1", "1001", "auto", ""),
	},
	{
		name: "canary", show: func(s *config.Settings) any { return s.Canary }, none: "",
		good: [2][2]string{{"none", "none"}, {"https://groups.example.com/about", "https://groups.example.com/about"}},
		bad:  all("is neither the http or https URL of a page nor none", "no", "", "groups.example.com", "ftp://groups.example.com/", "http://user:word@example.com/"),
	},
	{
		name: "rate", show: func(s *config.Settings) any { return s.Rate }, none: "none",
		good: [2][2]string{{"10", "10/s"}, {"0.5/h", "0.5/h"}}, more: [][2]string{{"0", "none"}, {"600/m", "10/s"}, {"2.5/s", "2.5/s"}},
		bad: slices.Concat(
			all("is not a rate"+rateForms, "fast", "", "-1", "inf", "1e3", "1_0"),
			all("has no unit of time that is s, m or h"+rateForms, "10/d", "10/", "10/s/s"),
			all("is out of range"+rateForms, "1000001", "0.001/h"),
		),
	},
	{
		name: "burst", show: func(s *config.Settings) any { return s.Burst }, none: "1",
		good: [2][2]string{{"5", "5"}, {"1000000", "1000000"}}, more: [][2]string{{"1", "1"}},
		bad: all("is not a whole number from 1 to 1000000", "0", "1000001", "many"),
	},
	{
		name: "throttle", show: func(s *config.Settings) any { return s.Throttle }, none: "0s",
		good: [2][2]string{{"1", "1s"}, {"0.25", "250ms"}}, more: [][2]string{{"0", "0s"}, {"500ms", "500ms"}, {"2m", "2m0s"}},
		bad: all("is neither a number of seconds nor a length of time such as 90s or 2h", "-1", "-1s", "soon", "", "NaN", "Inf", "-Inf", "1e99", "-1e99"),
	},
	{
		name: "timeout", show: func(s *config.Settings) any { return s.Timeout }, none: "4m0s",
		good: [2][2]string{{"90s", "1m30s"}, {"1h30m", "1h30m0s"}}, bad: all(noTime, "0", "0s", "-1s", "240", "soon", ""),
	},
	{
		name: "connect-timeout", show: func(s *config.Settings) any { return s.ConnectTimeout }, none: "10s",
		good: [2][2]string{{"5s", "5s"}, {"300ms", "300ms"}}, bad: all(noTime, "0", "5", "never"),
	},
	{
		name: "retries", show: func(s *config.Settings) any { return s.Retries }, none: "2",
		good: [2][2]string{{"0", "0"}, {"5", "5"}}, more: [][2]string{{"20", "20"}},
		bad: all("is not a whole number from 0 to 20", "-1", "21", "two", "1.5", ""),
	},
	{
		name: "give-up-after", show: func(s *config.Settings) any { return s.GiveUpAfter }, none: "15m0s",
		good: [2][2]string{{"30m", "30m0s"}, {"90s", "1m30s"}}, bad: all(noTime, "0", "0s", "-1m", "15", "never", ""),
	},
	{
		name: "grace", show: func(s *config.Settings) any { return s.Grace }, none: "0s", // as --timeout
		good: [2][2]string{{"30s", "30s"}, {"2m", "2m0s"}}, bad: all(noTime, "0", "0s", "-1s", "30", "none", ""),
	},
	{
		name: "no-state", show: func(s *config.Settings) any { return s.NoState }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "resume", show: func(s *config.Settings) any { return s.WantResume }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "retry-failed", show: func(s *config.Settings) any { return s.WantRetryFailed }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "skip-ambiguous", show: func(s *config.Settings) any { return s.SkipAmbiguous }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "lock-wait", show: func(s *config.Settings) any { return s.LockWait }, none: "0s",
		good: [2][2]string{{"90", "1m30s"}, {"2h", "2h0m0s"}}, more: [][2]string{{"0", "0s"}},
		bad: all("is neither a number of seconds nor a length of time such as 90s or 2h", "-1", "soon", ""),
	},
	{
		name: "guard-wait", show: func(s *config.Settings) any { return s.GuardWait }, none: "3h0m0s",
		good: [2][2]string{{"90", "1m30s"}, {"2h", "2h0m0s"}}, more: [][2]string{{"0", "0s"}},
		bad: all("is neither a number of seconds nor a length of time such as 90s or 2h", "-1", "soon", ""),
	},
	{
		name: "state-dir", show: func(s *config.Settings) any { return s.StateDir }, none: "",
		good: [2][2]string{{"state", "state"}, {"/var/lib/senddigest", "/var/lib/senddigest"}},
	},
	{
		name: "settle", show: func(s *config.Settings) any { return s.Settle }, none: "10m0s",
		good: [2][2]string{{"30m", "30m0s"}, {"90s", "1m30s"}}, bad: all(noTime, "0", "0s", "-1m", "15", "never", ""),
	},
	{
		name: "server-zone", none: "the machine's",
		show: func(s *config.Settings) any {
			if s.ServerZone == nil {
				return "the machine's"
			}
			return s.ServerZone
		},
		good: [2][2]string{{"Europe/Berlin", "Europe/Berlin"}, {"UTC", "UTC"}},
		bad:  all("is not a time zone that this machine knows, such as Europe/Berlin; Debian's package tzdata brings them", "Europe/Berln", "Local", "CET-1CEST", "../etc/localtime", ""),
	},
	{
		name: "assume-previous", none: "none",
		show: func(s *config.Settings) any {
			if s.Assume == nil {
				return "none"
			}
			return fmt.Sprintf("%v+%v", s.Assume.From, s.Assume.Length)
		},
		good: [2][2]string{{"02:00+6h", "02:00+6h0m0s"}, {"23:30+45m", "23:30+45m0s"}},
		bad:  all("is not a time of day and a length of time up to 24h, such as 02:00+6h", "02:00", "+6h", "02:00+0s", "02:00+25h", "25:00+6h", "02:00+-1h", ""),
	},
	{
		name: "max-duration", show: func(s *config.Settings) any { return s.MaxDuration }, none: "0s",
		good: [2][2]string{{"3h", "3h0m0s"}, {"10m", "10m0s"}}, bad: all(noTime, "0", "3", "-3h"),
	},
	{
		name: "deadline", none: "none",
		show: func(s *config.Settings) any {
			if s.Deadline == nil {
				return "none"
			}
			return s.Deadline
		},
		good: [2][2]string{{"05:30", "05:30"}, {"23:59", "23:59"}}, more: [][2]string{{"5:30", "05:30"}, {"00:00", "00:00"}},
		bad: all("is not a time of day such as 05:30", "24:00", "05:60", "5", "0530", "05:30:00", "noon", ""),
	},
	{
		name: "max-failures", none: "{N:0 Percent:0}",
		show: func(s *config.Settings) any { return fmt.Sprintf("%+v", s.MaxFailures) },
		good: [2][2]string{{"20", "{N:20 Percent:0}"}, {"10%", "{N:0 Percent:10}"}},
		more: [][2]string{{"0.5%", "{N:0 Percent:0.5}"}, {"100%", "{N:0 Percent:100}"}, {"1", "{N:1 Percent:0}"}},
		bad: slices.Concat(
			all("is neither a whole number above 0 nor a share such as 10%", "0", "-1", "1.5", "some", ""),
			all("is not a share from above 0% to 100%", "0%", "-1%", "100.1%", "NaN%", "Inf%", "%", "x%"),
		),
	},
	{
		name: "only", show: func(s *config.Settings) any { return s.Only }, none: "[]",
		good: [2][2]string{{"main/alpha", "[main/alpha]"}, {"*/announce", "[*/announce]"}},
		more: [][2]string{{"main/[!a-c]?", "[main/[!a-c]?]"}, {"main/a/b", "[main/a/b]"}}, bad: badPatterns,
	},
	{
		name: "exclude", show: func(s *config.Settings) any { return s.Exclude }, none: "[]",
		good: [2][2]string{{"main/alpha", "[main/alpha]"}, {"*/announce", "[*/announce]"}}, bad: badPatterns,
	},
	{
		// Both orders are the same one, so that nothing is to be seen of it.
		name: "order", show: func(s *config.Settings) any { return s.Order }, none: "auto",
		good: [2][2]string{{"auto", "auto"}, {"name", "name"}}, more: [][2]string{{"longest", "longest"}, {"mixed", "mixed"}},
		bad: all("is not auto, name, longest or mixed", "shortest", "", "Auto"),
	},
	{
		name: "max-heavy", none: "{N:0 Percent:0}",
		show: func(s *config.Settings) any { return fmt.Sprintf("%+v", s.MaxHeavy) },
		good: [2][2]string{{"1", "{N:1 Percent:0}"}, {"25%", "{N:0 Percent:25}"}}, more: [][2]string{{"100%", "{N:0 Percent:100}"}},
		bad: all("is neither a whole number above 0 nor a share such as 10%", "0", "-1", "1.5", "half", ""),
	},
	{
		name: "require-fit", show: func(s *config.Settings) any { return s.RequireFit }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		name: "skip-idle", show: func(s *config.Settings) any { return s.SkipIdle }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, more: switches, bad: noSwitch(),
	},
	{
		// What is bad of it has a test of its own, since it is not printed.
		name: "ledger", none: "auto",
		show: func(s *config.Settings) any {
			return map[config.LedgerMode]string{config.LedgerOff: "off", config.LedgerAuto: "auto", config.LedgerNamed: s.Database.DSN.String()}[s.Database.Mode]
		},
		good: [2][2]string{{"off", "off"}, {"postgres://u@h/gs", "h:5432/gs"}},
		more: [][2]string{{"auto", "auto"}, {"postgresql:///gs?host=%2Frun&port=1", "/run:1/gs"}},
	},
	{
		name: "report", show: func(s *config.Settings) any { return s.Reports }, none: "[]",
		good: [2][2]string{{"run.json", "[run.json]"}, {"-", "[-]"}}, more: [][2]string{{"/tmp/run.txt", "[/tmp/run.txt]"}, {"run.html", "[run.html]"}},
		bad: all(noEnding, "run", "run.htm", "run.JSON", ".jsonl", ""),
	},
	{
		name: "metrics-file", show: func(s *config.Settings) any { return s.MetricsFile }, none: "",
		good: [2][2]string{{"senddigest.prom", "senddigest.prom"}, {"/var/lib/x/a.b.prom", "/var/lib/x/a.b.prom"}},
		bad:  all("does not end in .prom: the collector passes other files by", "senddigest", "a.txt", "a.PROM", "/tmp/.prom", "a.prom/b", ""),
	},
	{
		// What is bad of it has a test of its own, since it is not printed.
		name: "ping-url", show: func(s *config.Settings) any { return s.PingURL }, none: "<nil>",
		good: [2][2]string{{"https://hc-ping.com/1-2", "https://hc-ping.com/1-2"}, {"http://127.0.0.1:8000/p?a=b", "http://127.0.0.1:8000/p?a=b"}},
	},
	{
		name: "header", show: func(s *config.Settings) any { return s.Header }, none: "map[]",
		good: [2][2]string{{"InstanceId:parks", "map[InstanceId:[parks]]"}, {"Cookie: a=b; c", "map[Cookie:[a=b; c]]"}},
	},
	{
		// Which addresses do is for the one who listens to say.
		name: "listen", show: func(s *config.Settings) any { return s.Listen }, none: "",
		good: [2][2]string{{"127.0.0.1:8377", "127.0.0.1:8377"}, {"localhost:0", "localhost:0"}},
	},
	{
		name: "listen-anywhere", show: func(s *config.Settings) any { return s.ListenAnywhere }, none: "false",
		good: [2][2]string{{"yes", "true"}, {"no", "false"}}, bad: all("is neither yes nor no", "maybe", ""),
	},
	{
		name: "linger", show: func(s *config.Settings) any { return s.Linger }, none: "0s",
		good: [2][2]string{{"10m", "10m0s"}, {"30", "30s"}}, bad: all("is neither a number of seconds nor a length of time such as 90s or 2h", "-1s", "x", ""),
	},
	{
		name: "log-format", show: func(s *config.Settings) any { return s.LogJSON }, none: "false",
		good: [2][2]string{{"json", "true"}, {"text", "false"}}, bad: all("is not text or json", "xml", "", "JSON"),
	},
	{
		name: "log-level", show: func(s *config.Settings) any { return s.LogLevel }, none: "warn",
		good: [2][2]string{{"debug", "debug"}, {"error", "error"}}, more: [][2]string{{"info", "info"}, {"warn", "warn"}},
		bad: all("is not debug, info, warn or error", "trace", "", "WARN", "warning"),
	},
}

func (s sample) shown(settings *config.Settings) string { return fmt.Sprint(s.show(settings)) }

// inFile is a value as the configuration file has it, where "%" is doubled.
func (s sample) inFile(value string) string {
	return s.name + " = " + strings.ReplaceAll(value, "%", "%%")
}

func TestEveryOptionHasASample(t *testing.T) {
	var named []string
	for _, f := range config.Senddigest().Flags {
		if !f.NotFile {
			named = append(named, f.Name)
		}
	}
	var tried []string
	for _, s := range samples {
		tried = append(tried, s.name)
	}
	slices.Sort(named)
	slices.Sort(tried)
	if diff := cmp.Diff(tried, named); diff != "" {
		t.Errorf("samples -, options +:\n%s", diff)
	}
}

func TestOptionsHaveTheNamesAndDefaultsThatWerePromised(t *testing.T) {
	flags := map[string]config.Flag{}
	for _, f := range config.Senddigest().Flags {
		flags[f.Name] = f
	}
	for _, want := range []config.Flag{
		{Name: "config", Aliases: []string{"c"}, Arg: "FILE", Default: "etc/gsconfig.ini", NotFile: true},
		{Name: "instance", Aliases: []string{"i"}, Arg: "NAME", Default: "default", NotFile: true},
		{Name: "verbose", Aliases: []string{"v"}},
		{Name: "max-workers", Arg: "N", Default: "16"},
		{Name: "canary", Arg: "URL|none"},
		{Name: "workers", Aliases: []string{"w", "jobs", "j"}, Arg: "N|auto", Default: "auto"},
		{Name: "rate", Aliases: []string{"r"}, Arg: "RATE", Default: "0"},
		{Name: "burst", Arg: "N", Default: "1"},
		{Name: "throttle", Aliases: []string{"t"}, Arg: "SECONDS", Default: "0"},
		{Name: "timeout", Arg: "TIME", Default: "4m"},
		{Name: "connect-timeout", Arg: "TIME", Default: "10s"},
		{Name: "retries", Arg: "N", Default: "2"},
		{Name: "give-up-after", Arg: "TIME", Default: "15m"},
		{Name: "grace", Arg: "TIME"},
		{Name: "max-duration", Arg: "TIME"},
		{Name: "deadline", Arg: "HH:MM"},
		{Name: "max-failures", Arg: "N|P%"},
		{Name: "only", Arg: "PATTERN", Repeat: true},
		{Name: "exclude", Arg: "PATTERN", Repeat: true},
		{Name: "order", Arg: "ORDER", Default: "auto"},
		{Name: "max-heavy", Arg: "N|P%"},
		{Name: "require-fit"},
		{Name: "dry-run", Aliases: []string{"n"}},
		{Name: "resume"},
		{Name: "retry-failed"},
		{Name: "state-dir", Arg: "DIR"},
		{Name: "no-state"},
		{Name: "settle", Arg: "TIME", Default: "10m"},
		{Name: "skip-ambiguous"},
		{Name: "guard-wait", Arg: "TIME", Default: "3h"},
		{Name: "server-zone", Arg: "ZONE"},
		{Name: "assume-previous", Arg: "HH:MM+TIME"},
		{Name: "lock-wait", Arg: "TIME", Default: "0"},
		{Name: "ledger", Arg: "auto|off|DSN", Default: "auto", Secret: true},
		{Name: "skip-idle"},
		{Name: "report", Arg: "FILE", Repeat: true},
		{Name: "metrics-file", Arg: "FILE"},
		{Name: "ping-url", Arg: "URL", Secret: true},
		{Name: "listen", Arg: "ADDRESS"},
		{Name: "listen-anywhere"},
		{Name: "linger", Arg: "TIME", Default: "0"},
		{Name: "header", Arg: "NAME:VALUE", Repeat: true, Secret: true},
		{Name: "log-format", Arg: "FORMAT", Default: "text"},
		{Name: "log-level", Arg: "LEVEL", Default: "warn"},
		{Name: "cacert", Arg: "FILE"},
		{Name: "insecure", Aliases: []string{"k"}},
	} {
		got := flags[want.Name]
		if got.Name != want.Name || !slices.Equal(got.Aliases, want.Aliases) || got.Arg != want.Arg ||
			got.Default != want.Default || got.Repeat != want.Repeat || got.NotFile != want.NotFile || got.Secret != want.Secret {
			t.Errorf("got %s %v %q, default %q, repeat %t, not in the file %t, want %+v",
				got.Name, got.Aliases, got.Arg, got.Default, got.Repeat, got.NotFile, want)
		}
	}
}

func TestTheTableOfOptionsIsSound(t *testing.T) {
	seen := map[string]string{"help": "help", "h": "help", "version": "version"}
	for _, f := range config.Senddigest().Flags {
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			if other := seen[name]; other != "" {
				t.Errorf("%s is a name of both %s and %s", name, other, f.Name)
			}
			if name != strings.ToLower(name) || strings.ContainsAny(name, " _=") {
				t.Errorf("%q is no name that the file or the environment can hold", name)
			}
			seen[name] = f.Name
		}
		if f.Usage == "" || f.Category == "" {
			t.Errorf("--help has nothing to say of %s", f.Name)
		}
		if f.Arg != "" && !strings.Contains(f.Usage, "`"+f.Arg+"`") {
			t.Errorf("%s: the usage %q does not say what %s is", f.Name, f.Usage, f.Arg)
		}
		if f.Arg == "" && (f.Default != "" || f.Repeat) {
			t.Errorf("%s is a switch, which is off", f.Name)
		}
	}
}

func TestWithoutOptionsTheDefaultsHold(t *testing.T) {
	t.Chdir(t.TempDir())
	s := settings(t, given{})
	for _, sample := range samples {
		if got := sample.shown(s); got != sample.none {
			t.Errorf("%s: got %s, want %s", sample.name, got, sample.none)
		}
	}
	if s.Config != "etc/gsconfig.ini" || s.Instance != "default" {
		t.Errorf("got set %s of %s, want default of etc/gsconfig.ini", s.Instance, s.Config)
	}
	if s.Token.IsZero() || s.Token.Scrub(token) == token {
		t.Error("the token of the file is not the token of the run")
	}
	if s.Timeout != 240*time.Second {
		t.Errorf("got a timeout of %v, want the 240 s of the Python script", s.Timeout)
	}
}

func TestGoodValuesMeanTheSameEverywhere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range samples {
		for _, value := range append(s.more, s.good[:]...) {
			in, want := value[0], value[1]
			if got := s.shown(settings(t, given{args: map[string][]string{s.name: {in}}})); got != want {
				t.Errorf("--%s %q: got %s, want %s", s.name, in, got, want)
			}
			name := config.Senddigest().EnvName(s.name)
			if got := s.shown(settings(t, given{env: map[string]string{name: in}})); got != want {
				t.Errorf("%s=%q: got %s, want %s", name, in, got, want)
			}
			if got := s.shown(settings(t, given{file: s.inFile(in)})); got != want {
				t.Errorf("%s: got %s, want %s", s.inFile(in), got, want)
			}
		}
	}
}

func TestBadValuesAreSaidWithTheirSource(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, s := range samples {
		for _, value := range s.bad {
			in, problem := value[0], value[1]
			_, err := resolve(t, given{args: map[string][]string{s.name: {in}}})
			wantValueError(t, err, fmt.Sprintf("--%s %q %s", s.name, in, problem))
			if in == "" {
				continue // in the environment, as if it were not there
			}
			_, err = resolve(t, given{env: map[string]string{config.Senddigest().EnvName(s.name): in}})
			wantValueError(t, err, fmt.Sprintf("%s %q %s", config.Senddigest().EnvName(s.name), in, problem))
		}
	}
}

func wantValueError(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[*config.ValueError](err); !ok {
		t.Errorf("got %v, want a ValueError: %s", err, want)
	} else if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// Whatever stands in the file may be the token, put there by mistake.
func TestBadValuesOfTheFileAreNotPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	const mistake = "S3cretTokenInTheWrongLine"
	for _, s := range samples {
		for _, value := range append(s.bad, [2]string{mistake, ""}) {
			in, problem := value[0], value[1]
			if strings.Trim(in, " ") != in || in == "" || s.bad == nil {
				continue // the file's parser takes blanks away; any text is the name of a file
			}
			_, err := resolve(t, given{file: s.inFile(in)})
			e, ok := errors.AsType[*gsconfig.Error](err)
			if !ok {
				t.Errorf("%s: got %v, want an Error", s.inFile(in), err)
				continue
			}
			if e.Line != optionLine || e.Section != "senddigest-on" || e.Option != s.name {
				t.Errorf("%s: got line %d, [%s], %s, want line %d, [senddigest-on], %s", s.inFile(in), e.Line, e.Section, e.Option, optionLine, s.name)
			}
			if in == mistake {
				if text := fmt.Sprintf("%v %+v %#v %s", err, *e, *e, e.Advice); strings.Contains(text, mistake) {
					t.Errorf("the value is in %s", text)
				}
				continue
			}
			if want := fmt.Sprintf("%s: line %d: [senddigest-on] %s: %s", config.DefaultConfig, optionLine, s.name, problem); err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
		}
	}
}
