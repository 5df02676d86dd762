package state_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

// testdata/before has the files of a run of the program as it was before it knew a second campaign and wrote its
// records with encoding/json. In them only the path of the program and of its files were shortened.
func TestFilesOfTheVersionBeforeAreReadAsTheDigests(t *testing.T) {
	const run = "20261125T203806Z-d53a"
	in := state.Installation{Token: "b50b9fbe603d4e18", Site: "7997ed5e45116f8a"}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/before")); err != nil {
		t.Fatal(err)
	}
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := d.Runs(in)
	if err != nil || len(runs) != 1 || runs[0].Err != nil || runs[0].Run != run || runs[0].Counts.Failed() != 1 {
		t.Fatalf("runs: got %+v, %v, want %s with one failure", runs, err, run)
	}
	got := map[string]dispatcher.Outcome{}
	for _, e := range all(load(t, d, run)) {
		got[e.Group.Group] = e.Outcome
		if want := e.Group.Group == "choir"; e.NotDelivered != want { // it ended in a 500
			t.Errorf("%s: proven to have mailed nothing: %v, want %v", e.Group.Group, e.NotDelivered, want)
		}
	}
	want := map[string]dispatcher.Outcome{
		"announce": dispatcher.Accepted, "choir": dispatcher.NotOK, "gone": dispatcher.UnknownGroup,
		"parks": dispatcher.Accepted, "news": dispatcher.Skipped,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes: want -, got +:\n%s", diff)
	}
	if h, err := state.LoadHistory(d.HistoryPath(in)); err != nil || h.Known() != 2 {
		t.Errorf("history: got %d groups, %v, want 2", h.Known(), err)
	}
	if others, err := d.For("profile").Runs(in); err != nil || len(others) != 0 {
		t.Errorf("of another campaign: got %+v, %v, want none", others, err)
	}
}
