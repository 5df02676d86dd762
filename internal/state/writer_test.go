package state_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

// A disk is a file in memory that does what a test wants.
type disk struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	syncs  []time.Time
	room   int   // bytes it takes; 0: any number
	broken error // what Sync fails with
	closed int
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.room > 0 && d.text.Len()+len(b) > d.room {
		n, _ := d.text.Write(b[:d.room-d.text.Len()])
		return n, &os.PathError{Op: "write", Path: "journal", Err: syscall.ENOSPC}
	}
	return d.text.Write(b)
}

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs = append(d.syncs, time.Now())
	return d.broken
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
	return nil
}

// on makes a directory whose journals are written to disk. The files themselves are there too, empty, to be renamed.
func on(t testing.TB, disk *disk) *state.Dir {
	t.Helper()
	d, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d.Creates(func(path string) (state.File, error) { return disk, os.WriteFile(path, nil, 0o600) })
	return d
}

func TestTheJournalSaysWhatHappened(t *testing.T) {
	d := open(t)
	h := header(run1)
	h.Resumes = "20261122T020000Z-01c2"
	w := begin(t, d, h)
	list := []state.Group{{"main", "announce"}, {"main", "choir"}, {"main", "grüße \"<\\>\""}}
	w.List(list, []state.Skip{
		{Group: state.Group{Site: "main", Group: "old"}, Reason: "left out by --exclude"},
		{
			Group: state.Group{Site: "main", Group: "news"}, Reason: "accepted already", In: h.Resumes,
			At: epoch.Add(-86394500 * time.Millisecond),
		},
	})
	r := started(list[0], 500*time.Millisecond)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	r.Took = 750 * time.Millisecond
	r.Verdict = dispatcher.Verdict{
		Outcome: dispatcher.NotOK, Status: 500, Reason: "500 Internal Server Error", Err: errors.New("two\nlines"),
	}
	w.Observe(dispatcher.Event{Kind: dispatcher.Retrying, Result: r})
	r = started(list[2], 2*time.Second)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	r.Took = 1234567890 * time.Nanosecond
	r.Verdict = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	w.Finish(state.Ending{At: epoch.Add(4100 * time.Millisecond), StoppedBy: "deadline", Error: "time was over"})
	if err := errors.Join(w.Close(), w.Close(), w.Err()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"journal":1,"campaign":"digest","run":"20261123T020000Z-7f3a","url":"https://groups.example.com/",` +
		`"started":"2026-11-23T02:00:00.000000123Z","workers":4,"rate":2.5,"burst":1,"resumes":"20261122T020000Z-01c2",` +
		`"installation":"0011223344556677","site":"8899aabbccddeeff"}
{"list":3,"skipped":2}
["main","announce"]
["main","choir"]
["main","grüße \"<\\>\""]
{"text":"left out by --exclude"}
["main","old",0]
{"text":"accepted already"}
{"text":"20261122T020000Z-01c2"}
["main","news",1,2,-86394.5]
{"listed":5}
{"start":0,"t":0.5,"w":1}
{"end":0,"t":1.25,"outcome":"not_ok","status":500,"reason":"500 Internal Server Error","error":"two\nlines","retry":true}
{"start":2,"t":2,"w":1}
{"end":2,"t":3.23456789,"outcome":"accepted","status":200}
{"finished":4.1,"stopped_by":"deadline","error":"time was over","accepted":1,"not_ok":1,"not_attempted":1,"skipped":2}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	for line := range bytes.Lines(text) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}

	run := load(t, d, run1)
	entries := []state.Entry{
		{
			Group: list[0], Outcome: dispatcher.NotOK, NotDelivered: true, Again: true, Status: 500, Reason: "500 Internal Server Error",
			Error: "two\nlines", Attempts: 1, Worker: 1,
			Last: epoch.Add(500 * time.Millisecond), End: epoch.Add(1250 * time.Millisecond),
		},
		{Group: list[1], Outcome: dispatcher.NotAttempted},
		{
			Group: list[2], Outcome: dispatcher.Accepted, Status: 200, Attempts: 1, Worker: 1,
			Last: epoch.Add(2 * time.Second), End: epoch.Add(3234567890),
		},
		{Group: state.Group{Site: "main", Group: "old"}, Outcome: dispatcher.Skipped, Reason: "left out by --exclude"},
		{
			Group: state.Group{Site: "main", Group: "news"}, Outcome: dispatcher.Skipped, Reason: "accepted already",
			In: h.Resumes, End: epoch.Add(-86394500 * time.Millisecond),
		},
	}
	if diff := cmp.Diff(entries, all(run)); diff != "" {
		t.Error(diff)
	}
	summary := state.Summary{
		Header: h, Listed: true, Last: epoch.Add(4100 * time.Millisecond), Finished: epoch.Add(4100 * time.Millisecond),
		StoppedBy: "deadline", Error: "time was over",
	}
	summary.Counts[dispatcher.Accepted], summary.Counts[dispatcher.NotOK] = 1, 1
	summary.Counts[dispatcher.NotAttempted], summary.Counts[dispatcher.Skipped] = 1, 2
	if diff := cmp.Diff(summary, run.Summary); diff != "" {
		t.Error(diff)
	}
	runs, err := d.Runs(here)
	if diff := cmp.Diff([]state.Summary{summary}, runs); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if !runs[0].Unfinished() {
		t.Error("a run that the deadline stopped counts as finished")
	}
}

func TestAStartIsOnFileBeforeTheRequestLeavesInOneWriteARecord(t *testing.T) {
	disk := &disk{}
	w := begin(t, on(t, disk), header(run1))
	list := groups(10)
	w.List(list, nil)
	dispatcher.Run(t.Context(), list, func(_ context.Context, g state.Group) dispatcher.Verdict {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		if want := fmt.Sprintf(`{"start":%s,`, strings.TrimLeft(g.Group[6:8], "0")+g.Group[8:]); !strings.Contains(disk.text.String(), want) {
			t.Errorf("%s was not on file when its request left", g.Key())
		}
		return dispatcher.Verdict{Outcome: dispatcher.Accepted}
	}, dispatcher.Options{Workers: 4, Observe: w.Observe})
	if want := 2 + 2*len(list); disk.writes != want { // header and list, start and end
		t.Errorf("%d writes, want %d", disk.writes, want)
	}
}

func TestTheFileIsSyncedWithinASecondOfSomethingNewAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &disk{}
		begun := time.Now()
		h := header(run1)
		h.Started = begun
		w := begin(t, on(t, disk), h)
		list := groups(100)
		w.List(list, nil)
		record := func(from, to int, every time.Duration) {
			for _, g := range list[from:to] {
				w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: started(g, 0)})
				time.Sleep(every)
			}
		}
		const ms = time.Millisecond
		time.Sleep(10030 * ms)            // one sync, for header and list
		record(0, 20, 150*ms)             // from 10.03 s to 12.88 s
		time.Sleep(time.Hour)             // nothing new
		record(20, 21, 200*ms)            // at 1:00:13.03
		if err := w.Close(); err != nil { // at 1:00:13.23
			t.Error(err)
		}
		var got []time.Duration
		for _, at := range disk.syncs {
			got = append(got, at.Sub(begun))
		}
		want := []time.Duration{1000 * ms, 11000 * ms, 12000 * ms, 13000 * ms, time.Hour + 13230*ms}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if disk.closed != 1 {
			t.Errorf("closed %d times", disk.closed)
		}
	})
}

func TestADiskThatFillsUpCostsTheJournalAndNotADigest(t *testing.T) {
	list := groups(50)
	full := 0
	for room := 1; ; room += 61 {
		disk := &disk{room: room}
		d := on(t, disk)
		var told []*state.JournalWriteError
		w, err := d.Begin(header(run1), func(e *state.JournalWriteError) { told = append(told, e) })
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if runs, _ := d.Runs(here); len(runs) != 0 {
				t.Errorf("room for %d: a journal is left that was never begun", room)
			}
			continue
		}
		w.List(list, nil)
		report := dispatcher.Run(t.Context(), list, func(context.Context, state.Group) dispatcher.Verdict {
			return dispatcher.Verdict{Outcome: dispatcher.Accepted}
		}, dispatcher.Options{Workers: 2, Observe: w.Observe})
		if got := report.Counts()[dispatcher.Accepted]; got != len(list) {
			t.Fatalf("room for %d: %d of %d accepted", room, got, len(list))
		}
		w.Finish(state.Ending{At: epoch})
		err = w.Close()
		if err == nil {
			break
		}
		full++
		e, ok := errors.AsType[*state.JournalWriteError](err)
		if !ok || !errors.Is(err, syscall.ENOSPC) || !e.Marked || len(told) != 1 || told[0] != e || w.Err() != err {
			t.Fatalf("room for %d: %v, told %v", room, err, told)
		}
		if disk.text.Len() != room || disk.closed != 1 {
			t.Errorf("room for %d: %d bytes, closed %d times", room, disk.text.Len(), disk.closed)
		}
		if !strings.Contains(e.Error(), e.Path) || strings.Count(e.Error(), "write") != 0 {
			t.Errorf("message %q", e)
		}
		// Nothing that may have been sent counts as unsent.
		run, err := state.LoadBytes(e.Path, disk.text.Bytes())
		if err != nil || !run.Aside || !run.Began() || !run.Unfinished() {
			t.Fatalf("room for %d: %v", room, err)
		}
		for _, g := range list {
			if entry, _ := run.Entry(g); !(entry.Outcome == dispatcher.Accepted || entry.Open) {
				t.Errorf("room for %d: %+v", room, entry)
			}
		}
	}
	if full < 50 {
		t.Errorf("only %d full disks", full)
	}
}

func TestARealFullDiskSetsTheJournalAside(t *testing.T) {
	check := func(name, dir, got string, want error) {
		t.Helper()
		if !strings.HasPrefix(got, "told 1 times: ") || !strings.Contains(got, want.Error()) {
			t.Errorf("%s: %s", name, got)
		}
		d, err := state.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		run := load(t, d, run1)
		if !run.Aside || run.Len() != 20 || all(run)[0].Outcome != dispatcher.NotOK || !all(run)[19].Open {
			t.Errorf("%s: %+v", name, run)
		}
		if runs, err := d.Runs(here); err != nil || len(runs) != 1 || runs[0].Err != nil || !runs[0].Aside {
			t.Errorf("%s: %+v, %v", name, runs, err)
		}
	}
	dir := t.TempDir()
	check("a limit of the file's size", dir, start(t, childFills, dir, run1).line(), syscall.EFBIG)

	// A small disk of our own, where we may have one.
	mount, ok := smallDisk(t)
	if !ok {
		return
	}
	d, err := state.Open(mount)
	if err != nil {
		t.Fatal(err)
	}
	check("a full disk", mount, fillJournal(d, run1), syscall.ENOSPC)
}

func TestASyncThatFailsSetsTheJournalAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, late := range []bool{false, true} { // at the end, or a second after
			disk := &disk{broken: syscall.EIO}
			told := 0
			d := on(t, disk)
			w, err := d.Begin(header(run1), func(*state.JournalWriteError) { told++ })
			if err != nil {
				t.Fatal(err)
			}
			w.List(groups(1), nil)
			if late {
				time.Sleep(2 * time.Second)
				writes := disk.writes
				w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: started(groups(1)[0], 0)})
				if disk.writes != writes {
					t.Error("it went on writing")
				}
			}
			err = w.Close()
			if e, ok := errors.AsType[*state.JournalWriteError](err); !ok || !errors.Is(err, syscall.EIO) || !e.Marked || told != 1 {
				t.Errorf("Close: %v, told %d times", err, told)
			}
			if len(disk.syncs) != 1 {
				t.Errorf("%d syncs, want 1: a second would prove nothing", len(disk.syncs))
			}
		}
	})
}

func TestAJournalThatCannotEvenBeMarkedSaysNotToResume(t *testing.T) {
	disk := &disk{room: 1000}
	d := on(t, disk)
	w := begin(t, d, header(run1))
	if err := os.Remove(filepath.Join(d.Path(), run1+".jsonl")); err != nil {
		t.Fatal(err)
	}
	w.List(groups(100), nil)
	e, ok := errors.AsType[*state.JournalWriteError](w.Close())
	if !ok || e.Marked || !strings.Contains(e.Hint(), "do not --resume") {
		t.Errorf("%v", e)
	}
}

func TestWhatIsNotInTheListSetsTheJournalAside(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(w *state.Writer)
	}{
		{"an unknown group", func(w *state.Writer) {
			w.List(groups(1), nil)
			w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: started(groups(2)[1], 0)})
		}},
		{"no list", func(w *state.Writer) {
			w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: started(groups(1)[0], 0)})
		}},
		{"a group twice", func(w *state.Writer) { w.List(append(groups(1), groups(1)...), nil) }},
		{"two lists", func(w *state.Writer) { w.List(groups(1), nil); w.List(groups(1), nil) }},
		{"a name that is not UTF-8", func(w *state.Writer) { w.List([]state.Group{{"main", "\xff"}}, nil) }},
		{"a name that is too long", func(w *state.Writer) { w.List([]state.Group{{"main", strings.Repeat("x", 2<<20)}}, nil) }},
	} {
		d := open(t)
		w := begin(t, d, header(run1))
		row.do(w)
		if err := w.Close(); err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", row.name, err)
		}
		if s := load(t, d, run1); !s.Aside {
			t.Errorf("%s: not marked", row.name)
		}
	}
}

func TestWritingAfterCloseDoesNothing(t *testing.T) {
	disk := &disk{}
	w := begin(t, on(t, disk), header(run1))
	w.List(groups(1), nil)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size := disk.text.Len()
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: started(groups(1)[0], 0)})
	w.Finish(state.Ending{At: epoch})
	if disk.text.Len() != size || w.Err() != nil {
		t.Error("something was written")
	}
}

func TestLongTextsAreClippedAndOddOutcomesAreAmbiguous(t *testing.T) {
	d := open(t)
	w := begin(t, d, header(run1))
	g := groups(2)
	w.List(g, nil)
	r := started(g[0], 0)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	r.Verdict = dispatcher.Verdict{Outcome: dispatcher.NotOK, Reason: "ü\xff", Err: errors.New(strings.Repeat("ü", 1<<20))}
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	r = started(g[1], 0)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	r.Outcome = 99
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	w.Finish(state.Ending{At: epoch})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := load(t, d, run1)
	if e := all(run)[0]; e.Reason != "ü\ufffd" || len(e.Error) > 33<<10 || !strings.HasSuffix(e.Error, "ü…") {
		t.Errorf("%q, %d bytes", e.Reason, len(e.Error))
	}
	if e := all(run)[1]; e.Outcome != dispatcher.Ambiguous {
		t.Errorf("%v", e.Outcome)
	}
}

func TestAHeaderIsReadAsItWasWritten(t *testing.T) {
	d := open(t)
	plain, full := night(1), night(2)
	full.Only, full.Exclude = []string{"main/*", `<a>&"b"`}, []string{"*/é"}
	full.Assumed = state.Assumed{Start: epoch.Add(-24 * time.Hour), Length: 6*time.Hour + 123456789}
	for _, h := range []state.Header{plain, full} {
		put(t, d, h, dispatcher.Accepted)
		if diff := cmp.Diff(h, load(t, d, h.Run).Header); diff != "" {
			t.Error(diff)
		}
		text, err := os.ReadFile(filepath.Join(d.Path(), h.Run+".jsonl"))
		head, _, _ := bytes.Cut(text, []byte("\n"))
		for _, field := range []string{`"only":`, `"exclude":`, `"assumed":`, `"assumed_seconds":`} {
			if bytes.Contains(head, []byte(field)) != (len(h.Only) > 0) {
				t.Errorf("%s: %s, %v", field, head, err)
			}
		}
	}
	for _, seconds := range []string{`1e3`, `"x"`, `{}`} {
		text := bytes.Replace(lines(), []byte(`"started"`), []byte(`"assumed_seconds":`+seconds+`,"started"`), 1)
		if _, err := state.LoadBytes(run1+".jsonl", text); err == nil {
			t.Errorf("assumed_seconds %s was read", seconds)
		}
	}
	full.Run, full.Only = run1, []string{strings.Repeat("x", 1<<20)}
	if _, err := d.Begin(full, nil); err == nil {
		t.Error("a header was written that is too long to be read")
	}
}

func BenchmarkObserve(b *testing.B) {
	d, err := state.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	w, err := d.Begin(header(run1), nil)
	if err != nil {
		b.Fatal(err)
	}
	list := groups(1000)
	w.List(list, nil)
	r := started(list[500], 1234567890123)
	r.Took = 3456789012
	r.Verdict = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	b.ReportAllocs()
	for b.Loop() {
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	}
	b.StopTimer()
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

func TestWhatAnEarlierRunLeftOpenStaysOpenUntilItIsTried(t *testing.T) {
	began := epoch.Add(-time.Minute)
	for _, test := range []struct {
		name    string
		events  []dispatcher.Event
		outcome dispatcher.Outcome
		last    time.Time
	}{
		{"nothing happened", nil, dispatcher.Ambiguous, began},
		{"it was tried", []dispatcher.Event{{Kind: dispatcher.Started}}, dispatcher.Ambiguous, epoch.Add(time.Second)},
		{
			"it was accepted",
			[]dispatcher.Event{{Kind: dispatcher.Started}, {Kind: dispatcher.Finished}},
			dispatcher.Accepted, epoch.Add(time.Second),
		},
	} {
		d := open(t)
		w := begin(t, d, header(run1))
		list := groups(2)
		lost := dispatcher.Lost{Reason: "504", Start: began.Add(-time.Hour)}
		w.List(list, nil, state.LeftOpen{Group: list[1], At: began, Lost: lost})
		for _, e := range test.events {
			e.Result = started(list[1], time.Second)
			e.Result.Outcome = test.outcome
			w.Observe(e)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run := load(t, d, run1)
		if e, _ := run.Entry(list[1]); e.Outcome != test.outcome || !e.Last.Equal(test.last) {
			t.Errorf("%s: got %v at %v, want %v at %v", test.name, e.Outcome, e.Last, test.outcome, test.last)
		} else if diff := cmp.Diff(e.Lost, &lost); diff != "" {
			t.Errorf("%s: got -, want +:\n%s", test.name, diff)
		}
		if e, _ := run.Entry(list[0]); e.Outcome != dispatcher.NotAttempted {
			t.Errorf("%s: the other group: got %v, want %v", test.name, e.Outcome, dispatcher.NotAttempted)
		}
	}
}

// Such a group was not tried in this run, and its result has no start.
func TestWhatWasFoundOutOfAnEarlierTryIsOnFileAsOfNow(t *testing.T) {
	d, h := open(t), header(run1)
	h.Started = time.Now()
	w := begin(t, d, h)
	list := groups(1)
	w.List(list, nil, state.LeftOpen{Group: list[0], At: h.Started.Add(-time.Minute)})
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: dispatcher.Result{
		Job: list[0], Verdict: dispatcher.Verdict{Outcome: dispatcher.Accepted},
	}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e, _ := load(t, d, run1).Entry(list[0])
	if e.Outcome != dispatcher.Accepted || e.End.Before(h.Started) || e.Open {
		t.Errorf("got %+v", e)
	}
}

func TestHowTheLimitChangedIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		h := header(run1)
		h.Started = time.Now()
		w := begin(t, d, h)
		w.Limit(7, 0) // before there is a list nothing is limited
		w.List(groups(1), nil)
		time.Sleep(2 * time.Second)
		w.Limit(2, 0)
		time.Sleep(3 * time.Second)
		w.Limit(3, 4)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run := load(t, d, run1)
		want := []state.Limit{{At: h.Started.Add(2 * time.Second), Sends: 2}, {At: h.Started.Add(5 * time.Second), Sends: 3, Crowded: 4}}
		if diff := cmp.Diff(want, run.Limits, cmp.Comparer(time.Time.Equal)); diff != "" || !run.Last.Equal(want[1].At) {
			t.Errorf("last record %v\n%s", run.Last, diff)
		}
		runs, err := d.Runs(here)
		if err != nil || len(runs) != 1 || !runs[0].Listed || !runs[0].Last.Equal(want[1].At) {
			t.Errorf("%+v, %v", runs, err)
		}
	})
}

func TestThatAnotherTryFollowsIsOnRecord(t *testing.T) {
	for kind, want := range map[dispatcher.Kind]bool{dispatcher.Retrying: true, dispatcher.Settling: true, dispatcher.Finished: false} {
		d := open(t)
		w := begin(t, d, header(run1))
		list := groups(1)
		w.List(list, nil)
		r := started(list[0], time.Second)
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		w.Observe(dispatcher.Event{Kind: kind, Result: r}) // ambiguous
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if e, _ := load(t, d, run1).Entry(list[0]); e.Again != want || e.Outcome != dispatcher.Ambiguous {
			t.Errorf("kind %d: got %v, another follows: %v, want ambiguous, %v", kind, e.Outcome, e.Again, want)
		}
	}
}

// What mailed nothing is judged once. A status alone does not tell: a 503 that Zope signed is proof, any other is none.
func TestTheProofThatNothingWasDeliveredIsOnFile(t *testing.T) {
	for _, proof := range []bool{false, true} {
		d, list := open(t), groups(1)
		w := begin(t, d, header(run1))
		w.List(list, nil)
		r := dispatcher.Result{Job: list[0], Attempts: 1, Worker: 1, Start: epoch}
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Verdict = dispatcher.Verdict{Outcome: dispatcher.NotOK, NotDelivered: proof, Status: 503, Reason: "503 Service Unavailable"}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if e, _ := load(t, d, run1).Entry(list[0]); e.NotDelivered != proof {
			t.Errorf("got %v, want %v", e.NotDelivered, proof)
		}
	}
}
