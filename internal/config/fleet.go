package config

import (
	"errors"
	"strings"

	"github.com/groupserver/senddigest/internal/dsn"
)

// catFleet is the category of what only several machines need.
const catFleet = "Several machines"

// A Fleet is what senddigest-fleet is told besides the settings of a run.
type Fleet struct {
	Queue    *dsn.DSN // the database that the machines share; nil: none was named
	Campaign string   // "digest" or "profile"
}

func fleetFlags() []Flag {
	campaigns := []string{"digest", "profile"}
	return []Flag{
		{
			Name: "queue-dsn", Arg: "DSN", Category: catFleet, Secret: true,
			Usage:  "the machines share the queue in the PostgreSQL database at `DSN`; one that has a password is for the file or the environment alone",
			set:    queueDSN,
			onLine: queueWithoutPassword,
		},
		{
			Name: "campaign", Arg: "CAMPAIGN", Values: campaigns, Default: "digest", Category: catFleet, NotFile: true,
			Usage: "what a run sends, `CAMPAIGN`: the daily digests, or the monthly profile-status notifications",
			set:   oneOf(func(s *Settings, v string) { s.Fleet.Campaign = v }, campaigns...),
		},
	}
}

// SenddigestFleet is the program for several machines. It shares environment and section with senddigest, and has none of
// the options that look for the number of workers: that is the queue's to keep, for all machines together.
func SenddigestFleet() Program {
	p := Program{Name: "senddigest-fleet", shares: "senddigest", Flags: fleetFlags()}
	for _, f := range flags() {
		switch f.Name {
		case "max-workers", "canary", "retry-failed", "no-state":
			continue
		case "workers":
			f.Default, f.Arg = "auto", "N|auto"
			f.Usage = "at most `N|auto` sends in flight, of all machines together, from now on; auto leaves the number as it is, which is 2 at first"
		case "rate":
			f.Usage = "start at most `RATE` sends, such as 10 (per second), 600/m or 0.5/h, on all machines together, from now on; 0 leaves it as it is, which is no limit at first"
		case "settle":
			f.digest = false
			f.Usage = "for `TIME` after the start of a send whose answer was lost the site may be at work on it, queueing included: its place is kept for so long, and then the group is sent to once more"
		case "listen":
			f.Usage = "show the run, or at a worker the night and River's pages of the queue, to browsers of this machine at `ADDRESS`, such as 127.0.0.1:8377; port 0 is a free one, which is said"
		case "listen-anywhere":
			f.Usage = "with --listen: take an address that other machines can reach; the pages have no log-in, and whoever reaches a worker's can retry, cancel and delete its jobs"
		case "resume":
			f.Usage = "go on with tonight's run, which ended with groups left"
		}
		p.Flags = append(p.Flags, f)
	}
	return p
}

func queueDSN(s *Settings, v string) error {
	d, err := dsn.Parse(v)
	if e, ok := errors.AsType[*dsn.Error](err); ok {
		return problem(e.Problem + ": " + e.Advice)
	}
	s.Fleet.Queue = &d
	return nil
}

// queueWithoutPassword refuses a DSN that everybody on the machine would see in the list of processes, password and all.
func queueWithoutPassword(v string) error {
	return withoutPasswordOf(v, "queue-dsn")
}

// withoutPasswordOf refuses the value of an option that has a password.
func withoutPasswordOf(v, option string) error {
	if d, err := dsn.Parse(v); err == nil && d.HoldsSecret() {
		return problem("has a password, which on a command line everybody on this machine can read: " +
			"write the DSN into the configuration file, as " + option + " = DSN, or into the environment, as SENDDIGEST_" +
			strings.ToUpper(strings.ReplaceAll(option, "-", "_")))
	}
	return nil
}

// ofAnother reports whether an option in a section that several programs share is one of another of them.
func (p Program) ofAnother(name string) bool {
	if p.section() != "senddigest" {
		return false
	}
	for _, f := range append(flags(), fleetFlags()...) {
		if f.Name == name && !f.NotFile {
			return true
		}
	}
	return false
}
