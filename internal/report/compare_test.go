package report_test

import (
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

// took is an accepted send of that length.
func took(group string, length time.Duration) dispatcher.Result {
	return sent(job{"main", group}, accepted, 0, length, 1)
}

func ofGroup(group string, v dispatcher.Verdict) dispatcher.Result {
	return sent(job{"main", group}, v, 0, time.Second, 1)
}

// compared is a run beside the two before it.
func compared() *report.Document {
	d := report.New(ended(9*time.Second, nil,
		ofGroup("broken", database), ofGroup("broken still", database), ofGroup("mended", accepted), ofGroup("broken at once", noAnswer),
		ofGroup("gone from the site", unknown), left(job{"main", "left"}, dispatcher.NotAttempted, "stopped"),
		took("slow", 31*time.Second), took("slow by chance", 1500*time.Millisecond), took("slow always", 40*time.Second),
		took("slow once before", 12*time.Second), took("new and slow", time.Hour),
	), meta())
	d.CompareWith(
		report.Past{Run: "20261122T020000Z-01c2", Results: ended(time.Minute, nil,
			ofGroup("broken", accepted), ofGroup("broken still", proxy504), ofGroup("mended", cutShort),
			ofGroup("gone from the site", noAnswer), ofGroup("left", accepted), ofGroup("closed", accepted),
			took("slow", 10*time.Second), took("slow by chance", 100*time.Millisecond), took("slow always", 39*time.Second),
			took("slow once before", 30*time.Second),
		)},
		report.Past{Run: "20261121T020000Z-01c1", Results: ended(time.Minute, nil,
			took("slow", 11*time.Second), took("slow always", 41*time.Second), took("slow once before", 3*time.Second),
			ofGroup("broken at once", database),
		)},
	)
	return d
}

func TestAComparisonNamesWhatIsDifferent(t *testing.T) {
	d := compared()
	golden(t, "compared.txt", text(t, d))
	golden(t, "compared.json", jsonOf(t, d))
	golden(t, "compared.html", htmlOf(t, d))
}

func TestTwoRunsThatAreTheSameHaveNoDifference(t *testing.T) {
	run := func() *dispatcher.Report { return ended(time.Minute, nil, every(30, accepted)...) }
	d := report.New(run(), meta())
	d.CompareWith(report.Past{Run: "20261122T020000Z-01c2", Results: run()})
	golden(t, "compared-same.txt", text(t, d))
}

// What is in flight has not failed yet.
func TestARunThatGoesOnHasNoNewFailuresInFlight(t *testing.T) {
	m := meta()
	m.State = report.Running
	now := sent(job{"main", "now"}, dispatcher.Verdict{}, 0, 0, 1)
	d := report.New(ended(time.Second, nil, now, ofGroup("bad", database)), m)
	d.CompareWith(report.Past{Run: "20261122T020000Z-01c2", Results: ended(time.Minute, nil, ofGroup("now", accepted), ofGroup("bad", accepted))})
	if got := d.Compare.NewFailures; len(got) != 1 || got[0].Group != "bad" {
		t.Errorf("new failures: %+v", got)
	}
}
