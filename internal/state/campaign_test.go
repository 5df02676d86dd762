package state_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/state"
)

func TestARunOfOneCampaignNeverSeesLocksResumesOrRemovesAnothers(t *testing.T) {
	digests := open(t)
	profiles := digests.For("profile")
	put(t, digests, night(1), dispatcher.Accepted)
	h := night(2)
	h.Campaign = "profile"
	put(t, profiles, h, dispatcher.Accepted)
	for _, row := range []struct {
		dir        *state.Dir
		own, other string
	}{{digests, night(1).Run, h.Run}, {profiles, h.Run, night(1).Run}} {
		runs, err := row.dir.Runs(here)
		if err != nil || len(runs) != 1 || runs[0].Run != row.own || runs[0].Err != nil {
			t.Errorf("runs: got %+v, %v, want %s alone", runs, err, row.own)
		}
		if _, err := row.dir.Load(row.other); err == nil {
			t.Errorf("%s was read", row.other)
		}
	}
	recent, failed := profiles.Recent(here, night(1).Started.Add(-time.Hour))
	if at, _ := recent.Accepted(groups(1)[0]); len(failed) > 0 || at.Before(h.Started) {
		t.Errorf("recent: got %v, %v, want a time of run %s", at, failed, h.Run)
	}
	lock := func(d *state.Dir) error {
		l, err := d.Lock(context.Background(), here, holder(run1), 0)
		if err == nil {
			t.Cleanup(func() { _ = l.Unlock() })
		}
		return err
	}
	if err := errors.Join(lock(digests), lock(profiles)); err != nil {
		t.Error(err)
	}
	if _, held := errors.AsType[*state.HeldError](lock(profiles)); !held {
		t.Error("the second run of a campaign has the lock as well")
	}
	if w, err := profiles.Begin(night(3), nil); err == nil {
		_ = w.Close()
		t.Error("a run of the digests began among the profiles")
	}
	if removed, err := profiles.Keep(here, 0, ""); err != nil || !slices.Equal(removed, []string{h.Run}) {
		t.Errorf("removed %v, %v, want the profiles' run alone", removed, err)
	}
	if runs, err := digests.Runs(here); err != nil || len(runs) != 1 {
		t.Errorf("the digests have %+v, %v, want their run", runs, err)
	}
}

func TestTheCampaignOfARunIsKnown(t *testing.T) {
	d := open(t)
	for _, campaign := range []string{"digest", "profile"} {
		h := night(1)
		h.Campaign = campaign
		put(t, d.For(campaign), h, dispatcher.Accepted)
		killed := filepath.Join(d.Path(), map[string]string{"profile": "profile-"}[campaign]+night(2).Run+".jsonl")
		if err := os.WriteFile(killed, nil, 0o600); err != nil { // at birth: only its name tells
			t.Fatal(err)
		}
		runs, err := d.For(campaign).Runs(here)
		if err != nil || len(runs) != 2 || runs[0].Campaign != campaign || runs[1].Campaign != campaign {
			t.Errorf("got %+v, %v, want two runs of %s", runs, err, campaign)
		}
	}
}

func TestARunWithoutAJournalOvertakesTheNewestOfItsOwnCampaign(t *testing.T) {
	digests := open(t)
	profiles := digests.For("profile")
	put(t, digests, night(2))
	h := night(1)
	h.Campaign = "profile"
	put(t, profiles, h)
	if err := profiles.Distrust(here); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[*state.Dir]bool{digests: false, profiles: true} {
		if runs, err := dir.Runs(here); err != nil || len(runs) != 1 || runs[0].Overtaken != want {
			t.Errorf("got %+v, %v, want overtaken: %v", runs, err, want)
		}
	}
}

func TestALockTellsOfItsOwnCampaignAlone(t *testing.T) {
	digests := open(t)
	profiles := digests.For("profile")
	l := lock(t, digests, run1)
	if run := (&state.Summary{Header: header(run1)}); !digests.Running(run) || profiles.Running(run) {
		t.Error("a run of the digests does not count as running, or one of the profiles does that has its name")
	}
	end(t, digests, l, true)
	ours := lock(t, profiles, later)
	if doubt := ours.Doubt(); !doubt.IsZero() {
		t.Errorf("a killed run of the digests puts the profiles in doubt since %v", doubt)
	}
	end(t, profiles, ours, true)
	if doubt := lock(t, profiles, latest).Doubt(); doubt.IsZero() {
		t.Error("a killed run of the profiles that had no journal puts them in no doubt")
	}
}

func TestWhatOneCampaignsSendsTakeIsNothingToAnother(t *testing.T) {
	digests := open(t)
	profiles := digests.For("profile")
	for id, d := range map[string]*state.Dir{"a/group": digests, "0kT4x": profiles} {
		h := state.NewHistory()
		learnFrom(h, map[string]time.Duration{id: time.Second})
		if err := h.Save(d.HistoryPath(here)); err != nil {
			t.Fatal(err)
		}
	}
	for id, d := range map[string]*state.Dir{"a/group": digests, "0kT4x": profiles} {
		if h, err := state.LoadHistory(d.HistoryPath(here)); err != nil || h.Known() != 1 || !h.Estimate(id).Known {
			t.Errorf("got %d known, %v, want %s alone", h.Known(), err, id)
		}
	}
}

// Ids of people are no word of ours: what the site lists comes back as it was.
func TestAJobWithoutASiteIsKnownByItsIdAlone(t *testing.T) {
	d := open(t).For("profile")
	h := header(run1)
	h.Campaign = "profile"
	w := begin(t, d, h)
	var list []state.Group
	for _, id := range []string{"0kT4x", "a/b", "/", "ü \"\\\t<&>\u2028", "\x1b[2J", "null", "1e9", "[]", " "} {
		list = append(list, state.Group{Group: id})
	}
	left := state.Group{Group: "left/out"}
	w.List(list, []state.Skip{{Group: left, Reason: "left out by --exclude"}})
	for _, g := range list {
		if g.Key() != g.Group {
			t.Errorf("got key %q, want %q", g.Key(), g.Group)
		}
		r := started(g, time.Second)
		w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
		r.Outcome, r.Took = dispatcher.Accepted, time.Second
		w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := load(t, d, run1)
	recent, failed := d.Recent(here, epoch)
	for _, g := range list {
		if e, listed := run.Entry(g); !listed || e.Outcome != dispatcher.Accepted || e.Group != g {
			t.Errorf("%q: got %+v, listed %v, want it accepted", g.Group, e, listed)
		}
		if at, ok := recent.Accepted(g); !ok || at.Before(epoch.Add(2*time.Second)) {
			t.Errorf("%q: accepted at %v, %v, %v", g.Group, at, ok, failed)
		}
	}
	if e, listed := run.Entry(left); !listed || e.Outcome != dispatcher.Skipped {
		t.Errorf("got %+v, listed %v, want it left out", e, listed)
	}
}

func TestWhomTheServiceLeftOutWasSentToAndIsNotAccepted(t *testing.T) {
	d := open(t)
	w := begin(t, d, header(run1))
	list := groups(3)
	before := night(22)
	w.List(list[:2], []state.Skip{{Group: list[2], Reason: "accepted already", In: before.Run, At: before.Started}})
	r := started(list[0], time.Second)
	w.Observe(dispatcher.Event{Kind: dispatcher.Started, Result: r})
	// The error looks like the name of the run that a group was accepted in.
	r.Took, r.Verdict = time.Second, dispatcher.Verdict{
		Outcome: dispatcher.Skipped, Status: 200, Reason: "no verified address", Err: errors.New(before.Run),
	}
	w.Observe(dispatcher.Event{Kind: dispatcher.Finished, Result: r})
	w.Finish(state.Ending{At: epoch.Add(time.Minute)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := load(t, d, run1)
	want := state.Entry{
		Group: list[0], Outcome: dispatcher.Skipped, Status: 200, Reason: "no verified address", Error: before.Run,
		Attempts: 1, Worker: 1, Last: r.Start, End: r.Start.Add(time.Second),
	}
	if diff := cmp.Diff(want, all(run)[0]); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if got := run.Counts; got[dispatcher.Skipped] != 2 || got[dispatcher.NotAttempted] != 1 || got != run.Report().Counts() {
		t.Errorf("got counts %v, and %v of its report, want 2 skipped and 1 not attempted", got, run.Report().Counts())
	}
	if result := run.Report().Results[0]; result.Attempts != 1 || result.Took != time.Second || result.Reason != want.Reason {
		t.Errorf("got %+v in its report, want one try and its reason", result)
	}
	recent, failed := d.Recent(here, before.Started)
	for g, want := range map[state.Group]bool{list[0]: false, list[2]: true} {
		if at, ok := recent.Accepted(g); ok != want || len(failed) > 0 {
			t.Errorf("%s: got accepted %v, %v; %v, want %v", g.Key(), ok, at, failed, want)
		}
	}
}

func TestAJournalThatIsOfAnotherCampaignThanItsNameSaysIsDamage(t *testing.T) {
	d := open(t)
	for _, name := range []string{run1 + ".jsonl", "profile-" + run1 + ".jsonl"} {
		campaign := "profile"
		if strings.HasPrefix(name, campaign) {
			campaign = "digest"
		}
		text := strings.Replace(string(lines()), `"digest"`, `"`+campaign+`"`, 1)
		if err := os.WriteFile(filepath.Join(d.Path(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []*state.Dir{d, d.For("profile")} {
		if _, err := dir.Load(run1); err == nil || !strings.Contains(err.Error(), "it is of campaign") {
			t.Errorf("got %v, want that it is of another campaign", err)
		}
	}
}
