package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
	"pgregory.net/rapid"
)

func TestRecentReadsTheJournalsThatAreYoungEnough(t *testing.T) {
	d := open(t)
	list := groups(4)
	write := func(h state.Header, skipped []state.Skip, accepted ...int) {
		w := begin(t, d, h)
		w.List(list, skipped)
		for _, i := range accepted {
			r := dispatcher.Result{Job: list[i], Attempts: 1, Worker: 1, Start: h.Started.Add(time.Duration(i) * time.Minute)}
			w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
			r.Outcome, r.Took = dispatcher.Accepted, time.Second
			w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(night(1), nil, 0, 1, 2, 3)
	write(night(2), nil, 0, 1, 2)
	write(night(3), []state.Skip{{Group: state.Group{Site: "main", Group: "earlier"}, In: "x", At: night(2).Started}}, 0)
	// Nobody may read what is too old: it would fail.
	old := night(1)
	old.Run = "20261101T010000Z-0000"
	old.Started = old.Started.Add(-time.Hour)
	write(old, nil, 0)
	path := filepath.Join(d.Path(), old.Run+".jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(`{"start"`), []byte(`{"stort"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}

	since := night(2).Started.Add(-time.Minute)
	recent, failed := d.Recent(here, since)
	second, third := night(2).Started, night(3).Started
	for _, row := range []struct {
		group state.Group
		want  time.Time
	}{
		{list[0], third.Add(time.Second)},
		{list[1], second.Add(time.Minute + time.Second)},
		{list[2], second.Add(2*time.Minute + time.Second)},
		{list[3], time.Time{}}, // too long ago
		{state.Group{Site: "main", Group: "earlier"}, second},
		{state.Group{Site: "other", Group: list[0].Group}, time.Time{}},
	} {
		if at, ok := recent.Accepted(row.group); ok == row.want.IsZero() || !at.Equal(row.want) {
			t.Errorf("%v: got %v, %v, want %v", row.group, at, ok, row.want)
		}
		if at, ok := recent.Open(row.group); ok {
			t.Errorf("%v: open since %v", row.group, at)
		}
	}
	if len(failed) > 0 {
		t.Error(failed)
	}
	recent, failed = d.Recent(here, time.Time{})
	if len(failed) != 1 {
		t.Fatalf("with a damaged file: %v", failed)
	}
	if e, ok := errors.AsType[*state.DamagedError](failed[0]); !ok || e.Path != path {
		t.Errorf("with a damaged file: %v", failed)
	}
	if at, ok := recent.Accepted(list[3]); !ok || !at.Equal(night(1).Started.Add(3*time.Minute+time.Second)) {
		t.Errorf("with a damaged file: %v, %v", at, ok)
	}
}

func TestOpenNamesSendsOfUnknownFateAlone(t *testing.T) {
	d := open(t)
	w := begin(t, d, header(run1))
	list := groups(3)
	w.List(list, nil)
	for i, g := range list {
		r := started(g, time.Duration(i)*time.Second)
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		if i == 1 {
			r.Outcome = dispatcher.Accepted
			w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	recent, failed := d.Recent(here, epoch.Add(time.Second)) // the first is too old
	for i, want := range []bool{false, false, true} {
		at, ok := recent.Open(list[i])
		if ok != want || ok && (at.Before(epoch.Add(2*time.Second)) || at.Sub(epoch) > 2*time.Second+time.Microsecond) {
			t.Errorf("group %d: open since %v, %v", i, at, ok)
		}
	}
	if len(failed) > 0 {
		t.Error(failed)
	}
}

func TestRecentKnowsWhatIsOnRecordInAJournalSetAside(t *testing.T) {
	d := open(t)
	path := filepath.Join(d.Path(), run1+".aside.jsonl")
	if err := os.WriteFile(path, lines(
		`{"list":4,"skipped":0}`, `["main","a"]`, `["main","b"]`, `["main","c"]`, `["main","d"]`, `{"listed":4}`,
		`{"start":0,"t":1,"w":1}`, `{"start":1,"t":2,"w":2}`, `{"end":1,"t":3,"outcome":"accepted","status":200}`,
		`{"start":2,"t":4,"w":2}`, `{"end":2,"t":5,"outcome":"not_ok","status":500,"retry":true}`,
	), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return epoch.Truncate(time.Second).Add(time.Duration(s) * time.Second) }
	recent, failed := d.Recent(here, epoch.Add(-time.Hour))
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	for _, row := range []struct {
		group          string
		accepted, open time.Time
	}{{"a", at(1), at(1)}, {"b", at(3), time.Time{}}, {"c", at(5), at(4)}, {"d", time.Time{}, time.Time{}}} {
		g := state.Group{Site: "main", Group: row.group}
		accepted, _ := recent.Accepted(g)
		began, _ := recent.Open(g)
		if !accepted.Equal(row.accepted) || !began.Equal(row.open) {
			t.Errorf("%s: accepted %v, open %v, want %v, %v", row.group, accepted, began, row.accepted, row.open)
		}
	}
}

// What Recent says is what follows from the entries of all runs, and never earlier.
func TestRecentSaysWhatTheRunsSay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := open(t)
		list := groups(4)
		since := night(1).Started.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "since")) * time.Second)
		accepted, opened := map[state.Group]time.Time{}, map[state.Group]time.Time{}
		for n := range rapid.IntRange(0, 3).Draw(rt, "runs") {
			h := night(1)
			h.Run = fmt.Sprintf("%s%d", h.Run[:len(h.Run)-1], n)
			w, err := d.Begin(h, nil)
			if err != nil {
				rt.Fatal(err)
			}
			w.List(list, nil)
			for _, g := range list {
				for range rapid.IntRange(0, 2).Draw(rt, "tries") {
					start := h.Started.Add(time.Duration(rapid.Int64Range(0, 60e9).Draw(rt, "start")))
					r := dispatcher.Result{Job: g, Attempts: 1, Worker: 1, Start: start}
					w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
					if rapid.Bool().Draw(rt, "ended") {
						r.Took = time.Duration(rapid.Int64Range(0, 9e9).Draw(rt, "took"))
						r.Outcome = rapid.SampledFrom(ends).Draw(rt, "outcome")
						w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
					}
				}
			}
			if err := w.Close(); err != nil {
				rt.Fatal(err)
			}
			run, err := d.Load(h.Run)
			if err != nil {
				rt.Fatal(err)
			}
			if run.Last.Before(since) { // these times are in no order, so an earlier record may say a later one
				continue
			}
			later := func(m map[state.Group]time.Time, g state.Group, at time.Time) {
				if !at.Before(since) && at.After(m[g]) {
					m[g] = at
				}
			}
			for e := range run.All() {
				at, ok := e.Accepted()
				if ok {
					later(accepted, e.Group, at)
				}
				if e.Outcome == dispatcher.Ambiguous {
					later(opened, e.Group, e.Last)
					later(accepted, e.Group, slices.MaxFunc([]time.Time{e.Last, e.End}, time.Time.Compare))
				}
			}
		}
		recent, failed := d.Recent(here, since)
		if len(failed) > 0 {
			rt.Fatal(failed)
		}
		for _, g := range list {
			for name, got := range map[string]struct {
				of   func(state.Group) (time.Time, bool)
				want map[state.Group]time.Time
			}{"accepted": {recent.Accepted, accepted}, "open": {recent.Open, opened}} {
				at, ok := got.of(g)
				want, known := got.want[g]
				if ok != known || ok && (at.Before(want) || at.Sub(want) >= time.Microsecond) {
					rt.Fatalf("%s, %s: got %v, %v, want %v, %v", g.Key(), name, at, ok, want, known)
				}
			}
		}
	})
}

func TestAJournalThatCannotBeReadMattersWhileItIsYoung(t *testing.T) {
	newer := []byte(`{"journal":2,"run":"` + run1 + `","started":"2026-11-23T02:00:00Z"}` + "\n")
	for _, row := range []struct {
		name string
		text []byte
	}{
		{"a newer version", newer},
		{"garbage", []byte("garbage\n")},
		{"a damaged end", append(lines(`{"list":0,"skipped":0}`, `{"listed":0}`), "garbage\n"...)},
	} {
		d := open(t)
		put(t, d, night(24), dispatcher.Accepted)
		path := filepath.Join(d.Path(), run1+".jsonl")
		if err := os.WriteFile(path, row.text, 0o600); err != nil {
			t.Fatal(err)
		}
		since := night(24).Started.Add(-time.Minute)
		for written, want := range map[time.Time]int{since.Add(-time.Second): 0, since: 1, since.Add(time.Hour): 1} {
			if err := os.Chtimes(path, written, written); err != nil {
				t.Fatal(err)
			}
			recent, failed := d.Recent(here, since)
			if len(failed) != want {
				t.Errorf("%s, written at %v: got %v, want %d errors", row.name, written, failed, want)
			}
			if _, ok := recent.Accepted(groups(1)[0]); !ok {
				t.Errorf("%s: the other journal was not read", row.name)
			}
			runs, err := d.Runs(here)
			if i := slices.IndexFunc(runs, func(s state.Summary) bool { return s.Run == run1 }); err != nil || !runs[i].Last.Equal(written) {
				t.Errorf("%s: %+v, %v, want last %v", row.name, runs, err, written)
			}
		}
	}
}

// bigRun writes a run of many groups, and gives the size of its file.
func bigRun(b *testing.B, d *state.Dir, h state.Header, n int) int64 {
	w, err := d.Begin(h, nil)
	if err != nil {
		b.Fatal(err)
	}
	list := make([]state.Group, n)
	for i := range list {
		list[i] = state.Group{Site: "main", Group: fmt.Sprintf("group-%06d", i)}
	}
	w.List(list, nil)
	for i, g := range list {
		r := started(g, time.Duration(i)*123456789)
		r.Worker = i%16 + 1
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Took = time.Second + time.Duration(i)*12345
		r.Verdict = dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(w.Path())
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// live reports what is alive of a value that f makes, by group.
func live[T any](b *testing.B, n int, f func() T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	v := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(n), "live-B/group")
}

// What a run needs of earlier ones: B/op is the most that can be in use at once.
func BenchmarkEarlierRun(b *testing.B) {
	const n = 200_000
	d, err := state.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	size := bigRun(b, d, header(run1), n)
	last := state.Group{Site: "main", Group: fmt.Sprintf("group-%06d", n-1)}
	whole := func() *state.Run {
		run, err := d.Load(run1)
		if err != nil || run.Len() != n {
			b.Fatal(err)
		}
		return run
	}
	b.Run("read=whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			whole()
		}
		live(b, n, whole)
		b.ReportMetric(float64(size)/n, "file-B/group")
	})
	b.Run("read=whole and asked", func(b *testing.B) {
		found := func() *state.Run {
			run := whole()
			if e, _ := run.Entry(last); e.Outcome != dispatcher.Accepted {
				b.Fatal(e)
			}
			return run
		}
		b.ReportAllocs()
		for b.Loop() {
			found()
		}
		live(b, n, found)
	})
	b.Run("read=recent", func(b *testing.B) {
		recent := func() *state.Recent {
			recent, failed := d.Recent(here, epoch.Add(-time.Hour))
			if _, ok := recent.Accepted(last); !ok {
				b.Fatal(failed)
			}
			return recent
		}
		b.ReportAllocs()
		for b.Loop() {
			recent()
		}
		live(b, n, recent)
	})
	b.Run("read=summary", func(b *testing.B) {
		for b.Loop() {
			if runs, err := d.Runs(here); err != nil || len(runs) != 1 {
				b.Fatal(err)
			}
		}
	})
}
