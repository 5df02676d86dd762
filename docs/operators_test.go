package docs_test

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/report"
)

func TestOperatorsAreToldOfEveryServiceAndWhatItLeaves(t *testing.T) {
	page := readText(t, "docs/operators.md")
	profiles := readText(t, "docs/sendprofile.md")
	units, err := filepath.Glob("contrib/systemd/*@.*")
	if err != nil || len(units) < 9 {
		t.Fatalf("units: %v, %v", units, err)
	}
	for _, path := range units {
		name := strings.TrimSuffix(filepath.Base(path), ".service")
		if !strings.Contains(page, strings.Replace(name, "@.timer", "@NAME.timer", 1)) && !strings.HasPrefix(name, "senddigest@.") {
			t.Errorf("docs/operators.md does not name %s", name)
		}
		text := strings.ReplaceAll(readText(t, path), "%i", "NAME")
		for _, left := range regexp.MustCompile(`/(?:etc/send\w+|var/log/senddigest)/[\w-]+\.\w+`).FindAllString(text, -1) {
			file, going := filepath.Base(left), strings.Contains(name, "-re") // of a service that goes on with a run: without the ending
			if going && strings.HasPrefix(left, "/var") {
				file = strings.TrimSuffix(file, filepath.Ext(file))
			}
			if !strings.Contains(page, "/"+file) && !strings.Contains(page, "`"+file) && file != "NAME.conf" {
				t.Errorf("docs/operators.md does not name %s of %s", file, name)
			}
			if name == "sendprofile@" && strings.HasPrefix(left, "/var") && !strings.Contains(profiles, left) {
				t.Errorf("docs/sendprofile.md does not name %s", left)
			}
			if strings.HasPrefix(left, "/etc/sendprofile") && !strings.Contains(page, left) {
				t.Errorf("docs/operators.md does not name %s", left)
			}
		}
	}
}

// The table has senddigest's names, and a sentence below it how sendprofile's differ.
func TestOperatorsAreToldOfEveryMetricOfBothPrograms(t *testing.T) {
	page := readText(t, "docs/operators.md")
	for _, c := range []campaign.Campaign{campaign.Digest(nil, nil), campaign.Profile(nil)} {
		program := cmp.Or(c.Program, "senddigest")
		path := filepath.Join(t.TempDir(), "run.prom")
		document := report.New(&dispatcher.Report{}, report.Meta{Mail: c.Mail, Things: c.Things, Unguarded: c.Guard == nil})
		if err := (metrics.Run{Program: program, Document: document, Sends: &metrics.Sends{}}).WriteFile(path); err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^# HELP (\w+) `).FindAllStringSubmatch(readText(t, path), -1)
		if len(found) < 10 {
			t.Fatalf("only %d metrics of %s", len(found), program)
		}
		for _, metric := range found {
			name := strings.Replace(strings.Replace(metric[1], program, "senddigest", 1), c.Things.String(), "groups", 1)
			if !strings.Contains(page, "`"+name) {
				t.Errorf("docs/operators.md does not have %s", metric[1])
			}
			if own := metric[1]; strings.Contains(own, c.Things.String()) && !strings.Contains(page, "`"+own) {
				t.Errorf("docs/operators.md does not have %s", own)
			}
		}
	}
}
