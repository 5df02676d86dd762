package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

// repeated is the result of a group that was sent to again, ten minutes after the start of a send whose answer was lost.
func repeated(j job, v dispatcher.Verdict) dispatcher.Result {
	r := sent(j, v, 10*time.Minute+1500*time.Millisecond, 2*time.Second, 1)
	r.Attempts, r.Lost = 2, &dispatcher.Lost{Reason: "504 Gateway Timeout", Start: began.Add(1500 * time.Millisecond)}
	return r
}

func TestEachFormatSaysHowAGroupWhoseAnswerWasLostCameToItsOutcome(t *testing.T) {
	earlier := repeated(job{"main", "earlier"}, accepted) // the send of a run that this one resumes
	earlier.Attempts, earlier.Lost.Start = 1, began.Add(-4*time.Hour)
	neverTried := left(job{"main", "late"}, dispatcher.Ambiguous, "it may have been mailed in run 20261122T020000Z-01c2")
	neverTried.Lost = earlier.Lost
	twice := repeated(job{"main", "twice"}, failure(dispatcher.Ambiguous, 500, "504 Gateway Timeout; sent again: 500 Internal Server Error"))
	d := report.New(ended(11*time.Minute, nil, fine, repeated(job{"main", "a"}, accepted), earlier, neverTried, twice), meta())
	golden(t, "settled.txt", text(t, d))

	var page bytes.Buffer
	if err := d.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for sentence, times := range map[string]int{ // in a note, and in the table of all groups
		"its first answer was lost (504 Gateway Timeout); sent again after 10m: accepted":     2,
		"its first answer was lost (504 Gateway Timeout); sent again after 4h10m2s: accepted": 2,
	} {
		if got := strings.Count(page.String(), sentence); got != times {
			t.Errorf("the page says %d times %q, want %d", got, sentence, times)
		}
	}

	lines := string(jsonOf(t, d))
	for group, want := range map[string]string{
		"a":       `"lost":{"reason":"504 Gateway Timeout","start":1.5}}`,
		"earlier": `"lost":{"reason":"504 Gateway Timeout","start":-14400}}`,
		"twice":   `"lost":{"reason":"504 Gateway Timeout","start":1.5}}`,
		"late":    `"worker":0,"mail":null}`,
		"fine":    `"worker":2,"mail":null}`,
	} {
		_, line, _ := strings.Cut(lines, fmt.Sprintf(`"group":%q,`, group))
		line, _, _ = strings.Cut(line, "\n")
		if !strings.HasSuffix(strings.TrimSuffix(line, ","), want) {
			t.Errorf("%s: got %s, want it to end with %s", group, line, want)
		}
	}
}

func TestAMailNamesAtMostTenGroupsWhoseAnswerWasLost(t *testing.T) {
	var results []dispatcher.Result
	for i := range 12 {
		results = append(results, repeated(job{"main", fmt.Sprintf("g%02d", i)}, accepted))
	}
	mail := string(text(t, report.New(ended(11*time.Minute, nil, results...), meta())))
	if got := strings.Count(mail, "its first answer was lost"); got != 10 {
		t.Errorf("%d groups are named, want 10:\n%s", got, mail)
	}
	if want := "\nsent again because the first answer was lost: 2 groups more; a report in JSON lists them all\n"; !strings.Contains(mail, want) {
		t.Errorf("got %s, want %q in it", mail, want)
	}
}
