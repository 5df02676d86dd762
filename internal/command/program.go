package command

import (
	"cmp"
	"strings"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/manual"
	"github.com/groupserver/senddigest/internal/state"
)

// A Program is a command line for one campaign: what is its own. All else is the same for each.
type Program struct {
	config.Program
	summary  string
	campaign func(*hooks.Client, *config.Settings) campaign.Campaign
	digests  bool      // it has the commands demo and explain
	own      []Command // instead of all commands, the one without a name included; nil: it has these
	manual   func(Program) (before, after []manual.Section)
	words    *strings.Replacer // takes the texts that are written for the digests over; nil: they stay
}

// Senddigest is the program for the daily digests.
func Senddigest() Program {
	return Program{
		Program: config.Senddigest(),
		summary: "send the daily digests of a GroupServer site",
		campaign: func(c *hooks.Client, s *config.Settings) campaign.Campaign {
			return campaign.Digest(c, s.ServerZone)
		},
		digests: true, manual: digestManual,
	}
}

// Sendprofile is the program for the monthly profile-status notifications.
func Sendprofile() Program {
	return Program{
		Program:  config.Sendprofile(),
		summary:  "send the monthly profile-status notifications of a GroupServer site",
		campaign: func(c *hooks.Client, _ *config.Settings) campaign.Campaign { return campaign.Profile(c) },
		manual:   profileManual,
		words: strings.NewReplacer("every group", "everybody", "one group", "one person", "groups", "people", "digests", "notifications",
			"senddigest", "sendprofile", "SENDDIGEST_", "SENDPROFILE_"),
	}
}

// text takes a text over that is written for the digests.
func (p Program) text(text string) string {
	if p.words == nil {
		return text
	}
	return p.words.Replace(text)
}

// helpHint is the hint of a command line that nothing better can be said about.
func (p Program) helpHint() string { return p.Name + " --help lists the options" }

// stateDir is where the state is to be.
func (p command) stateDir(s *config.Settings) string {
	getenv := func(name string) string {
		value, _ := p.Getenv(name)
		return value
	}
	return cmp.Or(s.StateDir, state.DefaultDir(getenv, getenv("HOME")))
}
