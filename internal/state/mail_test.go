package state_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/state"
)

func TestWhatBecameOfTheMailIsOnRecordAlsoOfThoseWhomAnEarlierRunGotAccepted(t *testing.T) {
	d := open(t)
	w := begin(t, d, header(run1))
	all := groups(4)
	mails := map[state.Group]ledger.Mail{all[0]: ledger.Mailed, all[1]: ledger.Nothing, all[3]: ledger.Missing}
	before := state.Skip{Reason: "accepted already", In: "20261122T020000Z-01c2"}
	left, told := before, before
	left.Group, told.Group = all[2], all[3]
	w.List(all[:2], []state.Skip{left, told})
	r := started(all[0], time.Second)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	r.Outcome, r.Took = dispatcher.Accepted, time.Second
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	gaps := ledger.Gaps{Groups: []ledger.Group{ledger.Group(all[0]), ledger.Group(all[3])}, Posts: 5, Later: time.Hour}
	w.Judge(maps.All(mails), gaps)
	w.Finish(state.Ending{At: header(run1).Started.Add(3 * time.Second)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := load(t, d, run1)
	got := map[state.Group]ledger.Mail{}
	for e := range run.All() {
		if e.Mail != ledger.NotAsked {
			got[e.Group] = e.Mail
		}
		if idle := e.Group == all[1]; e.Idle() != idle {
			t.Errorf("%v was left out since it had nothing to mail: %v", e.Group, e.Idle())
		}
	}
	if diff := cmp.Diff(got, mails); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if diff := cmp.Diff(run.Gaps, []state.Group{all[0], all[3]}); diff != "" || run.GapGroups != 2 || run.GapPosts != 5 || run.GapsLater != time.Hour {
		t.Errorf("%d groups, %d posts, %v later; got -, want +:\n%s", run.GapGroups, run.GapPosts, run.GapsLater, diff)
	}
	want := ledger.Counts{ledger.Mailed: 1, ledger.Nothing: 1, ledger.Missing: 1}
	runs, err := d.Runs(header(run1).Installation)
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, s := range []state.Summary{run.Summary, runs[0]} {
		s.Mails[ledger.NotAsked] = 0
		if !s.Judged || s.Mails != want {
			t.Errorf("judged: %v, %v, want %v", s.Judged, s.Mails, want)
		}
	}
}
