package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/report"
	"golang.org/x/net/html"
)

func htmlOf(t *testing.T, d *report.Document) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hostile are names that a server could give a group to have a page obey them.
var hostile = []string{
	"</script><script>document.title='obeyed'</script>", `"><img src=x onerror="document.title='obeyed'">`, "<!--<script>",
	"{{.Title}}", "'`${1}`\u2028", "\x1b[2J\u202e", "</style><style>*{display:none}", "javascript:alert(1)", "]]>&lt;\\u003c",
}

// night is a run of n groups by 6 workers at at most 5 sends a second, in which everything happens that can.
func night(n int) (*dispatcher.Report, report.Meta) {
	random := rand.New(rand.NewPCG(1, 2))
	const workers = 6
	m := meta()
	m.Workers, m.Rate, m.Burst = workers, 5, 3
	var free [workers]time.Duration
	next := time.Duration(0)
	results := make([]dispatcher.Result, 0, n)
	for i := range n {
		worker := slices.Index(free[:], slices.Min(free[:]))
		start := max(free[worker], next) + time.Duration(random.IntN(20))*time.Millisecond
		next = start + time.Second/5
		took := time.Duration(float64(time.Second) * math.Exp(random.NormFloat64()*0.9-0.2))
		verdict := accepted
		switch p := random.IntN(1000); {
		case p < 6:
			verdict = database
		case p < 9:
			verdict, took = proxy504, time.Minute
		case p < 11:
			verdict = noAnswer
		case p < 16:
			verdict, took = unknown, 30*time.Millisecond
		case p < 17:
			verdict = failure(dispatcher.Unexpected, 200, "200, but not the hook's page: it is titled “"+hostile[i%len(hostile)]+"”")
		}
		j := job{[]string{"main", "parks", "council"}[i%3], fmt.Sprintf("group-%05d", i)}
		if i < len(hostile) {
			j.group, verdict = hostile[i], database
		}
		r := sent(j, verdict, start, took, worker+1)
		if verdict.Outcome == dispatcher.NotOK {
			r.Attempts = 3
		}
		results = append(results, r)
		free[worker] = start + took
	}
	end := slices.Max(free[:])
	return ended(end, nil, results...), m
}

func TestTheHTMLReportHasAllThatTheRunHad(t *testing.T) {
	golden(t, "stored.html", htmlOf(t, report.New(stored())))
}

func TestAnHTMLReportOfTwentyThousandGroupsIsBelowFiveMegabytes(t *testing.T) {
	const most = 5_000_000
	if got := len(htmlOf(t, report.New(night(20_000)))); got > most {
		t.Errorf("%d bytes, want at most %d", got, most)
	}
}

// Whatever the server calls its groups, the page has the elements of its template, the data is one JSON text, and the
// names are in it.
func TestAPageObeysNoName(t *testing.T) {
	count := func(page []byte) (elements, handlers int, data string) {
		z := html.NewTokenizer(bytes.NewReader(page))
		for {
			switch z.Next() {
			case html.ErrorToken:
				return elements, handlers, data
			case html.StartTagToken, html.SelfClosingTagToken:
				token := z.Token()
				switch token.Data {
				case "script", "style", "img", "iframe", "link", "meta", "form", "object", "a":
					elements++
				}
				for _, a := range token.Attr {
					if strings.HasPrefix(a.Key, "on") || a.Key == "src" {
						handlers++
					}
					if a.Key == "id" && a.Val == "data" {
						z.Next()
						data = string(z.Text())
					}
				}
			}
		}
	}
	plain, named := every(len(hostile), database), every(len(hostile), database)
	for i, name := range hostile {
		named[i].Job = job{name, name}
		named[i].Verdict = failure(dispatcher.NotOK, 500, name)
	}
	m := meta()
	m.StopWord, m.Run, m.URL, m.Notes = hostile[0], hostile[0], hostile[1], hostile
	m.Again = func(...string) string { return hostile[0] }
	tables := &report.Ledger{Mails: make([]ledger.Mail, len(hostile)), Gaps: ledger.Gaps{Posts: len(hostile)}}
	for i, name := range hostile {
		tables.Mails[i] = ledger.Missing
		tables.Gaps.Groups = append(tables.Gaps.Groups, ledger.Group{Site: name, Group: name})
		m.Nights = append(m.Nights, report.Night{Run: name, Started: began})
	}
	m.Ledger = tables
	harmless := meta()
	harmless.Ledger, harmless.Nights = tables, []report.Night{{Run: "20261122T020000Z-01c2"}}
	want, _, _ := count(htmlOf(t, report.New(ended(time.Second, nil, plain...), harmless)))
	d := report.New(ended(time.Second, errors.New(hostile[0]), named...), m)
	d.CompareWith(report.Past{Run: hostile[0], Results: ended(time.Second, nil, every(1, accepted)...)})
	got, handlers, data := count(htmlOf(t, d))
	if got != want || handlers != 0 {
		t.Errorf("%d elements that could do something, want %d; %d handlers and sources, want none", got, want, handlers)
	}
	var table struct {
		Sites  []string
		Groups [][]any
	}
	if err := json.Unmarshal([]byte(data), &table); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	if len(table.Groups) != len(hostile) || table.Sites[0] != hostile[0] || table.Groups[0][1] != hostile[0] {
		t.Errorf("got %v of %q", table.Groups, table.Sites)
	}
}

// contrast gives the texts of a page whose colours are less apart than WCAG's level AA asks for, 4.5 to 1.
const contrast = `(() => {
	const rgb = (c) => c.match(/[\d.]+/g).map(Number);
	const light = (c) => { const [r, g, b] = rgb(c).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
		if (rgb(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
	const faint = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.disabled || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const s = getComputedStyle(e), a = light(e.namespaceURI.endsWith("svg") ? s.fill : s.color), b = light(behind(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) faint.add(e.tagName + "." + e.getAttribute("class") + " " + ratio.toFixed(2) + " " + e.textContent.slice(0, 20));
	}
	return [...faint];
})()`

func TestTheHTMLReportWorksInABrowser(t *testing.T) {
	const groups = 20_000
	run, m := night(groups)
	d := report.New(run, m)
	before, _ := night(groups)
	before.Results[20].Verdict, before.Results[21].Verdict = database, database
	d.CompareWith(report.Past{Run: "20261122T020000Z-01c2", Results: before})
	path := filepath.Join(t.TempDir(), "run.html")
	if err := d.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	b.Width(1200)
	b.Open("file://" + path)

	found := func(want string) {
		t.Helper()
		if got := b.Text("#found"); got != want {
			t.Errorf("the table says %q, want %q", got, want)
		}
	}
	count := func(what, expression string, want int) {
		t.Helper()
		if got := b.Number(expression); got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	const rows = "document.querySelectorAll('#rows tr').length"

	// All groups, searched.
	found("20000 of 20000 groups")
	count("rows of a page", rows, 100)
	b.Write("#search", "GROUP-01234")
	found("1 of 20000 groups")
	count("rows found", rows, 1)
	if got := b.Text("#rows th"); got != "council/group-01234" && got != "main/group-01234" && got != "parks/group-01234" {
		t.Errorf("found %q", got)
	}
	b.Write("#search", "parks 0123")
	count("all words count", "[...document.querySelectorAll('#rows th')].filter(e => e.textContent.startsWith('parks/')).length", b.Number(rows))
	b.Write("#search", "group-99999")
	found("0 of 20000 groups")
	count("rows found", rows, 0)
	b.Write("#search", "</script><script>")
	if got := b.Text("#rows th"); !strings.HasSuffix(got, "/"+hostile[0]) {
		t.Errorf("found %q, want %q", got, hostile[0])
	}
	b.Write("#search", "")
	found("20000 of 20000 groups")

	// Sorted by length, by the outcome, by a cause's button, and page by page.
	b.Click("#columns th:nth-child(3) button")
	if got, want := b.Text("#rows tr td:nth-child(3)"), fmt.Sprintf("%.3f", d.Seconds.Max); got != want {
		t.Errorf("the longest took %s, want %s", got, want)
	}
	if got := b.Text("#columns [aria-sort=descending]"); got != "Took, s ▼" {
		t.Errorf("sorted by %q", got)
	}
	b.Eval("{const e = document.getElementById('outcome'); e.value = [...e.options].find(o => o.text === 'ambiguous').value; e.dispatchEvent(new Event('change'))}", nil)
	found(fmt.Sprintf("%d of 20000 groups", d.Counts.Ambiguous))
	b.Click("button[data-outcome=not_ok]")
	found(fmt.Sprintf("%d of 20000 groups", d.Counts.NotOK))
	b.Eval("{const e = document.getElementById('outcome'); e.value = ''; e.dispatchEvent(new Event('change'))}", nil)
	b.Write("#search", "")
	for range 3 {
		b.Click("#later")
	}
	if got := b.Text("#page"); got != "page 4 of 200" {
		t.Errorf("got %q", got)
	}

	// The timeline is drawn: each send is a piece of some path, and the paths cover the run.
	bars := 0
	for _, class := range []string{"even", "odd", "gone", "doubt", "bad"} {
		n := b.Number(fmt.Sprintf("(document.querySelector('#bars .%s').getAttribute('d').match(/M/g)).length", class))
		if class == "doubt" {
			n /= 2 // they are hollow
		}
		bars += n
	}
	if bars != groups {
		t.Errorf("%d bars, want %d", bars, groups)
	}
	for _, id := range []string{"bars", "starts", "flight"} {
		var box struct{ Width, Height float64 }
		b.Eval(fmt.Sprintf("(() => {const r = document.getElementById(%q).getBoundingClientRect(); return {width: r.width, height: r.height}})()", id), &box)
		if box.Width < 600 || box.Height < 40 {
			t.Errorf("%s is drawn on %v by %v", id, box.Width, box.Height)
		}
	}
	count("limits", "document.querySelectorAll('path.limit').length", 2)
	count("the slowest", "document.querySelectorAll('[aria-labelledby=slowest] tbody tr').length", 50)

	// What a reader who does not see it relies on.
	count("level-one headings", "document.querySelectorAll('h1').length", 1)
	count("tables without headers", "[...document.querySelectorAll('table')].filter(t => !t.querySelector('thead th[scope=col]')).length", 0)
	count("rows without a header", "[...document.querySelectorAll('tbody tr')].filter(r => !r.querySelector('th[scope=row]')).length", 0)
	count("pictures without a text", "[...document.querySelectorAll('svg')].filter(s => !s.ariaLabel && s.ariaHidden !== 'true').length", 0)
	count("fields without a label", "[...document.querySelectorAll('input, select')].filter(e => e.labels.length !== 1).length", 0)

	b.Eval("document.querySelector('#columns th button').click()", nil)
	for _, look := range []struct {
		name, media, scheme string
		width               int
	}{
		{"light", "screen", "light", 1200}, {"dark", "screen", "dark", 1200}, {"print", "print", "dark", 720},
	} {
		b.Media(look.media, look.scheme)
		b.Width(look.width)
		var faint []string
		if b.Eval(contrast, &faint); len(faint) > 0 {
			t.Errorf("%s: too little contrast: %q", look.name, faint)
		}
		b.Screenshot(look.name + ".png")
	}
	b.Keep("print.pdf", "Page.printToPDF", map[string]any{"printBackground": false, "preferCSSPageSize": true})
	b.Media("screen", "light")
	b.Width(390)
	b.Screenshot("narrow.png")
	if wide := b.Number("document.documentElement.scrollWidth"); wide > 390 {
		t.Errorf("a narrow page is %d wide", wide)
	}

	if got := b.Text("title"); strings.Contains(got, "obeyed") {
		t.Errorf("a name was obeyed: the title is %q", got)
	}
	logged, requests := b.Complaints()
	if len(logged) > 0 || len(requests) > 0 {
		t.Errorf("logged: %q; asked for: %q", logged, requests)
	}

	// Nothing could leave either: the page's policy is in force. This is the only thing that may be complained of.
	var answer string
	b.Eval("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')", &answer)
	count("policies broken", `new Promise(r => {
		let n = 0;
		document.addEventListener('securitypolicyviolation', () => r(++n));
		const s = document.createElement('script');
		s.textContent = 'document.title = "obeyed"';
		document.body.append(s);
	})`, 1)
	if _, requests := b.Complaints(); answer != "refused" || len(requests) > 0 || strings.Contains(b.Text("title"), "obeyed") {
		t.Errorf("a request was %s; asked for: %q; the title is %q", answer, requests, b.Text("title"))
	}
}

// Without JavaScript all but the table is there.
func TestAReportWithoutJavaScriptLacksOnlyTheTable(t *testing.T) {
	run, m := night(300)
	path := filepath.Join(t.TempDir(), "run.html")
	if err := os.WriteFile(path, htmlOf(t, report.New(run, m)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	b.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.Open("file://" + path)
	if got := b.Number("document.querySelectorAll('[aria-labelledby=slowest] tbody tr').length"); got != 50 {
		t.Errorf("%d of the slowest, want 50", got)
	}
	var text string
	b.Eval("document.body.innerText", &text)
	for _, want := range []string{"of 300 groups accepted", "database error", "90 %", "This table needs JavaScript", "Sends in flight"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "Show them in the table") {
		t.Error("it has a button that does nothing")
	}
}

func TestTheLimitIsDrawnWhereItMoved(t *testing.T) {
	run, m := ended(10*time.Second, nil, every(10, accepted)...), meta()
	level := string(htmlOf(t, report.New(run, m)))
	m.Workers = 2
	m.Limits = []report.Limit{{At: began, Sends: 1}, {At: began.Add(5 * time.Second), Sends: 2}, {At: began.Add(time.Minute), Sends: 1}}
	moved := string(htmlOf(t, report.New(run, m)))
	// Of 80 lines the lowest is 0 and the second is the limit, 2; the last change was after the end.
	if want := `<path class="limit" d="M0 41.0H5000V2.0H10000V41.0H10000"/>`; !strings.Contains(moved, want) || strings.Contains(level, want) {
		t.Errorf("there is no %s", want)
	}
	if want := "the limit was at most 2 (dashed line)"; !strings.Contains(moved, want) {
		t.Errorf("it does not say %q", want)
	}
	// Four workers are not drawn where one would have done: the curve would be flat.
	if want := "at most 1; the workers are 4<"; !strings.Contains(level, want) {
		t.Errorf("it does not say %q", want)
	}
}

func TestAPageOfAnyRunIsWhole(t *testing.T) {
	late := sent(job{"main", "late"}, accepted, 26*time.Hour, 40*time.Hour, 150)
	early := sent(job{"main", "early"}, accepted, -time.Second, 0, 1)
	noList := meta()
	noList.Error = "list of groups: connection refused"
	for name, d := range map[string]*report.Document{
		"no group":                  report.New(ended(0, nil), meta()),
		"no list":                   report.New(ended(0, nil), noList),
		"nothing tried":             report.New(ended(time.Second, errors.New("x"), left(job{"main", "a"}, dispatcher.NotAttempted, "x")), meta()),
		"many workers, days":        report.New(ended(time.Second, nil, late), meta()),
		"a clock that was set back": report.New(ended(-time.Hour, nil, early), meta()),
	} {
		page := string(htmlOf(t, d))
		if !strings.HasSuffix(page, "</script>\n</body>\n</html>\n") || strings.Contains(page, "NaN") || strings.Contains(page, "ZgotmplZ") {
			t.Errorf("%s: %s", name, page)
		}
	}
}
