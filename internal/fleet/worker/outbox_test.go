package worker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/fleet"
)

// These tests are not parallel: a process that another test starts has the locks of the open files too, until it is the program.

func open(t *testing.T, dir string) *outbox {
	t.Helper()
	b, err := openOutbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func attempts(b *outbox) map[int64]fleet.End { return b.pending }

func TestWhatADeadWorkerKnewIsFoundByTheNext(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir) // at once: each has a file
	a, b := fleet.End{Attempt: 1, Outcome: dispatcher.Accepted, Status: 200}, fleet.End{Attempt: 2, Unsent: true}
	first.add(a)
	first.add(fleet.End{Attempt: 3})
	first.done(3)
	second.add(b)
	first.close()
	second.close()
	third := open(t, dir)
	if diff := cmp.Diff(attempts(third), map[int64]fleet.End{1: a, 2: b, 3: {Attempt: 3}}); diff != "" { // to tell the database twice does no harm
		t.Errorf("got -, want +:\n%s", diff)
	}
	for attempt := range int64(3) {
		third.done(attempt + 1)
	}
	third.close()
	if left := open(t, dir).left(); len(left) > 0 {
		t.Errorf("got %v after all was told", left)
	}
}

func TestATornLineSpoilsNoOther(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "worker-0.jsonl"), []byte("{\"attempt\":7}\n{\"attempt\":8,\"outc"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	b.add(fleet.End{Attempt: 9})
	b.close()
	got := attempts(open(t, dir))
	if len(got) != 2 || got[7].Attempt != 7 || got[9].Attempt != 9 {
		t.Errorf("got %v, want 7 and 9", got)
	}
}

func TestWithoutAFolderTheMemoryHasToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := openOutbox(file)
	if err == nil {
		t.Error("a file was taken for a folder")
	}
	b.add(fleet.End{Attempt: 1})
	if b.empty() {
		t.Error("what was added is lost")
	}
	b.done(1)
	if !b.empty() {
		t.Error("what was told is kept")
	}
}
