package campaign_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
)

// newsletter is a third campaign: a value of a list and a send. Its program is one line that names it.
func newsletter(mailed map[string]int) campaign.Campaign {
	return campaign.Campaign{
		Name: "newsletter", Mail: "newsletter", Things: printable.NewNoun("reader", "readers"),
		List: func(context.Context) (*campaign.List, error) {
			return &hooks.List[state.Group]{Entries: []state.Group{{Group: "ann"}, {Group: "bob"}, {Group: "cy"}}}, nil
		},
		Send: func(_ context.Context, reader state.Group) dispatcher.Verdict {
			if reader.Group == "bob" && mailed["ann"] == 1 && mailed["cy"] == 0 {
				return dispatcher.Verdict{Outcome: dispatcher.NotOK, Reason: "full", Status: 500}
			}
			mailed[reader.Group]++
			return dispatcher.Verdict{Outcome: dispatcher.Accepted}
		},
	}
}

// It has journal, lock, resuming, retries and report as the others have them, and knows nothing of their runs.
func TestAThirdCampaignIsAListAndASend(t *testing.T) {
	mailed := map[string]int{}
	s := campaign.Settings{URL: siteURL, StateDir: t.TempDir(), Installation: state.Installation{Token: "0011223344556677"}}
	for _, tt := range []struct {
		mode campaign.Mode
		want string
	}{{"", "2 accepted, 1 not_ok"}, {campaign.RetryFailed, "1 accepted, 2 skipped"}} {
		s.Resume = tt.mode
		r, err := campaign.Run(t.Context(), newsletter(mailed), s)
		if err != nil {
			t.Fatal(err)
		}
		if got := counted(r); got != tt.want || r.Document.Campaign != "newsletter" {
			t.Errorf("%s: got %s of %s, want %s", tt.mode, got, r.Document.Campaign, tt.want)
		}
	}
	if got := fmt.Sprint(mailed); got != "map[ann:1 bob:1 cy:1]" {
		t.Errorf("mailed %s", got)
	}
	s.Resume = campaign.RetryFailed
	if _, err := campaign.Run(t.Context(), campaign.Digest(nil, nil), s); err == nil {
		t.Error("the digests go on with a run of it")
	}
}
