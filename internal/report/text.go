package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

const (
	// A cron mail names this many groups of a cause, and this many causes; the JSON report has all.
	namedGroups = 10
	namedCauses = 10

	// namedAgain is how many groups the next command names: more is no command to type.
	namedAgain = 20

	width = 78 // columns of the lists of groups
)

// WriteText writes the document for a person: one line that tells how it went, then what went wrong, most groups
// first, then what to type next.
func (d *Document) WriteText(w io.Writer) error { return d.writeText(w, true) }

// WriteSummary writes it for those to whom names that are personal data are not to be shown.
func (d *Document) WriteSummary(w io.Writer) error { return d.writeText(w, !d.meta.Private) }

func (d *Document) writeText(w io.Writer, named bool) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, printable.Line(d.Headline()))
	for _, note := range d.notes(d.settledNotes(named), d.mailNotes(named)) {
		fmt.Fprintln(out, printable.Line(note))
	}
	d.writeCauses(out, named)
	d.Compare.writeText(out, named)
	for _, line := range d.next() {
		fmt.Fprintf(out, "%s\n", line)
	}
	return out.Flush()
}

// Headline says in one line how many of how many groups were accepted, where, how long that took, and what became
// of the others.
func (d *Document) Headline() string {
	c := d.Counts
	var b strings.Builder
	if d.Error != "" {
		fmt.Fprintf(&b, "no %s sent at %s: %s", d.Mail(), d.URL, d.Error)
		return b.String()
	}
	fmt.Fprintf(&b, "%d of %s accepted at %s in %s", c.Accepted, d.meta.Things.Count(c.Groups), d.URL, Length(d.Seconds.Wall, d.Seconds.Paused))
	switch d.meta.State {
	case Running:
		b.WriteString(" so far")
	case CutOff:
		b.WriteString(", then the run was cut off")
	}
	notAttempted := "not attempted"
	if d.meta.State == Running {
		notAttempted = "to go"
	}
	for _, part := range []struct {
		n    int
		text string
	}{
		{c.Failed() - d.inFlight, "failed"},
		{d.inFlight, "in flight"},
		{c.NotAttempted, notAttempted},
		{c.UnknownGroup, "unknown to the site"},
		{c.Skipped, "left out"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %d %s", part.n, part.text)
		}
	}
	if d.Ledger != nil {
		fmt.Fprintf(&b, "; %d mailed", d.Ledger.Mailed)
	}
	return b.String()
}

// notes are what stands below the headline. settled and mail are what they say of lost answers and of the mail.
func (d *Document) notes(settled, mail []string) []string {
	var list []string
	switch d.meta.State {
	case Running:
		list = append(list, "the run is still going on; its last record is of "+clock(d.Finished))
	case CutOff:
		list = append(list, "no end is on record, the last record is of "+clock(d.Finished)+"; what was in flight then counts as ambiguous")
	}
	return slices.Concat(list, d.steeredNotes(), d.meta.Notes, settled, mail, d.leftOutNotes())
}

// leftOutNotes is a line that says why the site left some out, if it did: most first.
func (d *Document) leftOutNotes() []string {
	counts := map[string]int{}
	for i := range d.results.Results {
		if r := &d.results.Results[i]; r.Outcome == dispatcher.Skipped && r.Attempts > 0 {
			counts[r.Reason]++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	var parts []string
	for _, reason := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		parts = append(parts, fmt.Sprintf("%s (%d)", reason, counts[reason]))
	}
	return []string{"left out by the site: " + strings.Join(parts, ", ")}
}

func length(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// Length is in words how long a run took, and of that how long operators had it paused, both in seconds.
func Length(took, paused float64) string {
	if paused <= 0 {
		return length(took)
	}
	return fmt.Sprintf("%s (paused for %s)", length(took), length(paused))
}

func (d *Document) writeCauses(out io.Writer, named bool) {
	for i, c := range d.results.Causes(namedGroups) {
		if i == namedCauses {
			left := 0
			for _, c := range d.Causes[i:] {
				left += c.Groups
			}
			fmt.Fprintf(out, "\n%s for other causes; a report in JSON lists them all\n", d.meta.Things.Count(left))
			return
		}
		fmt.Fprintf(out, "\n%d %v: %s\n", c.Jobs, c.Outcome, printable.Line(c.Reason))
		if named {
			writeList(out, c.Examples, c.Jobs-len(c.Examples))
		}
	}
}

// writeList writes names side by side with commas, and how many more there are, in lines of a mail's width.
func writeList(out io.Writer, names []string, more int) {
	var words []string
	for i, name := range names {
		name = printable.Line(name)
		if i < len(names)-1 {
			name += ","
		}
		words = append(words, name)
	}
	if more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	const indent = "    "
	line := indent
	for _, word := range words {
		if len(line) > len(indent) && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(out, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}

// repeats reports whether what ended so is sent to again, by a command that goes on.
func (d *Document) repeats(o dispatcher.Outcome) bool {
	switch o {
	case dispatcher.NotAttempted:
		return true
	case dispatcher.Ambiguous, dispatcher.Unexpected:
		return !d.meta.Unguarded
	}
	return o.Failed()
}

// next says what to do now, and the command for it; nothing if there is nothing to do.
//
// To send again has a price that the reader cannot know: the server skips a group for 21.6 hours after a digest
// (docs/groupserver.md section 2). So the command names the groups that need it wherever it can, and a word of
// caution stands below it.
func (d *Document) next() []string {
	var again []string          // the groups to send to again
	nameable := !d.meta.Private // a command line is there for everybody on the machine to see
	for i := range d.results.Results {
		r := &d.results.Results[i]
		if d.repeats(r.Outcome) {
			key := r.Job.Key()
			again = append(again, key)
			nameable = nameable && printable.Line(key) == key // or nobody could type the command
		}
	}
	c := d.Counts
	all := len(again) == c.Groups-c.Skipped
	if d.meta.Again == nil && d.meta.GoOn == nil || d.Error != "" || d.State == Running || len(again) == 0 {
		return nil
	}
	lines := []string{"", "next:"}
	unclear := c.Ambiguous+c.Unexpected > 0 && d.meta.GoOn == nil // who goes on by the journal waits by itself
	switch {
	case d.meta.StopWord == "token":
		lines[1] = "next: correct the token, then"
	case d.meta.StopWord == "site_down" && unclear:
		lines[1] = "next: the server may still be at work on what has no clear answer; wait ten minutes, and until it answers, then"
	case d.meta.StopWord == "site_down":
		lines[1] = "next: wait until the site answers again, then"
	case unclear:
		lines[1] = "next: the server may still be at work on what has no clear answer; wait ten minutes, then"
	}
	switch {
	case d.meta.GoOn != nil && d.results.StoppedBy != nil:
		lines = append(lines, "    "+d.meta.GoOn("--resume"))
	case d.meta.GoOn != nil:
		lines = append(lines, "    "+d.meta.GoOn("--retry-failed"))
	case all:
		lines = append(lines, "    "+d.meta.Again())
	case len(again) <= namedAgain && nameable:
		lines = append(lines, "    "+d.meta.Again(again...))
	default:
		lines = append(lines, "    "+d.meta.Again(),
			"    which asks for the accepted "+d.meta.Things.String()+" too; the server skips who had a digest within 21.6 hours")
	}
	if strings.TrimSpace(lines[2]) == "" { // the program has none
		return nil
	}
	if d.meta.Unguarded {
		if c.Ambiguous+c.Unexpected > 0 {
			lines = append(lines, "    which leaves alone what may have been mailed: the site would mail it again")
		}
		return lines
	}
	return append(lines, "    (a digest mailed more than 2 h 24 min later than usual makes the server skip that group in the next run)")
}
