package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/e2e/program"
	fleetprogram "github.com/groupserver/senddigest/internal/fleet/program"
	"github.com/groupserver/senddigest/internal/process"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if groups := os.Getenv(siteProcess); groups != "" {
		os.Exit(serveBench(groups))
	}
	if os.Getenv(bareProcess) != "" {
		os.Exit(bareClient(os.Args[1], os.Args[2]))
	}
	program.BeProgram()
	testscript.Main(queues.Around(m), map[string]func(){
		"senddigest":       main,
		"sendprofile":      func() { os.Exit(command.Main(command.Sendprofile(), process.OS(""))) },
		"senddigest-fleet": func() { os.Exit(command.Main(fleetprogram.New(), process.OS(""))) },
	})
}

func TestScripts(t *testing.T) {
	program.SkipIfShort(t)
	if signal.Ignored(syscall.SIGHUP) { // by nohup: the programs that are started would ignore it too
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGHUP)
		t.Cleanup(func() { signal.Stop(c) })
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"site": startSite, "sends": countSends, "mailed": countMails, "inflight": checkInFlight,
			"notoken": noToken, "exits": exits,
			"monitor": startMonitor, "pinged": pinged,
			"signal": signalProgram, "atwork": atWork,
			"zone":     makeZone,
			"freeport": freePort, "opened": opened, "takeport": takePort, "fetch": fetch, "queue": makeQueue(t),
		},
		Setup: func(e *testscript.Env) error {
			// A proxy of this machine has no say, and neither has a user's own setting.
			e.Setenv("NO_PROXY", "*")
			e.Setenv("SENDDIGEST_WORKERS", "2") // what is found in the course of a run depends on the machine's load
			e.Setenv("GORACE", program.RaceEnd)
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state", "0"))
			e.Values[siteKey{}] = &scriptSite{}
			e.Values[monitorKey{}] = &scriptMonitor{make(chan heardPing, 1000)}
			return nil
		},
	})
}

// A scriptSite is the site of one script, from its command site on.
type scriptSite struct {
	*standin.Site
	number  int                           // of the sites of this script
	started chan standin.Group            // a send got a request thread
	held    atomic.Pointer[chan struct{}] // what sends wait for on a site with -cost; nil: nothing
}

type siteKey struct{}

func siteOf(ts *testscript.TestScript) *scriptSite {
	s, ok := ts.Value(siteKey{}).(*scriptSite)
	if !ok || s.Site == nil {
		ts.Fatalf("no site: begin with the command site")
	}
	return s
}

// values is a flag that may be given several times.
type values []string

func (v *values) String() string     { return strings.Join(*v, " ") }
func (v *values) Set(s string) error { *v = append(*v, s); return nil }

// startSite: site [-tls] [-threads N] [-cost D] [-prepared N] [-slow SITE/GROUP=D]... [-n N] [-fault PATTERN=KIND]... [-unknown SITE/GROUP]... [-person ID[=STATUS]]... [SITE/GROUP]...
// It starts a stand-in site, sets URL, SCHEME and ADDRESS, and writes gsconfig.ini with its token. Each site of a script
// has a state directory of its own, in XDG_STATE_HOME: with one token they would pass for one installation.
func startSite(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	useTLS := flags.Bool("tls", false, "")
	threads := flags.Int("threads", 16, "")
	cost := flags.Duration("cost", 0, "")
	generated := flags.Int("n", 0, "")
	prepared := flags.Int("prepared", 0, "")
	var faults, unknown, slow, people values
	flags.Var(&faults, "fault", "")
	flags.Var(&unknown, "unknown", "")
	flags.Var(&slow, "slow", "")
	flags.Var(&people, "person", "")
	ts.Check(flags.Parse(args))

	site, _ := ts.Value(siteKey{}).(*scriptSite)
	started := make(chan standin.Group, 1_000_000)
	site.started = started
	site.number++
	ts.Setenv("XDG_STATE_HOME", ts.MkAbs(filepath.Join(".state", strconv.Itoa(site.number))))
	costs := map[standin.Group]time.Duration{}
	for _, text := range slow {
		name, length, _ := strings.Cut(text, "=")
		d, err := time.ParseDuration(length)
		ts.Check(err)
		costs[group(ts, name)] = d
	}
	options := standin.Options{
		Token: program.Token, Threads: *threads, Groups: standin.Generate(*generated, 1), MaxPrepared: *prepared,
		Cost: func(g standin.Group) time.Duration {
			started <- g // not the script's next site's: a send may go on when that begins
			if held := site.held.Load(); held != nil && *cost > 0 {
				<-*held
			}
			if d, ok := costs[g]; ok {
				return d
			}
			return *cost
		},
	}
	statuses := map[string]int{}
	for _, text := range people {
		id, status, _ := strings.Cut(text, "=")
		options.People = append(options.People, id)
		if status != "" {
			statuses[id] = number(ts, status)
		}
	}
	options.Status = func(id string) int { return statuses[id] }
	for _, text := range flags.Args() {
		options.Groups = append(options.Groups, group(ts, text))
	}
	for _, text := range unknown {
		options.Unknown = append(options.Unknown, group(ts, text))
	}
	for _, text := range faults {
		fault, err := standin.ParseFault(text)
		ts.Check(err)
		options.Faults = append(options.Faults, fault)
	}
	site.Site = standin.New(options)
	start := site.Start
	if *useTLS {
		start = site.StartTLS
	}
	server, err := start()
	ts.Check(err)
	ts.Defer(func() {
		server.Close()
		site.Close()
	})
	ts.Setenv("URL", server.URL+"/")
	scheme, address, _ := strings.Cut(server.URL, "://")
	ts.Setenv("SCHEME", scheme)
	ts.Setenv("ADDRESS", address)
	if *useTLS {
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), server.CA, 0o600))
	}
	ts.Check(program.WriteConfig(ts.MkAbs("gsconfig.ini"), program.Token))
	ts.Setenv("SENDDIGEST_CONFIG", ts.MkAbs("gsconfig.ini"))
	ts.Setenv("SENDPROFILE_CONFIG", ts.MkAbs("gsconfig.ini"))
}

func group(ts *testscript.TestScript, text string) standin.Group {
	site, name, ok := strings.Cut(text, "/")
	if !ok {
		ts.Fatalf("%q is not SITE/GROUP", text)
	}
	return standin.Group{Site: site, Group: name}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// countSends: sends N: the site saw N sends, whatever became of them.
func countSends(ts *testscript.TestScript, neg bool, args []string) {
	if got, want := len(siteOf(ts).Starts()), number(ts, args[0]); got != want {
		ts.Fatalf("the site saw %d sends, want %d", got, want)
	}
}

// countMails: mailed N[-M] [SITE/GROUP]: the site mailed N digests, or N to M, of one group or of all, and none twice.
func countMails(ts *testscript.TestScript, neg bool, args []string) {
	least, most, isRange := strings.Cut(args[0], "-")
	if !isRange {
		most = least
	}
	site, got := siteOf(ts), 0
	mails := site.Mails()
	for g, n := range mails {
		if n > 1 {
			ts.Fatalf("%s/%s was mailed %d times", g.Site, g.Group, n)
		}
		got += n
	}
	if len(args) > 1 {
		got = mails[group(ts, args[1])]
	}
	if got < number(ts, least) || got > number(ts, most) {
		ts.Fatalf("the site mailed %d digests, want %s", got, args[0])
	}
}

// checkInFlight: inflight N: at most N sends were in flight at any time, and once N were.
func checkInFlight(ts *testscript.TestScript, neg bool, args []string) {
	if got, want := siteOf(ts).MaxInFlight(), number(ts, args[0]); got != want {
		ts.Fatalf("%d sends were in flight at once, want %d", got, want)
	}
}

// atWork: atwork N: waits until the site has begun to work on N more sends.
func atWork(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(program.Patience)
	for i := range number(ts, args[0]) {
		select {
		case <-siteOf(ts).started:
		case <-deadline:
			ts.Fatalf("%d sends came", i)
		}
	}
}

// noToken: notoken: neither the last command's output nor any file but the configuration holds the token.
func noToken(ts *testscript.TestScript, neg bool, args []string) {
	nowhere(ts, "the token", program.Token)
}

// nowhere checks that a secret is neither in the last command's output nor in any file but a configuration.
func nowhere(ts *testscript.TestScript, what, secret string) {
	for _, stream := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(stream), secret) {
			ts.Fatalf("%s stands on %s", what, stream)
		}
	}
	ts.Check(filepath.WalkDir(ts.MkAbs("."), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Type() == fs.ModeSocket || filepath.Ext(path) == ".ini" {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(secret)) {
			return fmt.Errorf("%s stands in %s", what, path)
		}
		return err
	}))
}

// exits: exits CODE PROGRAM ARG...: runs a program that must end with exactly this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want := number(ts, args[0])
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if e, ok := err.(interface{ ExitCode() int }); ok {
		got = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", args[1], got, want)
	}
}

// monitorSecret is in the ping URL of every script, and in nothing that is printed or written.
const monitorSecret = "5ecret-uuid"

// A scriptMonitor is the monitor of one script, from its command monitor on.
type scriptMonitor struct {
	heard chan heardPing
}

type heardPing struct{ path, body string } // path below the check's, / for none

type monitorKey struct{}

// startMonitor: monitor [STATUS|hang|dead]: starts a monitor that answers so, 200 unless told otherwise, and sets PING
// to the URL of its check.
func startMonitor(ts *testscript.TestScript, neg bool, args []string) {
	m, _ := ts.Value(monitorKey{}).(*scriptMonitor)
	how := "200"
	if len(args) > 0 {
		how = args[0]
	}
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.heard <- heardPing{cmp.Or(strings.TrimPrefix(r.URL.Path, "/"+monitorSecret), "/"), string(body)}
		if how == "hang" {
			<-over
			return
		}
		status, _ := strconv.Atoi(how)
		w.WriteHeader(status)
	}))
	ts.Defer(func() {
		close(over)
		server.Close()
	})
	if how == "dead" {
		server.Close()
	}
	ts.Setenv("PING", server.URL+"/"+monitorSecret)
}

// pinged: pinged [PATH]...: the monitor heard these pings since it was last asked, / for the check's own URL. The last
// one's body is in the file ping. The secret is in nothing that was printed, or stands in a file.
func pinged(ts *testscript.TestScript, neg bool, args []string) {
	m, _ := ts.Value(monitorKey{}).(*scriptMonitor)
	var heard []string
	var last heardPing
	deadline := time.After(program.Patience)
	for len(heard) < len(args) || len(m.heard) > 0 {
		select {
		case last = <-m.heard:
			heard = append(heard, last.path)
		case <-deadline: // of a run that goes on the start may come late
			ts.Fatalf("the monitor heard %v, want %v", heard, args)
		}
	}
	if !slices.Equal(heard, args) {
		ts.Fatalf("the monitor heard %v, want %v", heard, args)
	}
	ts.Check(os.WriteFile(ts.MkAbs("ping"), []byte(last.body), 0o600))
	nowhere(ts, "the ping URL", monitorSecret)
}

// makeZone makes a time zone in which the clocks are about to change, since no real one can be relied on to be near that:
// zone NAME BY IN, such as zone Test/Back -2h 10h. The program finds it by its name, and TZ by its path, zoneinfo/NAME.
func makeZone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: zone NAME BY IN")
	}
	by, err := time.ParseDuration(args[1])
	ts.Check(err)
	in, err := time.ParseDuration(args[2])
	ts.Check(err)
	// Version 1 of the format of RFC 9636: a header with its counts, one change, two kinds of time with their names.
	file := []byte("TZif\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, n := range []int64{0, 0, 0, 1, 2, 8, time.Now().Add(in).Unix()} {
		file = binary.BigEndian.AppendUint32(file, uint32(n))
	}
	file = append(file, 1)                // to the second kind
	file = append(file, 0, 0, 0, 0, 0, 0) // UTC, no summer time, the first name
	file = binary.BigEndian.AppendUint32(file, uint32(int32(by.Seconds())))
	file = append(file, 0, 4)
	file = append(file, "BEF\x00AFT\x00"...)
	path := filepath.Join(ts.MkAbs("zoneinfo"), args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, file, 0o644))
	ts.Setenv("ZONEINFO", ts.MkAbs("zoneinfo"))
}
