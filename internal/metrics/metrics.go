// Package metrics writes what became of a run as a text file for the node exporter's textfile collector.
//
// All values are those of the last run, so that they are gauges, and the histogram begins anew with each run. Lines
// carry no timestamps, which the collector refuses: when the run was is a value. The file names the site, outcomes and
// figures, and nothing that a site said.
//
// The text is written by hand and not with Prometheus's client library: that would make the program 2 MB larger, a sixth,
// for some 35 lines of this package, and its own way to replace a file does not wait for the disk. promtool judges the
// format, in the tests.
package metrics

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/replace"
	"github.com/groupserver/senddigest/internal/report"
)

// Run is a run that has ended, or one that goes on: of that there are no metrics of an end, and there is what is in flight.
type Run struct {
	Program        string // whose names begin so; two programs may write for one site, and no two files may have the same series
	Document       *report.Document
	ExitCode       int
	Sends          *Sends
	Sent, Received int64 // bytes, see hooks.Traffic
}

const (
	lastSuccess = "last_success_timestamp_seconds"

	fileMode = 0o644 // the collector is another user, and there is no secret in the file
)

// WriteFile writes the file whole or not at all, see [replace.File]. When the last success was is taken from the file
// that stood there, if it is of the same site, however that was written: a run that fails does not forget it. The error
// is a [*report.WriteError].
func (r Run) WriteFile(path string) error {
	success, err := r.lastSuccess(path)
	if err == nil {
		err = replace.File(path, fileMode, func(w io.Writer) error { return r.write(w, success) })
	}
	if err != nil {
		return &report.WriteError{Path: path, Err: err}
	}
	return nil
}

// Write writes the metrics of a run for a scraper that asks for them now. It knows of no earlier run.
func (r Run) Write(w io.Writer) error {
	var success float64
	if r.ExitCode == 0 {
		success = unix(r.Document.Finished)
	}
	return r.write(w, success)
}

// lastSuccess is when a run last ended with exit code 0, in seconds since 1970; 0 if none is known to have. A file
// that is there and cannot be read is an error: to replace it might lose the answer.
func (r Run) lastSuccess(path string) (float64, error) {
	if r.ExitCode == 0 {
		return unix(r.Document.Finished), nil
	}
	text, err := os.ReadFile(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, r.Program+"_"+lastSuccess+labelBegin)
		end := strings.LastIndex(rest, labelEnd)
		if !ok || end < 0 || address(unescaper.Replace(rest[:end])) != address(r.Document.URL) {
			continue
		}
		// What no run can have written is no success: before 1970, or in the future, which would silence an alert.
		at, err := strconv.ParseFloat(strings.TrimSpace(rest[end+len(labelEnd):]), 64)
		if err == nil && at > 0 && at <= unix(r.Document.Finished) {
			return at, nil
		}
	}
	return 0, nil
}

// write writes all metrics. Each is there in every file, with 0 where nothing happened, so that no query of them is
// ever empty.
func (r Run) write(w io.Writer, success float64) error {
	d, c := r.Document, r.Document.Counts
	out := bufio.NewWriter(w)
	things := d.Things()
	r.head(out, things.String(), "gauge", printable.Title(things.String())+" of the last run, by what became of them.")
	counts, running := d.Outcomes(), d.State == report.Running
	counts[dispatcher.Ambiguous] -= d.InFlight()
	for _, o := range dispatcher.Outcomes() {
		r.line(out, things.String(), `outcome="`+o.String()+`"`, float64(counts[o]))
	}
	if mails, ok := d.Mails(); ok {
		r.head(out, "mail", "gauge", printable.Title(things.String())+" of the last run, by what the site's own tables tell of their mail; all 0 where they were not read.")
		for _, m := range ledger.Mails() {
			r.line(out, "mail", `verdict="`+m.String()+`"`, float64(mails[m]))
		}
	}
	type gauge struct {
		name, help string
		value      float64
	}
	ends := []gauge{
		{"exit_code", "Exit code of the last run.", float64(r.ExitCode)},
		{"last_run_timestamp_seconds", "When the last run ended, however it did.", unix(d.Finished)},
		{lastSuccess, "When a run last ended with exit code 0; 0 if none has.", success},
	}
	if running {
		ends = []gauge{
			{"in_flight", "Sends that are in flight now.", float64(d.InFlight())},
			{"in_flight_limit", "Most sends that may be in flight now; 0 while control pauses the run.", float64(d.InFlightLimit())},
		}
	}
	for _, g := range append([]gauge{
		{"guarded_" + things.String(), printable.Title(things.String()) + " of the last run that were sent to although the server may have skipped them for an earlier " + d.Mail() + ".", float64(c.Guarded)},
		{"retries", "Extra tries of the last run.", float64(c.Retries)},
		{"in_flight_peak", "Most sends that were in flight at once in the last run.", float64(r.Sends.peak)},
		{"sent_bytes", "Bytes written to the site's connections in the last run, with headers and TLS.", float64(r.Sent)},
		{"received_bytes", "Bytes read from the site's connections in the last run, with headers and TLS.", float64(r.Received)},
		{"run_duration_seconds", "How long the last run took.", d.Seconds.Wall},
		{"run_paused_seconds", "How long of the last run's duration operators had it paused.", d.Seconds.Paused},
	}, ends...) {
		r.head(out, g.name, "gauge", g.help)
		r.line(out, g.name, "", g.value)
	}
	const duration = "send_duration_seconds"
	r.head(out, duration, "histogram", "How long the sends of the last run took, each try by itself.")
	n := 0
	for i, bound := range bounds {
		n += r.Sends.buckets[i]
		r.line(out, duration+"_bucket", `le="`+number(bound.Seconds())+`"`, float64(n))
	}
	n += r.Sends.buckets[len(bounds)]
	r.line(out, duration+"_bucket", `le="+Inf"`, float64(n))
	r.line(out, duration+"_sum", "", r.Sends.sum.Seconds())
	r.line(out, duration+"_count", "", float64(n))
	return out.Flush() // gives the first error of all the writes
}

func (r Run) head(out io.Writer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s_%s %s\n# TYPE %[1]s_%[2]s %[4]s\n", r.Program, name, help, kind)
}

func (r Run) line(out io.Writer, name, label string, value float64) {
	fmt.Fprintf(out, "%s_%s%s %s\n", r.Program, name, r.labels(label), number(value))
}

// escaper writes a label's value as the format wants it, and unescaper reads it.
var (
	escaper   = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	unescaper = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
)

// labelBegin and labelEnd stand about the URL of the site where that is the one label.
const labelBegin, labelEnd = `{site="`, `"}`

// address is a site's URL as far as it tells sites apart: http and https lead to the same one, and an older file may have
// another spelling.
func address(site string) string {
	u, err := url.Parse(site)
	if err != nil {
		return site
	}
	_, rest, _ := strings.Cut(hooks.SiteName(u), "://")
	return rest
}

// labels are the site, by its URL, and one more if there is one.
func (r Run) labels(more string) string {
	site := labelBegin + escaper.Replace(r.Document.URL)
	if more == "" {
		return site + labelEnd
	}
	return site + `",` + more + "}"
}

// number is a value without an exponent, which people read more easily.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// unix is a time in seconds since 1970, to the millisecond.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
