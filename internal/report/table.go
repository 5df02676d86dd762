package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// writeData writes the groups for the page's script: an array each, of the numbers of site, outcome and reason, and, of
// what was tried, tries, start and length in milliseconds, worker and status. 20,000 groups are some 1 MB.
func (d *Document) writeData(out *bufio.Writer) error {
	var sites, reasons []string
	number := func(index map[string]int, list *[]string, text string) int {
		n, ok := index[text]
		if !ok {
			n = len(*list)
			index[text] = n
			*list = append(*list, printable.Line(text))
		}
		return n
	}
	siteOf, reasonOf := map[string]int{}, map[string]int{}
	var b []byte
	_, _ = out.WriteString("<script type=\"application/json\" id=\"data\">{\"thing\":\"" + d.meta.Things.One() + "\",\"things\":\"" + d.meta.Things.String() + "\",\"groups\":[")
	for i := range d.results.Results {
		r := &d.results.Results[i]
		site, group := d.meta.Names(r.Job)
		name, err := json.Marshal(printable.Line(group)) // it writes <, > and & as \u003c and so on
		if err != nil {
			return err
		}
		b = b[:0]
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, "\n["...), int64(number(siteOf, &sites, site)), 10)
		b = append(append(b, ','), name...)
		reason := cmp.Or(settled(r), r.Reason)
		numbers := []int64{int64(r.Outcome), int64(number(reasonOf, &reasons, reason))}
		if r.Attempts > 0 {
			numbers = append(numbers, int64(r.Attempts), r.Start.Sub(d.meta.Started).Round(time.Millisecond).Milliseconds(),
				r.Took.Round(time.Millisecond).Milliseconds(), int64(r.Worker), int64(r.Status))
		}
		for _, n := range numbers {
			b = strconv.AppendInt(append(b, ','), n, 10)
		}
		_, _ = out.Write(append(b, ']'))
	}
	var words, signs []string
	for o := range dispatcher.Outcome(len(dispatcher.Counts{})) {
		sign, _ := look(o)
		words, signs = append(words, o.String()), append(signs, sign)
	}
	for _, table := range []struct {
		name string
		list []string
	}{{"sites", sites}, {"reasons", reasons}, {"outcomes", words}, {"signs", signs}} {
		text, err := json.Marshal(table.list)
		if err != nil {
			return err
		}
		separator := ",\n"
		if table.name == "sites" {
			separator = "],\n"
		}
		_, _ = fmt.Fprintf(out, "%s%q:%s", separator, table.name, text)
	}
	_, err := out.WriteString("}</script>\n")
	return err
}
