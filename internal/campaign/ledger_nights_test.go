package campaign_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/report"
)

// mailsOf is what a report says of the mail: of each group in JSON, and, in HTML, of the nights.
func mailsOf(t *testing.T, d *report.Document) (groups map[string]string, picture string) {
	t.Helper()
	groups = map[string]string{}
	for g := range d.Groups() {
		groups[g.Group] = "none"
		if g.Mail != nil {
			groups[g.Group] = *g.Mail
		}
	}
	var page bytes.Buffer
	if err := d.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	_, picture, _ = strings.Cut(page.String(), `<figure id="nights">`)
	picture, _, _ = strings.Cut(picture, "</figure>")
	return groups, picture
}

// gapOf is what the text of a report says of posts that were in no digest.
func gapOf(t *testing.T, d *report.Document) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "got into neither") {
			return line
		}
	}
	return ""
}

// archived is the report of a run made again from the journals.
func (w *world) archived(t *testing.T, dir, run string) *report.Document {
	t.Helper()
	archive, err := campaign.OpenArchive(w.campaign(time.UTC), dir, soakedInstallation())
	if err != nil {
		t.Fatal(err)
	}
	at, err := archive.Find(run)
	if err != nil {
		t.Fatal(err)
	}
	d, err := archive.Document(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Each night's own report and the one that is made from the journals later on say the same of the mail.
func TestAReportFromTheJournalsSaysTheSameOfTheMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 16, time.UTC)
		w.all[w.groups[1]].subscribed = false
		w.all[w.groups[2]].members = false
		dir := t.TempDir()
		var live []*report.Document
		for night := range 5 {
			w.postDaily(12)
			s := w.nightly(dir)
			if night == 1 {
				s.Ledger = nil
			}
			if night == 2 { // .. and one that was killed, of which nobody asked what was mailed until it was resumed
				w.killed(t, s, 5*time.Second)
				time.Sleep(12 * time.Minute)
				s.Resume = campaign.Resume
			}
			if night == 3 { // later than the day before: the posts in between are in no digest
				w.all[w.groups[4]].posts = append(w.all[w.groups[4]].posts, time.Now().Add(-24*time.Hour-30*time.Minute))
				w.all[w.groups[4]].sorted()
			}
			live = append(live, w.night(t, s).Document)
			time.Sleep(25 * time.Hour)
		}
		if got, _ := mailsOf(t, live[2]); got["group000"] != "mailed" || got["group001"] != "nothing" || got["group002"] != "missing" {
			t.Errorf("the run that was resumed: %v", got)
		}
		last, picture := mailsOf(t, live[4])
		if last["group000"] != "mailed" || last["group001"] != "nothing" || last["group002"] != "missing" {
			t.Errorf("got %v", last)
		}
		if got := strings.Count(picture, "<title>"); got != 4 {
			t.Errorf("%d nights, want 4: those of which nobody asked are left out\n%s", got, picture)
		}
		if got := gapOf(t, live[3]); !strings.Contains(got, "later than the one of the day before: main/group004") {
			t.Errorf("gaps: %q", got)
		}
		if got := live[3].Ledger.Gaps; got != (report.GapCounts{Groups: 1, Posts: 1}) || strings.Count(picture, "1 post in no digest</title>") != 1 {
			t.Errorf("gaps: %+v in\n%s", got, picture)
		}
		answered := 0
		for g := range live[2].Groups() {
			if g.Mail == nil {
				t.Errorf("%s, %s, accepted before the kill or after: nothing is said of its mail", g.Group, g.Reason)
			}
			if g.Outcome == "accepted" && g.Attempts == 0 {
				answered++
			}
		}
		if answered == 0 {
			t.Error("the run that was resumed left nothing open of which the tables tell")
		}
		for night, d := range live {
			if night == 1 {
				continue
			}
			again := w.archived(t, dir, d.Run)
			if again.Counts != d.Counts || again.Finished != d.Finished {
				t.Errorf("night %d: got %+v until %v, want %+v until %v", night, again.Counts, again.Finished, d.Counts, d.Finished)
			}
			got, gotPicture := mailsOf(t, again)
			want, wantPicture := mailsOf(t, d)
			for _, diff := range []string{
				cmp.Diff(again.Ledger, d.Ledger), cmp.Diff(gapOf(t, again), gapOf(t, d)), cmp.Diff(got, want), cmp.Diff(gotPicture, wantPicture),
			} {
				if diff != "" {
					t.Errorf("night %d: got -, want +:\n%s", night, diff)
				}
			}
		}
		if d := w.archived(t, dir, live[1].Run); d.Ledger != nil {
			t.Errorf("a night without the tables has %+v", d.Ledger)
		}
	})
}

func TestThePictureHasThirtyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 2, time.UTC)
		dir := t.TempDir()
		var d *report.Document
		for range 34 {
			w.postDaily(12)
			d = w.night(t, w.nightly(dir)).Document
			time.Sleep(24 * time.Hour)
		}
		_, live := mailsOf(t, d)
		_, again := mailsOf(t, w.archived(t, dir, d.Run))
		if got := strings.Count(live, "<title>"); got != 30 || live != again {
			t.Errorf("%d runs, %d from the journals", got, strings.Count(again, "<title>"))
		}
		if !strings.Contains(live, d.Run+" (this run)") {
			t.Error("this run is not marked")
		}
	})
}
