package state_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	if removed, err := profiles.Keep(here, 0, h.Run); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
	if err := profiles.Distrust(here); err != nil {
		t.Error(err)
	}
	if digestRuns, err := digests.Runs(here); err != nil || digestRuns[0].Overtaken {
		t.Errorf("the digests' run: got %+v, %v, want it as it was", digestRuns, err)
	}
	if digests.HistoryPath(here) == profiles.HistoryPath(here) {
		t.Error("they share a history")
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
