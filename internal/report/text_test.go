package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
)

func TestTextIsAHeadlineThenCausesThenTheNextCommand(t *testing.T) {
	manyCauses := func() []dispatcher.Result {
		var results []dispatcher.Result
		for i := range 13 {
			for j := range 13 - i { // the rarer, the later
				results = append(results, sent(job{"main", fmt.Sprintf("g%02d-%02d", i, j)},
					failure(dispatcher.NotOK, 500, fmt.Sprintf("500 Internal Server Error: cause %02d", i)), 0, time.Second, 1))
			}
		}
		return results
	}
	inUnits := func(n int, o dispatcher.Outcome, reason string) []dispatcher.Result {
		var results []dispatcher.Result
		for i := range n {
			results = append(results, left(job{"main", fmt.Sprintf("late%02d", i)}, o, reason))
		}
		return results
	}
	stopped := func(word string) report.Meta {
		m := meta()
		m.StopWord = word
		return m
	}
	refused := errors.New("the site refused the token")
	timeOver := errors.New("time was over (--max-duration 1h30m0s)")
	gone := errors.New("the site has not answered for 15m0s")
	noList := stopped("")
	noList.Error = "list of groups: 500 Internal Server Error: MemoryError"
	storedRun, storedMeta := stored()

	inState := func(state report.State, notes ...string) report.Meta {
		m := meta()
		m.State, m.Notes = state, notes
		return m
	}
	steered := meta()
	steered.Steered = []report.Steer{
		{At: steered.Started.Add(time.Minute), What: "workers", From: "4", To: "1"},
		{At: steered.Started.Add(2 * time.Minute), What: "pause"},
		{At: steered.Started.Add(time.Hour), What: "resume"},
	}
	unclear := dispatcher.Verdict{Reason: "it is in flight"}
	underWay := sent(job{"main", "now"}, unclear, 4*time.Second, 0, 1)
	notYet := errors.New("the run is still going on")
	cutOff := errors.New("the run was cut off")

	for _, tt := range []struct {
		name string
		run  *dispatcher.Report
		meta report.Meta
	}{
		{
			"still going on",
			ended(5*time.Second, notYet, fine, underWay, sent(job{"main", "bad"}, database, 0, time.Second, 2), left(job{"main", "z"}, dispatcher.NotAttempted, notYet.Error())),
			inState(report.Running),
		},
		{
			"cut off",
			ended(5*time.Second, cutOff, fine, underWay, left(job{"main", "z"}, dispatcher.NotAttempted, cutOff.Error())),
			inState(report.CutOff, "it went on with run 20261122T020000Z-01c2"),
		},
		{"stored", storedRun, storedMeta},
		{"all accepted", ended(12*time.Second, nil, every(12, accepted)...), meta()},
		{"steered", ended(2*time.Hour, nil, every(12, accepted)...), steered},
		{"one accepted", ended(40*time.Millisecond, nil, every(1, accepted)...), meta()},
		{"no group", ended(time.Second, nil), meta()},
		{"all left out", ended(time.Second, nil, inUnits(3, dispatcher.Skipped, "not among --only")...), meta()},
		{
			"token refused",
			ended(time.Second, refused, append(every(1, noToken), inUnits(7, dispatcher.NotAttempted, refused.Error())...)...),
			stopped("token"),
		},
		{"no list", ended(time.Second, nil), noList},
		{
			"deadline",
			ended(90*time.Minute, timeOver, append(every(20, accepted), inUnits(30, dispatcher.NotAttempted, timeOver.Error())...)...),
			stopped("deadline"),
		},
		{
			"site down",
			ended(20*time.Minute, gone, append(every(2, noAnswer), inUnits(30, dispatcher.NotAttempted, gone.Error())...)...),
			stopped("site_down"),
		},
		{
			"site down with no clear answer",
			ended(20*time.Minute, gone, append(every(2, proxy504), inUnits(30, dispatcher.NotAttempted, gone.Error())...)...),
			stopped("site_down"),
		},
		{"more than ten causes", ended(time.Minute, nil, manyCauses()...), meta()},
		{"ten groups of a cause", ended(10*time.Second, nil, every(10, database)...), meta()},
		{"eleven groups of a cause", ended(11*time.Second, nil, every(11, database)...), meta()},
		{"all to send again", ended(5*time.Second, nil, every(5, noAnswer)...), meta()},
		{"twenty to send again", ended(20*time.Second, nil, append(every(20, noAnswer), fine)...), meta()},
		{"more than twenty to send again", ended(21*time.Second, nil, append(every(21, noAnswer), fine)...), meta()},
		{"one nobody can type", ended(time.Second, nil, sent(job{"main", "bell\a"}, noAnswer, 0, time.Second, 1), fine), meta()},
		{"only ambiguous", ended(2*time.Second, nil, every(2, proxy504)...), meta()},
		{"only unknown", ended(2*time.Second, nil, every(2, unknown)...), meta()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, strings.ReplaceAll(tt.name, " ", "-")+".txt", text(t, report.New(tt.run, tt.meta)))
		})
	}
}

// What a server chose to call its groups must not reach the terminal that shows the mail.
func TestTextHoldsNothingThatDoesNotPrint(t *testing.T) {
	odd := "\x1b[31m\r\b\u202e\xff"
	d := report.New(ended(time.Second, nil,
		sent(job{"s" + odd, "g" + odd}, failure(dispatcher.NotOK, 500, "500 "+odd), 0, time.Second, 1),
		sent(job{"main", "plain"}, failure(dispatcher.NotOK, 500, "500"), 0, time.Second, 1)), meta())
	got := string(text(t, d))
	if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\b\u202e") {
		t.Errorf("got %q", got)
	}
}

func TestTextKeepsAMailsWidth(t *testing.T) {
	const width = 78
	list := every(10, database)
	for i := range list {
		list[i].Job = job{"main", strings.Repeat("ä", 3*i+2)}
	}
	var lines []string
	for line := range strings.Lines(string(text(t, report.New(ended(time.Second, nil, list...), meta())))) {
		if strings.HasPrefix(line, "    main/") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d columns, want at most %d: %s", n, width, line)
		}
		if i == 0 {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if utf8.RuneCountInString(lines[i-1])+1+utf8.RuneCountInString(first) <= width {
			t.Errorf("%q had room in the line before", first)
		}
	}
	if len(lines) < 2 {
		t.Errorf("got %d lines, want several: %q", len(lines), lines)
	}
}

// A site may be called anything, "and so" too.
func TestEachNameButTheLastHasItsComma(t *testing.T) {
	d := report.New(ended(time.Second, nil,
		sent(job{"main", "alpha"}, database, 0, time.Second, 1), sent(job{"and so", "on"}, database, 0, time.Second, 1)), meta())
	if got, want := string(text(t, d)), "\n    main/alpha, and so/on\n"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

func TestHeadlineSaysHowLongInAFewFigures(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want string
	}{
		{0, "in 0s"},
		{44 * time.Millisecond, "in 0s"},
		{1449 * time.Millisecond, "in 1.4s"},
		{59_960 * time.Millisecond, "in 1m0s"},
		{61_400 * time.Millisecond, "in 1m1s"},
		{2*time.Hour + 5*time.Minute + 700*time.Millisecond, "in 2h5m1s"},
	} {
		d := report.New(ended(tt.took, nil), meta())
		if got, want := d.Headline(), "0 of 0 groups accepted at https://groups.example.com/ "+tt.want; got != want {
			t.Errorf("%v: got %q, want %q", tt.took, got, want)
		}
	}
}

func TestWithoutACommandThereIsNoNextStep(t *testing.T) {
	m := meta()
	m.Again = nil
	if got := string(text(t, report.New(ended(time.Second, nil, every(1, database)...), m))); strings.Contains(got, "next") {
		t.Errorf("got %q, want no next step", got)
	}
}

// A brokenWriter takes some bytes and then no more.
type brokenWriter struct{ room int }

var errFull = errors.New("no space left")

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestAWriterThatFailsIsReported(t *testing.T) {
	d := report.New(ended(time.Second, nil, every(2000, database)...), meta())
	for name, write := range map[string]report.Format{
		"text": (*report.Document).WriteText, "JSON": (*report.Document).WriteJSON, "HTML": (*report.Document).WriteHTML,
	} {
		var whole bytes.Buffer
		if err := write(d, &whole); err != nil {
			t.Fatal(err)
		}
		for _, room := range []int{0, 1, whole.Len() / 2, whole.Len() - 1} {
			if err := write(d, &brokenWriter{room}); !errors.Is(err, errFull) {
				t.Errorf("%s, room for %d of %d bytes: got %v, want %v", name, room, whole.Len(), err, errFull)
			}
		}
		if err := write(d, &brokenWriter{whole.Len()}); err != nil {
			t.Errorf("%s, room for all: got %v", name, err)
		}
	}
}
