package campaign_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
	"github.com/groupserver/senddigest/ratelimit"
	"go.uber.org/goleak"
)

// The soak: nights in which everything goes wrong, each made from a number. A night is some runs that are cut short
// in all ways, on a site that fails in all ways, and a last run without limits on a site that is well again. Its
// judge is the stand-in's log, which knows what was mailed.
//
//	SOAK_NIGHTS=10000 SOAK_FIRST=1 go test -race -run TestSoak ./internal/campaign
//
// makes other nights than the usual ones. With SOAK_STEP=0 and the number of one that failed all are that night: the
// same site, faults, limits and stops. What the kernel makes of them in time is never quite the same, so on sockets it
// is made often, and abreast as it was when it failed.

const (
	usualNights = 2000 // on sockets; a tenth of it in fake time. make soak makes 10000
	abreast     = 64   // nights on sockets at once: they wait more than they work
	replays     = 200  // of a night that failed
	workersMost = 8

	// longLived is longer than any request lives on sockets, where some hundred milliseconds of work may be before it.
	longLived = 8 * time.Second
)

// night is one night, and what is known of it.
type night struct {
	seed uint64
	*rand.Rand

	unit time.Duration // what the lengths of a night are counted in: a millisecond on sockets, a second in fake time
	real bool          // on sockets, where a request may come late, and a healthy one may take too long
	dir  *state.Dir
	in   state.Installation

	site    *standin.Site
	guarded bool // the site has its duplicate check
	settle  time.Duration
	skip    bool // runs leave alone what may have been mailed
	anew    bool // some run was a new one although there was one to go on with
	listed  []standin.Group
	gone    []standin.Group // not listed at the moment
	unknown []standin.Group
	start   func() *visit

	closing []func() // servers that are still to be closed
	runs    int
	torn    map[int]bool // runs whose journal lost its last lines
	tries   map[string][]try
	last    campaign.Result
	doubts  int // outcomes that were ambiguous
	settled int // groups that were accepted in the run in which they had been ambiguous
	broken  []string
}

// visit is the site as one run finds it.
type visit struct {
	client  *hooks.Client                     // waits for as long as it takes
	limited func(time.Duration) *hooks.Client // one that gives up
	close   func()                            // stops the server, and returns when its work is done
}

// try is one try of a group as the dispatcher tells of it.
type try struct {
	run, number int
	start       time.Time
	before      int // requests that had come to the site when the try began
	outcome     dispatcher.Outcome
	retried     bool // another follows, since it is proven that this one mailed nothing
	settling    bool // another follows, since it is not known what this one did
	repeated    bool // it follows one of unknown fate, of this run or an earlier one
}

func (n *night) fail(format string, args ...any) {
	n.broken = append(n.broken, fmt.Sprintf(format, args...))
}

// upTo is a random length from 0 to so many units.
func (n *night) upTo(units int) time.Duration {
	return time.Duration(n.Int64N(int64(units)*int64(n.unit) + 1))
}

// chance is true so many times in a hundred.
func (n *night) chance(percent int) bool { return n.IntN(100) < percent }

func newNight(seed uint64, dir *state.Dir, unit time.Duration) *night {
	n := &night{
		seed: seed, Rand: rand.New(rand.NewPCG(seed, 0x50a4)), unit: unit, real: unit < time.Second,
		dir: dir, torn: map[int]bool{}, tries: map[string][]try{},
	}
	n.in = soakedInstallation()
	all := standin.Generate(5+min(n.IntN(36), n.IntN(36)), seed)
	n.listed = all
	if n.chance(30) {
		n.listed, n.gone = all[:len(all)*3/4], all[len(all)*3/4:]
	}
	if n.chance(20) {
		n.unknown = []standin.Group{{Site: "main", Group: "long-gone"}}
		n.listed = append(slices.Clone(n.listed), n.unknown...)
	}
	n.guarded, n.skip, n.settle = n.chance(60), n.chance(40), n.upTo(60)
	if n.chance(25) {
		n.settle = n.upTo(400) // perhaps longer than the runs
	}
	if !n.real {
		n.settle = time.Hour // longer than any request lives
	}
	o := standin.Options{Unknown: n.unknown, Threads: 1 + n.IntN(6)}
	o.Groups = slices.DeleteFunc(slices.Clone(all), func(g standin.Group) bool { return slices.Contains(n.unknown, g) })
	if !n.guarded {
		o.Guard = -1
		n.skip = true // without its duplicate check nothing makes a repeat harmless
	}
	costs := map[standin.Group]time.Duration{}
	usual := 1 + n.IntN(8)
	for _, g := range all {
		costs[g] = n.upTo(usual)
		if n.chance(5) {
			costs[g] = n.upTo(50)
		}
	}
	o.Cost = func(g standin.Group) time.Duration { return costs[g] }
	n.site = standin.New(o)
	n.site.SetGroups(n.listed...)
	return n
}

// faults are what goes wrong in one run. In a run that has time to settle lost answers most of what goes wrong loses an
// answer, and does so once.
func (n *night) faults(settles bool) []standin.Fault {
	var all []standin.Fault
	if n.chance(12) {
		f := n.fault(standin.ListPattern)
		f.Times = 1
		all = append(all, f)
	}
	often := []int{0, 15, 40, 90}[n.IntN(4)]
	if settles {
		often = 3
	}
	for _, g := range append(slices.Clone(n.listed), n.gone...) {
		if settles && n.chance(10) {
			kind := []standin.Kind{standin.Proxy502, standin.Proxy504, standin.Reset, standin.ResetEarly, standin.CutBody, standin.Hang}[n.IntN(6)]
			all = append(all, standin.Fault{Pattern: g.Site + "/" + g.Group, Kind: kind, Times: 1, Delay: n.upTo(60)})
		}
		for n.chance(often) {
			f := n.fault(g.Site + "/" + g.Group)
			f.Times = n.IntN(4) // 0: each try
			all = append(all, f)
		}
	}
	return all
}

func (n *night) fault(pattern string) standin.Fault {
	f := standin.Fault{Pattern: pattern, Delay: n.upTo(60), RetryAfter: "0"}
	if n.chance(15) {
		f.Delay = n.upTo(300) // perhaps longer than the client waits
	}
	for {
		f.Kind = standin.Kinds()[n.IntN(len(standin.Kinds()))]
		switch f.Kind {
		case standin.Huge:
			continue
		case standin.HalfJSON, standin.Dicts:
			if pattern != standin.ListPattern {
				continue
			}
		case standin.WrongToken:
			if n.chance(80) {
				continue // it ends the run
			}
		case standin.TooMany:
			if n.chance(10) {
				f.RetryAfter = "1"
			}
		case standin.Redirect301, standin.Redirect302, standin.Redirect303, standin.Redirect307, standin.Redirect308:
			path := standin.SendPath
			if pattern == standin.ListPattern {
				path = standin.GroupsPath
			}
			f.URL = []string{"http://$HOST/moved" + path, "$PATH", "https://elsewhere.example.com$PATH"}[n.IntN(3)]
		}
		return f
	}
}

// relist takes some groups from the list and puts others back.
func (n *night) relist() {
	if n.chance(50) {
		return
	}
	back := n.gone
	n.gone = nil
	listed := slices.Clone(back)
	for _, g := range n.listed {
		if n.chance(15) {
			n.gone = append(n.gone, g)
		} else {
			listed = append(listed, g)
		}
	}
	n.listed = listed
	n.site.SetGroups(listed...)
}

// previous is what the command line finds for --resume, or else for --retry-failed; nil: a new run. Where the site's
// duplicate check makes repeats harmless somebody may start a new one although there is one to go on with.
func (n *night) previous() *campaign.Previous {
	if n.runs > 1 && !n.skip && n.chance(15) {
		n.anew = true
		return nil
	}
	runs, err := n.dir.Runs(n.in)
	if err != nil {
		n.fail("%v", err)
	}
	newest, ok := state.Newest(runs)
	if !ok {
		return nil
	}
	run, err := n.dir.Load(newest.Run)
	if err != nil {
		n.fail("the journal of the run before cannot be read: %v", err)
		return nil
	}
	return &campaign.Previous{
		Run: run, Failed: !newest.Unfinished(), Ended: time.Now(),
	}
}

// run makes one run. A night's last has no limits and meets no faults.
func (n *night) run(ctx context.Context, final bool) {
	n.runs++
	v := n.start()
	c := v.client
	name := fmt.Sprintf("%s-%04x", time.Now().UTC().Format("20060102T150405Z"), n.runs)
	defer n.lock(ctx, name)()
	s := campaign.Settings{
		URL: siteURL, Workers: 1 + n.IntN(workersMost), Retries: n.IntN(4),
		Backoff: dispatcher.FullJitter(4*n.unit, 20*n.unit), Settle: n.settle, Timeout: longLived, SkipAmbiguous: n.skip,
	}
	kept := campaign.Kept{Run: name, Previous: n.previous()}
	recent, failed := n.dir.Recent(n.in, time.Now().Add(-24*time.Hour))
	if len(failed) > 0 {
		n.fail("%v", failed)
	}
	past := campaign.PastOf(recent)
	kept.Past = pastFunc(func(g state.Group) campaign.Known { return campaign.Known{Open: past.Of(g).Open} })
	if n.chance(30) {
		s.Rate, s.Burst = ratelimit.Rate(float64(100+n.IntN(900))*float64(time.Millisecond)/float64(n.unit)), 1+n.IntN(5)
	}
	if n.chance(20) {
		s.Throttle = n.upTo(4)
	}
	if n.chance(50) { // what was sent to this night must not be held back until the next
		s.GuardWait, kept.Past = guardWait, past
	}
	n.site.SetFaults()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	abort, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	var timers []*time.Timer
	var others sync.WaitGroup
	after := func(d time.Duration, f func()) {
		others.Add(1)
		timers = append(timers, time.AfterFunc(d, func() { defer others.Done(); f() }))
	}
	stopping := func() {}
	stopAt := 0 // the try with whose start the time to the stop begins; 0: it begins with the list
	if !final {
		settles := !n.skip && n.chance(40) // there is time for it
		n.site.SetFaults(n.faults(settles)...)
		c = v.limited(80*n.unit + n.upTo(80))
		s.GiveUpAfter = 20*n.unit + n.upTo(200)
		s.Abort = abort
		if n.chance(20) {
			s.MaxFailures.N = 1 + n.IntN(6)
		}
		if n.chance(50) {
			s.Grace = 1 + n.upTo(60)
		}
		stop := 400 * n.unit
		switch {
		case settles:
			stop += 2 * max(n.settle, longLived)
		case n.chance(60):
			stop = n.upTo(100)
		}
		var cause error = &campaign.DeadlineError{Option: "--deadline"}
		second := time.Duration(-1)
		if n.chance(50) {
			cause = &campaign.SignalError{Signal: syscall.SIGTERM}
			if n.chance(50) {
				second = n.upTo(30)
			}
		}
		stopping = func() {
			after(stop, func() { cancel(cause) })
			if second >= 0 {
				after(stop+second, func() { cut(cause) }) // a second signal
			}
		}
		switch {
		case settles:
		case n.chance(5):
			stopping() // perhaps before there is a list
			stopping = func() {}
		case n.chance(50): // however slow the machine is
			stop, stopAt = n.upTo(10), 1+n.IntN(len(n.listed)+1)
		}
		if n.chance(10) {
			after(n.upTo(60), v.close) // the site is restarted
		}
	}
	flying, begun := 0, 0
	s.Observers = hear(func(e campaign.Send) {
		flying = max(flying, e.InFlight)
		n.observe(e.Event)
		if e.Kind == dispatcher.Started {
			if begun++; begun == stopAt {
				stopping()
			}
		}
	})
	listed := 0
	s.Observers = append(s.Observers, planned(func(p *campaign.Plan) {
		listed = p.Listed()
		if stopAt == 0 {
			stopping()
		}
	})...)
	header := state.Header{
		Campaign: "digest", Run: name, URL: siteURL, Installation: n.in, Started: time.Now(), Workers: s.Workers,
	}
	if kept.Previous != nil {
		header.Resumes = kept.Previous.Run.Header.Run
	}
	w, err := n.dir.Begin(header, func(e *state.JournalWriteError) { n.fail("the journal was set aside: %v", e) })
	if err != nil {
		n.fail("%v", err)
		return
	}
	kept.Journal = w
	n.last = run(ctx, c, s, kept)
	if err := n.last.Unwritten; err != nil {
		n.fail("%v", err)
	}
	for _, t := range timers {
		if t.Stop() {
			others.Done()
		}
	}
	others.Wait()

	if flying > s.Workers {
		n.fail("run %d: %d in flight with %d workers", n.runs, flying, s.Workers)
	}
	n.checkReport(listed, name)
	if !final && n.chance(25) {
		n.tear(w.Path())
	}
	// A run that repeats what may have been mailed waits for longer than any request lives. How long that is on a
	// busy machine nobody knows, but the stand-in's end of all work is. Where such groups are left alone, nothing
	// need be waited for: the next run begins beside what is left of this one's requests.
	if n.real && !n.skip || final {
		v.close()
	} else {
		n.closing = append(n.closing, v.close)
	}
}

// lock takes the installation's lock for a run, and tries to take it for another. What it returns gives it back.
func (n *night) lock(ctx context.Context, run string) (unlock func()) {
	holder := func(since time.Time) state.Holder {
		return state.Holder{PID: os.Getpid(), Run: run, Since: since, URL: siteURL}
	}
	lock, err := n.dir.Lock(ctx, n.in, holder, 0)
	if err != nil {
		n.fail("run %d gets no lock: %v", n.runs, err)
		return func() {}
	}
	rival, err := n.dir.Lock(ctx, n.in, holder, 0)
	if held, ok := errors.AsType[*state.HeldError](err); !ok || held.Run != run {
		n.fail("run %d: a second run at the same time: %v, want that the first holds the lock", n.runs, err)
	}
	if rival != nil {
		_ = rival.Unlock()
	}
	return func() {
		if err := lock.Unlock(); err != nil {
			n.fail("%v", err)
		}
	}
}

func (n *night) observe(e dispatcher.Event) {
	r := e.Result
	key := r.Job.Key()
	switch tries := n.tries[key]; e.Kind {
	case dispatcher.Started:
		if len(tries) > 0 && tries[len(tries)-1].outcome == dispatcher.NotAttempted {
			n.fail("%s: a try began before the one before it had ended", key)
		}
		n.tries[key] = append(tries, try{
			run: n.runs, number: r.Attempts, start: r.Start, before: len(n.site.Requests()), outcome: dispatcher.NotAttempted,
			repeated: r.Lost != nil,
		})
	case dispatcher.Retrying, dispatcher.Settling, dispatcher.Finished:
		t := &tries[len(tries)-1]
		if t.run != n.runs || t.number != r.Attempts {
			n.fail("%s: the end of try %d of run %d is told after try %d of run %d", key, r.Attempts, n.runs, t.number, t.run)
		}
		t.outcome, t.retried, t.settling = r.Outcome, t.retried || e.Kind == dispatcher.Retrying, t.settling || e.Kind == dispatcher.Settling
		if r.Outcome == dispatcher.Ambiguous {
			n.doubts++
		}
		if before := len(tries) - 2; before >= 0 && r.Outcome == dispatcher.Accepted && tries[before].run == n.runs && tries[before].settling {
			n.settled++
		}
	}
}

// checkReport checks that a run's report has each listed group once, and its journal the same outcomes.
func (n *night) checkReport(listed int, name string) {
	d := n.last.Document
	c := d.Counts
	if sum := c.Accepted + c.UnknownGroup + c.Failed() + c.NotAttempted + c.Skipped; sum != c.Groups {
		n.fail("run %d: the counts add up to %d of %d groups", n.runs, sum, c.Groups)
	}
	if listed == 0 && (n.last.Err != nil || n.last.StoppedBy != nil) {
		return // there was no list
	}
	if c.Groups != len(n.listed) || listed != len(n.listed) {
		n.fail("run %d: %d groups in the report, %d in the plan, want %d", n.runs, c.Groups, listed, len(n.listed))
	}
	run, err := n.dir.Load(name)
	if err != nil {
		n.fail("run %d: %v", n.runs, err)
		return
	}
	seen := map[standin.Group]bool{}
	for g := range d.Groups() {
		group := standin.Group{Site: g.Site, Group: g.Group}
		if seen[group] || !slices.Contains(n.listed, group) {
			n.fail("run %d: %v is in the report twice, or not listed", n.runs, group)
		}
		seen[group] = true
		if e, ok := run.Entry(state.Group{Site: g.Site, Group: g.Group}); !ok || e.Outcome.String() != g.Outcome {
			n.fail("run %d: %v is %s in the report, and in the journal %v (%v)", n.runs, group, g.Outcome, e.Outcome, ok)
		}
		n.checkSettled(g)
	}
}

// checkSettled checks that a group that ended ambiguous in a run that was not stopped, and so had time to settle it, was
// sent to again, and that one to be left alone was not.
func (n *night) checkSettled(g report.Group) {
	if n.last.StoppedBy != nil || g.Outcome != dispatcher.Ambiguous.String() || g.Attempts == 0 {
		return
	}
	settled := false
	for _, t := range n.tries[g.Site+"/"+g.Group] {
		settled = settled || t.run == n.runs && (t.settling || t.repeated)
	}
	if settled == n.skip {
		n.fail("run %d: %v, leaving ambiguous groups alone %v: settled %v", n.runs, g, n.skip, settled)
	}
}

// tear takes ends from a journal's end, as if the process had been killed before it could write them.
func (n *night) tear(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		n.fail("%v", err)
		return
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for most := n.IntN(6); most >= 0; most-- {
		last := lines[len(lines)-1]
		if !bytes.HasPrefix(last, []byte(`{"end"`)) && !bytes.HasPrefix(last, []byte(`{"finished"`)) {
			break
		}
		lines = lines[:len(lines)-1]
		n.torn[n.runs] = true
	}
	text = bytes.Join(lines, nil)
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		n.fail("%v", err)
	}
}

// whole makes the night.
func (n *night) whole(ctx context.Context) {
	defer n.site.Close()
	for range 1 + n.IntN(3) {
		n.run(ctx, false)
		n.relist()
	}
	n.run(ctx, true)
	for _, c := range n.closing {
		c()
	}
	n.judge()
}

// judge compares what the runs said with what the site did.
func (n *night) judge() {
	if got := n.site.Overlaps(); got != 0 {
		n.fail("%d requests overlapped another for their group", got)
	}
	if got := n.site.MaxInFlight(); n.doubts == 0 && got > workersMost {
		n.fail("%d sends in flight", got) // a client that gave up counts until the site notices
	}
	mails := n.site.Mails()
	for g, m := range mails {
		if m > 1 {
			n.fail("%v: mailed %d times", g, m)
		}
	}
	n.judgeTries()
	n.judgeLosses(mails)
}

// judgeTries checks what was said of each try.
func (n *night) judgeTries() {
	requests := map[string][][]standin.Request{} // of each try
	for number, q := range n.site.Requests() {
		if q.Hook != standin.Send {
			continue
		}
		key := q.Group.Site + "/" + q.Group.Group
		i := len(n.tries[key]) - 1
		for i >= 0 && n.tries[key][i].before > number {
			i--
		}
		if i < 0 {
			n.fail("%s: request %d came before any of %d tries", key, number, len(n.tries[key]))
			continue
		}
		if requests[key] == nil {
			requests[key] = make([][]standin.Request, len(n.tries[key]))
		}
		requests[key][i] = append(requests[key][i], q)
	}
	for key, tries := range n.tries {
		for i, t := range tries {
			var came []standin.Request
			if requests[key] != nil {
				came = requests[key][i]
			}
			mailed := slices.ContainsFunc(came, func(q standin.Request) bool { return q.Mailed })
			confirmed := slices.ContainsFunc(came, func(q standin.Request) bool {
				return q.Status == 200 && !q.Ended.IsZero() && (q.Fault.String() == "" || q.Fault == standin.SlowBody)
			})
			what := fmt.Sprintf("%s, run %d, try %d: %v (retried: %v)", key, t.run, t.number, t.outcome, t.retried)
			if i > 0 && tries[i-1].outcome == dispatcher.Ambiguous && !tries[i-1].retried {
				// By the clock on the wall, as runs reckon among each other.
				if waited := t.start.Round(0).Sub(tries[i-1].start.Round(0)); n.skip || waited < n.settle {
					n.fail("%s, %v after one of unknown fate in run %d", what, waited, tries[i-1].run)
				}
			}
			if i > 0 && n.known(&tries[i-1]) {
				n.fail("%s, after the site had confirmed it in run %d", what, tries[i-1].run)
			}
			switch {
			case t.outcome == dispatcher.NotAttempted:
				n.fail("%s: no end of it was told", what)
			case t.outcome == dispatcher.Accepted && !confirmed:
				n.fail("%s, and the site did not confirm it: %v", what, came)
			case t.outcome == dispatcher.Unreachable && slices.ContainsFunc(came, func(q standin.Request) bool { return !redirected(q) }):
				n.fail("%s, and yet it came: %v", what, came)
			case t.outcome == dispatcher.Ambiguous && t.retried && !t.repeated:
				n.fail("%s without proof", what)
			case t.outcome != dispatcher.Accepted && t.outcome != dispatcher.Ambiguous && mailed:
				n.fail("%s, and yet mailed: %v", what, came)
			}
		}
	}
}

// redirected tells a request that was answered with the way to another.
func redirected(q standin.Request) bool { return q.Status >= 300 && q.Status < 400 }

// judgeLosses checks that the last run left no group without a mail or a word about it.
func (n *night) judgeLosses(mails map[standin.Group]int) {
	if n.last.Err != nil || n.last.StoppedBy != nil {
		n.fail("the last run: %v, stopped by %v", n.last.Err, n.last.StoppedBy)
		return
	}
	for g := range n.last.Document.Groups() {
		group := standin.Group{Site: g.Site, Group: g.Group}
		said := fmt.Sprintf("%v: %s, %s, %s; mailed %d times", group, g.Outcome, g.Reason, g.Error, mails[group])
		tries := n.tries[g.Site+"/"+g.Group]
		want := 0
		switch {
		case len(tries) > 0 && n.known(&tries[len(tries)-1]):
			want = 1
			if g.Outcome != "accepted" && !strings.HasPrefix(g.Reason, "accepted already") {
				n.fail("forgotten: %s", said)
			}
		case g.Outcome == "accepted", strings.HasPrefix(g.Reason, "accepted already"):
			want = 1
		case g.Outcome == "skipped" && strings.HasPrefix(g.Reason, "not in run") && (n.anew || n.doubted(group)):
			continue // perhaps in a run before that one
		case g.Outcome == "unknown_group" && slices.Contains(n.unknown, group),
			g.Outcome == "skipped" && strings.HasPrefix(g.Reason, "not in run"):
		case g.Outcome == "skipped" && strings.HasPrefix(g.Reason, "unknown to the site"), // after a mail of unknown fate, perhaps
			g.Outcome == "ambiguous" && n.skip && strings.HasSuffix(g.Reason, "was left alone"),
			g.Outcome == "ambiguous" && n.real && strings.Contains(g.Error, "timed out"): // a busy machine
			continue
		default:
			n.fail("lost: %s", said)
			continue
		}
		if mails[group] != want {
			n.fail("%s, want %d", said, want)
		}
	}
}

// known tells whether a try was accepted and all later runs know of it.
func (n *night) known(t *try) bool {
	return t.outcome == dispatcher.Accepted && !n.torn[t.run] && !n.anew
}

// doubted tells whether a try of a group was of unknown fate.
func (n *night) doubted(g standin.Group) bool {
	return slices.ContainsFunc(n.tries[g.Site+"/"+g.Group], func(t try) bool { return t.outcome == dispatcher.Ambiguous })
}

// onSockets puts a night on real sockets. nowhere is an address that refuses all connections.
func (n *night) onSockets(nowhere string) {
	n.start = func() *visit {
		server, err := n.site.Start()
		if err != nil {
			panic(err)
		}
		// Once a server has given its port back, the next to get it may be another night's: who asks for the old
		// one then, and a run does so for as long as it takes the site to be down, must not end up there.
		var dialling sync.RWMutex
		closed := false
		v := &visit{close: func() {
			dialling.Lock()
			closed = true
			dialling.Unlock()
			server.Close()
		}}
		v.limited = func(timeout time.Duration) *hooks.Client {
			transport := hooks.NewTransport(hooks.TransportOptions{})
			dial := transport.DialContext
			transport.Proxy = nil
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				dialling.RLock()
				defer dialling.RUnlock()
				if closed {
					address = nowhere
				}
				return dial(ctx, network, address)
			}
			return clientAt(server.URL, hooks.Options{Transport: transport, Timeout: timeout})
		}
		v.client = v.limited(30 * time.Second)
		return v
	}
}

// refusing gives an address of this machine at which nobody listens, nor can: its port is that of our end of a
// connection.
func refusing(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours.LocalAddr().String()
}

// inFakeTime puts a night on pipes.
func (n *night) inFakeTime() {
	n.start = func() *visit {
		pipe := standin.Pipe()
		server := n.site.Serve(pipe)
		v := &visit{close: server.Close}
		v.limited = func(timeout time.Duration) *hooks.Client {
			transport := hooks.NewTransport(hooks.TransportOptions{})
			transport.Proxy, transport.DialContext = nil, pipe.DialContext
			return clientAt(server.URL, hooks.Options{Transport: transport, Timeout: timeout})
		}
		v.client = v.limited(time.Hour)
		return v
	}
}

func clientAt(site string, o hooks.Options) *hooks.Client {
	u, err := hooks.ParseURL(site)
	if err != nil {
		panic(err)
	}
	return hooks.New(u, hooks.NewToken(standin.DefaultToken), o)
}

// soakedInstallation is the one of all nights: its name is slow to make, and each night has its own directory.
var soakedInstallation = sync.OnceValue(func() state.Installation { return state.NewInstallation("a digest", nil) })

// fromEnvironment reads a number, or takes the usual one.
func fromEnvironment(t *testing.T, name string, usual uint64) uint64 {
	text := cmp.Or(os.Getenv(name), strconv.FormatUint(usual, 10))
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return number
}

// nightsToMake are how many nights, the number of the first, and how far on the next one is.
func nightsToMake(t *testing.T) (nights, first, step uint64) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: nights by the thousand")
	}
	return fromEnvironment(t, "SOAK_NIGHTS", usualNights), fromEnvironment(t, "SOAK_FIRST", 1), fromEnvironment(t, "SOAK_STEP", 1)
}

// stateIn makes the state directory of a night.
func stateIn(t *testing.T, root string, i uint64) *state.Dir {
	dir, err := state.Open(filepath.Join(root, strconv.FormatUint(i, 10)))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (n *night) report(t *testing.T) {
	t.Helper()
	if len(n.broken) > 0 {
		t.Errorf("night %d (to replay it: SOAK_FIRST=%d SOAK_STEP=0 SOAK_NIGHTS=%d go test -race -count=1 -run '^%s$' ./internal/campaign):\n\t%s",
			n.seed, n.seed, replays, t.Name(), strings.Join(n.broken, "\n\t"))
	}
}

func TestSoakSendsNoDigestTwiceAndLosesNone(t *testing.T) {
	nights, first, step := nightsToMake(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	root, nowhere := t.TempDir(), refusing(t)
	var next, runs, sends, doubts, settled atomic.Uint64
	var pool sync.WaitGroup
	for range min(abreast, nights) {
		pool.Go(func() {
			for i := next.Add(1) - 1; i < nights; i = next.Add(1) - 1 {
				dir, err := state.Open(filepath.Join(root, strconv.FormatUint(i, 10)))
				if err != nil {
					t.Error(err)
					return
				}
				n := newNight(first+i*step, dir, time.Millisecond)
				n.onSockets(nowhere)
				n.whole(t.Context())
				n.report(t)
				runs.Add(uint64(n.runs))
				doubts.Add(uint64(n.doubts))
				settled.Add(uint64(n.settled))
				for _, tries := range n.tries {
					sends.Add(uint64(len(tries)))
				}
				_ = os.RemoveAll(dir.Path())
			}
		})
	}
	pool.Wait()
	t.Logf("%d nights from %d on: %d runs, %d tries, %d of unknown fate, %d groups settled within their run",
		nights, first, runs.Load(), sends.Load(), doubts.Load(), settled.Load())
}

func TestSoakInFakeTimeSendsNoDigestTwiceAndLosesNone(t *testing.T) {
	nights, first, step := nightsToMake(t)
	root, settled := t.TempDir(), 0
	for i := range (nights + 9) / 10 {
		var n *night
		synctest.Test(t, func(t *testing.T) {
			n = newNight(first+i*step, stateIn(t, root, i), time.Second)
			n.inFakeTime()
			n.whole(t.Context())
		})
		n.report(t) // out here, for a bubble that fails ends the test
		settled += n.settled
	}
	t.Logf("%d groups settled within their run", settled)
}
