package worker

import (
	"context"
	"errors"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
	"github.com/riverqueue/river"
)

// A sender works River's jobs.
type sender struct {
	river.WorkerDefaults[queue.Job]
	worker *worker
	stop   context.Context // when it ends, no job waits any longer
}

// Work looks at a task. Its job is done then, whatever came of it: whether there is to be another is for whoever runs the night.
func (s *sender) Work(ctx context.Context, job *river.Job[queue.Job]) error {
	w := s.worker
	defer w.works(job.ID)()
	ctx, cancel := context.WithTimeout(ctx, gateWait)
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	c, ok := w.campaign(job.Args.Campaign)
	if !ok {
		w.Log.Error("a group is left to other workers", "campaign", job.Args.Campaign, "error", errNoCampaign)
		return river.JobSnooze(snoozed)
	}
	for late := 0; ; late++ {
		start, since, err := w.ask(ctx, job.Args.Task)
		switch {
		case err != nil: // it is told to stop, or waited too long
			return river.JobSnooze(0)
		case start.Answer == fleet.Rest:
			w.reaches(false, time.Now())
			pause(ctx, min(start.Wait, heartbeat)) // without that it would have the job again before any other
			return river.JobSnooze(0)
		case start.Answer != fleet.Go:
			return nil
		}
		if e := w.try(c, start, since, late == lateTimes); !e.Unsent {
			_ = river.RecordOutput(ctx, map[string]any{"attempt": e.Attempt, "outcome": e.Outcome.String(), "reason": e.Reason})
			return nil
		}
	}
}

// ask asks the gate until it answers that the attempt may start, or that there is nothing to do. since is from when on the
// attempt may be on record. One job of a process asks at a time, and closes meanwhile what the gate opened unheard: its place
// may be the one that the job waits for.
func (w *worker) ask(ctx context.Context, task int64) (start fleet.Start, since time.Time, err error) {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return start, since, ctx.Err()
	}
	for away := awayFirst; ctx.Err() == nil; {
		since = time.Now()
		start, err = w.DB.Start(context.WithoutCancel(ctx), task, w.id, w.least) // an answer that is not heard costs time
		wait := start.Wait
		switch w.tell(err); {
		case err != nil:
			w.looked = time.Time{} // the attempt may be on record
			wait = away
			away = min(2*away, awayMost)
		case start.Answer == fleet.Go:
			w.mu.Lock()
			w.ours[start.Attempt] = true
			w.mu.Unlock()
			return start, since, nil
		case time.Since(w.looked) >= heartbeat && w.closeUnheard(ctx) > 0:
			continue // it may have been in the way
		case start.Answer == fleet.Full:
			wait = askEvery
		case start.Answer == fleet.Paused:
			wait = min(wait, pausedEvery)
		case start.Answer != fleet.Pace:
			return start, since, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.freed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return start, since, ctx.Err()
}

// tell logs once that the database does not answer, and once that it does again.
func (w *worker) tell(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch away := err != nil; {
	case away && !w.away:
		w.Log.Warn("nothing starts while the queue's database does not answer", "error", err)
	case !away && w.away:
		w.Log.Info("the queue's database answers again")
	}
	w.away = err != nil
}

// unreached logs once, until the site works for this worker, that a send did not get through.
func (w *worker) unreached(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.silent {
		w.Log.Warn("the site does not answer this worker", "error", err)
	}
	w.silent = true
}

// reaches logs once that the site works for other workers and not for this one, and once that it works again. at is when that
// began to be so: what left before it did not work tells nothing.
func (w *worker) reaches(site bool, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = w.silent && !site
	switch {
	case !site && w.rests.IsZero():
		w.rests = at
		w.Log.Warn("the site works for other workers and not for this one: the groups are left to them, and it is tried again now and then")
	case site && !w.rests.IsZero() && at.After(w.rests):
		w.rests = time.Time{}
		w.Log.Info("the site works for this worker again")
	}
}

// errNoCampaign is a task of a campaign that this worker does not know: it is an older one.
var errNoCampaign = errors.New("this worker cannot send that campaign; is it older than the one that planned the night?")

// try makes the request of an attempt, and puts its end on record. tired: it was too late several times, and is not asked for
// anew.
func (w *worker) try(c campaign.Campaign, start fleet.Start, since time.Time, tired bool) fleet.End {
	e := w.send(c, start, since, tired)
	e.Worker = w.id
	w.box.add(e)
	uploading, cancel := context.WithCancel(context.WithoutCancel(w.end))
	defer cancel()
	defer context.AfterFunc(w.end, func() {
		select {
		case <-time.After(uploadTime):
			cancel()
		case <-uploading.Done():
		}
	})()
	w.upload(uploading, []fleet.End{e})
	select {
	case w.freed <- struct{}{}:
	default: // who waits has not looked since the last word
	}
	return e
}

func (w *worker) send(c campaign.Campaign, start fleet.Start, since time.Time, tired bool) fleet.End {
	leave, began := since.Add(fleet.LeaveWithin), time.Now()
	if began.After(leave) {
		return fleet.End{Attempt: start.Attempt, Unsent: true}
	}
	v := dispatcher.Try(hooks.LeaveBy(w.cut, leave), c.Send, state.Group{Site: start.Site, Group: start.Name})
	if errors.Is(v.Err, hooks.ErrLate) && !tired {
		return fleet.End{Attempt: start.Attempt, Unsent: true}
	}
	if v.Health == ratelimit.Up || v.Health == ratelimit.Crowded {
		w.reaches(true, since)
	}
	if v.Health == ratelimit.Down && v.Err != nil {
		w.unreached(v.Err)
	}
	w.Log.Debug("sent", "attempt", start.Attempt, "outcome", v.Outcome.String(), "took", time.Since(began))
	return fleet.EndOf(start.Attempt, v, time.Since(began), w.Backoff(start.Number), campaign.StopWord(v.Stop))
}

func (w *worker) campaign(name string) (campaign.Campaign, bool) {
	for _, c := range w.Campaigns {
		if c.Name == name {
			return c, true
		}
	}
	return campaign.Campaign{}, false
}

// upload puts ends of attempts on record. It tries until ctx ends; what is left then is in the file.
func (w *worker) upload(ctx context.Context, ends []fleet.End) {
	for _, e := range ends {
		for away := awayFirst; ; away = min(2*away, awayMost) {
			_, _, err := w.DB.Finish(ctx, e)
			if err == nil {
				w.box.done(e.Attempt)
				w.mu.Lock()
				delete(w.ours, e.Attempt)
				w.mu.Unlock()
				break
			}
			w.tell(err)
			w.box.sync()
			if pause(ctx, away); ctx.Err() != nil {
				return
			}
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
