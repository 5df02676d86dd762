package report_test

import (
	"fmt"
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
	b.Smooth("loading", nil, func() { b.Open(url) })
	sort := func(column int) string {
		return fmt.Sprintf(`document.querySelector("#columns th:nth-child(%d) button").click();`, column)
	}
	search := func(text string) string {
		return fmt.Sprintf(`{ const e = document.getElementById("search"); e.value = %q; e.dispatchEvent(new Event("input")); }`, text)
	}
	do := func(script string) func() {
		return func() { b.Eval(`new Promise((over) => setTimeout(() => { `+script+` over(0); }))`, nil) }
	}
	for _, tt := range []struct{ name, before, script string }{
		{"sorting by name", sort(3), sort(1)},
		{"sorting by name, the other way", sort(3) + sort(1), sort(1)},
		{"sorting by time", sort(1), sort(3)},
		{"sorting by time, the other way", sort(1) + sort(3), sort(3)},
		{"searching", search(""), search("group 0")},
		{"showing all again", search("group 0"), search("")},
		{"the next page", "", `document.getElementById("later").click();`},
	} {
		b.Smooth(tt.name, do(tt.before), do(tt.script))
	}
}
