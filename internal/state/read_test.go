package state_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
	"pgregory.net/rapid"
)

// A model is what a run did, told by the test itself: what is known of each group after each write.
type model struct {
	listed   bool
	groups   []known
	finished bool
}

type known struct {
	open, started bool
	outcome       dispatcher.Outcome
}

func (m model) clone() model {
	m.groups = append([]known(nil), m.groups...)
	return m
}

var ends = []dispatcher.Outcome{
	dispatcher.Accepted, dispatcher.UnknownGroup, dispatcher.Rejected, dispatcher.NotOK, dispatcher.Unexpected,
	dispatcher.Unreachable, dispatcher.Ambiguous,
}

// anyRun writes a random run, and gives its bytes with what is known at each size of the file.
func anyRun(t *rapid.T, d *state.Dir, disk *disk) (text []byte, at map[int]model) {
	name := rapid.StringMatching(`[a-z"\\é\n]{1,6}`)
	list := rapid.SliceOfNDistinct(name, 0, 5, rapid.ID).Draw(t, "groups")
	left := rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, "skipped")
	w, err := d.Begin(header(run1), nil)
	if err != nil {
		t.Fatal(err)
	}
	at = map[int]model{}
	m := model{}
	note := func() { at[disk.text.Len()] = m.clone() }
	note()
	var jobs []state.Group
	for _, g := range list {
		jobs = append(jobs, state.Group{Site: "main", Group: g})
		m.groups = append(m.groups, known{outcome: dispatcher.NotAttempted})
	}
	var skips []state.Skip
	for i, g := range left {
		s := state.Skip{Group: state.Group{Site: "left", Group: g}, Reason: "left out"}
		if i%2 == 0 {
			s.In, s.At = "20261122T020000Z-01c2", epoch.Add(-time.Hour)
		}
		skips = append(skips, s)
	}
	w.List(jobs, skips)
	m.listed = true
	note()
	offset := time.Duration(0)
	results := map[int]dispatcher.Result{}
	for range rapid.IntRange(0, 30).Draw(t, "events") {
		if len(list) == 0 {
			break
		}
		i := rapid.IntRange(0, len(list)-1).Draw(t, "group")
		k := &m.groups[i]
		offset += time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "time"))
		r, seen := results[i]
		if !seen {
			r = dispatcher.Result{Job: jobs[i], Worker: i + 1, Start: epoch.Add(offset)}
		}
		switch {
		case !k.open && r.Outcome == dispatcher.Skipped: // ended for good
			continue
		case !k.open:
			r.Attempts++
			r.Verdict = dispatcher.Verdict{}
			w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
			*k = known{open: true, started: true}
		default:
			r.Took = epoch.Add(offset).Sub(r.Start)
			r.Outcome = rapid.SampledFrom(ends).Draw(t, "outcome")
			if r.Failed() {
				r.Status, r.Reason, r.Err = 500, "a \"reason\"", errors.New("line 1\nline 2")
			}
			*k = known{started: true, outcome: r.Outcome}
			kind := dispatcher.Finished
			if r.Outcome == dispatcher.NotOK && rapid.Bool().Draw(t, "retry") {
				kind = dispatcher.Retrying
			}
			w.Observe(dispatcher.Event{Kind: kind, Result: r})
			if kind == dispatcher.Finished {
				r.Outcome = dispatcher.Skipped
			}
		}
		results[i] = r
		note()
	}
	if rapid.Bool().Draw(t, "finish") {
		w.Finish(state.Ending{At: epoch.Add(offset), StoppedBy: rapid.SampledFrom([]string{"", "signal"}).Draw(t, "stop")})
		m.finished = true
		note()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.text.Bytes(), at
}

func TestWhereverTheFileIsCutNothingIsForgottenOrInvented(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		disk := &disk{}
		d := on(t, disk)
		text, at := anyRun(rt, d, disk)
		path := filepath.Join(d.Path(), run1+".jsonl")
		want := model{}
		for cut := range len(text) + 1 {
			if m, ok := at[cut]; ok {
				want = m
			}
			if !want.listed {
				want.groups = nil
			}
			tail := rapid.SampledFrom([]string{"", "\x00\x00\x00", "{", `["`}).Draw(rt, "tail")
			torn := append(bytes.Clone(text[:cut]), tail...)
			run, err := state.LoadBytes(path, torn)
			if err != nil {
				rt.Fatalf("cut at %d: %v", cut, err)
			}
			compare(rt, cut, want, run)
			if cut%31 == 0 || cut == len(text) { // a file is slow
				if err := os.WriteFile(path, torn, 0o600); err != nil {
					rt.Fatal(err)
				}
				runs, err := d.Runs(state.Installation{})
				if err != nil || len(runs) != 1 {
					rt.Fatalf("cut at %d: runs %v, %v", cut, runs, err)
				}
				if diff := cmp.Diff(run.Summary, runs[0]); diff != "" {
					rt.Fatalf("cut at %d: Load and Runs do not agree: %s", cut, diff)
				}
			}
		}
	})
}

func compare(t *rapid.T, cut int, want model, run *state.Run) {
	if run.Listed != want.listed || run.Finished.IsZero() == want.finished {
		t.Fatalf("cut at %d: listed %v, finished %v, want %+v", cut, run.Listed, run.Finished, want)
	}
	entries := all(run)
	for i, k := range want.groups {
		e := entries[i]
		if e.Open != k.open || e.Outcome != k.outcome || (e.Attempts > 0) != k.started || e.Last.IsZero() == k.started {
			t.Fatalf("cut at %d: group %d: got %+v, want %+v", cut, i, e, k)
		}
		if _, accepted := e.Accepted(); accepted != (k.outcome == dispatcher.Accepted) {
			t.Fatalf("cut at %d: group %d: accepted: %v", cut, i, accepted)
		}
	}
	for _, e := range entries[min(len(want.groups), len(entries)):] {
		at, accepted := e.Accepted()
		if e.Outcome != dispatcher.Skipped || accepted != (e.In != "") || accepted && !at.Equal(epoch.Add(-time.Hour)) {
			t.Fatalf("cut at %d: %+v", cut, e)
		}
	}
}

// lines is a journal written by hand.
func lines(more ...string) []byte {
	head := `{"journal":1,"campaign":"digest","run":"` + run1 + `","installation":"0011223344556677","started":"2026-11-23T02:00:00Z"}`
	return []byte(head + "\n" + strings.Join(more, "\n") + "\n")
}

func TestGarbageInTheMiddleIsAnErrorThatNamesTheLine(t *testing.T) {
	list := []string{`{"list":1,"skipped":1}`, `["main","a"]`, `{"text":"x"}`, `["main","b",0]`, `{"listed":2}`}
	with := func(more ...string) []byte { return lines(append(list[:len(list):len(list)], more...)...) }
	const good = `{"start":0,"t":1,"w":1}`
	for _, row := range []struct {
		name string
		text []byte
		line int
	}{
		{"an empty line", with("", good), 7},
		{"zeros", with("\x00\x00", good), 7},
		{"half a record", with(`{"start":0,`, good), 7},
		{"two records in a line", with(good+good, good), 7},
		{"no such group", with(`{"start":1,"t":1,"w":1}`), 7},
		{"a negative group", with(`{"start":-1,"t":1,"w":1}`), 7},
		{"a fraction of a group", with(`{"start":0.5,"t":1,"w":1}`), 7},
		{"an unknown record", with(`{"begin":0}`), 7},
		{"an unknown outcome", with(good, `{"end":0,"t":1,"outcome":"delivered"}`), 8},
		{"no outcome", with(good, `{"end":0,"t":1}`), 8},
		{"an exponent", with(`{"start":0,"t":1e9,"w":1}`), 7},
		{"a time beyond all", with(`{"start":0,"t":99999999999,"w":1}`), 7},
		{"a group after the list", with(`["main","c"]`), 7},
		{"a second list", with(list...), 7},
		{"a second end of the list", with(`{"listed":2}`), 7},
		{"a text after the list", with(`{"text":"y"}`), 7},
		{"a record after the last", with(`{"finished":1,"not_attempted":1,"skipped":1}`, good), 8},
		{"mail of more than are sent to", with(`{"finished":1,"mail":"mm","not_attempted":1,"skipped":1}`), 7},
		{"mail of more than are left out", with(`{"finished":1,"left_mail":"mm","not_attempted":1,"skipped":1}`), 7},
		{"posts of more than are left out", with(`{"finished":1,"gaps":[1,1],"left_gaps":[1],"not_attempted":1,"skipped":1}`), 7},
		{"posts of less than the first", with(`{"finished":1,"gaps":[1,1],"left_gaps":[-1],"not_attempted":1,"skipped":1}`), 7},
		{"counts without a list", lines(`{"finished":1,"accepted":0}`), 2},
		{"a start before the list", lines(good), 2},
		{"a start within the list", lines(list[0], list[1], good), 4},
		{"a group too few", lines(list[0], list[1], `{"listed":2}`), 4},
		{"a group too many", lines(list[0], list[1], list[2], list[3], `["main","c",0]`), 6},
		{"a group without a reason", lines(list[0], list[1], `["main","c"]`), 4},
		{"a group with a reason", lines(list[0], list[2], `["main","c",0]`), 4},
		{"a reason that is not there", lines(list[0], list[1], `["main","c",0]`), 4},
		{"a time that is missing", lines(list[0], list[1], list[2], `["main","c",0,0]`), 5},
		{"half a name", lines(list[0], `["main"]`), 3},
		{"a number for a name", lines(list[0], `["main",1]`), 3},
		{"a name that is not UTF-8", lines(list[0], "[\"main\",\"\xff\"]"), 3},
		{"a line without end", with(strings.Repeat("x", 3<<20), good), 7},
		{"no header", []byte("hello\n"), 1},
		{"another header", []byte("{\"version\":1}\n"), 1},
		{"a header of another run", []byte(strings.Replace(string(lines()), run1, "20261123T020000Z-0000", 1)), 1},
	} {
		d := open(t)
		path := filepath.Join(d.Path(), run1+".jsonl")
		if err := os.WriteFile(path, row.text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load(run1)
		e, ok := errors.AsType[*state.DamagedError](err)
		if !ok || e.Line != row.line || !strings.Contains(err.Error(), fmt.Sprintf("%s: line %d: ", path, row.line)) {
			t.Errorf("%s: got %v, want line %d", row.name, err, row.line)
		}
		if runs, err := d.Runs(here); err != nil || len(runs) != 1 {
			t.Errorf("%s: runs %v, %v", row.name, runs, err)
		}
	}
}

// What is wrong with a figure is said where it is read: nobody who works with it has to think of it.
func TestAFigureOrAWordThatNoRunCanHaveIsDamageThatNamesItsLine(t *testing.T) {
	const head, start = 1, 5 // lines of the header, and of the first event
	header := func(figure string) []byte {
		return bytes.Replace(lines(), []byte(`"started":"2026-11-23T02:00:00Z"`), []byte(figure), 1)
	}
	event := func(more ...string) []byte {
		return lines(append([]string{`{"list":1,"skipped":0}`, `["main","a"]`, `{"listed":1}`}, more...)...)
	}
	const began = `{"start":0,"t":1,"w":1}`
	for _, row := range []struct {
		name string
		text []byte
		line int
	}{
		{"an end without a start", event(`{"end":0,"t":1,"outcome":"accepted"}`), start},
		{"a start by nobody", event(`{"start":0,"t":1}`), start},
		{"a start by worker 0", event(`{"start":0,"t":1,"w":0}`), start},
		{"a start by worker 2,000,000,000", event(`{"start":0,"t":1,"w":2000000000}`), start},
		{"a start at no time", event(`{"start":0,"w":1}`), start},
		{"a start a century before the run", event(`{"start":0,"t":-3155760000,"w":1}`), start},
		{"a start a century later", event(`{"start":0,"t":3155760000,"w":1}`), start},
		{"a try 0", event(`{"start":0,"t":1,"w":1,"n":0}`), start},
		{"a try 2,000,000,000", event(`{"start":0,"t":1,"w":1,"n":2000000000}`), start},
		{"an end at no time", event(began, `{"end":0,"outcome":"accepted"}`), start + 1},
		{"an end a century before the run", event(began, `{"end":0,"t":-3155760000,"outcome":"accepted"}`), start + 1},
		{"an end that says not attempted", event(began, `{"end":0,"t":2,"outcome":"not_attempted"}`), start + 1},
		{"a status of ten digits", event(began, `{"end":0,"t":2,"outcome":"not_ok","status":2000000000}`), start + 1},
		{"a limit of 2,000,000,000", event(`{"limit":2000000000,"t":1}`), start},
		{"a steer that is no word", event(`{"limit":2,"t":1,"steer":"\u001b[2J"}`), start},
		{"a value of a steer that a terminal would obey", event(`{"limit":2,"t":1,"steer":"rate","to":"\u001b[2J"}`), start},
		{"a limit before the run", event(`{"limit":2,"t":-1}`), start},
		{"an end of the run before its start", event(`{"finished":-1,"not_attempted":1}`), start},
		{"an end of the run a century later", event(`{"finished":3155760000,"not_attempted":1}`), start},
		{"a stop by no word", event(`{"finished":1,"stopped_by":"\u001b[2J","not_attempted":1}`), start},
		{"counts of another list", event(`{"finished":1,"accepted":2000000000}`), start},
		{"a run of the year 0", header(`"started":"0000-11-23T02:00:00Z"`), head},
		{"a run of the year 9999", header(`"started":"9999-11-23T02:00:00Z"`), head},
		{"a run of no time", header(`"workers":1`), head},
		{"an address that a terminal would obey", header(`"started":"2026-11-23T02:00:00Z","url":"\u001b[2J"`), head},
		{"a campaign of no word", header(`"started":"2026-11-23T02:00:00Z","campaign":"a\nb"`), head},
		{"a run before that is none", header(`"started":"2026-11-23T02:00:00Z","resumes":"../../etc"`), head},
		{"workers below none", header(`"started":"2026-11-23T02:00:00Z","workers":-1`), head},
		{"2,000,000,000 workers", header(`"started":"2026-11-23T02:00:00Z","workers":2000000000`), head},
		{"a rate below none", header(`"started":"2026-11-23T02:00:00Z","rate":-1`), head},
		{"a rate of 1e300", header(`"started":"2026-11-23T02:00:00Z","rate":1e300`), head},
		{"a burst below none", header(`"started":"2026-11-23T02:00:00Z","burst":-1`), head},
		{"another program's run of the year 9999", header(`"started":"2026-11-23T02:00:00Z","assumed":"9999-11-23T02:00:00Z"`), head},
	} {
		_, err := state.LoadBytes(run1+".jsonl", row.text)
		if e, ok := errors.AsType[*state.DamagedError](err); !ok || e.Line != row.line {
			t.Errorf("%s: got %v, want damage in line %d", row.name, err, row.line)
		}
	}
}

// One that goes on with what another machine's run planned finds tries that are older than itself.
func TestATryMayBeOlderThanTheRun(t *testing.T) {
	run, err := state.LoadBytes(run1+".jsonl", lines(`{"list":1,"skipped":0}`, `["main","a"]`, `{"listed":1}`,
		`{"start":0,"t":-90.5,"w":1}`, `{"end":0,"t":-60.25,"outcome":"accepted","status":200}`))
	if err != nil {
		t.Fatal(err)
	}
	r := run.Report().Results[0]
	if r.Outcome != dispatcher.Accepted || !r.Start.Equal(run.Started.Add(-90500*time.Millisecond)) || r.Took != 30250*time.Millisecond {
		t.Errorf("got %+v", r)
	}
}

func TestACommandThatATerminalWouldNotShowAsItIsCountsAsNotKnown(t *testing.T) {
	d := open(t)
	h := header(run1)
	h.Resume, h.RetryFailed = "senddigest --resume \x1b[2J", "senddigest --retry-failed https://groups.example.com/"
	_ = begin(t, d, h).Close()
	if got := load(t, d, run1).Header; got.Resume != "" || got.RetryFailed != h.RetryFailed {
		t.Errorf("got %q and %q", got.Resume, got.RetryFailed)
	}
}

func TestFieldsOfALaterDayArePassedBy(t *testing.T) {
	run, err := state.LoadBytes(run1+".jsonl", lines(
		`{"list":1,"skipped":0,"later":"x"}`, `["main","a"]`, `{"listed":1,"later":null}`,
		` { "start" : 0 , "later" : true , "t" : 1.5 , "w" : 2 } `, `{"end":0,"t":2,"outcome":"accepted","later":-1.5}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if e := all(run)[0]; e.Outcome != dispatcher.Accepted || e.Worker != 2 || e.End.Sub(e.Last) != time.Second/2 {
		t.Errorf("%+v", e)
	}
}

func TestANewerVersionIsNamedAndNotTouched(t *testing.T) {
	d := open(t)
	put(t, d, night(1))
	newer := `{"journal":2,"campaign":"digest","run":"` + run1 + `","installation":%s,"started":"2026-11-23T02:00:00Z","new":{}}` +
		"\nwho knows\n"
	path := filepath.Join(d.Path(), run1+".jsonl")
	for _, row := range []struct {
		installation string
		ours         bool
	}{{`"0011223344556677"`, true}, {`"1111111111111111"`, false}, {`{"key":1}`, true}} {
		if err := os.WriteFile(path, fmt.Appendf(nil, newer, row.installation), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load(run1)
		e, ok := errors.AsType[*state.VersionError](err)
		if !ok || e.Version != 2 || !strings.Contains(e.Error(), "version 2") || !strings.Contains(e.Hint(), "newer program") {
			t.Errorf("%s: %v", row.installation, err)
		}
		runs, err := d.Runs(here)
		if err != nil {
			t.Fatal(err)
		}
		newest, _ := state.Newest(runs)
		if _, ok := errors.AsType[*state.VersionError](newest.Err); ok != row.ours {
			t.Errorf("%s: the newest is %s, %v", row.installation, newest.Run, newest.Err)
		}
		if removed, err := d.Keep(here, 0, ""); err != nil || len(removed) > 1 {
			t.Errorf("removed %v, %v", removed, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestARunKilledAtBirthIsListedAndNothingToGoOnWith(t *testing.T) {
	d := open(t)
	put(t, d, night(1))
	whole := lines(`{"list":2,"skipped":0}`, `["main","a"]`, `["main","b"]`, `{"listed":2}`)
	for cut := range len(whole) {
		if err := os.WriteFile(filepath.Join(d.Path(), run1+".jsonl"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		runs, err := d.Runs(here)
		if err != nil || len(runs) != 2 || runs[0].Run != run1 || runs[0].Err != nil || runs[0].Began() {
			t.Fatalf("cut at %d: %+v, %v", cut, runs, err)
		}
		if newest, ok := state.Newest(runs); !ok || newest.Run != night(1).Run || !newest.Unfinished() {
			t.Errorf("cut at %d: the newest is %+v", cut, newest)
		}
		if run := load(t, d, run1); run.Len() != 0 {
			t.Errorf("cut at %d: %+v", cut, run)
		}
	}
}

func TestARunWithoutAListIsNothingToGoOnWith(t *testing.T) {
	d := open(t)
	w := begin(t, d, header(run1))
	w.Finish(state.Ending{At: epoch.Add(time.Second), Error: "503 Service Unavailable"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runs, err := d.Runs(here)
	if err != nil || len(runs) != 1 || runs[0].Began() || runs[0].Error == "" || runs[0].Finished.IsZero() {
		t.Fatalf("%+v, %v", runs, err)
	}
	if _, ok := state.Newest(runs); ok {
		t.Error("it can be gone on with")
	}
	if r := load(t, d, run1).Report(); len(r.Results) != 0 || r.Finished.Sub(r.Started) != time.Second {
		t.Errorf("%+v", r)
	}
}

func TestWhatATryLeftOpenIsAmbiguousSinceItsOwnStart(t *testing.T) {
	run, err := state.LoadBytes(run1+".jsonl", lines(
		`{"list":3,"skipped":0}`, `["main","a"]`, `["main","b"]`, `["main","c"]`, `{"listed":3}`,
		`{"start":0,"t":1,"w":1}`, `{"end":0,"t":2,"outcome":"not_ok","status":500,"reason":"r","error":"e","retry":true}`,
		`{"start":1,"t":3,"w":2}`, `{"end":1,"t":4,"outcome":"not_ok","status":500,"reason":"r","error":"e","retry":true}`,
		`{"start":0,"t":9,"w":3,"n":2}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return time.Date(2026, 11, 23, 2, 0, s, 0, time.UTC) }
	want := []state.Entry{
		{
			Group: state.Group{Site: "main", Group: "a"}, Outcome: dispatcher.Ambiguous, Open: true, Attempts: 2, Worker: 3,
			Last: at(9), End: at(2),
		},
		{
			Group: state.Group{Site: "main", Group: "b"}, Outcome: dispatcher.NotOK, NotDelivered: true, Again: true, Status: 500, Reason: "r",
			Error: "e", Attempts: 1, Worker: 2, Last: at(3), End: at(4),
		},
		{Group: state.Group{Site: "main", Group: "c"}, Outcome: dispatcher.NotAttempted},
	}
	if diff := cmp.Diff(want, all(run)); diff != "" {
		t.Error(diff)
	}
	report := run.Report()
	if err := report.StoppedBy; err == nil || err.Error() != "the run was cut off" {
		t.Errorf("stopped by %v", err)
	}
	if got := report.Results[2].Reason; got != "the run was cut off" {
		t.Errorf("reason %q", got)
	}

	// While the run goes on, the same record says so.
	run.Running = true
	report = run.Report()
	if err := report.StoppedBy; err == nil || err.Error() != "the run is still going on" {
		t.Errorf("stopped by %v", err)
	}
	if r := report.Results[0]; r.Reason != "it is in flight" || !r.Start.Equal(at(9)) || r.Took != 0 {
		t.Errorf("of the try that is under way: %q, since %v, for %v", r.Reason, r.Start, r.Took)
	}
	if got := report.Results[2].Reason; got != "the run is still going on" {
		t.Errorf("reason %q", got)
	}
}

// A kill may come while a group waits to be settled, or in the try that settles it.
func TestAnAmbiguousTryIsRememberedWhateverFollowsIt(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 23, 2, 0, s, 0, time.UTC) }
	list := []string{`{"list":1,"skipped":0}`, `["main","a"]`}
	open := slices.Concat(list, []string{`{"open":0,"t":-5,"since":-9,"reason":"r0"}`})
	first := []string{`{"listed":1}`, `{"start":0,"t":1,"w":1}`, `{"end":0,"t":2,"outcome":"ambiguous","status":504,"reason":"r1","retry":true}`}
	again := append(slices.Clone(first), `{"start":0,"t":9,"w":1,"n":2}`)
	aside := run1 + ".aside.jsonl"
	for _, tt := range []struct {
		name    string
		list    []string
		events  []string
		outcome dispatcher.Outcome
		last    time.Time
		lost    *dispatcher.Lost
	}{
		// Nobody knows whether it was sent to again once nothing more could be written.
		{aside, list, first, dispatcher.Ambiguous, time.Time{}, &dispatcher.Lost{Reason: "r1", Start: at(1)}},
		{"it waits to be settled", list, first, dispatcher.Ambiguous, at(1), nil},
		{"the second try is in flight", list, again, dispatcher.Ambiguous, at(9), &dispatcher.Lost{Reason: "r1", Start: at(1)}},
		{"it was settled", list, slices.Concat(again, []string{`{"end":0,"t":10,"outcome":"accepted","status":200,"n":2}`}), dispatcher.Accepted, at(9), &dispatcher.Lost{Reason: "r1", Start: at(1)}},
		{"it is ambiguous again", list, slices.Concat(again, []string{`{"end":0,"t":10,"outcome":"ambiguous","n":2,"reason":"r2"}`}), dispatcher.Ambiguous, at(9), &dispatcher.Lost{Reason: "r1", Start: at(1)}},
		{"of an earlier run, not tried", open, first[:1], dispatcher.Ambiguous, at(-5), &dispatcher.Lost{Reason: "r0", Start: at(-9)}},
		{"of an earlier run, in flight", open, first[:2], dispatcher.Ambiguous, at(1), &dispatcher.Lost{Reason: "r0", Start: at(-9)}},
		{"of an earlier run and this one", open, again, dispatcher.Ambiguous, at(9), &dispatcher.Lost{Reason: "r0", Start: at(-9)}},
	} {
		file := run1 + ".jsonl"
		if tt.name == aside {
			file = aside
		}
		run, err := state.LoadBytes(file, lines(slices.Concat(tt.list, tt.events)...))
		if err != nil {
			t.Fatal(err)
		}
		e, _ := run.Entry(state.Group{Site: "main", Group: "a"})
		if e.Outcome != tt.outcome || !e.Last.Equal(tt.last) {
			t.Errorf("%s: got %v at %v, want %v at %v", tt.name, e.Outcome, e.Last, tt.outcome, tt.last)
		}
		if diff := cmp.Diff(e.Lost, tt.lost); diff != "" {
			t.Errorf("%s: lost: got -, want +:\n%s", tt.name, diff)
		}
	}
}

func TestTheReportOfAJournalIsThatOfTheRun(t *testing.T) {
	d := open(t)
	list := groups(40)
	h := header(run1)
	h.Started = time.Now()
	w := begin(t, d, h)
	w.List(list, nil)
	tries, lost := 0, 0
	report := dispatcher.Run(t.Context(), list, func(_ context.Context, g state.Group) dispatcher.Verdict {
		switch g.Group[8:] {
		case "00":
			if tries++; tries < 3 { // its tries are one after the other
				return dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: 500, Reason: "again", NotDelivered: true, Retry: true}
			}
		case "01":
			return dispatcher.Verdict{Outcome: dispatcher.NotOK, Status: 500, Reason: "r", Err: errors.New("e")}
		case "02":
			panic("x")
		case "03":
			if lost++; lost == 1 {
				return dispatcher.Verdict{Reason: "its answer was lost"}
			}
		}
		runtime.Gosched()
		return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	}, dispatcher.Options{
		Workers: 3, MaxFailures: 3, Retries: 2, Observe: w.Observe,
		Backoff: func(int) time.Duration { return time.Millisecond },
		Settle: func(r dispatcher.Result) (time.Time, bool) {
			return r.Start.Add(time.Millisecond), r.Reason == "its answer was lost"
		},
	})
	w.Finish(state.Ending{At: report.Finished})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := load(t, d, run1).Report()
	same := cmp.Options{
		cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
		cmp.Comparer(func(a, b time.Time) bool { return a.Round(0).Equal(b.Round(0)) }),
	}
	// The wall clock and the monotonic one may differ by a little; the journal keeps lengths of the latter.
	for i := range report.Results {
		r := &report.Results[i]
		r.Start = h.Started.Round(0).Add(r.Start.Sub(h.Started))
		if r.Lost != nil {
			r.Lost.Start = h.Started.Round(0).Add(r.Lost.Start.Sub(h.Started))
		}
	}
	again.Finished, again.Started = report.Finished, report.Started
	if again.Peak > report.Peak || again.Peak == 0 { // a journal tells of the last tries alone
		t.Errorf("at most %d were in flight, of %d", again.Peak, report.Peak)
	}
	again.Peak = report.Peak
	if diff := cmp.Diff(report, again, same); diff != "" {
		t.Error(diff)
	}
}

func TestATimeIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := state.Seconds(rapid.Int64().Draw(t, "time"))
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var got state.Seconds
		if err := json.Unmarshal(text, &got); err != nil || got != d {
			t.Fatalf("%d: %s was read as %d, %v", d, text, got, err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(""))
	f.Add(lines())
	f.Add(lines(
		`{"list":2,"skipped":1}`, `["main","a"]`, `["main","b\u00e9\n"]`, `{"text":"x"}`, `["main","c",0,0,-1.5]`, `{"listed":3}`,
		`{"start":0,"t":1.000000001,"w":1}`, `{"end":0,"t":2,"outcome":"not_ok","status":500,"reason":"r","error":"e","retry":true}`,
		`{"start":0,"t":3,"w":1,"n":2}`, `{"end":0,"t":4,"outcome":"accepted","status":200,"n":2}`,
		`{"finished":5,"stopped_by":"signal","error":"x","accepted":1,"not_attempted":1,"skipped":1}`,
	))
	f.Add([]byte(`{"journal":1,"run":"` + run1 + `","started":"2026-11-23T02:00:00Z","only":["a*"],"exclude":["b","c"],` +
		`"assumed":"2026-11-22T01:00:00Z","assumed_seconds":21600.5}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for line := range bytes.Lines(text) {
			if state.ParseLine(bytes.TrimSuffix(line, []byte("\n"))) && !json.Valid(line) {
				t.Errorf("read as a record, and not JSON: %q", line)
			}
		}
		for _, name := range []string{run1 + ".jsonl", run1 + ".aside.jsonl", run1 + ".overtaken.jsonl"} {
			run, err := state.LoadBytes(name, text)
			if err != nil {
				if strings.ContainsRune(err.Error(), '\n') {
					t.Errorf("an error of several lines: %q", err)
				}
				continue
			}
			accepted := 0
			for e := range run.All() {
				if e.Outcome == dispatcher.Accepted {
					accepted++
				}
			}
			if said := bytes.Count(text, []byte("outcome")) + bytes.Count(text, []byte(`\u`)); accepted > said {
				t.Errorf("%d acceptances of %d", accepted, said)
			}
			run.Report().Counts()
			for e := range run.All() {
				known, listed := run.Entry(e.Group)
				if _, ok := known.Accepted(); !listed || known.Group != e.Group || run.Overtaken && !ok && known.Outcome == dispatcher.NotOK {
					t.Errorf("%+v is known as %+v, listed %v", e, known, listed)
				}
			}
		}
	})
}

func TestOfATryLeftOpenInAJournalSetAsideNobodyKnowsWhenItStarted(t *testing.T) {
	run, err := state.LoadBytes(run1+".aside.jsonl", lines(
		`{"list":2,"skipped":0}`, `["main","a"]`, `["main","b"]`, `{"open":1,"t":-60}`, `{"listed":2}`, `{"start":0,"t":1,"w":1}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	for e := range run.All() { // the end of the first, a second one's start: either may be what could not be written
		if e.Outcome != dispatcher.Ambiguous || !e.Open || !e.Last.IsZero() {
			t.Errorf("%s: got %v, open %v, last %v, want ambiguous, open, not known", e.Key(), e.Outcome, e.Open, e.Last)
		}
	}
}

func TestAnOpenTryOfNoGroupOfTheListIsDamage(t *testing.T) {
	for _, list := range [][]string{
		{`{"list":1,"skipped":0}`, `["main","a"]`, `{"open":1}`, `{"listed":1}`},
		{`{"list":1,"skipped":0}`, `{"open":0}`, `["main","a"]`, `{"listed":1}`},
		{`{"list":1,"skipped":0}`, `["main","a"]`, `{"listed":1}`, `{"open":0}`},
	} {
		_, err := state.LoadBytes(run1+".jsonl", lines(list...))
		if _, ok := errors.AsType[*state.DamagedError](err); !ok {
			t.Errorf("%s: got %v, want damage", list, err)
		}
	}
}
