package metrics_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/report"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var began = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

const site = "https://groups.example.com/"

type job string

func (j job) Key() string { return "main/" + string(j) }

// stored is a run in which each outcome occurs, the first once, the next twice and so on.
func stored() metrics.Run {
	results := &dispatcher.Report{Started: began, Finished: began.Add(95*time.Second + 250*time.Millisecond)}
	sends := &metrics.Sends{}
	for n, o := range dispatcher.Outcomes() {
		for i := range n + 1 {
			r := dispatcher.Result{Job: job(fmt.Sprint(o, i)), Verdict: dispatcher.Verdict{Outcome: o}}
			if o != dispatcher.NotAttempted && o != dispatcher.Skipped {
				r.Attempts, r.Worker, r.Start, r.Took = 1+i%2, 1, began, time.Duration(n*i*i)*375*time.Millisecond
				sends.Observe(campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Started, Result: r, InFlight: 1}})
				sends.Observe(campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Finished, Result: r}})
			}
			results.Results = append(results.Results, r)
		}
	}
	return metrics.Run{
		Program:  "senddigest",
		Document: document(results, report.Meta{Guarded: 3}), ExitCode: 1, Sends: sends,
		Sent: 12_345, Received: 9_876_543_210,
	}
}

func document(results *dispatcher.Report, meta report.Meta) *report.Document {
	meta.URL, meta.Started, meta.Workers = cmp.Or(meta.URL, site), began, 2
	meta.Names = func(j dispatcher.Job) (site, group string) { return "main", j.Key() }
	return report.New(results, meta)
}

// empty is a run that found no list.
func empty(code int, ended time.Time) metrics.Run {
	return metrics.Run{
		Program:  "senddigest",
		Document: document(&dispatcher.Report{Finished: ended}, report.Meta{Error: "no list"}),
		ExitCode: code, Sends: &metrics.Sends{},
	}
}

// written is the text that a run writes into a folder with nothing in it.
func written(t *testing.T, r metrics.Run) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "senddigest.prom")
	if err := r.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus's own tool, which scripts/needs promtool installs.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no processes")
	}
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

func TestEachFormOfTheFileIsCleanToPromtool(t *testing.T) {
	odd := empty(0, began)
	odd.Document.URL = "http://a\"b\\c\nd/ü"
	for name, r := range map[string]metrics.Run{"stored": stored(), "no list": empty(76, began), "odd URL": odd} {
		t.Run(name, func(t *testing.T) { promtool(t, written(t, r), "check", "metrics") })
	}
}

func TestTheFileHasTheFiguresOfTheRun(t *testing.T) {
	got, path := written(t, stored()), filepath.Join("testdata", "stored.prom")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := gocmp.Diff(got, read(t, path)); diff != "" {
		t.Errorf("%s (rewrite with -update): got -, want +:\n%s", path, diff)
	}
}

var series = regexp.MustCompile(`(?m)^[a-z_]+\{[^}]*\}`)

func TestEveryRunWritesTheSameSeries(t *testing.T) {
	if diff := gocmp.Diff(series.FindAllString(written(t, empty(76, began)), -1), series.FindAllString(written(t, stored()), -1)); diff != "" {
		t.Errorf("a run without a list -, one with all that can happen +:\n%s", diff)
	}
}

// success is the value of the last success.
func success(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^senddigest_last_success_timestamp_seconds\{[^}]*\} (.*)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no last success in:\n%s", text)
	}
	return m[1]
}

func TestARunThatFailsKeepsWhenTheLastSuccessWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "senddigest.prom")
	day := 24 * time.Hour
	for i, night := range []struct {
		code int
		want string
	}{
		{76, "0"},
		{1, "0"},
		{0, "1795572000"},
		{1, "1795572000"},
		{130, "1795572000"},
		{0, "1795831200"},
		{73, "1795831200"},
	} {
		r := empty(night.code, began.Add(time.Duration(i)*day))
		if err := r.WriteFile(path); err != nil {
			t.Fatal(err)
		}
		if got := success(t, read(t, path)); got != night.want {
			t.Errorf("night %d, exit code %d: got %s, want %s", i, night.code, got, night.want)
		}
	}
}

func TestOnlyASuccessOfThisSiteThatCanHaveBeenIsKept(t *testing.T) {
	const name = "senddigest_last_success_timestamp_seconds"
	ours := name + `{site="` + site + `"} `
	for _, tt := range []struct{ name, text, want string }{
		{"ours", ours + "1795000000.5\n", "1795000000.5"},
		{"ours among others", "# a\nx 3\n" + ours + "1795000000\ny 4\n", "1795000000"},
		{"ours without a line end", ours + "1795000000", "1795000000"},
		{"with an exponent", ours + "1.795e+09\n", "1795000000"},
		{"as another command line wrote it", name + `{site="http://Groups.Example.com:80"} 1795000000` + "\n", "1795000000"},
		{"another port's", name + `{site="https://groups.example.com:8443/"} 1795000000` + "\n", "0"},
		{"another site's", name + `{site="https://other.example.com/"} 1795000000` + "\n", "0"},
		{"with a timestamp", ours + "1795000000 5\n", "0"},
		{"in the future", ours + "1895000000\n", "0"},
		{"before 1970", ours + "-1\n", "0"},
		{"no number", ours + "NaN\n", "0"},
		{"endless", ours + "+Inf\n", "0"},
		{"no value", ours + "\n", "0"},
		{"empty", "", "0"},
	} {
		path := filepath.Join(t.TempDir(), "senddigest.prom")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := empty(1, began).WriteFile(path); err != nil {
			t.Fatal(err)
		}
		if got := success(t, read(t, path)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTheCollectorMayReadTheFileAndNothingElseIsLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "senddigest.prom")
	if err := stored().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAFileThatCannotBeWrittenIsAWriteErrorWithItsName(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder.prom"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, want string
		code       int
	}{
		{"none/a.prom", "no such file or directory", 0},
		{"none/a.prom", "no such file or directory", 1},
		{"folder.prom", "is a directory", 0},
		{"folder.prom", "is a directory", 1},
	} {
		path := filepath.Join(dir, tt.path)
		err := empty(tt.code, began).WriteFile(path)
		if _, ok := errors.AsType[*report.WriteError](err); !ok || err.Error() != path+" could not be written: "+tt.want {
			t.Errorf("%s, exit code %d: got %v", tt.path, tt.code, err)
		}
		if errors.Is(err, fs.ErrNotExist) != (tt.path == "none/a.prom") {
			t.Errorf("%s: %v does not unwrap", tt.path, err)
		}
	}
}

func histogram(t *testing.T, s *metrics.Sends) (buckets, sum, count string) {
	t.Helper()
	r := empty(0, began)
	r.Sends = s
	value := func(series string) string {
		m := regexp.MustCompile(`(?m)^senddigest_send_duration_seconds_`+series+` (.*)$`).FindAllStringSubmatch(written(t, r), -1)
		var values []string
		for _, line := range m {
			values = append(values, line[1])
		}
		return strings.Join(values, " ")
	}
	return value(`bucket\{.*\}`), value(`sum\{.*\}`), value(`count\{.*\}`)
}

func TestASendUpToABoundIsInItsBucket(t *testing.T) {
	for took, want := range map[time.Duration]string{
		0:                       "1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		50 * time.Millisecond:   "1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		50*time.Millisecond + 1: "0 1 1 1 1 1 1 1 1 1 1 1 1 1",
		time.Minute:             "0 0 0 0 0 0 0 0 0 1 1 1 1 1",
		10 * time.Minute:        "0 0 0 0 0 0 0 0 0 0 0 0 1 1",
		10*time.Minute + 1:      "0 0 0 0 0 0 0 0 0 0 0 0 0 1",
	} {
		s := &metrics.Sends{}
		s.Observe(campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Started, InFlight: 1}})
		s.Observe(campaign.Send{Event: dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{Took: took}}})
		if got, _, _ := histogram(t, s); got != want {
			t.Errorf("%v: got %s, want %s", took, got, want)
		}
	}
}

// Of the jobs one is tried three times, and one is waiting for its second try when the run is stopped.
func TestEachTryIsInTheHistogramOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &metrics.Sends{}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		fails := dispatcher.Verdict{Outcome: dispatcher.NotOK, NotDelivered: true, Retry: true}
		tries := map[job]int{}
		var took time.Duration
		dispatcher.Run(ctx, []job{"thrice", "fine", "waits"}, func(_ context.Context, j job) dispatcher.Verdict {
			tries[j]++
			took += time.Second
			time.Sleep(time.Second)
			switch {
			case j == "thrice" && tries[j] < 3:
				return fails
			case j == "waits":
				time.AfterFunc(time.Minute, stop)
				return fails
			}
			return dispatcher.Verdict{Outcome: dispatcher.Accepted}
		}, dispatcher.Options{Workers: 1, Retries: 2, Observe: func(e dispatcher.Event) { s.Observe(campaign.Send{Event: e}) }, Backoff: func(int) time.Duration {
			if tries["waits"] > 0 && tries["thrice"] == 3 {
				return time.Hour
			}
			return time.Second
		}})
		n := tries["thrice"] + tries["fine"] + tries["waits"]
		if tries["thrice"] != 3 || tries["waits"] < 1 {
			t.Fatalf("the run went otherwise: %v", tries)
		}
		_, sum, count := histogram(t, s)
		if count != fmt.Sprint(n) || sum != fmt.Sprint(took.Seconds()) {
			t.Errorf("got %s tries in %s s, want %d in %v", count, sum, n, took)
		}
	})
}

func TestAnyRunIsCountedRight(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &metrics.Sends{}
		var sum time.Duration
		flying, peak, ended := 0, 0, 0
		for range rapid.IntRange(0, 200).Draw(rt, "steps") {
			e := dispatcher.Event{Kind: dispatcher.Started}
			switch step := rapid.IntRange(0, 4).Draw(rt, "step"); {
			case step < 2:
				flying++
			case step < 4 && flying > 0:
				flying--
				ended++
				e.Kind = dispatcher.Retrying
				e.Result.Took = time.Duration(rapid.IntRange(0, 900_000).Draw(rt, "ms")) * time.Millisecond
				sum += e.Result.Took
			default:
				e.Kind, e.Result.Took = dispatcher.Finished, time.Hour // given up while it waited
			}
			e.InFlight = flying
			peak = max(peak, flying)
			s.Observe(campaign.Send{Event: e})
		}
		r := empty(0, began)
		r.Sends = s
		text := written(t, r)
		for _, want := range []string{
			fmt.Sprintf(`senddigest_send_duration_seconds_bucket{site="%s",le="+Inf"} %d`, site, ended),
			fmt.Sprintf(`senddigest_send_duration_seconds_count{site="%s"} %d`, site, ended),
			fmt.Sprintf(`senddigest_send_duration_seconds_sum{site="%s"} %v`, site, sum.Seconds()),
			fmt.Sprintf(`senddigest_in_flight_peak{site="%s"} %d`, site, peak),
		} {
			if !strings.Contains(text, want+"\n") {
				rt.Fatalf("no %s in:\n%s", want, text)
			}
		}
	})
}
