// Package campaign is the script of a night: lock, past, list, plan, send, settle, report. run.go has it from top to bottom.
//
// A [Campaign] says what is particular to one of them, campaign.go; digest.go and profile.go are the two that there are. The
// hooks and the dispatcher meet here, and the package holds what either must not know of the other: which answers are tried
// again, and what they mean for whom was sent to (verdict.go); what is known of somebody before a send (past.go); whether a
// run is resumed (resume.go), and what of it is done again (previous.go); what becomes of lost answers (settle.go); why a run
// stops (stop.go); who hears of all this (events.go). It prints nothing, and knows no command line.
package campaign

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/schedule"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

// A Campaign is what is sent, and to whom: all that is particular to it. A run of each is made in the same way.
//
// There is no type of its own for whom a campaign is sent to. A journal outlives the program, and what it keeps of a name
// is a [state.Group]: that is the form in which a run has them from the list to the report.
type Campaign struct {
	Name   string         // in the report, the journal, and the names of the state directory's files: "digest"
	Mail   string         // what one send mails: "digest"
	Things printable.Noun // what is sent to

	Program string // that sends it, in the report; empty: "senddigest"

	// List asks the site once whom to send to: each once, in the order of [schedule.Name].
	List func(context.Context) (*List, error)
	// Send tries once to send, and judges the answer. It must return when its context ends; several are called at once.
	Send func(context.Context, state.Group) dispatcher.Verdict

	// Guard is the service's own duplicate check. nil means that there is none: then nothing is held back, and what may
	// have been mailed is never repeated.
	Guard *guard.Guard
	// Private: the names are personal data. They are in journals and reports alone, and no history of single sends is kept.
	Private bool
}

// Meta is what the report of any run of the campaign says.
func (c Campaign) Meta() report.Meta {
	return report.Meta{
		Program: c.Program, Campaign: c.Name, Mail: c.Mail, Things: c.Things, Private: c.Private, Unguarded: c.Guard == nil,
		Names: func(j dispatcher.Job) (site, group string) {
			g, _ := j.(state.Group)
			return g.Site, g.Group
		},
	}
}

// List is whom a site says to send to.
type List = hooks.List[state.Group]

// listOf makes the List of a campaign of a hook's list.
func listOf[E any](list func(context.Context) (*hooks.List[E], error), name func(E) state.Group) func(context.Context) (*List, error) {
	return func(ctx context.Context) (*List, error) {
		l, err := list(ctx)
		if err != nil {
			return nil, err
		}
		named := &List{Unusable: l.Unusable, Entries: make([]state.Group, len(l.Entries))}
		for i, e := range l.Entries {
			named.Entries[i] = name(e)
		}
		return named, nil
	}
}

// Settings of a run. The zero value sends to one after the other, as fast as that goes, and keeps no record.
type Settings struct {
	URL          string             // the site's, for the report
	Installation state.Installation // the site's and its token's digest, by which runs know each other

	// How fast.
	Workers  int            // the most sends in flight; below 1 counts as 1
	Auto     bool           // find how many of these there are to be; otherwise there are Workers
	Visitors Visitors       // asked what visitors of the site wait, for Auto; nil: nobody is
	Rate     ratelimit.Rate // starts a second; 0: no limit
	Burst    int            // starts at once after a lull; below 1 counts as 1
	Throttle time.Duration  // for which a worker rests after a send
	Order    schedule.Order
	MaxHeavy Share // how many of the sends in flight may be heavy, see [schedule.Settings]; zero: half

	// How patiently.
	Retries     int                         // extra tries of a send that provably mailed nothing
	Backoff     func(try int) time.Duration // wait after a try before the next; nil: the dispatcher's
	Timeout     time.Duration               // of one try, which Send sees to. What may have been mailed is repeated no sooner
	GiveUpAfter time.Duration               // end the run when the site has not answered, or will not, for so long; 0: never

	// When to stop.
	Abort       context.Context // when it ends, sends in flight are cut; nil: never
	Grace       time.Duration   // for sends in flight after a stop; 0: as long as they need
	MaxFailures Share           // failures that stop the run; zero: none do
	Deadline    *Clock          // the time of day from which on nothing starts; nil: none
	MaxDuration time.Duration   // the time after which nothing starts, since the run had the lock; 0: none
	RequireFit  bool            // do not start a run that would not be over by then: an earlier one can still be resumed

	// Who is left out: by Exclude, and unless Only is empty by not being in it.
	Only, Exclude []Pattern

	// Earlier runs.
	StateDir   string        // the state directory; empty: there is none to be had
	StateNamed bool          // somebody asked for it by name: that it cannot be written is an error of the run
	NoState    bool          // use none
	LockWait   time.Duration // wait for another run's lock; 0: not at all
	Resume     Mode          // go on with an earlier run; empty: begin a new one
	// Settle is how long after its start an ambiguous send may be repeated, longer than any can take on the server. What
	// took more than half of it in past runs waits for twice the longest of them. 0: a send of this run is not repeated,
	// one of an earlier run at once.
	Settle        time.Duration
	SkipAmbiguous bool          // leave what is ambiguous to people. A new run waits for the sends of an earlier one all the same
	GuardWait     time.Duration // how long somebody may be held back for the server's guard; 0: not at all
	// GuardWaitGiven: somebody chose GuardWait. Otherwise it may be longer where it is known to the minute, see LedgerGuardWait.
	GuardWaitGiven bool
	Assume         *Assumption // of another program that sent last; nil: none did

	// The service's own tables.
	Ledger      ledger.Source // nil: they are not read
	LedgerNamed bool          // somebody asked for them by name: that they cannot be read is said
	SkipIdle    bool          // leave out who is proven to have nothing to mail

	Steering  *Steering  // steers the run while it goes; nil: nobody does. A run with a queue is steered there
	Queue     Queue      // that other processes send from; nil: this process makes all sends itself
	Commands  Commands   // that the report proposes; nil: none
	Observers []Observer // of the run's events, after its journal
}

// A Queue is what several machines share to send to the groups of one night. A run plans the night, hands the groups to the
// queue, and follows what becomes of them there. Its methods are called in this order, by one goroutine.
type Queue interface {
	// Turn is called with the lock held. It returns nil when this run is the one that plans, and has all to itself what
	// follows. Its error ends the run before the first request, as one of the lock does: another run planned the night, and
	// has ended it, or ctx has ended. It calls waits when another run has the turn.
	Turn(ctx context.Context, waits func()) error
	// Past adds what the queue knows of a group to what the journals know of it.
	Past(journals Past) Past
	// Dispatch is [dispatcher.Run] for the queue. It is called once more where groups became due in the course of the run.
	// When ctx ends by a cause that [Leaves], it waits for nothing, and others go on. It calls steered with what operators
	// change of the queue, one after the other.
	Dispatch(ctx context.Context, groups []state.Group, o dispatcher.Options, steered func(Steered)) *dispatcher.Report
}

// Commands are the command lines that a report proposes; empty: none.
type Commands interface {
	Again(keys ...string) string // sends to these again, or to all with none named
	GoOn(Mode) string            // goes on with the run by its journal
	Kept(Mode) string            // the same for whoever comes later, to another folder
}

// Result is what became of a run.
type Result struct {
	Document *report.Document
	// StoppedBy is why not everything was tried or finished, Err why there was nothing to try; nil if not so.
	StoppedBy, Err error
	// Warnings are what an operator has to know also where all was accepted, one line each: entries of the list that were
	// left out, and why fewer sends were in flight than asked for. The document has them among its notes.
	Warnings []string
	// Unwritten is why the record of the run is not whole, where that is an error, see Settings.StateNamed; nil: it is. The
	// operator has been warned of it.
	Unwritten error
}

// RunID names a run: when it started, in UTC, and two random bytes against a second one in the same second.
func RunID(started time.Time) string {
	var tail [2]byte
	_, _ = rand.Read(tail[:]) // never fails
	return fmt.Sprintf("%s-%x", started.UTC().Format("20060102T150405Z"), tail)
}
