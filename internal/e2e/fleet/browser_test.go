package fleet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/standin"
)

func TestAWorkersPagesWorkInABrowser(t *testing.T) {
	t.Parallel()
	b := browser.Start(t)
	groups := some(5)
	w := newWorld(t, standin.Options{Groups: groups, Threads: 4})
	m := w.work(t.TempDir(), "--listen", "127.0.0.1:0")
	if code := w.run(t.TempDir()).code(); code != 0 {
		t.Fatal(code)
	}
	w.until("the pages", func() bool { return address.MatchString(m.output.String()) })
	base := address.FindString(m.output.String())
	b.Open(base + "queue/jobs?state=completed")
	w.until("River's page of the jobs", func() bool { return strings.Contains(b.Text("body"), "send") })
	b.Screenshot("fleet-queue.png")
	logged, requests := b.Complaints()
	if strange := slices.ContainsFunc(requests, func(url string) bool { return !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") }); strange || len(logged) > 0 {
		t.Errorf("logged: %q; asked for: %q", logged, requests)
	}
	b.Open(base)
	w.until("the live page of the night", func() bool { return strings.Contains(b.Text("body"), "5 of 5") })
	b.Screenshot("fleet-night.png")
	b.Open(base + "queue/queues")
	w.until("the queue", func() bool { return b.Number("document.querySelectorAll(`button[title=Pause]`).length") > 0 })
	b.Click("button[title='Pause']")
	w.until("River's page of an error", func() bool { return strings.Contains(b.Text("body"), "Show Error") })
	b.Eval("[...document.querySelectorAll('button')].find(b => b.textContent == 'Show Error').click()", nil)
	w.until("the refusal of an order that is none to a job", func() bool { return strings.Contains(b.Text("body"), "senddigest-fleet pause") })
}
