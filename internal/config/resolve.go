// Package config finds out what a run is to do: from the command line, the environment and the program's own section
// of GroupServer's configuration file. The options are one table, so that the three cannot differ.
package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/gsconfig"
	"github.com/groupserver/senddigest/internal/schedule"
)

// A ValueError is an option whose value does not do, on the command line or in the environment. A value in the
// configuration file is an [*gsconfig.Error].
type ValueError struct {
	Source  string // "--workers" or "SENDDIGEST_WORKERS"
	Value   string // empty, too, where it is a secret
	Problem string

	secret bool
}

func (e *ValueError) Error() string {
	if e.secret {
		return e.Source + " " + e.Problem
	}
	return fmt.Sprintf("%s %q %s", e.Source, e.Value, e.Problem)
}

// A Program is one of the programs that have these options.
type Program struct {
	Name  string // in the set, the option that names the section of the options, and how that section's name begins
	Flags []Flag // in the order in which a proposed command has them

	shares string // the program whose section and environment it shares; empty: none
}

// Senddigest is the program for the digests.
func Senddigest() Program { return Program{Name: "senddigest", Flags: flags()} }

// Sendprofile is the program for the profile-status notifications. It has none of the options that are about groups, about
// the server's duplicate check, and about what earlier runs tell of single sends, which is personal data here. As the
// script did, it sends to one after the other, in the server's order: nobody waits for a monthly mail.
func Sendprofile() Program {
	p := Program{Name: "sendprofile"}
	for _, f := range flags() {
		if f.digest {
			continue
		}
		if f.Name == "workers" {
			f.Default = "1"
		}
		f.Usage = strings.NewReplacer("groups", "people", "senddigest", p.Name).Replace(f.Usage)
		p.Flags = append(p.Flags, f)
	}
	return p
}

// Has reports whether the program has an option of a name.
func (p Program) Has(name string) bool {
	_, ok := p.find(name)
	return ok
}

// EnvPrefix is what the names of the program's environment variables begin with.
func (p Program) EnvPrefix() string { return strings.ToUpper(p.section()) + "_" }

// section is what the name of the program's section begins with.
func (p Program) section() string { return cmp.Or(p.shares, p.Name) }

// EnvName is the environment variable of an option: SENDDIGEST_MAX_FAILURES for max-failures.
func (p Program) EnvName(flag string) string {
	return p.EnvPrefix() + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Sources are where options come from, besides the configuration file.
type Sources struct {
	Args   map[string][]string // by name, as the command line gives them
	Getenv func(string) (value string, ok bool)
	Binary string // path of the running program; empty: not known
	Clear  bool   // the site's URL is plain http
}

// Resolve reads the options: the command line before the environment before the configuration file before the
// defaults. The token comes from the file alone. Errors are [*ValueError] and [*gsconfig.Error].
func (p Program) Resolve(src Sources) (*Settings, error) {
	s := &Settings{clear: src.Clear}
	s.Order = schedule.Name    // where no option says otherwise
	given := map[string]bool{} // options that are not left to their default
	for _, f := range p.Flags {
		if f.Default != "" {
			if err := f.set(s, f.Default); err != nil {
				return nil, fmt.Errorf("the default of --%s: %w", f.Name, err)
			}
		}
		values, source := src.Args[f.Name], "--"+f.Name
		onLine := values != nil && f.onLine != nil
		if values == nil {
			source = p.EnvName(f.Name)
			if value, ok := src.Getenv(source); ok && value != "" {
				values = f.split(value)
			}
		}
		given[f.Name] = values != nil
		if values == nil {
			if f.Name == "config" {
				s.Config = installed(s.Config, src.Binary)
			}
			continue
		}
		for _, value := range values {
			err := f.set(s, value)
			if err == nil && onLine {
				err = f.onLine(value)
			}
			if err != nil {
				if f.Secret {
					value = ""
				}
				return nil, &ValueError{source, value, err.Error(), f.Secret}
			}
		}
	}
	if err := p.readFile(s, given); err != nil {
		return s, err
	}
	s.GuardWaitGiven = given["guard-wait"]
	if s.Auto {
		s.Workers = s.MaxWorkers
	}
	return s, nil
}

// split takes the several values of an option apart that the environment or the file give in one.
func (f Flag) split(value string) []string {
	if !f.Repeat {
		return []string{value}
	}
	var values []string
	for _, v := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' && !f.Lines || r == '\n' }) {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}

// installed finds the configuration file of a program that was put beside the script it replaces. The installer
// gave the script the absolute path of INSTALL_DIR/etc/gsconfig.ini (docs/groupserver.md section 8), and cron does
// not start programs in INSTALL_DIR.
func installed(path, binary string) string {
	if _, err := os.Stat(path); err == nil || binary == "" {
		return path
	}
	beside := filepath.Join(filepath.Dir(filepath.Dir(binary)), DefaultConfig)
	if _, err := os.Stat(beside); err == nil {
		return beside
	}
	return path
}

// readFile takes the token, and the options that nothing else gave, from the configuration file. The latter are given then.
func (p Program) readFile(s *Settings, given map[string]bool) error {
	file, err := gsconfig.ReadFile(s.Config)
	if err != nil {
		return err
	}
	set, err := file.Instance(s.Instance)
	if err != nil {
		return err
	}
	token, err := set.Token()
	if err != nil {
		return err
	}
	s.Token = hooks.NewToken(token)
	options, err := set.Options(p.section())
	if err != nil {
		return err
	}
	for _, option := range options {
		wrong := &gsconfig.Error{File: s.Config, Line: option.Line, Section: option.Section}
		f, ok := p.find(option.Name)
		switch {
		case !ok && p.ofAnother(option.Name):
			continue
		case !ok:
			wrong.Problem, wrong.Advice = "is not an option of "+p.Name, p.Name+" --help lists the options; here they stand without the --"
			return wrong
		case f.NotFile:
			wrong.Option, wrong.Problem = f.Name, "has no place in the file"
			wrong.Advice = "give it on the command line, or in the environment as " + p.EnvName(f.Name)
			return wrong
		}
		if given[f.Name] {
			continue
		}
		given[f.Name] = true
		for _, value := range f.split(option.Value) {
			if err := f.set(s, value); err != nil {
				// Not the value itself: the token may stand there by mistake.
				wrong.Option, wrong.Problem = f.Name, err.Error()
				return wrong
			}
		}
	}
	if s.Database.Mode == LedgerAuto {
		s.Database = ledgerOf(set, s.Config)
	}
	return nil
}

func (p Program) find(name string) (Flag, bool) {
	for _, f := range p.Flags {
		if f.Name == name {
			return f, true
		}
	}
	return Flag{}, false
}
