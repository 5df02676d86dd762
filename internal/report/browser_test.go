package report_test

import (
	"path/filepath"
	"testing"

	"github.com/groupserver/senddigest/internal/browser"
	"github.com/groupserver/senddigest/internal/report"
)

// open shows the report of 20,000 groups, held against another, in a browser.
func open(t *testing.T) (b *browser.Browser, url string) {
	t.Helper()
	run, m := night(20_000)
	before, _ := night(20_000)
	before.Results[20].Verdict, before.Results[21].Verdict = database, database
	d := report.New(run, m)
	d.CompareWith(report.Past{Run: "20261122T020000Z-01c2", Results: before})
	path := filepath.Join(t.TempDir(), "run.html")
	if err := d.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	b = browser.Start(t)
	b.Open("file://" + path)
	return b, "file://" + path
}

func TestTheHTMLReportIsForEverybody(t *testing.T) {
	b, _ := open(t)
	b.Judge("report", 360, 800, 1400)
}

func TestTheTableOfTwentyThousandGroupsAnswersAtOnce(t *testing.T) {
	b, url := open(t)
	b.Smooth("loading", func() { b.Open(url) })
	for _, tt := range []struct{ name, script string }{
		{"sorting by name", `document.querySelector("#columns th:nth-child(1) button").click()`},
		{"sorting by time", `document.querySelector("#columns th:nth-child(3) button").click()`},
		{"searching", `const e = document.getElementById("search"); e.value = e.value ? "" : "group 0"; e.dispatchEvent(new Event("input"))`},
		{"the next page", `document.getElementById("later").click()`},
	} {
		b.Smooth(tt.name, func() { b.Eval(`new Promise((over) => setTimeout(() => { `+tt.script+`; over(0); }))`, nil) })
	}
}
