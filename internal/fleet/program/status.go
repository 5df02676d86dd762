package program

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/printable"
)

// show prints what goes on.
func show(w io.Writer, all []fleet.Status, asJSON bool) error {
	if asJSON {
		documents := make([]document, len(all))
		for i := range all {
			documents[i] = documentOf(&all[i])
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(documents)
	}
	for i := range all {
		if _, err := io.WriteString(w, text(&all[i])); err != nil {
			return err
		}
	}
	return nil
}

// A document is what goes on at an installation, for programs. Fields are only ever added. Lengths of time are in seconds.
type document struct {
	URL      string           `json:"url"`
	Limit    int              `json:"workers"` // in flight at most
	Rate     float64          `json:"rate"`    // a second; 0: no limit
	Burst    int              `json:"burst"`
	InFlight int              `json:"in_flight"`
	Paused   bool             `json:"paused"`     // by an operator
	For      float64          `json:"paused_for"` // by the site, for so long; 0: it is not
	Down     float64          `json:"down_for"`   // since the site last worked; 0: it works
	Nights   []nightDocument  `json:"nights"`
	Workers  []workerDocument `json:"processes"`
}

type nightDocument struct {
	Campaign string         `json:"campaign"`
	Age      float64        `json:"age"`
	Ended    bool           `json:"ended"`
	Code     int            `json:"exit_code"` // of the run, once it has ended
	Stopped  string         `json:"stopped_by"`
	Followed bool           `json:"followed"` // by a run
	Groups   int            `json:"groups"`
	Done     int            `json:"done"`
	Waiting  int            `json:"waiting"`  // groups that are held back, or wait for another try
	WaitFor  float64        `json:"wait_for"` // for so long, the last of them
	Outcomes map[string]int `json:"outcomes"`
}

type workerDocument struct {
	Host     string  `json:"host"`
	PID      int     `json:"pid"`
	Seen     float64 `json:"seen"` // ago
	Lost     bool    `json:"lost"`
	Down     float64 `json:"down_for"` // since the site last worked for it; 0: it does
	InFlight int     `json:"in_flight"`
}

func documentOf(s *fleet.Status) document {
	d := document{
		URL: s.URL, Limit: s.Limits.Workers, Rate: float64(s.Rate), Burst: s.Burst, InFlight: s.InFlight, Paused: s.Paused,
		For: s.PausedFor.Seconds(), Down: s.DownFor.Seconds(), Nights: []nightDocument{}, Workers: []workerDocument{},
	}
	for _, n := range s.Nights {
		d.Nights = append(d.Nights, nightDocument{n.Campaign, n.Age.Seconds(), n.Ended, n.Code, n.Stopped, n.Led, n.Tasks, n.Done, n.Waiting, n.WaitFor.Seconds(), n.Outcomes})
	}
	for _, w := range s.Processes {
		d.Workers = append(d.Workers, workerDocument{w.Host, w.PID, w.Seen.Seconds(), w.Lost, w.DownFor.Seconds(), w.InFlight})
	}
	return d
}

// text says what goes on at an installation.
func text(s *fleet.Status) string {
	var b strings.Builder
	out := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "site\t%s\n", printable.Line(s.URL))
	fmt.Fprintf(out, "in flight\t%d, of at most %d\n", s.InFlight, s.Limits.Workers)
	if s.Rate > 0 {
		fmt.Fprintf(out, "rate\t%v\n", s.Rate)
	} else {
		fmt.Fprintf(out, "rate\tno limit\n")
	}
	switch {
	case s.Paused:
		fmt.Fprintf(out, "paused\tuntil senddigest-fleet resume\n")
	case s.DownFor > 0:
		fmt.Fprintf(out, "away\tthe site has not worked for %s\n", printable.Span(s.DownFor))
	case s.PausedFor > 0:
		fmt.Fprintf(out, "paused\tby the site, for %s\n", printable.Span(s.PausedFor))
	}
	for _, n := range s.Nights {
		state := "goes on"
		switch {
		case n.Stopped == fleet.Superseded:
			state = "was left, and the next one began"
		case n.Ended:
			state = fmt.Sprintf("ended with %d", n.Code)
		case n.Stopped != "":
			state = "is stopped (" + printable.Line(n.Stopped) + ")"
		case !n.Led && n.Summary != "":
			state = fmt.Sprintf("goes on, and no run follows it: the last one ended with %d", n.Code)
		case !n.Led:
			state = "goes on, and no run follows it"
		}
		fmt.Fprintf(out, "%s\t%s, since %s: %d of %d done", printable.Line(n.Campaign), state, printable.Span(n.Age), n.Done, n.Tasks)
		if n.Waiting > 0 {
			fmt.Fprintf(out, ", %d wait for up to %s to be sent to", n.Waiting, printable.Span(n.WaitFor))
		}
		for _, outcome := range slices.Sorted(maps.Keys(n.Outcomes)) {
			fmt.Fprintf(out, ", %d %s", n.Outcomes[outcome], outcome)
		}
		fmt.Fprintln(out)
	}
	if len(s.Processes) == 0 {
		fmt.Fprintf(out, "workers\tnone\n")
	}
	for _, w := range s.Processes {
		lives := "lives"
		switch {
		case w.DownFor > 0 && !w.Lost:
			lives = "the site has not worked for it for " + printable.Span(w.DownFor)
		case w.Lost:
			lives = "not heard of for " + printable.Span(w.Seen)
		}
		fmt.Fprintf(out, "worker\t%s, process %d: %s, %d in flight\n", printable.Line(w.Host), w.PID, lives, w.InFlight)
	}
	_ = out.Flush() // a builder takes everything
	return b.String()
}
