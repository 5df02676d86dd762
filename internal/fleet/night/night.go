// Package night makes a run of a campaign one night of a fleet: of all machines' runs one plans it, hands its groups to the
// queue and follows what becomes of them; the others wait, and the next of them goes on where that one ends before the night
// does. A [Run] is the [campaign.Queue] of package campaign, whose script is the same as on a machine by itself.
//
// That the cron program for one machine does not send beside it is seen to by the lock of the state directory, which a run
// holds from before its turn to its end, also while it waits: on a machine where a run of the night is, either finds the
// other. A machine that makes no run, or keeps its state elsewhere, is not covered, since that program does not read the
// queue's database.
//
// It sends nothing. Two runs that both take themselves for the one that plans cost work and harm nobody: the gate of package
// fleet decides what leaves. It starts no goroutine.
package night

import (
	"context"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
)

const (
	// lookEvery is how often a run that waits looks at the night, and awayTime how much longer it lets the one that plans have
	// its turn back after the database was away.
	lookEvery = time.Second
	awayTime  = 10 * time.Second
	// remembered is how long a night is kept.
	remembered = 30 * 24 * time.Hour
)

// Options of a run's part in a night.
type Options struct {
	DB           *fleet.DB
	Queue        *queue.Queue
	Installation int64
	URL          string        // of the site, as this machine reaches it
	Campaign     string        // its name
	Guarded      bool          // the service has a duplicate check, see [campaign.Campaign]
	Private      bool          // the names are personal data
	Rule         fleet.Rule    // for the gate
	Limits       fleet.Limits  // that the run takes to hold when it begins: what is different later is reported as an operator's change
	Settle       time.Duration // how long the site may be at work on a request, queueing included
	GiveUpAfter  time.Duration // end the night when the site has been away, or will be, for so long; 0: never
	Resume       bool          // go on with a night that has ended
	Warn         func(string)  // tells the operator something in one line; nil: nobody
}

// A Run is a run's part in a night.
type Run struct {
	Options
	ctx   context.Context // of Turn
	night fleet.Night
	lead  *fleet.Lead // nil: it was given back, or another run has it
	led   bool        // this run has had it
	left  bool        // the night goes on without this run
	old   bool        // the night is not tonight's, and another run follows it
	again bool        // the night is stopped, another run sees it to its end, and then it is to go on
	added int         // groups of the night so far
	away  time.Time   // since when it has been said that the database does not answer; zero: it does

	steered steering
}

var _ campaign.Queue = (*Run)(nil)

// New makes a run's part in a night.
func New(o Options) *Run {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Run{Options: o, ctx: context.Background(), steered: steering{limits: o.Limits}}
}

// OverError is a night that another run saw to its end. It is no failure: its code is that of the other run.
type OverError struct {
	Code    int
	Summary string
}

func (e *OverError) Error() string {
	if e.Summary == "" {
		return "another machine made this night's run"
	}
	return "another machine made this night's run: " + e.Summary
}

// ExitCode is the other run's.
func (e *OverError) ExitCode() int { return e.Code }

// Turn implements [campaign.Queue]. Its errors are [*OverError], [*fleet.Error], [*fleet.NothingLeftError], and the cause of
// ctx.
func (r *Run) Turn(ctx context.Context, waits func()) error {
	r.ctx = context.WithoutCancel(ctx)
	if err := r.join(ctx, r.Resume); err != nil {
		return err
	}
	for said := false; ; {
		wait := lookEvery
		done, err := r.look(ctx)
		switch {
		case err == nil && done:
			return nil
		case isLast(err):
			return err
		case err != nil:
			r.tell(err)
			wait = awayTime
		case !said:
			said = true
			waits()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("the night goes on without this machine's run: %w", context.Cause(ctx))
		}
	}
}

// join finds the night that this run is a part of.
func (r *Run) join(ctx context.Context, again bool) error {
	n, err := r.DB.Join(ctx, r.Installation, r.Campaign, r.Rule, again)
	if err != nil {
		return err
	}
	if n.Ended {
		return &OverError{n.Code, n.Summary}
	}
	r.night, r.old, r.again = n, n.Old, again && n.Stopped != ""
	return nil
}

// look takes the turn if nobody has it. It reports whether this run has it now.
func (r *Run) look(ctx context.Context) (bool, error) {
	lead, err := r.DB.Lead(ctx, r.night.ID)
	if err != nil {
		return false, err
	}
	now, err := r.DB.Look(ctx, r.night.ID)
	switch free := lead != nil || now.Ended; {
	case err != nil:
	case free && (r.old || r.again): // there is another night to be a part of
		if lead != nil {
			lead.Release(ctx)
		}
		return false, r.join(ctx, r.again)
	case now.Ended:
		err = &OverError{now.Code, now.Summary}
	}
	switch {
	case lead == nil:
		return false, err
	case err != nil:
		lead.Release(ctx)
		return false, err
	}
	r.tell(nil)
	r.lead, r.led = lead, true
	return true, nil
}

// isLast reports whether there is no night for this run.
func isLast(err error) bool {
	switch err.(type) { //nolint:errorlint // they come as they are
	case *OverError, *fleet.NothingLeftError:
		return true
	}
	return false
}

// tell says once that the database does not answer, and once that it does again.
func (r *Run) tell(err error) {
	switch {
	case err != nil && r.away.IsZero():
		r.away = time.Now()
		r.Warn(fmt.Sprintf("nothing starts while the queue's database does not answer: %v", err))
	case err == nil && !r.away.IsZero():
		r.Warn(fmt.Sprintf("the queue's database answers again, after %s", printable.Span(time.Since(r.away))))
		r.away = time.Time{}
	}
}

// End ends the night, with the exit code of this run and a line for those that wait. Where this run left the night to
// others, or had no list of whom to send to, it only gives its turn back: another machine may reach the site. Without a turn it
// does nothing.
func (r *Run) End(ctx context.Context, code int, summary string, listed bool) error {
	if r.lead == nil && r.led { // the database took it back, and perhaps nobody has it
		r.lead, _ = r.DB.Lead(ctx, r.night.ID)
	}
	if r.lead == nil {
		return nil
	}
	end := r.DB.End
	if r.left || !listed {
		end = r.DB.Leave
	}
	err := end(ctx, r.night.ID, code, summary)
	r.lead.Release(ctx)
	r.lead = nil
	if forgotten := r.DB.Forget(ctx, r.night.ID, remembered); err == nil && forgotten != nil {
		r.Warn(fmt.Sprintf("nights of more than %.0f days ago are kept: %v", remembered.Hours()/24, forgotten))
	}
	return err
}

// Past implements [campaign.Queue]. What was done this very night, the gate knows.
func (r *Run) Past(journals campaign.Past) campaign.Past {
	if !r.Guarded { // then nobody is held back
		return journals
	}
	now := time.Now()
	known, err := r.DB.Known(r.ctx, r.Installation, r.Campaign, r.night.ID, guard.Memory)
	if err != nil {
		r.Warn(fmt.Sprintf("what earlier nights did is not all known: %v", err))
	}
	p := &past{journals, make(map[state.Group]fleet.Known, len(known)), now}
	for _, k := range known {
		p.known[state.Group{Site: k.Site, Group: k.Name}] = k
	}
	return p
}

// A past is what the journals of this machine and the nights of all machines tell.
type past struct {
	campaign.Past
	known map[state.Group]fleet.Known
	now   time.Time
}

// Of implements [campaign.Past].
func (p *past) Of(g state.Group) campaign.Known {
	k, ok := p.known[g]
	if ok && k.Tonight {
		return campaign.Known{}
	}
	of := p.Past.Of(g)
	of.Accepted = p.later(of.Accepted, k.Accepted)
	of.Open = p.later(of.Open, k.Open)
	return of
}

// later is the later of a time and of one so long ago; 0 is none.
func (p *past) later(at time.Time, ago time.Duration) time.Time {
	if since := p.now.Add(-ago); ago > 0 && since.After(at) {
		return since
	}
	return at
}
