package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/metrics"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/report"
)

const (
	alerts    = "../../contrib/prometheus/alerts.yml"
	dashboard = "../../contrib/grafana/senddigest.json"
)

// names finds the series in a text.
func names(text string) []string {
	found := regexp.MustCompile(`\bsend(?:digest|profile)_[a-z_]+`).FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// series that a run writes, and that it has while it goes on.
func seriesOf(t *testing.T, r metrics.Run, goesOn report.Meta) []string {
	var list []string
	var now strings.Builder
	text := written(t, r)
	r.Document = report.New(&dispatcher.Report{}, goesOn)
	if err := r.Write(&now); err != nil {
		t.Fatal(err)
	}
	for _, line := range series.FindAllString(text+now.String(), -1) {
		name, _, _ := strings.Cut(line, "{")
		list = append(list, name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ours are those of senddigest, and theirs those of sendprofile.
func ours(t *testing.T) []string {
	return seriesOf(t, stored(), report.Meta{State: report.Running})
}

func theirs(t *testing.T) []string {
	people := printable.NewNoun("person", "people")
	r := stored()
	r.Program, r.Document = "sendprofile", document(&dispatcher.Report{}, report.Meta{Things: people})
	return seriesOf(t, r, report.Meta{State: report.Running, Things: people})
}

// A board is what we ask of a dashboard's JSON.
type board struct {
	Title, UID string
	Templating struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Panels []struct {
		ID         int
		Title      string
		Datasource source
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			Datasource source
			Expr       string
		}
	}
}

type source struct{ Type, UID string }

func readBoard(t *testing.T) board {
	t.Helper()
	var b board
	if err := json.Unmarshal([]byte(read(t, dashboard)), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.Panels) == 0 || b.Title == "" || b.UID == "" {
		t.Fatalf("no dashboard: %+v", b)
	}
	return b
}

func TestAlertsNameOnlyWhatIsWritten(t *testing.T) {
	for _, name := range names(read(t, alerts)) {
		if !slices.Contains(append(ours(t), theirs(t)...), name) {
			t.Errorf("%s names %s, which no run writes", alerts, name)
		}
	}
}

func TestTheDashboardShowsAllThatIsWrittenAndNothingElse(t *testing.T) {
	var shown []string
	for _, p := range readBoard(t).Panels {
		for _, target := range p.Targets {
			shown = append(shown, names(target.Expr)...)
		}
	}
	slices.Sort(shown)
	shown = slices.DeleteFunc(slices.Compact(shown), func(name string) bool {
		return slices.Contains(theirs(t), name) // some are enough of a run a month
	})
	if diff := gocmp.Diff(shown, ours(t)); diff != "" {
		t.Errorf("the panels -, the file +:\n%s", diff)
	}
}

func TestTheDashboardsPanelsAskTheChosenSourceForTheChosenSites(t *testing.T) {
	b := readBoard(t)
	variables := map[string]string{}
	for _, v := range b.Templating.List {
		variables[v.Name] = v.Type
	}
	if diff := gocmp.Diff(variables, map[string]string{"datasource": "datasource", "site": "query"}); diff != "" {
		t.Errorf("variables: got -, want +:\n%s", diff)
	}
	chosen := source{"prometheus", "${datasource}"}
	ids := map[int]bool{}
	for i, p := range b.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d, %q: no id of its own, or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Datasource != chosen {
			t.Errorf("%s: source %+v", p.Title, p.Datasource)
		}
		for _, target := range p.Targets {
			if target.Datasource != chosen {
				t.Errorf("%s: source %+v of %s", p.Title, target.Datasource, target.Expr)
			}
			if n := strings.Count(target.Expr, `site=~"$site"`); n != len(regexp.MustCompile(`\bsend(?:digest|profile)_`).FindAllString(target.Expr, -1)) {
				t.Errorf("%s: not all of %s is of the chosen sites", p.Title, target.Expr)
			}
		}
		for _, other := range b.Panels[:i] {
			a, o := p.GridPos, other.GridPos
			if a.X < o.X+o.W && o.X < a.X+a.W && a.Y < o.Y+o.H && o.Y < a.Y+a.H {
				t.Errorf("%s stands on %s", p.Title, other.Title)
			}
		}
	}
}

// promtool reads queries only in rules, so each becomes one.
func TestTheDashboardsQueriesAreQueries(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, p := range readBoard(t).Panels {
		for j, target := range p.Targets {
			fmt.Fprintf(&rules, "  - record: panel_%d_%d\n    expr: %q\n", i, j, strings.ReplaceAll(target.Expr, "$site", ".*"))
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
}

// What counts as failed is said once in the program, and must be the same in the queries.
func TestAlertsAndDashboardKnowWhichOutcomesFail(t *testing.T) {
	var failed []string
	for _, o := range dispatcher.Outcomes() {
		if o.Failed() {
			failed = append(failed, o.String())
		}
	}
	slices.Sort(failed)
	asked := regexp.MustCompile(`outcome=~\\?"([a-z_|]+)\\?"`)
	for _, path := range []string{alerts, dashboard} {
		found := asked.FindAllStringSubmatch(read(t, path), -1)
		if len(found) == 0 {
			t.Errorf("%s asks for no outcomes", path)
		}
		for _, m := range found {
			got := strings.Split(m[1], "|")
			slices.Sort(got)
			if diff := gocmp.Diff(got, failed); diff != "" {
				t.Errorf("%s: got -, want +:\n%s", path, diff)
			}
		}
	}
}

func TestAlertsStandWhenTheyShould(t *testing.T) {
	promtool(t, "", "check", "rules", alerts)
	promtool(t, "", "test", "rules", "testdata/alerts_test.yml")
}
