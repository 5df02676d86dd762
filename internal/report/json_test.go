package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

// The types below are schema 1 as its readers know it, written down apart from the ones that write it.
type (
	schema1 struct {
		Schema    int                  `json:"schema"`
		Campaign  string               `json:"campaign"`
		Run       string               `json:"run"`
		URL       string               `json:"url"`
		Started   time.Time            `json:"started"`
		Finished  time.Time            `json:"finished"`
		Complete  bool                 `json:"complete"`
		StoppedBy *string              `json:"stopped_by"`
		Error     string               `json:"error"`
		Workers   int                  `json:"workers"`
		Rate      *float64             `json:"rate"`
		Burst     int                  `json:"burst"`
		Counts    counts1              `json:"counts"`
		Seconds   seconds1             `json:"seconds"`
		Causes    []cause1             `json:"causes"`
		Ledger    *report.LedgerCounts `json:"ledger"`
		Groups    []group1             `json:"groups"`
	}
	counts1 struct {
		Groups       int `json:"groups"`
		Accepted     int `json:"accepted"`
		UnknownGroup int `json:"unknown_group"`
		Rejected     int `json:"rejected"`
		NotOK        int `json:"not_ok"`
		Unexpected   int `json:"unexpected"`
		Unreachable  int `json:"unreachable"`
		Ambiguous    int `json:"ambiguous"`
		NotAttempted int `json:"not_attempted"`
		Skipped      int `json:"skipped"`
		Retries      int `json:"retries"`
		Guarded      int `json:"guarded"`
	}
	seconds1 struct {
		Wall       float64  `json:"wall"`
		P50        float64  `json:"p50"`
		P95        float64  `json:"p95"`
		P99        float64  `json:"p99"`
		Max        float64  `json:"max"`
		LowerBound float64  `json:"lower_bound"`
		Forecast   *float64 `json:"forecast"`
	}
	cause1 struct {
		Outcome  string    `json:"outcome"`
		Reason   string    `json:"reason"`
		Groups   int       `json:"groups"`
		First    time.Time `json:"first"`
		Last     time.Time `json:"last"`
		Examples []string  `json:"examples"`
	}
	group1 struct {
		Site     string  `json:"site"`
		Group    string  `json:"group"`
		Outcome  string  `json:"outcome"`
		Status   int     `json:"status"`
		Reason   string  `json:"reason"`
		Error    string  `json:"error"`
		Attempts int     `json:"attempts"`
		Start    float64 `json:"start"`
		Seconds  float64 `json:"seconds"`
		Worker   int     `json:"worker"`
		Mail     *string `json:"mail"`
	}
	jsonObject = map[string]json.RawMessage
)

// readBack reads a report as its schema says, and accepts nothing that the schema does not have.
func readBack(t testing.TB, data []byte) schema1 {
	t.Helper()
	var got schema1
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more follows the report: %v", err)
	}
	return got
}

func TestJSONReadBackIsTheSameRun(t *testing.T) {
	run, m := stored()
	data := jsonOf(t, report.New(run, m))
	golden(t, "stored.json", data)
	got := readBack(t, data)

	deadline, rate := "deadline", 10.0
	want := schema1{
		Schema: 1, Campaign: "digest", Run: "20261123T020000Z-7f3a", URL: "https://groups.example.com/",
		Started: time.Date(2026, 11, 23, 2, 0, 0, 125e6, time.UTC), Finished: time.Date(2026, 11, 23, 2, 1, 35, 126e6, time.UTC),
		StoppedBy: &deadline, Workers: 4, Rate: &rate, Burst: 1,
		Counts: counts1{
			Groups: 13, Accepted: 2, UnknownGroup: 1, Rejected: 1, NotOK: 1, Unexpected: 1, Unreachable: 1,
			Ambiguous: 3, NotAttempted: 2, Skipped: 1, Retries: 2,
		},
		// Of ten sends the fifth and the tenth by length; a quarter of 98.271 s is less than the longest.
		Seconds: seconds1{Wall: 95, P50: 1.235, P95: 60, P99: 60, Max: 60, LowerBound: 60},
	}
	for i := range run.Results {
		r := &run.Results[i]
		g := group1{
			Outcome: r.Outcome.String(), Status: r.Status, Reason: r.Reason, Attempts: r.Attempts,
			Seconds: math.Round(r.Took.Seconds()*1e3) / 1e3, Worker: r.Worker,
		}
		g.Site, g.Group = names(r.Job)
		if r.Err != nil {
			g.Error = r.Err.Error()
		}
		if r.Attempts > 0 {
			g.Start = r.Start.Sub(began).Seconds()
		}
		want.Groups = append(want.Groups, g)
	}
	for _, c := range run.Causes(10) {
		want.Causes = append(want.Causes, cause1{
			Outcome: c.Outcome.String(), Reason: c.Reason, Groups: c.Jobs, Examples: c.Examples,
			First: c.First.UTC().Truncate(time.Millisecond), Last: c.Last.UTC().Truncate(time.Millisecond),
		})
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if strings.Contains(string(data), "a stack") {
		t.Error("the stack of a panic is in the report: it is for the log")
	}
}

// Scripts read reports with grep and head too, so the order of the fields is part of them.
func TestJSONHasTheFieldsOfTheSchemaInItsOrder(t *testing.T) {
	top := []string{
		"schema", "campaign", "run", "url", "started", "finished", "complete", "stopped_by", "workers", "rate", "burst",
		"counts", "seconds", "causes", "ledger", "groups",
	}
	withError := slices.Insert(slices.Clone(top), 8, "error")
	counts := []string{
		"groups", "accepted", "unknown_group", "rejected", "not_ok", "unexpected", "unreachable", "ambiguous",
		"not_attempted", "skipped", "retries", "guarded",
	}
	seconds := []string{"wall", "p50", "p95", "p99", "max", "lower_bound", "forecast"}
	cause := []string{"outcome", "reason", "groups", "first", "last", "examples"}
	group := []string{"site", "group", "outcome", "status", "reason", "error", "attempts", "start", "seconds", "worker", "mail"}

	run, m := stored()
	fields := keys(t, jsonOf(t, report.New(run, m)))
	for _, tt := range []struct {
		where string
		want  []string
	}{{"", top}, {".counts", counts}, {".seconds", seconds}, {".causes", cause}, {".groups", group}} {
		// An array has its objects' fields once for each.
		for got := range slices.Chunk(fields[tt.where], len(tt.want)) {
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("%q: got -, want +:\n%s", tt.where, diff)
			}
		}
	}

	m.Error = "list of groups: 404 Not Found"
	if diff := cmp.Diff(keys(t, jsonOf(t, report.New(ended(0, nil), m)))[""], withError); diff != "" {
		t.Errorf("without a list: got -, want +:\n%s", diff)
	}
}

// keys gives the names of the fields of each object, in their order, by the path of names that leads to it.
func keys(t *testing.T, data []byte) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	d := json.NewDecoder(bytes.NewReader(data))
	var read func(path string)
	read = func(path string) {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			for d.More() {
				name, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				key, _ := name.(string)
				found[path] = append(found[path], key)
				read(path + "." + key)
			}
		case json.Delim('['):
			for d.More() {
				read(path)
			}
		default:
			return
		}
		if _, err := d.Token(); err != nil { // the closing brace
			t.Fatal(err)
		}
	}
	read("")
	return found
}

// What there is none of is null where 0 would be a figure, and an empty list where there could be several.
func TestJSONTellsNoneFromZero(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*report.Meta)
		run    *dispatcher.Report
		field  string
		want   string
	}{
		{"nothing stopped it", nil, ended(0, nil), "stopped_by", "null"},
		{"stopped", func(m *report.Meta) { m.StopWord = "max_failures" }, ended(0, errFull), "stopped_by", `"max_failures"`},
		{"stopped for what the contract has no word for", nil, ended(0, errFull), "stopped_by", "null"},
		{"and yet not complete", nil, ended(0, errFull), "complete", "false"},
		{"complete", nil, ended(0, nil), "complete", "true"},
		{"not complete without a list", func(m *report.Meta) { m.Error = "no list" }, ended(0, nil), "complete", "false"},
		{"a rate", nil, ended(0, nil), "rate", "10"},
		{"a part of a send a second", func(m *report.Meta) { m.Rate = 0.5 }, ended(0, nil), "rate", "0.5"},
		{"no rate", func(m *report.Meta) { m.Rate = 0 }, ended(0, nil), "rate", "null"},
		{"no cause", nil, ended(0, nil, every(1, accepted)...), "causes", "[]"},
		{"no group", nil, ended(0, nil), "groups", "[]"},
		{"no error", nil, ended(0, nil), "error", ""},
		{"an error", func(m *report.Meta) { m.Error = "a <list>" }, ended(0, nil), "error", `"a <list>"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := meta()
			if tt.change != nil {
				tt.change(&m)
			}
			var got jsonObject
			if err := json.Unmarshal(jsonOf(t, report.New(tt.run, m)), &got); err != nil {
				t.Fatal(err)
			}
			if string(got[tt.field]) != tt.want {
				t.Errorf("%s: got %s, want %s", tt.field, got[tt.field], tt.want)
			}
		})
	}
}

// One group a line: grep finds a group with all that became of it.
func TestJSONHasOneGroupALine(t *testing.T) {
	run, m := stored()
	lines := 0
	for line := range strings.Lines(string(jsonOf(t, report.New(run, m)))) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		if strings.HasPrefix(line, `{"site"`) && json.Valid([]byte(line)) {
			lines++
		}
	}
	if lines != len(run.Results) {
		t.Errorf("got %d lines with a group, want %d", lines, len(run.Results))
	}
}

// A reader of text that is not UTF-8 is rare, and JSON has no other.
func TestJSONIsValidWhateverTheIdsAre(t *testing.T) {
	odd := "a\xff\x00\u2028\"\\</script>"
	d := report.New(ended(0, nil, sent(job{odd, odd}, failure(dispatcher.NotOK, 500, odd), 0, 0, 1)), meta())
	got := readBack(t, jsonOf(t, d))
	if want := strings.ToValidUTF8(odd, "\ufffd"); got.Groups[0].Group != want || got.Groups[0].Reason != want {
		t.Errorf("got %+q because of %+q, want %+q", got.Groups[0].Group, got.Groups[0].Reason, want)
	}
}

// firstWrite notes how much of the run had been looked at when the first bytes were written, and the longest write.
type firstWrite struct {
	seen    *int
	before  int
	writes  int
	longest int
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.writes == 0 {
		w.before = *w.seen
	}
	w.writes++
	w.longest = max(w.longest, len(p))
	return len(p), nil
}

func TestJSONOf200000GroupsIsNeverInMemoryAsAWhole(t *testing.T) {
	const groups = 200_000
	results := make([]dispatcher.Result, groups)
	for i := range results {
		results[i] = sent(job{"main", "some-group"}, accepted, time.Second, time.Second, 1)
	}
	seen := 0
	m := meta()
	m.Names = func(j dispatcher.Job) (site, group string) {
		seen++
		return names(j)
	}
	d := report.New(ended(time.Hour, nil, results...), m)
	w := &firstWrite{seen: &seen}
	if err := d.WriteJSON(w); err != nil {
		t.Fatal(err)
	}
	if seen != groups {
		t.Errorf("%d groups were written, want %d", seen, groups)
	}
	if most := groups / 100; w.before > most {
		t.Errorf("%d groups were read before the first was written, want at most %d", w.before, most)
	}
	if most := 128 << 10; w.longest > most {
		t.Errorf("the longest write has %d bytes, want at most %d", w.longest, most)
	}
}

func TestJSONAllocatesTheSameForEachGroup(t *testing.T) {
	perGroup := func(groups int) float64 {
		d := report.New(ended(time.Hour, nil, every(groups, database)...), meta())
		return testing.AllocsPerRun(1, func() {
			if err := d.WriteJSON(io.Discard); err != nil {
				t.Error(err)
			}
		}) / float64(groups)
	}
	few, many := perGroup(1000), perGroup(20_000)
	// The race detector drops what encoding/json would use again, now and then.
	if many > few+1 || many > 25 {
		t.Errorf("%.1f allocations for each of 20,000 groups, %.1f for each of 1000: want as few, and at most 25", many, few)
	}
}
