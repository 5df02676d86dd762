package ratelimit_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/canary"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/ratelimit"
)

// The closed loop: a site, its visitors, and a run that sends to it, either with as many workers as an operator would
// set who knows the site, or with an adaptive limit that is told nothing.
const (
	visits    = 3.0 // of visitors, a second
	lockBound = 0.6 // share of server time under the lock: then 2 workers send 0.9 times what 4 do
	ceiling   = 16
	night     = 10 * time.Minute
	seeds     = 20
)

// A scene is one such run.
type scene struct {
	threads int
	lock    float64
	uneven  bool          // groups; log-normal, where even ones differ by a fifth at most
	cost    time.Duration // of a send, on average; 0: 1 s
	longest bool          // sends go first
	front   time.Duration // server time of the page that visitors and the canary ask for; 0: 40 ms, negative: none
	from    time.Duration // what was before is not counted
	length  time.Duration
	turns   []turn // in mid-run
	seed    uint64

	workers int             // the operator's; 0: the adaptive limit
	found   ratelimit.Found // by the night before
	blind   bool            // without a canary
	history float64         // what sends took in earlier runs, as a multiple of what they cost now; 0: nobody knows
	noise   float64         // of the history: a send's cost is another every night; 0: by a fifth

	way func(testing.TB, *standin.Site) way // nil: direct
}

// A turn changes the number of request threads.
type turn struct {
	at      time.Duration
	threads int
}

// An outcome is how it went.
type outcome struct {
	sends   float64         // a second
	work    float64         // that they made the site do, in request threads
	waits   []time.Duration // of visitors for their page
	changes []change
	found   ratelimit.Found
}

// A change is one that the limit made.
type change struct {
	at    time.Duration
	limit int
	why   string
}

func (o outcome) p95() time.Duration { return o.waits[len(o.waits)*95/100] }

// limit is the limit at a time.
func (o outcome) limit(at time.Duration) int {
	limit := 1
	for _, c := range o.changes {
		if c.at <= at {
			limit = c.limit
		}
	}
	return limit
}

// between is the lowest and the highest limit between two times.
func (o outcome) between(from, to time.Duration) (lowest, highest int) {
	lowest = o.limit(from)
	highest = lowest
	for _, c := range o.changes {
		if from < c.at && c.at <= to {
			lowest, highest = min(lowest, c.limit), max(highest, c.limit)
		}
	}
	return lowest, highest
}

// story tells how the limit went.
func (o outcome) story() string {
	var b strings.Builder
	for _, c := range o.changes {
		fmt.Fprintf(&b, "\n%6.1f s: %d (%s)", c.at.Seconds(), c.limit, c.why)
	}
	return b.String()
}

type job int

func (j job) Key() string { return "main/" + strconv.Itoa(int(j)) }

// play makes the run in fake time.
func (s scene) play(t *testing.T) (o outcome) {
	synctest.Test(t, func(t *testing.T) { o = s.run(t) })
	return o
}

// run makes the run.
func (s scene) run(t testing.TB) (o outcome) {
	costs := s.costs()
	groups := make([]standin.Group, len(costs))
	jobs := make([]job, len(costs))
	for i := range groups {
		groups[i] = standin.Group{Site: "main", Group: strconv.Itoa(i)}
		jobs[i] = job(i)
	}
	cost := cmp.Or(s.front, 40*time.Millisecond)
	site := standin.New(standin.Options{
		Groups: groups, Threads: s.threads, Lock: s.lock, FrontCost: cost, Guard: -1, NoLog: true,
		Cost: func(g standin.Group) time.Duration {
			i, _ := strconv.Atoi(g.Group)
			return costs[i]
		},
	})
	defer site.Close()
	way := s.way
	if way == nil {
		way = direct
	}
	w := way(t, site)
	defer w.stop()

	began := time.Now()
	ctx, end := context.WithTimeout(context.Background(), s.length)
	defer end()
	var others sync.WaitGroup
	defer others.Wait()
	for _, turn := range s.turns {
		others.Go(func() {
			time.Sleep(turn.at)
			site.SetThreads(turn.threads)
		})
	}
	var mu sync.Mutex
	var waits []time.Duration
	others.Go(func() {
		dice := rand.New(rand.NewPCG(s.seed, 2))
		for ctx.Err() == nil {
			time.Sleep(time.Duration(dice.ExpFloat64() / visits * float64(time.Second)))
			others.Go(func() {
				came := time.Now()
				w.visit()
				if came.Sub(began) < s.from {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, time.Since(came))
			})
		}
	})

	options := dispatcher.Options{Workers: s.workers}
	stop := func() {}
	var auto *ratelimit.Adaptive
	if s.workers == 0 {
		auto = ratelimit.NewAdaptive(ceiling, func(limit int, why string) {
			o.changes = append(o.changes, change{time.Since(began), limit, why})
		})
		options.Workers, options.Limiter, options.Usual = ceiling, auto, s.usual(costs)
		if !s.blind {
			c := canary.New(&url.URL{Scheme: "http", Host: w.host, Path: "/"}, canary.Options{Transport: w.page})
			page, err := c.Baseline(ctx)
			if err != nil {
				t.Fatal(err)
			}
			auto.Expect(s.found)
			auto.Baseline(page)
			stop = c.Start(ctx, auto.Canary)
		}
	}
	report := dispatcher.Run(ctx, jobs, func(ctx context.Context, j job) dispatcher.Verdict {
		if err := w.send(ctx, hooks.Group(groups[j])); err != nil {
			t.Error(err)
			return dispatcher.Verdict{Outcome: dispatcher.NotOK}
		}
		return dispatcher.Verdict{Outcome: dispatcher.Accepted}
	}, options)
	stop()
	if auto != nil {
		o.found = auto.Found()
	}
	others.Wait()
	for _, r := range report.Results {
		ended := r.Start.Add(r.Took).Sub(began)
		if r.Outcome == dispatcher.Accepted && s.from <= ended && ended <= s.length {
			o.sends += 1 / (s.length - s.from).Seconds()
			j, _ := r.Job.(job)
			o.work += costs[j].Seconds() / (s.length - s.from).Seconds()
		}
	}
	slices.Sort(waits)
	o.waits = waits
	return o
}

// costs is what each send costs the site, for more sends than it can make in the time.
func (s scene) costs() []time.Duration {
	mean := cmp.Or(s.cost, time.Second)
	threads := s.threads
	for _, turn := range s.turns {
		threads = max(threads, turn.threads)
	}
	if s.lock > 0 {
		threads = min(threads, int(math.Ceil(1/s.lock)))
	}
	dice := rand.New(rand.NewPCG(s.seed, 1))
	costs := make([]time.Duration, threads*int(s.length/mean)*3/2)
	for i := range costs {
		spread := 0.8 + 0.4*dice.Float64()
		if s.uneven {
			spread = math.Exp(dice.NormFloat64() - 0.5) // its mean is 1
		}
		costs[i] = time.Duration(spread * float64(mean))
	}
	if s.longest {
		slices.SortFunc(costs, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	}
	return costs
}

// usual is what the history says of the sends: their cost is another every night.
func (s scene) usual(costs []time.Duration) func(dispatcher.Job) time.Duration {
	if s.history == 0 {
		return nil
	}
	dice := rand.New(rand.NewPCG(s.seed, 3))
	usual := make([]time.Duration, len(costs))
	for i, cost := range costs {
		usual[i] = time.Duration(s.history * math.Exp(cmp.Or(s.noise, 0.2)*dice.NormFloat64()) * float64(cost))
	}
	return func(j dispatcher.Job) time.Duration {
		i, _ := j.(job)
		return usual[i]
	}
}

// A way is how requests reach a site.
type way struct {
	host  string
	page  http.RoundTripper // the canary's
	visit func()
	send  func(context.Context, hooks.Group) error
	stop  func()
}

// direct is the way without HTTP: the site's threads and their work alone.
func direct(_ testing.TB, site *standin.Site) way {
	visit := func() { site.Work(standin.Front, standin.Group{}) }
	return way{
		host: "groups.example.com",
		page: roundTrip(func(r *http.Request) (*http.Response, error) {
			come := make(chan struct{})
			go func() {
				defer close(come)
				visit()
			}()
			select {
			case <-come:
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}),
		visit: visit,
		send: func(_ context.Context, g hooks.Group) error {
			site.Work(standin.Send, standin.Group(g))
			return nil
		},
		stop: func() {},
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// piped is the way of a real run, with the hooks' client, over connections inside the process.
func piped(t testing.TB, site *standin.Site) way {
	pipe := standin.Pipe()
	return overHTTP(t, site.Serve(pipe), func(o *http.Transport) { o.DialContext = pipe.DialContext })
}

// sockets is the way of a real run over real sockets.
func sockets(t testing.TB, site *standin.Site) way {
	server, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	return overHTTP(t, server, func(*http.Transport) {})
}

func overHTTP(t testing.TB, server *standin.Server, set func(*http.Transport)) way {
	transport := func() *http.Transport {
		o := hooks.NewTransport(hooks.TransportOptions{})
		o.Proxy = nil
		set(o)
		return o
	}
	u, err := hooks.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := hooks.New(u, hooks.NewToken(standin.DefaultToken), hooks.Options{Transport: transport()})
	visitors, page := &http.Client{Transport: transport()}, transport()
	return way{
		host: u.Host,
		page: page,
		visit: func() {
			resp, err := visitors.Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Error(err)
			}
		},
		send: func(ctx context.Context, g hooks.Group) error {
			_, err := client.SendDigest(ctx, g)
			return err
		},
		stop: server.Close,
	}
}

// A kind is one row of the table: a site and its groups.
type kind struct {
	threads int
	lock    float64
	uneven  bool
}

func kinds() (all []kind) {
	for _, threads := range []int{2, 4, 8} {
		for _, lock := range []float64{0, lockBound} {
			all = append(all, kind{threads, lock, false}, kind{threads, lock, true})
		}
	}
	return all
}

func (k kind) String() string {
	bound, groups := "io", "even"
	if k.lock > 0 {
		bound = "lock"
	}
	if k.uneven {
		groups = "uneven"
	}
	return fmt.Sprintf("threads=%d/%s-bound/%s", k.threads, bound, groups)
}

// operator is how many workers one sets who knows the site: one fewer than threads, which is the visitors'; where the
// lock rules, two, if that leaves a thread.
func (k kind) operator() int {
	if k.lock > 0 {
		return min(2, k.threads-1)
	}
	return k.threads - 1
}

func (k kind) scene(seed uint64) scene {
	return scene{threads: k.threads, lock: k.lock, uneven: k.uneven, length: night, seed: seed}
}

// The first night, and a later one, which is told what sends took in earlier runs, made under load, and begins where the
// first one ended.
var nights = []struct {
	name    string
	history float64
	seeds   uint64
	later   bool
}{{"first night", 0, seeds, false}, {"later night", 1.4, seeds / 2, true}}

// What is asked of auto, each night (go test -v prints what came of it): nine tenths of the operator's throughput at least, and a 95th-percentile wait of
// the visitors of five quarters of the operator's at most. One night in twenty may miss one of them by chance, since
// 1800 visitors are not enough to measure a percentile well; all nights together may not.
const (
	leastSends = 0.90
	mostWait   = 1.25
)

func TestAutoDoesAsWellAsAnOperatorWhoKnowsTheSite(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: nights by the hundred")
	}
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			var operator, first []outcome
			for seed := range uint64(seeds) {
				s := k.scene(seed)
				s.workers = k.operator()
				operator = append(operator, s.play(t))
			}
			for _, n := range nights {
				var all, ref outcome
				missed, least, most := 0, math.Inf(1), 0.0
				for seed := range n.seeds {
					s := k.scene(seed)
					s.history = n.history
					if n.later {
						s.found = first[seed].found
					}
					o, r := s.play(t), operator[seed]
					if !n.later {
						first = append(first, o)
					}
					sends, wait := o.sends/r.sends, float64(o.p95())/float64(r.p95())
					least, most = min(least, sends), max(most, wait)
					if sends < leastSends || wait > mostWait {
						missed++
						t.Logf("%s, seed %d: %.2f of the throughput, %.2f times the wait:%s", n.name, seed, sends, wait, o.story())
					}
					if fault := o.saws(k.operator()); fault != "" {
						t.Errorf("%s, seed %d: %s:%s", n.name, seed, fault, o.story())
					}
					all.sends, all.waits = all.sends+o.sends, append(all.waits, o.waits...)
					ref.sends, ref.waits = ref.sends+r.sends, append(ref.waits, r.waits...)
				}
				slices.Sort(all.waits)
				slices.Sort(ref.waits)
				sends, wait := all.sends/ref.sends, float64(all.p95())/float64(ref.p95())
				t.Logf("%s: operator %5.2f/s, p95 %3d ms; auto %5.2f/s, %3d ms: %.2f (%.2f) of the throughput, %.2f (%.2f) times the wait",
					n.name, ref.sends/float64(n.seeds), ref.p95().Milliseconds(), all.sends/float64(n.seeds), all.p95().Milliseconds(), sends, least, wait, most)
				if sends < leastSends || wait > mostWait || missed > seeds/20 {
					t.Errorf("%s: %.2f of the operator's throughput, %.2f times its wait, missed %d times", n.name, sends, wait, missed)
				}
			}
		})
	}
}

// saws tells what is wrong if the limit does not settle: in the last half of the night it moves by one, stays within one
// of the operator's, and seldom leaves it.
func (o outcome) saws(operator int) string {
	moves := 0
	limit := o.limit(night / 2)
	for _, c := range o.changes {
		if c.at <= night/2 {
			continue
		}
		moves++
		if d := c.limit - limit; d != 1 && d != -1 {
			return fmt.Sprintf("it jumps from %d to %d", limit, c.limit)
		}
		limit = c.limit
		if limit > operator+1 {
			return fmt.Sprintf("it rises to %d", limit)
		}
	}
	if moves > 8 {
		return fmt.Sprintf("it moves %d times in %v", moves, night/2)
	}
	return ""
}

// Sends of 9 s on average, the longest of minutes, in any order and longest first, as real nights begin, and a history that is
// off by two fifths. What is asked of all nights of a row together holds: the throughput as work done, since the sends
// differ, and the wait. Of one night alone: a throughput of nine tenths, and in an hour 16 changes of the limit at most,
// besides two for each thread.
func TestAutoDoesAsWellWhereSendsTakeLong(t *testing.T) {
	for _, longest := range []bool{false, true} {
		for _, threads := range []int{2, 4, 8} {
			t.Run(fmt.Sprintf("threads=%d/longest first=%v", threads, longest), func(t *testing.T) {
				t.Parallel()
				var all, ref outcome
				for seed := range uint64(3) {
					k := kind{threads: threads, uneven: true}
					s := k.scene(seed)
					s.cost, s.longest, s.length = 9*time.Second, longest, time.Hour
					s.workers = k.operator()
					r := s.play(t)
					s.workers, s.history, s.noise = 0, 1, 0.4
					o := s.play(t)
					if o.work < leastSends*r.work {
						t.Errorf("seed %d: %.2f of the work:%s", seed, o.work/r.work, o.story())
					}
					if most := 2*threads + 16; len(o.changes) > most {
						t.Errorf("seed %d: %d changes, want %d at most:%s", seed, len(o.changes), most, o.story())
					}
					all.work, all.waits = all.work+o.work, append(all.waits, o.waits...)
					ref.work, ref.waits = ref.work+r.work, append(ref.waits, r.waits...)
				}
				slices.Sort(all.waits)
				slices.Sort(ref.waits)
				work, wait := all.work/ref.work, float64(all.p95())/float64(ref.p95())
				t.Logf("%.2f of the work, %.2f times the wait", work, wait)
				if work < leastSends || wait > mostWait {
					t.Errorf("%.2f of the operator's work, %.2f times its wait", work, wait)
				}
			})
		}
	}
}

// A page that costs nothing is no reason for fright.
func TestAutoFindsTheSameWithAFrontPageThatCostsNothing(t *testing.T) {
	k := kind{threads: 4, uneven: true}
	s := k.scene(1)
	s.way, s.length, s.front = piped, night/2, -1
	if o := s.play(t); o.limit(s.length) < k.operator() || o.limit(s.length) > k.operator()+1 {
		t.Errorf("got %d, want %d:%s", o.limit(s.length), k.operator(), o.story())
	}
}

func TestAutoBacksOffWithinTenSecondsOfADropAndReturnsWithinAMinute(t *testing.T) {
	const drop, recovery = 3 * time.Minute, 5 * time.Minute // settled by then; a limit that was raised just now is less sure of itself
	for _, tt := range []struct {
		threads, left int
		lock          float64
	}{{4, 2, 0}, {4, 1, 0}, {8, 4, 0}, {8, 2, 0}, {8, 1, 0}, {4, 2, lockBound}, {8, 1, lockBound}} {
		want := kind{threads: tt.threads, lock: tt.lock}.operator()
		t.Run(fmt.Sprintf("threads=%d/left=%d/lock=%.1f", tt.threads, tt.left, tt.lock), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds / 2) {
				s := scene{
					threads: tt.threads, lock: tt.lock, uneven: seed%2 == 1, length: recovery + time.Minute + time.Second, seed: seed,
					history: nights[seed/2%2].history, turns: []turn{{drop, tt.left}, {recovery, tt.threads}},
				}
				o := s.play(t)
				before := o.limit(drop)
				if before < want {
					t.Errorf("seed %d: %d before the drop, want %d:%s", seed, before, want, o.story())
				}
				if got, _ := o.between(drop, drop+10*time.Second); got >= before || got > tt.left {
					t.Errorf("seed %d: from %d to %d within ten seconds of the drop to %d threads:%s", seed, before, got, tt.left, o.story())
				}
				if _, got := o.between(recovery, recovery+time.Minute); got < want {
					t.Errorf("seed %d: %d within a minute of the recovery, want %d:%s", seed, got, want, o.story())
				}
			}
		})
	}
}

// The same with the hooks' own client, over HTTP.
func TestAutoFindsTheSameOverHTTP(t *testing.T) {
	for _, k := range []kind{{2, 0, false}, {4, 0, true}, {4, lockBound, false}} {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			s := k.scene(1)
			s.way, s.length = piped, night/2
			if o := s.play(t); o.limit(s.length) < k.operator() || o.limit(s.length) > k.operator()+1 {
				t.Errorf("got %d, want %d:%s", o.limit(s.length), k.operator(), o.story())
			}
		})
	}
}

func TestSendsAloneFillTheThreadsAndNoMore(t *testing.T) {
	for _, threads := range []int{2, 4} {
		for seed := range uint64(5) {
			s := scene{threads: threads, length: night, seed: seed, history: 3, blind: true}
			o := s.play(t)
			if got := o.limit(night); got < threads-1 || got > threads+2 {
				t.Errorf("%d threads, seed %d: got %d:%s", threads, seed, got, o.story())
			}
		}
	}
}

func TestWithoutASenseAutoStaysAtOne(t *testing.T) {
	s := scene{threads: 8, length: night, blind: true}
	if o := s.play(t); len(o.changes) > 0 {
		t.Errorf("it moved:%s", o.story())
	}
}

// BenchmarkAuto is make bench-auto: all kinds of sites at once, over real sockets and in real time. It is too short for
// whole nights, so it counts from when the limit has been found.
func BenchmarkAuto(b *testing.B) {
	const from, length = 45 * time.Second, 110 * time.Second
	type row struct{ operator, auto outcome }
	rows := make([]row, len(kinds()))
	for b.Loop() {
		var all sync.WaitGroup
		for i, k := range kinds() {
			auto := k.scene(1)
			auto.way, auto.from, auto.length = sockets, from, length
			operator := auto
			operator.workers = k.operator()
			all.Go(func() { rows[i].auto = auto.run(b) })
			all.Go(func() { rows[i].operator = operator.run(b) })
		}
		all.Wait()
	}
	b.ReportMetric(0, "ns/op")
	fmt.Printf("\nfrom %v to %v:\n", from, length) // not b.Logf: it keeps ten lines
	for i, k := range kinds() {
		o, a := rows[i].operator, rows[i].auto
		fmt.Printf("%-32s operator %d: %5.2f/s, p95 %3d ms; auto %d: %5.2f/s, p95 %3d ms: %.2f of the throughput, %.2f times the wait\n",
			k, k.operator(), o.sends, o.p95().Milliseconds(), a.limit(length), a.sends, a.p95().Milliseconds(),
			a.sends/o.sends, float64(a.p95())/float64(o.p95()))
	}
}
