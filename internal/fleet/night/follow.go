package night

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
)

const (
	// followEvery is how often the changes of the night are read, careEvery how often it is seen to that each task has a job
	// and each lost attempt an end, and askEvery how often the service's own tables are asked about these.
	followEvery = 100 * time.Millisecond
	careEvery   = time.Second
	askEvery    = 2 * time.Second
)

// A follower follows some groups of a night.
type follower struct {
	run     *Run
	ctx     context.Context
	options dispatcher.Options
	report  *dispatcher.Report
	byTask  map[int64]int // number of a group, by its task
	state   []progress    // by number of the group
	lanes   []bool        // taken, by number of the worker in the report, from 1
	seq     int64
	flying  int
	left    int // groups that are not done
	failed  int
	cause   error // why nothing more starts; nil: it does
	watches bool  // it decides nothing
	behind  bool  // there may be changes that were not read

	alone  time.Time // since when no worker lives; zero: one does
	lonely bool      // that has been said
	apart  []string  // .. that the site does not work for these machines
}

// progress is how far a group is.
type progress struct {
	attempt int64 // the one that was observed to start last; 0: none
	open    bool  // .. and not to end
	settled bool  // an ambiguous attempt of it was let be repeated
	lost    int   // .. and so many of which the workers had died
	done    bool
}

// Dispatch implements [campaign.Queue].
func (r *Run) Dispatch(ctx context.Context, groups []state.Group, o dispatcher.Options, steered func(campaign.Steered)) *dispatcher.Report {
	r.steered.report = func(e campaign.Steered) {
		switch e.What {
		case "pause":
			r.Warn("an operator has paused the fleet: nothing starts until senddigest-fleet resume")
		case "resume":
			r.Warn("an operator lets the fleet go on")
		}
		steered(e)
	}
	if o.Observe == nil {
		o.Observe = func(dispatcher.Event) {}
	}
	f := &follower{
		run: r, ctx: ctx, options: o, byTask: map[int64]int{}, state: make([]progress, len(groups)), lanes: make([]bool, 1), left: len(groups),
		report: &dispatcher.Report{Started: time.Now(), Results: make([]dispatcher.Result, len(groups))},
	}
	for i, g := range groups {
		result := dispatcher.Result{Verdict: dispatcher.Verdict{Outcome: dispatcher.NotAttempted}}
		if o.Earlier != nil {
			if earlier, ok := o.Earlier(g); ok {
				result = dispatcher.Result{Verdict: earlier.Verdict, Lost: earlier.Lost}
			}
		}
		result.Job = g
		f.report.Results[i] = result
	}
	f.options.Earlier = nil // it may be large
	if f.enter(groups) {
		f.follow()
	}
	f.finish()
	return f.report
}

// enter puts the groups into the night. It reports whether it did before ctx ended.
func (f *follower) enter(groups []state.Group) bool {
	r, o := f.run, f.options
	now := time.Now()
	tasks := make([]fleet.Task, 0, len(groups))
	number := make(map[state.Group]int, len(groups))
	for i, g := range groups {
		number[g] = i
		if !fleet.Storable(g.Site) || !fleet.Storable(g.Group) {
			result := &f.report.Results[i]
			result.Verdict = dispatcher.Verdict{Outcome: dispatcher.Rejected, NotDelivered: true, Reason: "a name that no database can hold", Err: errors.New("its name is not UTF-8, or has a zero byte")}
			result.Attempts, result.Start = 1, now
			f.close(i, *result)
			continue
		}
		t := fleet.Task{Site: g.Site, Name: g.Group, Place: r.added + i, Settle: r.Settle}
		if o.Settle != nil {
			if at, ok := o.Settle(dispatcher.Result{Job: g, Start: now}); ok {
				t.Settle = max(t.Settle, at.Sub(now))
			}
		}
		if o.Rule.NotBefore != nil {
			t.Hold = max(o.Rule.NotBefore(i).Sub(now), 0)
		}
		tasks = append(tasks, t)
	}
	f.options.Rule = dispatcher.Rule{}
	r.added += len(groups)
	var all []fleet.Task
	if !f.insist(func() error { return r.DB.Add(f.ctx, r.night.ID, tasks) }) ||
		!f.insist(func() error { return r.DB.Reached(f.ctx, r.Installation, r.URL) }) ||
		!f.insist(func() (err error) {
			all, err = r.DB.Tasks(f.ctx, r.night.ID)
			return err
		}) {
		return false
	}
	for _, t := range all {
		if i, ok := number[state.Group{Site: t.Site, Group: t.Name}]; ok {
			f.byTask[t.ID] = i
		}
	}
	return true
}

// insist does something until it succeeds. It reports false when ctx has ended first.
func (f *follower) insist(do func() error) bool {
	for f.ctx.Err() == nil {
		err := do()
		f.run.tell(err)
		if err == nil {
			return true
		}
		f.wait(careEvery)
	}
	return false
}

func (f *follower) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ctx.Done():
	}
}

// follow follows the groups until all are done, or until nothing more starts and nothing is in flight.
func (f *follower) follow() {
	r := f.run
	var cared, asked, stopped time.Time
	var care time.Duration              // what it took
	ctx := context.WithoutCancel(f.ctx) // what is in flight is followed to its end
	for f.left > 0 {
		if f.ctx.Err() != nil && f.cause == nil {
			f.stop(context.Cause(f.ctx))
		}
		if f.cause != nil && stopped.IsZero() {
			stopped = time.Now()
		}
		if f.cause != nil && f.over(ctx, stopped) {
			return
		}
		if time.Since(cared) >= max(careEvery, min(20*care, awayTime/2)) { // of many groups that takes a fraction of a second
			begun := time.Now()
			more, err := f.care(ctx)
			r.tell(err)
			cared = time.Now()
			switch care = cared.Sub(begun); {
			case more:
				cared, care = time.Time{}, 0
			case err != nil: // that took as long as the database was waited for
				care = 0
			}
		}
		if time.Since(asked) >= askEvery && f.options.Inquire != nil {
			asked = time.Now()
			f.inquire(ctx)
		}
		changes, err := r.DB.Changes(ctx, r.night.ID, f.seq)
		r.tell(err)
		for _, a := range changes {
			f.seq = a.Seq
			if i, ok := f.byTask[a.Task]; ok {
				f.apply(ctx, i, a)
			}
		}
		f.behind = err != nil || len(changes) > 0
		if len(changes) > 0 && f.left > 0 {
			continue // perhaps there are more
		}
		timer := time.NewTimer(followEvery)
		if f.left > 0 {
			<-timer.C
		}
		timer.Stop()
	}
}

// over reports whether what was in flight when the night was stopped has ended, or is not waited for any longer.
func (f *follower) over(ctx context.Context, stopped time.Time) bool {
	if f.run.left || f.options.Abort != nil && f.options.Abort.Err() != nil {
		return true
	}
	if f.options.Grace > 0 && time.Since(stopped) > f.options.Grace {
		return true
	}
	if f.behind { // what has ended may not have been observed yet
		return false
	}
	n, err := f.run.DB.InFlight(ctx, f.run.night.ID)
	if err != nil || n > 0 || f.flying > 0 {
		return false
	}
	return true
}

// stop has nothing more start. A run that is told to end by a signal leaves the night to the others: stopping it is an order
// of its own.
func (f *follower) stop(cause error) {
	f.cause = cause
	if campaign.Leaves(cause) {
		f.cause, f.run.left = &LeftError{cause}, true
		return
	}
	word := cmp.Or(campaign.StopWord(cause), StopControl)
	ctx := context.WithoutCancel(f.ctx)
	if err := f.run.DB.StopNight(ctx, f.run.night.ID, word); err != nil {
		f.run.tell(err)
		f.cause = nil // once more
	}
}

// care sees to it that the night goes on: each task that is due has a job, each attempt an end, and nobody has stopped it. It
// reports whether there is more to be done at once.
func (f *follower) care(ctx context.Context) (more bool, err error) {
	r := f.run
	if !r.lead.Held(ctx) { // whoever has it now goes on with the night as well
		r.lead.Release(ctx)
		lead, err := r.DB.Lead(ctx, r.night.ID)
		if err != nil {
			return false, err
		}
		r.lead = lead
	}
	if err := r.DB.KeepTime(ctx, r.Installation); err != nil {
		return false, err
	}
	if err := r.DB.CloseSettled(ctx, r.Installation, r.Campaign); err != nil || f.cause != nil {
		return false, err
	}
	now, err := r.DB.Look(ctx, r.night.ID)
	if err != nil {
		return false, err
	}
	switch {
	case now.Stopped != "":
		f.cause = causeOf(now.Stopped)
		return false, nil
	case now.Ended: // by a run that planned it as well, and for which it was over
		f.cause = &StoppedError{stopEnded}
		return false, nil
	}
	if err := r.steered.look(ctx, r.DB, r.Installation); err != nil { // before Health: a resume begins the time of an outage anew
		return false, err
	}
	down, err := r.DB.Health(ctx, r.Installation)
	if err != nil {
		f.alone = time.Time{} // without their database the workers are not heard of
		return false, err
	}
	f.warnApart(down.Apart)
	alone := f.nobody(down.Workers > 0 || r.steered.limits.Paused)
	if give := r.GiveUpAfter; give > 0 && !r.steered.limits.Paused {
		switch {
		case alone > give:
			f.stop(&NoWorkersError{alone})
		case down.Asked > give:
			f.stop(&ratelimit.DownError{For: down.Asked, Asked: true})
		case down.Open && down.For > give:
			f.stop(&ratelimit.DownError{For: down.For, Failing: down.Failing})
		}
	}
	made := 0
	if f.cause == nil {
		made, err = r.Queue.Fill(ctx, r.night, r.Private)
	}
	return made > 0, err
}

// warnApart says once a night of each machine that it leaves the sends to others.
func (f *follower) warnApart(hosts []string) {
	for _, host := range hosts {
		if !slices.Contains(f.apart, host) {
			f.apart = append(f.apart, host)
			f.run.Warn(fmt.Sprintf("the site does not work for the worker on %s, and the others send in its place; senddigest check URL on that machine tells why", printable.Line(host)))
		}
	}
}

// nobody returns for how long no worker has been seen to live, and says so once.
func (f *follower) nobody(lives bool) time.Duration {
	if lives {
		f.alone, f.lonely = time.Time{}, false
		return 0
	}
	if f.alone.IsZero() {
		f.alone = time.Now()
	}
	alone := time.Since(f.alone)
	if !f.lonely && alone >= fleet.WorkerLost { // one that is being started is not missed
		f.lonely = true
		f.run.Warn("no worker lives, so nothing is sent; " + startWorker)
	}
	return alone
}

// inquire asks the service's own tables about attempts that nobody else will tell of.
func (f *follower) inquire(ctx context.Context) {
	lost, err := f.run.DB.LostAttempts(ctx, f.run.night.ID)
	if err != nil || len(lost) == 0 {
		f.run.tell(err)
		return
	}
	for i := range f.state {
		p := &f.state[i]
		if p.done || !lost[p.attempt] || f.ctx.Err() != nil {
			continue
		}
		if v, ok := f.options.Inquire(f.ctx, f.report.Results[i]); ok {
			f.run.tell(f.run.DB.Told(ctx, p.attempt, v.Outcome))
		}
	}
}

// finish completes the report.
func (f *follower) finish() {
	f.report.Finished = time.Now()
	if f.left > 0 || f.cause != nil {
		f.report.StoppedBy = cmp.Or(f.cause, context.Cause(f.ctx))
	}
	for i := range f.state {
		result := &f.report.Results[i]
		switch {
		case f.state[i].done:
		case result.Attempts > 0:
			if f.state[i].open {
				result.Took = time.Since(result.Start)
				result.Reason = "the run ended before its answer"
				if f.run.left {
					result.Reason = f.cause.Error()
				}
			}
			f.close(i, *result)
		case result.Outcome == dispatcher.NotAttempted && f.report.StoppedBy != nil:
			result.Reason = f.report.StoppedBy.Error()
		}
	}
}
