package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
)

// A person is one whose name has no site.
type person string

func (p person) Key() string { return string(p) }

func peopleMeta() report.Meta {
	m := meta()
	m.Program, m.Campaign, m.Mail, m.Things, m.Private, m.Unguarded = "sendprofile", "profile", "notification", printable.NewNoun("person", "people"), true, true
	m.Again = nil // it would mail all of them again
	m.Names = func(j dispatcher.Job) (site, name string) { return "", j.Key() }
	return m
}

func TestAReportOfPeopleNamesThemInFilesAlone(t *testing.T) {
	var results []dispatcher.Result
	add := func(p person, v dispatcher.Verdict) {
		results = append(results, dispatcher.Result{
			Job: p, Verdict: v, Attempts: 1, Worker: 1, Start: began.Add(time.Duration(len(results)) * time.Second), Took: time.Second,
		})
	}
	add("anna", accepted)
	add("bert", dispatcher.Verdict{Outcome: dispatcher.Skipped, Status: 200, Reason: "no verified address"})
	add("carl", failure(dispatcher.NotOK, 500, "500 Internal Server Error: KeyError"))
	add("dora", failure(dispatcher.Ambiguous, 0, "connection reset by peer"))
	m := peopleMeta()
	m.GoOn = func(option string) string { return "sendprofile " + option + " https://groups.example.com/" }
	d := report.New(&dispatcher.Report{Started: began, Finished: began.Add(4 * time.Second), Results: results, Peak: 1}, m)
	golden(t, "people.txt", text(t, d))
	golden(t, "people.html", htmlOf(t, d))
	golden(t, "people.json", jsonOf(t, d))
	path := filepath.Join(t.TempDir(), "people.txt")
	if err := d.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v, want it for its owner alone", info.Mode(), err)
	}
	var summary bytes.Buffer
	if err := d.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	golden(t, "people-summary.txt", summary.Bytes())
	for _, name := range []string{"anna", "bert", "carl", "dora"} {
		if bytes.Contains(summary.Bytes(), []byte(name)) {
			t.Errorf("the summary names %s: %s", name, summary.Bytes())
		}
	}
}

// A campaign whose names are personal data may have a guard, and tables that tell of its mail.
func TestNoPartOfASummaryNamesPeople(t *testing.T) {
	m := peopleMeta()
	m.Unguarded, m.Again = false, again
	m.Ledger = &report.Ledger{
		Mails: []ledger.Mail{ledger.Mailed, ledger.Swallowed, ledger.Missing, ledger.Unknown},
		Gaps:  ledger.Gaps{Groups: []ledger.Group{{Group: "anna"}}, Posts: 2},
	}
	all := func(bert, carl dispatcher.Verdict, took time.Duration) *dispatcher.Report {
		results := []dispatcher.Result{
			{Job: person("anna"), Verdict: accepted, Lost: &dispatcher.Lost{Reason: "connection reset by peer", Start: began.Add(-11 * time.Minute)}},
			{Job: person("bert"), Verdict: bert},
			{Job: person("carl"), Verdict: carl},
			{Job: person("dora"), Verdict: accepted},
		}
		for i := range results {
			r := &results[i]
			r.Attempts, r.Worker, r.Start, r.Took = 1, 1, began.Add(time.Duration(i)*time.Second), took
		}
		return ended(time.Minute, nil, results...)
	}
	d := report.New(all(accepted, failure(dispatcher.NotOK, 500, "500"), time.Minute), m)
	d.CompareWith(report.Past{Run: "20261028T110000Z-01c2", Results: all(database, accepted, time.Second)})
	var summary bytes.Buffer
	if err := d.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	golden(t, "people-summary-judged.txt", summary.Bytes())
	whole := text(t, d)
	for _, name := range []string{"anna", "bert", "carl", "dora"} {
		if bytes.Contains(summary.Bytes(), []byte(name)) {
			t.Errorf("the summary names %s: %s", name, summary.Bytes())
		}
		if !bytes.Contains(whole, []byte(name)) {
			t.Errorf("the report does not name %s: %s", name, whole)
		}
	}
}

func TestAComparisonNamesPeopleWithoutASite(t *testing.T) {
	run := func(v dispatcher.Verdict, took time.Duration) *dispatcher.Report {
		return ended(time.Minute, nil,
			dispatcher.Result{Job: person("anna"), Verdict: v, Attempts: 1, Worker: 1, Start: began, Took: time.Second},
			dispatcher.Result{Job: person("bert"), Verdict: accepted, Attempts: 1, Worker: 1, Start: began, Took: took})
	}
	d := report.New(run(database, time.Minute), peopleMeta())
	d.CompareWith(report.Past{Run: "20261028T110000Z-01c2", Results: run(accepted, time.Second)})
	golden(t, "people-compared.txt", text(t, d))
}
