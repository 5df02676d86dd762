package night

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// watchEvery is how often who watches looks for what is new.
const watchEvery = 500 * time.Millisecond

// Watch shows the nights of a campaign, one after the other, to who has no part in them: begin is called with what is known of
// one, and what it returns observes the events that the run observes which plans it. A night that goes on after its end begins
// anew. url is the site's, for the report. Watch changes nothing. It returns when ctx ends.
func Watch(ctx context.Context, db *fleet.DB, installation int64, url string, c campaign.Campaign, begin func(report.Meta) campaign.Observer) {
	var w *watcher
	for ctx.Err() == nil {
		n, err := db.Newest(ctx, installation, c.Name)
		if err == nil && n.ID != 0 && !w.watching(n) {
			w, err = newWatcher(ctx, db, n, url, c, begin)
		}
		if err == nil && w != nil {
			err = w.look(n)
		}
		wait := watchEvery
		if err != nil {
			wait = awayTime / 2
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// A watcher watches one night.
type watcher struct {
	*follower
	meta     report.Meta
	observer campaign.Observer
	ended    time.Time // by the database's clock; zero: its end was not observed
}

// Code returns the exit code of a night that was watched to its end: that of the run which ended it.
func Code(r campaign.Result) int {
	if e, ok := errors.AsType[*OverError](r.Err); ok {
		return e.Code
	}
	return 0
}

// watching reports whether w watches that night, and has not observed another end of it than it has now. It is false for nil.
func (w *watcher) watching(n fleet.Night) bool {
	return w != nil && w.run.night.ID == n.ID && (w.ended.IsZero() || n.End.Equal(w.ended))
}

// newWatcher begins to watch a night; nil: it has no plan yet.
func newWatcher(ctx context.Context, db *fleet.DB, n fleet.Night, url string, c campaign.Campaign, begin func(report.Meta) campaign.Observer) (*watcher, error) {
	tasks, err := db.Tasks(ctx, n.ID)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	limits, err := db.LimitsOf(ctx, n.Installation)
	if err != nil {
		return nil, err
	}
	w := &watcher{meta: c.Meta()}
	steered := steering{limits: limits, report: func(e campaign.Steered) { w.observer.Observe(e) }}
	steered.limits.Paused = false // that is yet to be observed
	w.meta.Run, w.meta.URL, w.meta.Started = fmt.Sprintf("night-%d", n.ID), url, time.Now().Add(-n.Age)
	w.meta.Workers, w.meta.Rate, w.meta.Burst = limits.Workers, float64(limits.Rate), limits.Burst
	w.observer = begin(w.meta)
	w.follower = &follower{
		run: &Run{Options: Options{DB: db, Warn: func(string) {}}, ctx: ctx, night: n, steered: steered}, ctx: ctx, watches: true,
		options: dispatcher.Options{Observe: func(e dispatcher.Event) { w.observer.Observe(campaign.Send{Event: e}) }},
		byTask:  map[int64]int{}, lanes: make([]bool, 1), report: &dispatcher.Report{Started: w.meta.Started},
	}
	w.observer.Observe(campaign.Began{Meta: w.meta})
	w.observer.Observe(campaign.Planned{Plan: &campaign.Plan{Groups: w.add(tasks), Things: c.Things, Private: c.Private}})
	return w, nil
}

// add takes tasks in that are new, and returns their groups.
func (w *watcher) add(tasks []fleet.Task) (groups []state.Group) {
	for _, t := range tasks {
		if _, known := w.byTask[t.ID]; known {
			continue
		}
		g := state.Group{Site: t.Site, Group: t.Name}
		w.byTask[t.ID] = len(w.state)
		w.state, w.left = append(w.state, progress{}), w.left+1
		w.report.Results = append(w.report.Results, dispatcher.Result{Job: g, Verdict: dispatcher.Verdict{Outcome: dispatcher.NotAttempted}})
		groups = append(groups, g)
	}
	return groups
}

// look takes in what has happened, and the end of the night.
func (w *watcher) look(n fleet.Night) error {
	if !w.ended.IsZero() {
		return nil
	}
	for {
		changes, err := w.run.DB.Changes(w.ctx, n.ID, w.seq)
		if err != nil {
			return err
		}
		for _, a := range changes {
			i, known := w.byTask[a.Task]
			if !known { // some became due in the course of the night
				w.add([]fleet.Task{{ID: a.Task, Site: a.Site, Name: a.Name}})
				i = w.byTask[a.Task]
			}
			w.seq = a.Seq
			w.apply(w.ctx, i, a)
		}
		if len(changes) == 0 {
			break
		}
	}
	if !n.Ended {
		return w.run.steered.look(w.ctx, w.run.DB, n.Installation)
	}
	if n.Stopped != "" {
		w.cause = causeOf(n.Stopped)
	}
	w.finish()
	w.ended, w.report.Finished = n.End, time.Now().Add(-n.Ago) // a worker that was started later is not to show a success of now
	w.meta.StopWord = n.Stopped
	w.observer.Observe(campaign.Ended{At: w.report.Finished, Result: campaign.Result{
		Document: report.New(w.report, w.meta), StoppedBy: w.report.StoppedBy, Err: &OverError{n.Code, n.Summary},
	}})
	return nil
}
