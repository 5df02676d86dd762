package config

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groupserver/senddigest/internal/campaign"
)

// commands make the command lines that a summary proposes. A nil function proposes none.
type commands struct {
	again      func(keys ...string) string
	goOn, kept func(campaign.Mode) string
}

// Again implements [campaign.Commands], as the two below do.
func (c commands) Again(keys ...string) string    { return c.again(keys...) }
func (c commands) GoOn(mode campaign.Mode) string { return c.goOn(mode) }
func (c commands) Kept(mode campaign.Mode) string { return c.kept(mode) }

// A Line is a command line as somebody typed it, from which the proposed ones are made.
type Line struct {
	Program Program
	Called  string              // as the program was called; empty: by its name
	Args    map[string][]string // by the option's name
	Getenv  func(string) (string, bool)
}

// Next makes the commands that have the same options as this one, whose settings and site are given.
//
// The variable SENDDIGEST_SERVICE, or SENDPROFILE_SERVICE, names the site of a run that a systemd service of the package
// makes: senddigest@NAME. Its configuration file and its state are the service's, so that it is for services to go on with it.
func (p Line) Next(s *Settings, site string) campaign.Commands {
	if name, ok := p.Getenv(p.Program.EnvName("service")); ok && name != "" {
		goOn := func(mode campaign.Mode) string {
			return "sudo systemctl start " + Quote(p.Program.Name+"-"+strings.TrimLeft(string(mode), "-")+"@"+name)
		}
		return commands{
			again: func(...string) string { return "sudo systemctl start " + Quote(p.Program.Name+"@"+name) },
			goOn:  goOn, kept: goOn,
		}
	}
	c := p.sameOptions(site)
	if full, err := filepath.Abs(p.Called); err == nil && strings.Contains(p.Called, "/") {
		p.Called = full
	}
	p.Args = p.absolute(s)
	c.kept = p.sameOptions(site).goOn
	return c
}

// NextOfNight makes the command that goes on with a night of several machines: any other would find it ended. A service of the
// package has none.
func (p Line) NextOfNight(s *Settings, command, site string) campaign.Commands {
	none := commands{again: func(...string) string { return "" }, goOn: func(campaign.Mode) string { return "" }}
	none.kept = none.goOn
	if name, ok := p.Getenv(p.Program.EnvName("service")); ok && name != "" {
		return none
	}
	p.Args = p.absolute(s)
	for _, limit := range []string{"workers", "rate", "burst"} { // they stay set, and an operator may have set others since
		delete(p.Args, limit)
	}
	none.goOn = func(mode campaign.Mode) string {
		if mode != campaign.Resume {
			return ""
		}
		return strings.Join(append(slices.Insert(p.Words(true), 1, command), string(mode), Quote(site)), " ")
	}
	none.kept = none.goOn
	return none
}

// absolute gives options as they are to be written in any other folder.
func (p Line) absolute(s *Settings) map[string][]string {
	there := maps.Clone(p.Args)
	there["config"] = []string{s.Config}
	for _, f := range p.Program.Flags {
		if f.Arg != "FILE" && f.Arg != "DIR" {
			continue
		}
		for i, path := range there[f.Name] {
			if full, err := filepath.Abs(path); err == nil {
				there[f.Name] = slices.Clone(there[f.Name])
				there[f.Name][i] = full
			}
		}
	}
	return there
}

func (p Line) sameOptions(site string) commands {
	return commands{
		again: func(keys ...string) string {
			if !p.Program.Has("only") {
				keys = nil
			}
			words := p.Words(len(keys) > 0)
			for _, key := range keys {
				at, group, _ := strings.Cut(key, "/")
				words = append(words, "--only", Quote(campaign.Literal(at, group)))
			}
			return strings.Join(append(words, Quote(site)), " ")
		},
		goOn: func(mode campaign.Mode) string {
			return strings.Join(append(p.Words(true), string(mode), Quote(site)), " ")
		},
	}
}

// Words are the program and the options that a repeated run keeps: not --report, which must not overwrite the report
// of the whole run, nor a secret, nor what only this run was to do. Of a header the name stays: its value is to be typed
// again. Where the groups are chosen in
// another way, the options that chose them are left out.
func (p Line) Words(chosen bool) []string {
	words := []string{Quote(cmp.Or(p.Called, p.Program.Name))}
	for _, f := range p.Program.Flags {
		switch f.Name {
		case "report", "resume", "retry-failed", "skip-ambiguous", "assume-previous":
			continue
		case "only", "exclude":
			if chosen {
				continue
			}
		}
		for _, value := range p.Args[f.Name] {
			switch {
			case f.Secret && f.Shown(value) == "":
			case f.Arg != "":
				words = append(words, "--"+f.Name, Quote(f.Shown(value)))
			case value == "true":
				words = append(words, "--"+f.Name)
			}
		}
	}
	return words
}

// Quote makes one word of text for a POSIX shell.
func Quote(text string) string {
	if text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+=,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
