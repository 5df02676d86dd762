package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

func TestDefaultDirFollowsSystemdThenXDGThenHome(t *testing.T) {
	for _, row := range []struct{ systemd, xdg, home, want string }{
		{"/var/lib/senddigest", "/x", "/home/a", "/var/lib/senddigest"},
		{"/var/lib/senddigest:/var/lib/other", "", "", "/var/lib/senddigest"},
		{"", "/home/a/state", "/home/a", "/home/a/state/senddigest"},
		{"", "relative", "/home/a", "/home/a/.local/state/senddigest"},
		{"", "", "/home/a", "/home/a/.local/state/senddigest"},
		{"", "", "", ""},
	} {
		env := map[string]string{"STATE_DIRECTORY": row.systemd, "XDG_STATE_HOME": row.xdg}
		got := state.DefaultDir(func(name string) string { return env[name] }, row.home)
		if got != row.want {
			t.Errorf("%+v: got %q", row, got)
		}
	}
}

func TestTheDirectoryAndItsFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "senddigest")
	for range 2 { // made, then found
		d, err := state.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{path, filepath.Dir(path)} {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", dir, info.Mode(), err)
			}
		}
		if d.Path() != path {
			t.Errorf("path %s", d.Path())
		}
	}
	d, _ := state.Open(path)
	w := begin(t, d, header(run1))
	if info, err := os.Stat(w.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal: %v, %v", info.Mode(), err)
	}
	if filepath.Base(w.Path()) != run1+".jsonl" {
		t.Error(w.Path())
	}
}

// asNobody calls f with the rights of a user who is nobody: root may write everywhere.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		withoutRights(f)
	}()
	<-done
}

func TestADirectoryThatCannotBeUsedIsAnErrorThatSaysWhatToDo(t *testing.T) {
	// Not t.TempDir: others than the owner may not even look into that.
	closed, err := os.MkdirTemp("/tmp", "journal-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(closed) })
	asFile := filepath.Join(closed, "file")
	if err := os.WriteFile(asFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, path string
		is         error
		says       string
	}{
		{"a file", asFile, syscall.ENOTDIR, asFile},
		{"below a file", filepath.Join(asFile, "state"), syscall.ENOTDIR, asFile},
		{"no permission", filepath.Join(closed, "state"), fs.ErrPermission, closed},
		{"no home", "", nil, "no home directory"},
	} {
		asNobody(t, func() {
			_, err := state.Open(row.path)
			checkDirError(t, row.name, err, row.is, row.says)
		})
	}
	asNobody(t, func() { // can be read, which is enough for a report
		d, err := state.Open(closed)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = d.Begin(header(run1), nil)
		checkDirError(t, "begin in a read-only directory", err, fs.ErrPermission, closed)
		_, err = d.Lock(t.Context(), here, holder(run1), 0)
		checkDirError(t, "lock in a read-only directory", err, fs.ErrPermission, closed)
		if runs, err := d.Runs(here); err != nil || len(runs) != 0 {
			t.Errorf("runs: %v, %v", runs, err)
		}
	})
}

func checkDirError(t *testing.T, name string, err, is error, says string) {
	t.Helper()
	e, ok := errors.AsType[*state.DirError](err)
	switch {
	case !ok, is != nil && !errors.Is(err, is):
		t.Errorf("%s: got %v, want %v", name, err, is)
	case !strings.Contains(err.Error(), says), strings.Count(err.Error(), says) > 1:
		t.Errorf("%s: %q does not say %q once", name, err, says)
	case !strings.Contains(e.Hint(), "--state-dir"):
		t.Errorf("%s: hint %q", name, e.Hint())
	}
}

func TestNamesOfRunsLeadNowhereElse(t *testing.T) {
	d := open(t)
	for _, row := range []struct {
		run string
		ok  bool
	}{
		{run1, true},
		{"20261123T020000Z-7f3a9b", true},
		{"", false},
		{"..", false},
		{"../" + run1, false},
		{run1 + "/..", false},
		{run1 + ".aside", false},
		{"20261123T020000Z", false},
		{"20261123T020000Z-7F3A", false},
		{"20261123T020000Z-7f3", false},
		{"20261323T020000Z-7f3a", false},
		{"20261123T020000.5Z-7f3a", false},
		{"20261123T020000Z-7f3a\n", false},
		{"20261123T020000Z-\x007f3a", false},
	} {
		if got := state.ValidRun(row.run); got != row.ok {
			t.Errorf("ValidRun(%q) = %v", row.run, got)
		}
		_, err := d.Load(row.run)
		if _, ok := errors.AsType[*state.RunError](err); !ok {
			t.Errorf("Load(%q): %v", row.run, err)
		}
		h := header(row.run)
		if w, err := d.Begin(h, nil); (err == nil) != row.ok {
			t.Errorf("Begin(%q): %v", row.run, err)
		} else if err == nil {
			_ = w.Close()
		}
	}
	if _, err := d.Begin(header(run1), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second run of the same name: %v", err)
	}
}

// put writes a journal of one group by hand.
func put(t *testing.T, d *state.Dir, h state.Header, events ...dispatcher.Outcome) {
	t.Helper()
	w := begin(t, d, h)
	g := groups(1)[0]
	w.List([]state.Group{g}, nil)
	r := dispatcher.Result{Job: g, Attempts: 1, Worker: 1, Start: h.Started}
	for _, o := range events {
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Outcome, r.Took = o, time.Second
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
		w.Finish(state.Ending{At: h.Started.Add(time.Minute)})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// night is a run on a day of November 2026.
func night(day int) state.Header {
	at := time.Date(2026, 11, day, 2, 0, 0, 0, time.UTC)
	h := header(at.Format("20060102T150405Z") + "-0000")
	h.Started = at
	return h
}

func names(runs []state.Summary) (names []string) {
	for _, s := range runs {
		names = append(names, s.Run)
	}
	return names
}

func TestRunsAreListedNewestFirstAndByInstallation(t *testing.T) {
	d := open(t)
	for _, day := range []int{3, 1, 2} {
		put(t, d, night(day), dispatcher.Accepted)
	}
	other := night(4)
	other.Installation = state.Installation{Token: "1111111111111111", Site: "2222222222222222"}
	put(t, d, other, dispatcher.Accepted)
	newToken := night(5)
	newToken.Installation.Token = "1111111111111111"
	put(t, d, newToken, dispatcher.Accepted)

	runs, err := d.Runs(here)
	want := []string{night(5).Run, night(3).Run, night(2).Run, night(1).Run}
	if diff := cmp.Diff(want, names(runs)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, s := range runs {
		if s.Err != nil || !s.Began() || s.Unfinished() || s.Counts[dispatcher.Accepted] != 1 {
			t.Errorf("%+v", s)
		}
	}
	if runs, _ := d.Runs(state.Installation{}); len(runs) != 5 {
		t.Errorf("all installations: %v", names(runs))
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	d := open(t)
	foreign := []string{
		"notes.txt", "x.jsonl", run1, run1 + ".json", run1 + ".jsonl.bak", "history.json", ".hidden",
		"20261123T020000Z-ZZZZ.jsonl",
	}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(d.Path(), name), []byte("garbage\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.Path(), "20261123T020000Z-dddd.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, d, night(1), dispatcher.Accepted)
	put(t, d, night(2), dispatcher.Accepted)
	if runs, err := d.Runs(here); err != nil || len(runs) != 2 {
		t.Errorf("runs %v, %v", names(runs), err)
	}
	if removed, err := d.Keep(here, 1, ""); err != nil || !slices.Equal(removed, []string{night(1).Run}) {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(d.Path(), name)); err != nil {
			t.Error(err)
		}
	}
}

func TestKeepRemovesTheOldestAndNotTheOneThatIsBeingWritten(t *testing.T) {
	for _, row := range []struct {
		name    string
		make    func(d *state.Dir)
		n       int
		current int
		want    []int // days left, newest first
	}{
		{"the last n", func(d *state.Dir) {
			for day := 1; day <= 5; day++ {
				put(t, d, night(day), dispatcher.Accepted)
			}
		}, 3, 0, []int{5, 4, 3}},
		{"fewer than n", func(d *state.Dir) { put(t, d, night(1), dispatcher.Accepted) }, 3, 0, []int{1}},
		{"none at all, but the one being written", func(d *state.Dir) {
			put(t, d, night(1), dispatcher.Accepted)
			put(t, d, night(2), dispatcher.Accepted)
		}, 0, 1, []int{1}},
	} {
		d := open(t)
		row.make(d)
		current := ""
		if row.current > 0 {
			current = night(row.current).Run
		}
		before, _ := d.Runs(here)
		removed, err := d.Keep(here, row.n, current)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		var want []string
		for _, day := range row.want {
			want = append(want, night(day).Run)
		}
		after, _ := d.Runs(here)
		if diff := cmp.Diff(want, names(after)); diff != "" || len(removed) != len(before)-len(after) {
			t.Errorf("%s: removed %v: %s", row.name, removed, diff)
		}
	}
}

func TestKeepLeavesOtherInstallationsAlone(t *testing.T) {
	d := open(t)
	put(t, d, night(1), dispatcher.Accepted)
	other := night(2)
	other.Installation = state.Installation{Token: "1111111111111111"}
	put(t, d, other, dispatcher.Accepted)
	if removed, err := d.Keep(other.Installation, 0, ""); err != nil || !slices.Equal(removed, []string{other.Run}) {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestRunsThatNeverBeganPushOutNothingThatWasMailed(t *testing.T) {
	d := open(t)
	put(t, d, night(1), dispatcher.Accepted)
	put(t, d, night(2), dispatcher.Accepted)
	for day := 3; day <= 7; day++ { // the site was down
		w := begin(t, d, night(day))
		w.Finish(state.Ending{At: night(day).Started.Add(time.Second), Error: "503 Service Unavailable"})
		_ = w.Close()
	}
	removed, err := d.Keep(here, 2, "")
	if want := []string{night(5).Run, night(4).Run, night(3).Run}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %v, %v, want %v", removed, err, want)
	}
}

func TestARunWithoutAJournalOvertakesTheNewest(t *testing.T) {
	d := open(t)
	distrust := func() {
		t.Helper()
		for range 2 { // a second time changes nothing
			if err := d.Distrust(here); err != nil {
				t.Fatal(err)
			}
		}
	}
	distrust()
	put(t, d, night(1))
	distrust()
	// What it had not come to counts as sent to.
	if e, _ := load(t, d, night(1).Run).Entry(groups(1)[0]); e.Outcome != dispatcher.Ambiguous || !e.Open || !e.Last.IsZero() {
		t.Errorf("%+v", e)
	}
	h := night(2)
	w := begin(t, d, h)
	list := groups(6)
	w.List(list[:5], []state.Skip{{Group: list[5], Reason: "left out by --exclude"}})
	outcomes := []dispatcher.Outcome{
		dispatcher.Accepted, dispatcher.UnknownGroup, dispatcher.Rejected, dispatcher.NotOK, dispatcher.Ambiguous,
	}
	for i, o := range outcomes {
		r := dispatcher.Result{Job: list[i], Attempts: 1, Worker: 1, Start: h.Started.Add(time.Second)}
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Took, r.Verdict = time.Second, dispatcher.Verdict{Outcome: o, Status: 500, Reason: "r", Err: errors.New("e")}
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	}
	w.Finish(state.Ending{At: h.Started.Add(time.Minute)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before := load(t, d, h.Run)
	distrust()

	runs, err := d.Runs(here)
	newest, ok := state.Newest(runs)
	if err != nil || !ok || newest.Run != h.Run || !newest.Overtaken || newest.Aside || newest.Unfinished() || !runs[1].Overtaken {
		t.Fatalf("%+v, %v", runs, err)
	}
	run := load(t, d, h.Run)
	// What the run itself did stays as it was.
	if diff := cmp.Diff(all(before), all(run)); diff != "" || run.Report().Counts() != before.Report().Counts() {
		t.Error(diff)
	}
	// What may have been sent to since is proven no more, nor is it known when that was.
	for i, want := range []dispatcher.Outcome{
		dispatcher.Accepted, dispatcher.UnknownGroup, dispatcher.Ambiguous, dispatcher.Ambiguous, dispatcher.Ambiguous,
		dispatcher.Skipped,
	} {
		e, listed := run.Entry(list[i])
		doubted := want == dispatcher.Ambiguous
		if !listed || e.Outcome != want || e.Open != doubted || doubted && (!e.Last.IsZero() || e.Status != 0) {
			t.Errorf("group %d: %+v, want %v", i, e, want)
		}
	}
	if e, listed := run.Entry(state.Group{Site: "main", Group: "new"}); listed || e.Outcome != dispatcher.Ambiguous {
		t.Errorf("a group that is not in its list: %+v, %v", e, listed)
	}
	// The guard knows what was accepted, and when.
	recent, failed := d.Recent(here, h.Started)
	for i, want := range []bool{true, false, false, false, true, false} {
		if at, ok := recent.Accepted(list[i]); ok != want || ok && !at.Equal(h.Started.Add(2*time.Second)) {
			t.Errorf("group %d: accepted %v, %v", i, at, ok)
		}
	}
	if at, ok := recent.Open(list[4]); !ok || !at.Equal(h.Started.Add(time.Second)) || len(failed) > 0 {
		t.Errorf("open since %v, %v; %v", at, ok, failed)
	}
	if removed, err := d.Keep(here, 0, ""); err != nil || len(removed) != 2 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestAnOvertakenJournalStaysSetAside(t *testing.T) {
	d := open(t)
	path := filepath.Join(d.Path(), run1+".aside.jsonl")
	if err := os.WriteFile(path, lines(`{"list":2,"skipped":0}`, `["main","a"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Distrust(here); err != nil {
		t.Fatal(err)
	}
	run := load(t, d, run1)
	if !run.Aside || !run.Overtaken || !run.Unfinished() || !all(run)[0].Open {
		t.Errorf("%+v", run)
	}
}
