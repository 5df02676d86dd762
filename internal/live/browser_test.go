package live_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/live"
	"github.com/groupserver/senddigest/internal/web"
)

// A longNight has gone on for some time, with six workers.
type longNight struct {
	*night
	random *rand.Rand
	free   [6]time.Time // when each worker is free
	next   int          // the group of the next send
}

// newLongNight is a run of 20,000 groups of which so many are done. It began so that the last of them ends about now.
func newLongNight(done int) *longNight {
	n := &longNight{night: newNight(20_000, live.Options{
		Left: func() time.Duration { return 41 * time.Minute }, Status: func() string { return "waiting for the rate of 5/s" },
	}, false), random: rand.New(rand.NewPCG(1, 2))}
	n.meta.Workers = len(n.free)
	n.meta.Started = time.Now().Add(-time.Duration(done) * time.Second / 4).Truncate(time.Second)
	for i := range n.free {
		n.free[i] = n.meta.Started
	}
	for i := range n.groups {
		n.groups[i].Group = fmt.Sprintf("group-%05d", i)
	}
	n.begin()
	n.goOn(done)
	return n
}

// goOn has so many more sends end, and one in flight for each worker.
func (n *longNight) goOn(sends int) {
	send := func(kind dispatcher.Kind, r dispatcher.Result, inFlight int) {
		n.Observe(campaign.Send{Event: dispatcher.Event{Kind: kind, InFlight: inFlight, Result: r}})
	}
	for range sends {
		worker := slices.IndexFunc(n.free[:], func(t time.Time) bool { return t.Equal(slices.MinFunc(n.free[:], time.Time.Compare)) })
		took := time.Duration(float64(time.Second) * math.Exp(n.random.NormFloat64()*0.8))
		r := dispatcher.Result{Job: n.groups[n.next], Attempts: 1, Worker: worker + 1, Start: n.free[worker]}
		send(dispatcher.Started, r, 1)
		r.Verdict, r.Took = accepted, took
		if n.next%400 == 7 {
			r.Verdict = database
		}
		send(dispatcher.Finished, r, 0)
		n.free[worker] = n.free[worker].Add(took)
		n.results = append(n.results, r)
		n.next++
	}
	for worker, since := range n.free {
		send(dispatcher.Started, dispatcher.Result{Job: n.groups[n.next+worker], Attempts: 1, Worker: worker + 1, Start: since}, worker+1)
	}
}

func (n *longNight) serve(t *testing.T) *web.Server {
	t.Helper()
	server, err := web.Start(t.Context(), "127.0.0.1:0", false, n.Handler())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		server.Close(0)
	})
	return server
}

// shows waits until an element of the page says something.
func shows(b *browser.Browser, selector, text string) {
	b.Eval(fmt.Sprintf(`new Promise((shown) => {
		const look = () => document.querySelector(%q)?.textContent.includes(%q) && shown(0);
		new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
		look();
	})`, selector, text), nil)
}

func TestTheLivePageKeepsItselfUpToDateInABrowser(t *testing.T) {
	b := browser.Start(t)
	n := newLongNight(12_000)
	server := n.serve(t)
	b.Open(server.URL())
	if got := b.Number("document.documentElement.outerHTML.length"); got > 5_000_000 {
		t.Errorf("the page has %d characters", got)
	}
	shows(b, "#link", "keeps itself up to date")
	b.Judge("live", 360, 800, 1400)

	// What a person has chosen stays while the page changes.
	b.Eval(`document.querySelector("a[href='#slowest']").focus(); window.stays = document.querySelector("#slowest"); 0`, nil)
	for range 3 {
		b.Smooth("a change", nil, func() {
			n.goOn(40)
			shows(b, "h1", fmt.Sprintf("%d of 20000 groups", n.next-failures(n.results)))
		})
	}
	if got := b.Number(`Number(document.activeElement.hash === "#slowest" && window.stays.isConnected)`); got != 1 {
		t.Error("what had the focus is another element now")
	}

	n.goOn(20_000 - n.next - len(n.free))
	n.end()
	shows(b, "#link", "The run has ended")
	shows(b, "#found", fmt.Sprintf("%d of %[1]d groups", len(n.results)))
	if got := b.Text("main"); strings.Contains(got, "In flight") || !strings.Contains(got, "Search") {
		t.Error("the page is not the report")
	}
	t.Logf("frames at the end: %v ms", b.LongTasks())
	b.Judge("ended", 360, 1400)
	if logged, requests := b.Complaints(); len(logged) > 0 || len(requests) != 1 || !strings.HasSuffix(requests[0], "/events") {
		t.Errorf("logged: %q; asked for: %q", logged, requests)
	}
}

func failures(results []dispatcher.Result) (n int) {
	for _, r := range results {
		if r.Failed() {
			n++
		}
	}
	return n
}

func TestAPageWithoutItsProgramSaysSo(t *testing.T) {
	b := browser.Start(t)
	n := newLongNight(50)
	server := n.serve(t)
	b.Open(server.URL())
	shows(b, "#link", "keeps itself up to date")
	n.Close()
	server.Close(0)
	shows(b, "#link", "The connection was lost at")
	b.Judge("lost", 800)
}

func TestTheLivePageCanBeReadWithoutJavaScript(t *testing.T) {
	b := browser.Start(t)
	server := newLongNight(50).serve(t)
	b.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.Open(server.URL())
	var text string
	b.Eval("document.body.innerText", &text)
	for _, want := range []string{"of 20000 groups accepted", "6 in flight", "loaded anew every five seconds", "Sends in flight", "main/group-00050"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "keeps itself up to date") {
		t.Error("the page says what is not so")
	}
}
