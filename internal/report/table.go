package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
)

// writeData writes what the page's script makes the table of all groups of.
func (d *Document) writeData(out *bufio.Writer) error {
	_, _ = out.WriteString(`<script type="application/json" id="data">`)
	if err := d.writeTable(out); err != nil {
		return err
	}
	_, err := out.WriteString("</script>\n")
	return err
}

// writeTable writes the groups for the page's script: an array each, of the numbers of site, outcome and reason, and, of
// what was tried, tries, start and length in milliseconds, worker and status. 20,000 groups are some 1 MB. What the
// numbers mean follows them, when all are known.
func (d *Document) writeTable(out io.Writer) error {
	var sites, reasons numbered
	_, _ = io.WriteString(out, `{"groups":[`)
	for i := range d.results.Results {
		r := &d.results.Results[i]
		site, group := d.meta.Names(r.Job)
		row := []any{sites.number(site), printable.Line(group), r.Outcome, reasons.number(cmp.Or(settled(r), r.Reason))}
		if r.Attempts > 0 {
			row = append(row, r.Attempts, r.Start.Sub(d.meta.Started).Round(time.Millisecond).Milliseconds(),
				r.Took.Round(time.Millisecond).Milliseconds(), r.Worker, r.Status)
		}
		text, err := json.Marshal(row) // it writes <, > and & as \u003c and so on
		if err != nil {
			return err
		}
		separator := ",\n"
		if i == 0 {
			separator = "\n"
		}
		_, _ = fmt.Fprintf(out, "%s%s", separator, text)
	}
	var words, signs []string
	for o := range dispatcher.Outcome(len(dispatcher.Counts{})) {
		words, signs = append(words, o.String()), append(signs, lookOf(o).Sign)
	}
	text, err := json.Marshal(struct {
		Thing    string   `json:"thing"`
		Things   string   `json:"things"`
		Sites    []string `json:"sites"`
		Reasons  []string `json:"reasons"`
		Outcomes []string `json:"outcomes"`
		Signs    []string `json:"signs"`
		*mailData
	}{d.meta.Things.One(), d.meta.Things.String(), sites.texts, reasons.texts, words, signs, d.mailData()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "],\n%s", text[len("{"):])
	return err
}

// mailData is what the page's script knows of the mail: a digit for each group, which is a number of a word.
type mailData struct {
	Mail  string   `json:"mail"`
	Words []string `json:"mails"`
	Signs []string `json:"mailSigns"`
}

// mailData is nil where the tables were not read.
func (d *Document) mailData() *mailData {
	if d.meta.Ledger == nil {
		return nil
	}
	var m mailData
	for i := range ledger.Mail(len(ledger.Counts{})) {
		m.Words, m.Signs = append(m.Words, i.String()), append(m.Signs, mailLook(i).Sign)
	}
	digits := make([]byte, len(d.results.Results))
	for i := range digits {
		digits[i] = '0' + byte(d.meta.Ledger.of(i))
	}
	m.Mail = string(digits)
	return &m
}

// numbered are printable texts, each once. Its zero value is empty.
type numbered struct {
	texts []string
	index map[string]int
}

// number is the number of a text, which is a new one's from now on.
func (n *numbered) number(text string) int {
	i, ok := n.index[text]
	if !ok {
		if n.index == nil {
			n.index = map[string]int{}
		}
		i = len(n.texts)
		n.index[text] = i
		n.texts = append(n.texts, printable.Line(text))
	}
	return i
}
