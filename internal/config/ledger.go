package config

import (
	"errors"
	"strings"

	"github.com/groupserver/senddigest/internal/dsn"
	"github.com/groupserver/senddigest/internal/gsconfig"
)

// A LedgerMode says how the ledger was asked for: GroupServer's own table of the digests that it mailed.
type LedgerMode int

const (
	LedgerOff   LedgerMode = iota // it is not to be read; so it is for programs without the option
	LedgerAuto                    // it is to be read if it can be: nothing about it ends a run
	LedgerNamed                   // an option names the database
)

// A Ledger is what --ledger asks for.
type Ledger struct {
	Mode LedgerMode
	DSN  dsn.DSN // the zero value where Mode is LedgerOff or Err is not nil
	Err  error   // why LedgerAuto found no database in the configuration set; no message of it holds a password
}

func ledger(s *Settings, v string) error {
	switch v {
	case "off":
		s.Database = Ledger{}
		return nil
	case "auto":
		s.Database = Ledger{Mode: LedgerAuto}
		return nil
	}
	d, err := dsn.Parse(v)
	if e, ok := errors.AsType[*dsn.Error](err); ok {
		if !strings.Contains(v, "://") {
			return problem("is neither auto, off nor a DSN such as " + dsn.Form)
		}
		return problem(e.Problem + ": " + e.Advice)
	}
	s.Database = Ledger{Mode: LedgerNamed, DSN: d}
	return nil
}

// withoutPassword refuses a DSN that everybody on the machine would see in the list of processes, password and all. It
// is asked of values that ledger took.
func withoutPassword(v string) error { return withoutPasswordOf(v, "ledger") }

// shownLedger is what may be shown of a value of --ledger: nothing, unless it surely has no password.
func shownLedger(v string) string {
	if v == "auto" || v == "off" {
		return v
	}
	if d, err := dsn.Parse(v); err != nil || d.HoldsSecret() {
		return ""
	}
	return v
}

// ledgerOf finds the database that a configuration set names. Its errors are for a line under -v: without a ledger the
// digests go out all the same.
func ledgerOf(set *gsconfig.Instance, file string) Ledger {
	text, err := set.Database()
	if err == nil && text == "" {
		err = &gsconfig.Error{
			File: file, Option: "database", Problem: "is missing from the configuration set",
			Advice: `write a line "database = NAME" there, naming the section [database-NAME] that has the dsn`,
		}
	}
	if err != nil {
		return Ledger{Mode: LedgerAuto, Err: err}
	}
	d, err := dsn.Parse(text)
	if e, ok := errors.AsType[*dsn.Error](err); ok {
		return Ledger{Mode: LedgerAuto, Err: &gsconfig.Error{
			File: file, Section: "database-NAME", Option: "dsn", Problem: e.Problem, Advice: e.Advice, Err: e,
		}}
	}
	return Ledger{Mode: LedgerAuto, DSN: d}
}
