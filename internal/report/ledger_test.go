package report_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/report"
)

// counted are the figures of a night.
func counted(mailed, nothing, swallowed, missing, unknown int) (c ledger.Counts) {
	c[ledger.Mailed], c[ledger.Nothing], c[ledger.Swallowed], c[ledger.Missing], c[ledger.Unknown] =
		mailed, nothing, swallowed, missing, unknown
	return c
}

// judged is a run of which the site's tables told all that they can, and the nights before it.
func judged() (*dispatcher.Report, report.Meta) {
	m := meta()
	m.Ledger = &report.Ledger{
		Mails: []ledger.Mail{
			ledger.Mailed, ledger.Mailed, ledger.Nothing, ledger.Swallowed, ledger.Missing, ledger.Unknown, ledger.NotAsked, ledger.Nothing,
		},
		Gaps: ledger.Gaps{
			Groups: []ledger.Group{{Site: "main", Group: "alpha"}, {Site: "parks", Group: "bell\a"}},
			Posts:  3, Later: 150 * time.Minute,
		},
	}
	m.Nights = []report.Night{
		{Run: "20261120T020000Z-0a0b", Started: began.Add(-72 * time.Hour), Mails: counted(400, 80, 0, 0, 20)},
		{Run: "20261121T020000Z-1c2d", Started: began.Add(-48 * time.Hour), Mails: counted(450, 40, 9, 1, 0), GapPosts: 2},
		{Run: "20261122T020000Z-01c2", Started: began.Add(-24 * time.Hour), Mails: counted(470, 30, 0, 0, 0)},
	}
	return ended(20*time.Second, nil,
		sent(job{"main", "alpha"}, accepted, 0, time.Second, 1),
		sent(job{"main", "beta"}, accepted, time.Second, time.Second, 1),
		sent(job{"main", "quiet"}, accepted, 2*time.Second, time.Second, 1),
		sent(job{"parks", "early & <soon>"}, accepted, 3*time.Second, time.Second, 1),
		sent(job{"parks", "nobody\x1b[2J"}, accepted, 4*time.Second, time.Second, 2),
		sent(job{"parks", "slow"}, proxy504, 5*time.Second, 10*time.Second, 2),
		sent(job{"parks", "broken"}, database, 6*time.Second, time.Second, 1),
		left(job{"schools", "idle"}, dispatcher.Skipped, "nothing to mail"),
	), m
}

func TestEachFormatSaysWhatBecameOfTheMail(t *testing.T) {
	d := report.New(judged())
	golden(t, "judged.txt", text(t, d))
	golden(t, "judged.html", htmlOf(t, d))
	data := jsonOf(t, d)
	golden(t, "judged.json", data)
	got := readBack(t, data)
	want := &report.LedgerCounts{Mailed: 2, Nothing: 2, Swallowed: 1, Missing: 1, Unknown: 1, Gaps: report.GapCounts{Groups: 2, Posts: 3}}
	if diff := cmp.Diff(got.Ledger, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	var mails []string
	for _, g := range got.Groups {
		if g.Mail == nil {
			g.Mail = new("null")
		}
		mails = append(mails, *g.Mail)
	}
	if want := []string{"mailed", "mailed", "nothing", "swallowed", "missing", "unknown", "null", "nothing"}; !slices.Equal(mails, want) {
		t.Errorf("got %q, want %q", mails, want)
	}
}

// A journal keeps how many groups have gaps, and not which.
func TestGapsWithoutNamesAreCounted(t *testing.T) {
	run, m := judged()
	m.Ledger.Gaps, m.Ledger.GapGroups = ledger.Gaps{Posts: 1}, 1
	d := report.New(run, m)
	for format, got := range map[string]string{"text": string(text(t, d)), "HTML": string(htmlOf(t, d))} {
		if want := "1 post in 1 group fell between two digests and got into neither"; !strings.Contains(got, want) {
			t.Errorf("%s: it does not say %q", format, want)
		}
	}
	if c := readBack(t, jsonOf(t, d)).Ledger.Gaps; c != (report.GapCounts{Groups: 1, Posts: 1}) {
		t.Errorf("got %+v", c)
	}
}

func TestNothingIsSaidOfTheMailWhereTheTablesWereNotRead(t *testing.T) {
	run, m := judged()
	m.Ledger = nil
	d := report.New(run, m)
	page := string(htmlOf(t, d))
	_, body, _ := strings.Cut(page, "<body>")
	body, _, _ = strings.Cut(body, `<script>"use strict"`)
	for _, never := range []string{"mail</", "swallowed", `id="mail"`, `"#mail"`, `id="nights"`, `id="verdict"`, `"mails"`} {
		if strings.Contains(body, never) {
			t.Errorf("the page has %s", never)
		}
	}
	if s := string(text(t, d)); strings.Contains(s, "swallowed") || strings.Contains(s, " mailed\n") {
		t.Errorf("the text says\n%s", s)
	}
}

func TestARunWithoutALossSaysSo(t *testing.T) {
	run, m := ended(time.Second, nil, every(3, accepted)...), meta()
	m.Ledger = &report.Ledger{Mails: []ledger.Mail{ledger.Mailed, ledger.Nothing, ledger.Mailed}}
	page := string(htmlOf(t, report.New(run, m)))
	if want := "<p>Every accepted group that had something to mail was mailed.</p>"; !strings.Contains(page, want) {
		t.Errorf("it does not say %s", want)
	}
	if strings.Contains(page, `id="nights"`) {
		t.Error("one run alone is no picture")
	}
	m.Nights = []report.Night{{Run: "20261122T020000Z-01c2", Started: began.Add(-24 * time.Hour), Mails: counted(2, 1, 0, 0, 0)}}
	page = string(htmlOf(t, report.New(run, m)))
	if want := "<figcaption>No digest is known to be lost in the last 2 runs."; !strings.Contains(page, want) {
		t.Errorf("it does not say %s", want)
	}
	if strings.Contains(page, `<text class="lost"`) || strings.Contains(page, `<rect class="swallowed" x="1`) {
		t.Error("there is something above the line")
	}
}

// manyNights are those of a month of a large site, of which few lost a digest and one lost many.
func manyNights() (*dispatcher.Report, report.Meta) {
	const groups = 600
	run, m := night(groups)
	m.Ledger = &report.Ledger{Mails: make([]ledger.Mail, groups)}
	for i := range m.Ledger.Mails {
		switch r := &run.Results[i]; {
		case r.Outcome == dispatcher.Ambiguous:
			m.Ledger.Mails[i] = ledger.Unknown
		case r.Outcome != dispatcher.Accepted:
		case i == 100 || i == 101:
			m.Ledger.Mails[i] = ledger.Swallowed
		case i == 102:
			m.Ledger.Mails[i] = ledger.Missing
		case i%6 == 0:
			m.Ledger.Mails[i] = ledger.Nothing
		default:
			m.Ledger.Mails[i] = ledger.Mailed
		}
	}
	for i := range 29 {
		n := report.Night{
			Run: fmt.Sprintf("202610%02dT020000Z-%04x", i+1, i), Started: began.Add(time.Duration(i-29) * 24 * time.Hour),
			Mails: counted(450+10*(i%7), 140-10*(i%7), 0, 0, 0),
		}
		switch i {
		case 3:
			n.Mails = counted(0, 0, 0, 0, 590)
		case 8:
			n.Mails[ledger.Swallowed] = 1
		case 15:
			n.Mails, n.GapPosts = counted(330, 90, 160, 2, 8), 12
		case 16:
			n.Mails[ledger.Missing] = 2
		case 24:
			n.Mails[ledger.Missing], n.Mails[ledger.Swallowed] = 4, 9
		}
		m.Nights = append(m.Nights, n)
	}
	m.Ledger.Gaps = ledger.Gaps{Groups: []ledger.Group{{Site: "main", Group: "alpha"}}, Posts: 1, Later: time.Hour}
	return run, m
}

func TestTheMailIsSeenInABrowser(t *testing.T) {
	run, m := manyNights()
	d := report.New(run, m)
	path := filepath.Join(t.TempDir(), "run.html")
	if err := d.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t)
	b.Width(1200)
	b.Open("file://" + path)
	filterByMail(t, b, d)
	lookAtNights(t, b)
	b.Eval("document.querySelector('#nights details').open = true", nil)
	for _, width := range []int{360, 800, 1400} {
		b.Width(width)
		for _, scheme := range []string{"light", "dark"} {
			b.Media("screen", scheme)
			name := fmt.Sprintf("%d %s", width, scheme)
			var faint []string
			if b.Eval(contrast, &faint); len(faint) > 0 {
				t.Errorf("%s: too little contrast: %q", name, faint)
			}
			if wide := b.Number("document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: the page is %d wide", name, wide)
			}
			var least float64 // one lost digest is seen beside 160, and in a month's width
			b.Eval("Math.min(...[...document.querySelectorAll('.mails .swallowed, .mails .missing')].map(e => { const r = e.getBoundingClientRect(); return Math.min(r.width, r.height); }))", &least)
			if least < 3 {
				t.Errorf("%s: what was lost is drawn on %v pixels", name, least)
			}
			b.Screenshot(name + ".png")
			b.ScreenshotOf(name+", mail.png", "[aria-labelledby=mail]")
			b.ScreenshotOf(name+", figures.png", "[aria-labelledby=run]")
		}
	}
	if logged, requests := b.Complaints(); len(logged) > 0 || len(requests) > 0 {
		t.Errorf("logged: %q; asked for: %q", logged, requests)
	}
}

// filterByMail checks the table of all groups: its column, and the filter, which goes with that by outcome.
func filterByMail(t *testing.T, b *browser.Browser, d *report.Document) {
	t.Helper()
	found := func(want int) {
		t.Helper()
		if got, want := b.Text("#found"), fmt.Sprintf("%d of 600 groups", want); got != want {
			t.Errorf("the table says %q, want %q", got, want)
		}
	}
	choose := func(id, word string) {
		t.Helper()
		b.Eval(fmt.Sprintf("{const e = document.getElementById(%q); e.value = [...e.options].find(o => o.text === %q).value; e.dispatchEvent(new Event('change'))}", id, word), nil)
	}

	if got := b.Text("#columns th:nth-child(3)"); got != "Mail" {
		t.Errorf("the third column is %q", got)
	}
	for word, want := range map[string]int{
		"mailed": d.Ledger.Mailed, "nothing": d.Ledger.Nothing, "swallowed": 2, "missing": 1, "unknown": d.Ledger.Unknown,
		"not asked": 600 - d.Ledger.Mailed - d.Ledger.Nothing - 3 - d.Ledger.Unknown,
	} {
		choose("verdict", word)
		found(want)
	}
	choose("outcome", "accepted")
	choose("verdict", "unknown")
	found(0)
	b.Click("button[data-mail=swallowed]")
	found(2)
	if got := b.Text("#rows td:nth-child(3)"); got != "✗ swallowed" {
		t.Errorf("the table says %q", got)
	}
	b.Click("button[data-outcome=not_ok]")
	found(d.Counts.NotOK)
}

// lookAtNights checks the picture: a bar a run, the present one last and marked.
func lookAtNights(t *testing.T, b *browser.Browser) {
	t.Helper()
	for _, tt := range []struct {
		what, expression string
		want             int
	}{
		{"bars", "document.querySelectorAll('.mails g').length", 30},
		{"bars of this run", "document.querySelectorAll('.mails g.now').length", 1},
		{"what follows it", "document.querySelectorAll('.mails g.now ~ g').length", 0},
		{"bars above the line", "document.querySelectorAll('.mails .swallowed, .mails .missing').length", 8},
		{"nights with gaps", "document.querySelectorAll('.mails .gap').length", 2},
		{"rows of figures", "document.querySelectorAll('#nights tbody tr').length", 30},
		{"titles", "document.querySelectorAll('.mails g > title').length", 30},
		{"pictures without a text", "[...document.querySelectorAll('svg')].filter(s => !s.ariaLabel && s.ariaHidden !== 'true').length", 0},
		{"rows without a header", "[...document.querySelectorAll('tbody tr')].filter(r => !r.querySelector('th[scope=row]')).length", 0},
		{"fields without a label", "[...document.querySelectorAll('input, select')].filter(e => e.labels.length !== 1).length", 0},
	} {
		if got := b.Number(tt.expression); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.what, got, tt.want)
		}
	}
	var title string
	b.Eval("document.querySelectorAll('.mails title')[15].textContent", &title)
	if want := "20261016T020000Z-000f, 2026-11-09 02:00:00 UTC: 330 mailed, 90 nothing to mail, 160 swallowed, 2 missing, 8 unknown, 12 posts in no digest"; title != want {
		t.Errorf("got %q, want %q", title, want)
	}
}
