package report_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/report"
)

// A run that goes on with what another machine's run had begun has sends that are older than itself.
func TestATimelineBeginsWithTheRunAlsoWhereSomeSendsAreOlder(t *testing.T) {
	before := sent(job{"main", "before"}, accepted, -2*time.Hour, time.Second, 1)
	across := sent(job{"main", "across"}, accepted, -2*time.Second, 4*time.Second, 1)
	within := sent(job{"main", "within"}, accepted, 5*time.Second, 5*time.Second, 2)
	d := report.New(ended(10*time.Second, nil, before, across, within), meta())
	page := string(htmlOf(t, d))
	for _, want := range []string{"Timeline of 2 sends by 2 workers", "Sends in flight, at most 1;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, d := range regexp.MustCompile(` d="[^"]*"`).FindAllString(page, -1) {
		if strings.Contains(d, "-") {
			t.Errorf("a line begins left of the picture: %s", d)
		}
	}
	if g := slices.Collect(d.Groups()); g[0].Start != -7200 || g[1].Start != -2 || g[2].Start != 5 {
		t.Errorf("the groups start at %v, %v and %v s", g[0].Start, g[1].Start, g[2].Start)
	}
	none := report.New(ended(10*time.Second, nil, before), meta())
	if strings.Contains(string(htmlOf(t, none)), "Timeline of") {
		t.Error("a run in which nothing was sent has a timeline")
	}
}
