package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/process"
	"github.com/groupserver/senddigest/internal/state"
)

// What a program prints calls those that it sends to by the campaign's own noun.
func TestMessagesSpeakOfWhatTheCampaignSendsTo(t *testing.T) {
	dir := t.TempDir()
	ini := filepath.Join(dir, "gsconfig.ini")
	const text = "[config-default]\nwebservice = default\n[webservice-default]\ntoken = 0123456789abcdef\n"
	if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Senddigest()
	p.campaign = func(*hooks.Client, *config.Settings) campaign.Campaign {
		return campaign.Campaign{
			Name: "newsletter", Mail: "newsletter", Things: printable.NewNoun("reader", "readers"),
			List: func(context.Context) (*campaign.List, error) {
				return &campaign.List{Entries: []state.Group{{Site: "main", Group: "ann"}, {Site: "main", Group: "bob"}}}, nil
			},
			Send: func(context.Context, state.Group) dispatcher.Verdict {
				return dispatcher.Verdict{Outcome: dispatcher.Accepted}
			},
		}
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--only", "nobody/*"}, "senddigest: warning: --only and --exclude leave out all 2 readers\n"},
		{nil, ""},
		{[]string{"--retry-failed"}, "had no reader that failed\n"},
	} {
		var said strings.Builder
		Main(p, process.Process{
			Args:   append(tt.args, "--config", ini, "--state-dir", dir, "--workers", "1", "http://localhost/"),
			Stdout: &strings.Builder{}, Stderr: &said, Getenv: func(string) (string, bool) { return "", false },
		})
		if !strings.Contains(said.String(), tt.want) || tt.want == "" && said.Len() > 0 {
			t.Errorf("%v: got %q, want %q", tt.args, &said, tt.want)
		}
	}
}

// The texts that both programs print name neither what the other sends nor whom it sends to.
func TestTheHelpOfSendprofileSpeaksOfPeople(t *testing.T) {
	t.Parallel()
	p := Sendprofile()
	for _, name := range []string{p.Name, "check", "report"} {
		for line := range strings.Lines(p.Manual().Help(name, 80)) {
			for word := range strings.FieldsSeq(strings.ToLower(line)) {
				switch strings.Trim(word, ".,:;()") {
				case "group", "groups", "digest", "digests":
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
}
