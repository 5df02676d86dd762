package night_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/fleet/night"
	"github.com/groupserver/senddigest/internal/fleet/queue"
	"github.com/groupserver/senddigest/internal/fleet/worker"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
	"go.uber.org/goleak"
)

var server fleettest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Around(m)) }

const timeout = 5 * time.Second

// A world is a site, and a fleet that sends for it.
type world struct {
	t            *testing.T
	address      string // of the database
	db           *fleet.DB
	site         *standin.Site
	client       *hooks.Client
	installation int64
}

func newWorld(t *testing.T, o standin.Options, limits fleet.Limits) *world {
	t.Helper()
	w := &world{t: t, address: server.DSN(t)}
	w.db = fleettest.Open(t, w.address)
	if err := queue.Migrate(t.Context(), w.db); err != nil {
		t.Fatal(err)
	}
	w.site = standin.New(o)
	s, err := w.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		w.site.Close()
	})
	u, err := hooks.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := hooks.NewTransport(hooks.TransportOptions{})
	transport.Proxy = nil
	w.client = hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: transport, Timeout: timeout})
	if w.installation, err = w.db.Installation(t.Context(), fleet.Site{Name: t.Name(), URL: s.URL}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		w.db.SetWorkers(t.Context(), w.installation, max(limits.Workers, 1)), w.db.SetRate(t.Context(), w.installation, limits.Rate, limits.Burst),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) campaigns() []campaign.Campaign {
	return []campaign.Campaign{campaign.Digest(w.client, nil), campaign.Profile(w.client)}
}

// work starts some workers, each with connections of its own, as processes have. They end with the test, or with stop.
func (w *world) work(n int) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		db, dir := fleettest.Open(w.t, w.address), w.t.TempDir()
		all.Go(func() {
			err := worker.Run(ctx, worker.Options{DB: db, Installation: w.installation, Campaigns: w.campaigns(), Timeout: timeout, Dir: dir})
			if err != nil && ctx.Err() == nil { // the test may be over while one starts
				w.t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	w.t.Cleanup(stop)
	return stop
}

// run makes a run as one of the machines does.
func (w *world) run(ctx context.Context, c campaign.Campaign, change ...func(*campaign.Settings, *night.Options)) (campaign.Result, *night.Run, error) {
	s := campaign.Settings{URL: "http://site/", NoState: true, Retries: 2, Settle: 10 * time.Minute, Timeout: timeout}
	o := night.Options{
		DB: w.db, Installation: w.installation, Campaign: c.Name, Guarded: c.Guard != nil, Private: c.Private,
		Settle: 10 * time.Minute, Rule: fleet.Rule{Retries: 2}, Warn: func(text string) { w.t.Log(text) },
	}
	var err error
	if o.Limits, err = w.db.LimitsOf(ctx, w.installation); err != nil {
		w.t.Fatal(err)
	}
	s.Workers, s.Rate, s.Burst = o.Limits.Workers, o.Limits.Rate, o.Limits.Burst
	for _, f := range change {
		f(&s, &o)
	}
	q, err := queue.New(o.DB)
	if err != nil {
		w.t.Fatal(err)
	}
	o.Queue = q
	r := night.New(o)
	s.Queue = r
	result, err := campaign.Run(ctx, c, s)
	if err == nil {
		if err := r.End(context.WithoutCancel(ctx), 0, counted(result), true); err != nil {
			w.t.Error(err)
		}
	}
	return result, r, err
}

func counted(r campaign.Result) string {
	c := r.Document.Counts
	return fmt.Sprintf("%d accepted, %d failed, %d not attempted, %d skipped", c.Accepted, c.Failed(), c.NotAttempted, c.Skipped)
}

// mailedOnce wants each group mailed once, and no two requests for one at once.
func (w *world) mailedOnce(groups []standin.Group) {
	w.t.Helper()
	mails := w.site.Mails()
	for _, g := range groups {
		if mails[g] != 1 {
			w.t.Errorf("%v was mailed %d times", g, mails[g])
		}
	}
	if n := w.site.Overlaps(); n != 0 {
		w.t.Errorf("%d requests overlapped another for the same group", n)
	}
}

func TestTwoWorkersSendEveryDigestOnceWithinTheLimit(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(200, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: func(standin.Group) time.Duration { return 10 * time.Millisecond }}, fleet.Limits{Workers: 4})
	w.work(2)
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := counted(r), "200 accepted, 0 failed, 0 not attempted, 0 skipped"; got != want || r.StoppedBy != nil {
		t.Errorf("got %s, %v, want %s", got, r.StoppedBy, want)
	}
	w.mailedOnce(groups)
	if most := w.site.MaxInFlight(); most > 4 {
		t.Errorf("%d were in flight, of at most 4", most)
	}
}

func TestOfSeveralRunsOnePlansAndTheOthersEndAsItDid(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(40, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: func(standin.Group) time.Duration { return 20 * time.Millisecond }}, fleet.Limits{Workers: 4})
	w.work(2)
	var all sync.WaitGroup
	var mu sync.Mutex
	planned, over := 0, 0
	for range 3 {
		all.Go(func() {
			r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil))
			mu.Lock()
			defer mu.Unlock()
			e, ok := errors.AsType[*night.OverError](err)
			switch {
			case err == nil && r.Document.Counts.Accepted == len(groups):
				planned++
			case ok && e.Summary == "40 accepted, 0 failed, 0 not attempted, 0 skipped":
				over++
			default:
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if planned != 1 || over != 2 {
		t.Errorf("%d planned and %d waited, of 3", planned, over)
	}
	w.mailedOnce(groups)
	lists := 0
	for _, q := range w.site.Requests() {
		if q.Hook == standin.Groups {
			lists++
		}
	}
	if lists != 1 {
		t.Errorf("the list was asked for %d times", lists)
	}
}

func TestWhoPlansMayEndAndAnotherGoesOn(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(60, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: func(standin.Group) time.Duration { return 50 * time.Millisecond }}, fleet.Limits{Workers: 2})
	w.work(2)
	first, stop := context.WithCancelCause(t.Context())
	var planner sync.WaitGroup
	sent := make(chan struct{})
	planner.Go(func() {
		r, _, err := w.run(first, campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
			once := sync.OnceFunc(func() { close(sent) })
			s.Observers = []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
				if _, ok := e.(campaign.Send); ok {
					once()
				}
			})}
		})
		if err != nil || r.StoppedBy == nil || r.Document.Counts.Accepted == len(groups) {
			t.Errorf("got %v, %v, want a run that was stopped", counted(r), err)
		}
	})
	<-sent
	stop(&campaign.SignalError{Signal: nil})
	planner.Wait()
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil))
	if err != nil || r.Document.Counts.Accepted != len(groups) {
		t.Errorf("got %v, %v, want all accepted", counted(r), err)
	}
	w.mailedOnce(groups)
}

func TestThePeopleOfAProfileCampaignAreMailedOnce(t *testing.T) {
	t.Parallel()
	people := []string{"ada", "bob", "cyd", "dan"}
	w := newWorld(t, standin.Options{People: people, Threads: 4, Faults: []standin.Fault{
		{Pattern: "people/bob", Kind: standin.Proxy502, Times: 1}, // it may have been mailed
		{Pattern: "people/cyd", Kind: standin.Error500, Times: 1},
	}}, fleet.Limits{Workers: 2})
	w.work(2)
	r, _, err := w.run(t.Context(), campaign.Profile(w.client))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := counted(r), "3 accepted, 1 failed, 0 not attempted, 0 skipped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := w.site.Overlaps(); n != 0 {
		t.Errorf("%d overlaps", n)
	}
}

func TestTooManyFailuresEndTheNight(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(300, 7)
	w := newWorld(t, standin.Options{
		Groups: groups, Threads: 4, Faults: []standin.Fault{{Pattern: "*/*", Kind: standin.NotFound}},
	}, fleet.Limits{Workers: 1})
	w.work(1)
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
		s.MaxFailures = campaign.Share{N: 3}
	})
	if err != nil || !errors.Is(r.StoppedBy, dispatcher.ErrMaxFailures) {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	if c := r.Document.Counts; c.Failed() < 3 || c.NotAttempted < 100 {
		t.Errorf("got %s", counted(r))
	}
}

func TestASiteThatIsGoneEndsTheNightWithoutUsingUpTheTriesOfItsGroups(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(30, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4, Faults: []standin.Fault{{Pattern: "*/*", Kind: standin.Proxy503}}}, fleet.Limits{Workers: 3})
	w.work(1)
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil), func(_ *campaign.Settings, o *night.Options) { o.GiveUpAfter = 3 * time.Second })
	if down, ok := errors.AsType[*ratelimit.DownError](r.StoppedBy); err != nil || !ok || down.For < 3*time.Second {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	if n := len(w.site.Requests()); n > 20 {
		t.Errorf("%d requests were made to a site that is gone", n)
	}
	if r.Document.Counts.NotAttempted < 20 {
		t.Errorf("got %s", counted(r))
	}
	// Nobody asks the site in the day that follows.
	if _, err := w.db.Pool().Exec(t.Context(), "UPDATE senddigest.installation SET down_since = down_since - interval '1 day'"); err != nil {
		t.Fatal(err)
	}
	w.site.SetFaults()
	r, _, err = w.run(t.Context(), campaign.Digest(w.client, nil), func(_ *campaign.Settings, o *night.Options) {
		o.GiveUpAfter, o.Resume = time.Hour, true
	})
	if err != nil || r.StoppedBy != nil {
		t.Fatalf("gone on with: got %v, %v", r.StoppedBy, err)
	}
	if c := r.Document.Counts; c.NotAttempted > 0 || c.Accepted < 20 { // the others had an answer that is final
		t.Errorf("gone on with: got %s", counted(r))
	}
}

func TestANightThatNobodySendsEndsAndIsGoneOnWithOnceThereIsAWorker(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(10, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4}, fleet.Limits{Workers: 3})
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil), func(_ *campaign.Settings, o *night.Options) { o.GiveUpAfter = time.Second })
	if nobody, ok := errors.AsType[*night.NoWorkersError](r.StoppedBy); err != nil || !ok || nobody.For < time.Second {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	if got := counted(r); got != "0 accepted, 0 failed, 10 not attempted, 0 skipped" {
		t.Errorf("got %s", got)
	}
	w.work(1)
	if r, _, err = w.run(t.Context(), campaign.Digest(w.client, nil), func(_ *campaign.Settings, o *night.Options) { o.Resume = true }); err != nil || r.StoppedBy != nil {
		t.Fatalf("got %v, %v", r.StoppedBy, err)
	}
	w.mailedOnce(groups)
}

func TestMorePlacesAreFilledAsSoonAsThereAre(t *testing.T) {
	t.Parallel()
	groups := standin.Generate(60, 7)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 16, Cost: func(standin.Group) time.Duration { return 700 * time.Millisecond }}, fleet.Limits{Workers: 1})
	w.work(1)
	sends := 0
	r, _, err := w.run(t.Context(), campaign.Digest(w.client, nil), func(s *campaign.Settings, _ *night.Options) {
		s.Observers = []campaign.Observer{campaign.ObserverFunc(func(e campaign.Event) {
			if _, ok := e.(campaign.Send); !ok {
				return
			}
			if sends++; sends == 10 {
				if most := w.site.MaxInFlight(); most != 1 {
					t.Errorf("%d were in flight, of at most 1", most)
				}
				if err := w.db.SetWorkers(context.Background(), w.installation, 8); err != nil { // more than the process began with
					t.Error(err)
				}
			}
		})}
	})
	if err != nil || r.Document.Counts.Accepted != len(groups) {
		t.Fatalf("got %s, %v", counted(r), err)
	}
	if most := w.site.MaxInFlight(); most != 8 {
		t.Errorf("%d were in flight, want 8", most)
	}
	w.mailedOnce(groups)
}
