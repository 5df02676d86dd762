// Package worker sends from the queue of a fleet: it gets one task at a time, asks the gate whether a request for it may leave,
// sends once, and puts on record what became of that.
//
// The rules that it keeps, each with a test of its own:
//
//   - No request leaves without an attempt on record, and none leaves later than [fleet.LeaveWithin] after that was committed:
//     then the attempt is closed as unsent. So whoever was frozen does not wake into a request that somebody else makes.
//   - The end of an attempt is kept, in memory and in a file, until the database has it. While it has not, nothing starts.
//   - Nothing that River does reaches a request: neither a job that is cancelled nor a worker that is told to stop cuts one.
//   - It measures lengths of time by its monotonic clock, and uses no time of day.
//
// [Run] owns all goroutines and ends with them.
package worker

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

const (
	// askEvery is how long a process waits between two questions to the gate where no place is free. Without it, each waiter
	// of each process locks the gate.
	askEvery = 20 * time.Millisecond
	// pausedEvery is how often it asks while nothing may start.
	pausedEvery = time.Second
	// awayFirst and awayMost are from one question to the next while the database is away.
	awayFirst, awayMost = 100 * time.Millisecond, 2 * time.Second
	// heartbeat is how often a worker is seen. Not heard of for 15 seconds, it counts as dead.
	heartbeat = 3 * time.Second
	// gateWait is how long a job may wait for the gate before it goes back into the queue.
	gateWait = 10 * time.Minute
	// spare is how many jobs a process has beyond the places of the installation, so that one is ready when a place is.
	spare = 2
	// snoozed is how long a job waits for another worker. lateTimes is how often a request may be too late to leave in a row: a
	// site to which it takes so long to connect cannot be reached.
	snoozed   = 10 * time.Second
	lateTimes = 2
	// uploadTime is how long a worker that is told to stop tries to put on record what it knows.
	uploadTime = 10 * time.Second
)

// Options of a worker.
type Options struct {
	DB           *fleet.DB
	Installation int64
	Campaigns    []campaign.Campaign         // that it can send
	Timeout      time.Duration               // of one try, which their Send keeps
	Backoff      func(try int) time.Duration // nil: the dispatcher's
	Dir          string                      // where it keeps ends of attempts that the database does not have yet; empty: in memory alone
	Abort        context.Context             // when it ends, requests in flight are cut; nil: never
	Grace        time.Duration               // for requests in flight after the stop; 0: as long as they need
	Log          *slog.Logger                // nil: none
	Ready        func()                      // called once, when it begins to work; nil: nobody wants to know
}

// A worker is what the jobs of one process share.
type worker struct {
	Options
	id    string
	least time.Duration   // the shortest time to settle
	turn  chan struct{}   // holds a value while a job asks the gate, or beat looks for attempts whose start was not heard
	freed chan struct{}   // holds a value when an attempt of this process has ended
	end   context.Context // when it ends, the worker does
	cut   context.Context // when it ends, requests in flight are cut
	box   *outbox

	looked time.Time // of the last look for such attempts; zero: one is due. It belongs to whoever has the turn

	mu     sync.Mutex
	ours   map[int64]bool // attempts that are under way here
	jobs   map[int64]bool // River's jobs that are under way here
	away   bool           // it has been said that the database does not answer
	silent bool           // .. that the site does not answer this worker
	rests  time.Time      // since when it has been said that the site does not work for this worker; zero: it does
}

// Run works until ctx ends, and returns when the requests in flight have ended and all that is known of them is on record, or
// in the file. Its errors are of what kept it from starting.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = queue.Silent()
	}
	if o.Backoff == nil {
		o.Backoff = dispatcher.FullJitter(time.Second, time.Minute)
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	host, _ := os.Hostname()
	w := &worker{
		Options: o, id: newID(host), least: o.Timeout + fleet.LeaveWithin + time.Second,
		turn: make(chan struct{}, 1), freed: make(chan struct{}, 1), end: ctx, ours: map[int64]bool{}, jobs: map[int64]bool{},
	}
	if err := queue.Check(ctx, o.DB); err != nil {
		return err
	}
	box, err := openOutbox(o.Dir)
	if err != nil {
		o.Log.Warn("what the database does not know yet is kept in memory alone", "error", err)
	}
	w.box = box
	defer box.close()
	if err := o.DB.Seen(ctx, o.Installation, w.id, host, os.Getpid()); err != nil {
		return err
	}
	cut, end := context.WithCancelCause(context.WithoutCancel(ctx))
	w.cut = cut
	defer end(nil)
	if o.Abort != nil {
		defer context.AfterFunc(o.Abort, func() { end(context.Cause(o.Abort)) })()
	}
	if o.Grace > 0 {
		defer context.AfterFunc(ctx, func() {
			select {
			case <-time.After(o.Grace):
				end(dispatcher.ErrGrace)
			case <-cut.Done():
			}
		})()
	}
	w.upload(ctx, box.left()) // first of all
	var beat sync.WaitGroup
	beating, still := context.WithCancel(context.WithoutCancel(ctx))
	beat.Go(func() { w.beat(beating, host) })
	err = w.work(ctx)
	still()
	beat.Wait()
	gone, cancel := context.WithTimeout(context.WithoutCancel(ctx), uploadTime)
	defer cancel()
	w.closeUnheard(gone) // nobody asks any more
	if box.empty() {
		_ = o.DB.Gone(gone, w.id) // otherwise its attempts are not closed, and it is found dead
	}
	return err
}

// newID names a worker: no two that ever were have the same name.
func newID(host string) string {
	var tail [4]byte
	_, _ = rand.Read(tail[:]) // never fails
	return fmt.Sprintf("%.60s-%d-%x", host, os.Getpid(), tail)
}

// work has River work until ctx ends. Where the installation gets more places than this process can fill, River is started
// anew with more jobs, while what is in flight ends.
func (w *worker) work(ctx context.Context) error {
	limits, err := w.DB.LimitsOf(ctx, w.Installation)
	if err != nil {
		return err
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	for ready := w.Ready; ctx.Err() == nil; {
		jobs := limits.Workers + spare
		stop, over := context.WithCancel(ctx)
		end, err := w.start(stop, jobs)
		w.tell(err)
		switch {
		case err != nil && ready != nil:
			over()
			return err
		case err != nil: // what has begun waits for the database
			over()
			pause(ctx, awayMost)
			continue
		case ready != nil:
			ready()
			ready = nil
		}
		tick := time.NewTicker(heartbeat)
		for ctx.Err() == nil && limits.Workers+spare <= jobs {
			select {
			case <-tick.C:
				if now, err := w.DB.LimitsOf(ctx, w.Installation); err == nil {
					limits = now
				}
			case <-ctx.Done():
			}
		}
		tick.Stop()
		over()
		ending.Go(end)
	}
	return nil
}

// start has River work with so many jobs at once. When stop ends, no job of it waits any longer; end takes no more jobs, and waits
// for what is in flight.
func (w *worker) start(stop context.Context, jobs int) (end func(), err error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &sender{worker: w, stop: stop}); err != nil {
		return nil, err
	}
	timeout := gateWait + w.Timeout + time.Minute
	client, err := river.NewClient(riverpgxv5.New(w.DB.Pool()), &river.Config{
		ID: w.id, Schema: queue.Schema, Logger: queue.Silent(), Workers: workers,
		Queues:        map[string]river.QueueConfig{queue.Name(w.Installation): {MaxWorkers: jobs}},
		FetchCooldown: askEvery, // the default of 100 ms costs 80 % of short jobs
		JobTimeout:    timeout, RescueStuckJobsAfter: timeout + time.Minute,
		CompletedJobRetentionPeriod: queue.Retention, CancelledJobRetentionPeriod: queue.Retention, DiscardedJobRetentionPeriod: queue.Retention,
		RetryPolicy: atOnce{},
	})
	if err != nil {
		return nil, err
	}
	if err := client.Start(context.WithoutCancel(stop)); err != nil {
		return nil, w.DB.Fault("start to work", err)
	}
	return func() { _ = client.Stop(context.WithoutCancel(stop)) }, nil
}

// atOnce has River propose a job again without a delay. What is to wait, the gate says.
type atOnce struct{}

// NextRetry is for River.
func (atOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }

// beat says now and then that the worker lives, closes the attempts whose start was not heard, and puts back the jobs that were
// given to it unheard.
func (w *worker) beat(ctx context.Context, host string) {
	var stray map[int64]bool
	for tick := time.NewTicker(heartbeat); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
		if w.DB.Seen(ctx, w.Installation, w.id, host, os.Getpid()) != nil {
			continue
		}
		soon, cancel := context.WithTimeout(ctx, heartbeat) // otherwise the worker might not be seen for too long
		stray = w.putBack(soon, stray)
		select {
		case w.turn <- struct{}{}:
			w.closeUnheard(soon)
			<-w.turn
		case <-soon.Done(): // whoever has the turn waits for the gate, and looks
		}
		cancel()
	}
}

// works notes that a job of River's is under way here, until done is called.
func (w *worker) works(job int64) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs[job] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.jobs, job)
	}
}

// putBack puts the jobs back into the queue that River has given to this worker and that it knows nothing of: a worker that is
// frozen or cut off while River gives it a job never hears of it. stray are those that the look before found. A job that was
// given at this moment, or whose end River is about to write, looks the same, so one look is not enough; to put back one too
// many costs a question to the gate. It returns those that this look found.
func (w *worker) putBack(ctx context.Context, stray map[int64]bool) (found map[int64]bool) {
	held, err := queue.HeldBy(ctx, w.DB, w.Installation, w.id)
	if err != nil {
		return stray
	}
	var lost []int64
	found = map[int64]bool{}
	w.mu.Lock()
	for _, job := range held {
		switch {
		case w.jobs[job]:
		case stray[job]:
			lost = append(lost, job)
		default:
			found[job] = true
		}
	}
	w.mu.Unlock()
	if len(lost) == 0 {
		return found
	}
	if err := queue.PutBack(ctx, w.DB, w.Installation, w.id, lost); err != nil {
		return stray
	}
	w.Log.Info("jobs that were given to this worker unheard are in the queue again", "jobs", len(lost))
	return found
}

// closeUnheard closes the attempts that the database has on record for this worker and that it knows nothing of, and returns
// how many: the answers to their starts were lost, so their requests never left. Such an attempt may come to be on record a
// while after its start has failed, so one look is not enough. The caller has the turn, so that no start is under way: what is
// not in ours then is nobody's, or has ended since, which the database knows better.
func (w *worker) closeUnheard(ctx context.Context) (closed int) {
	w.looked = time.Now()
	open, err := w.DB.OpenAttempts(ctx, w.id)
	if err != nil {
		return 0
	}
	for _, attempt := range open {
		w.mu.Lock()
		ours := w.ours[attempt]
		w.mu.Unlock()
		if ours {
			continue
		}
		if _, again, err := w.DB.Finish(ctx, fleet.End{Attempt: attempt, Worker: w.id, Unsent: true}); err == nil && again {
			closed++
		}
	}
	return closed
}
