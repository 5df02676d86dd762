package command

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
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

// serviceVariable names the site of a run that a systemd service of the package makes: senddigest@NAME. Its configuration
// file and its state are the service's, so that it is for services to go on with it.
const serviceVariable = "SENDDIGEST_SERVICE"

// next makes the commands that have the same options as this one.
func (p Process) next(args map[string][]string, s *config.Settings, site string) commands {
	if name, ok := p.Getenv(serviceVariable); ok && name != "" {
		goOn := func(mode campaign.Mode) string {
			return "sudo systemctl start " + quote(p.program.Name+"-"+strings.TrimLeft(string(mode), "-")+"@"+name)
		}
		return commands{
			again: func(...string) string { return "sudo systemctl start " + quote(p.program.Name+"@"+name) },
			goOn:  goOn, kept: goOn,
		}
	}
	c := p.sameOptions(args, site)
	if full, err := filepath.Abs(p.Name); err == nil && strings.Contains(p.Name, "/") {
		p.Name = full
	}
	c.kept = p.sameOptions(p.absolute(args, s), site).goOn
	return c
}

// absolute gives options as they are to be written in any other folder.
func (p Process) absolute(args map[string][]string, s *config.Settings) map[string][]string {
	there := maps.Clone(args)
	there["config"] = []string{s.Config}
	for _, f := range p.program.Flags {
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

func (p Process) sameOptions(args map[string][]string, site string) commands {
	return commands{
		again: func(keys ...string) string {
			if !p.program.Has("only") {
				keys = nil
			}
			words := p.words(args, len(keys) > 0)
			for _, key := range keys {
				at, group, _ := strings.Cut(key, "/")
				words = append(words, "--only", quote(campaign.Literal(at, group)))
			}
			return strings.Join(append(words, quote(site)), " ")
		},
		goOn: func(mode campaign.Mode) string {
			return strings.Join(append(p.words(args, true), string(mode), quote(site)), " ")
		},
	}
}

// words are the program and the options that a repeated run keeps: not --report, which must not overwrite the report
// of the whole run, nor a secret, nor what only this run was to do. Of a header the name stays: its value is to be typed
// again. Where the groups are chosen in
// another way, the options that chose them are left out.
func (p Process) words(args map[string][]string, chosen bool) []string {
	words := []string{quote(cmp.Or(p.Name, p.program.Name))}
	for _, f := range p.program.Flags {
		switch f.Name {
		case "report", "resume", "retry-failed", "skip-ambiguous", "assume-previous":
			continue
		case "only", "exclude":
			if chosen {
				continue
			}
		}
		for _, value := range args[f.Name] {
			switch {
			case f.Secret && f.Shown(value) == "":
			case f.Arg != "":
				words = append(words, "--"+f.Name, quote(f.Shown(value)))
			case value == "true":
				words = append(words, "--"+f.Name)
			}
		}
	}
	return words
}

// quote makes one word of text for a POSIX shell.
func quote(text string) string {
	if text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+=,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
