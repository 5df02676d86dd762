package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
)

// A person is one whose name has no site.
type person string

func (p person) Key() string { return string(p) }

func TestAReportOfPeopleNamesThemInFilesAlone(t *testing.T) {
	accepted := dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
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
	m := meta()
	m.Campaign, m.Mail, m.Things, m.Private, m.Unguarded = "profile", "notification", printable.NewNoun("person", "people"), true, true
	m.Names = func(j dispatcher.Job) (site, name string) { return "", j.Key() }
	m.Again, m.GoOn = nil, func(option string) string { return "sendprofile " + option + " https://groups.example.com/" }
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
