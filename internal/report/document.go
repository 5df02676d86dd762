// Package report turns the results of a run into what people and programs read: JSON (schema 1 of the project's
// contract, see README) and text.
//
// A [Document] holds the figures of a run; the groups themselves stay where the dispatcher put them and are read
// one at a time, since there may be 200,000. The package knows nothing of how a run is made and never writes to a
// terminal by itself.
package report

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// Schema is the number of the JSON report's form. Within a number, fields are only ever added.
const Schema = 1

// examples is how many groups a cause names in the JSON report, which lists them all further on.
const examples = 10

// Meta is what a report says of a run besides its results.
type Meta struct {
	Program  string         // that made the run; empty: "senddigest"
	Campaign string         // "digest"
	Mail     string         // what a send mails; empty: "digest"
	Things   printable.Noun // what was sent to: groups
	Run      string         // the run's own name
	URL      string         // the site's
	Started  time.Time
	Workers  int     // the most sends in flight; 0: their number was found in the course of the run
	Rate     float64 // sends started per second; 0: no limit
	Burst    int
	StopWord string        // the contract's word for why the run was stopped; empty if it was not
	Guarded  int           // groups that were sent to although the server's duplicate check will have skipped them
	Forecast time.Duration // how long the run was expected to take; 0: nothing was known
	Error    string        // why there was nothing to send, if the list could not be had; one line
	State    State         // of a run that has not ended by itself, as its record tells
	Notes    []string      // what a reader has to know besides; one line each
	Steered  []Steer       // what operators changed while it went, in the order of time
	Limits   []Limit       // how the most sends in flight changed, in the order of time; nil: it was Workers all along

	// Private: the names of what was sent to are personal data, and stand in reports that are files alone.
	Private bool
	// Unguarded: the server has no duplicate check. What may have been mailed is not sent to again, whoever goes on.
	Unguarded bool

	// Ledger is what the site's own tables told; nil: they were not read.
	Ledger *Ledger
	// Nights are earlier runs of which they told something, the oldest first. They stand in the HTML report alone.
	Nights []Night

	// Names gives the two halves of a job's name.
	Names func(dispatcher.Job) (site, group string)
	// Again gives the command that sends to some groups of the run again, or to all with none named.
	Again func(keys ...string) string
	// GoOn gives the command that goes on with the run by an option, --resume or --retry-failed; nil if nothing of the
	// run is on record.
	GoOn func(option string) string
}

// Document is a run, ready to be written in any format.
type Document struct {
	Schema    int       `json:"schema"`
	Campaign  string    `json:"campaign"`
	Run       string    `json:"run"`
	URL       string    `json:"url"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`
	Complete  bool      `json:"complete"`
	StoppedBy *string   `json:"stopped_by"`
	State     State     `json:"state,omitempty"`
	Error     string    `json:"error,omitempty"`
	Workers   any       `json:"workers"` // a number, or "auto"
	Rate      *float64  `json:"rate"`
	Burst     int       `json:"burst"`
	Counts    Counts    `json:"counts"`
	Seconds   Seconds   `json:"seconds"`
	Limits    []Limit   `json:"limits,omitempty"`  // how many sends might be in flight, where that changed
	Steered   []Steer   `json:"steered,omitempty"` // what operators changed while the run went
	Notes     []string  `json:"notes,omitempty"`
	Causes    []Cause   `json:"causes"`
	// Ledger is what the site's own tables told of the run's groups; nil: they were not read.
	Ledger *LedgerCounts `json:"ledger"`
	// Compare is what is different from an earlier run; nil where nobody asked.
	Compare *Comparison `json:"compare,omitempty"`

	meta     Meta
	results  *dispatcher.Report
	took     []time.Duration // what the sends took, sorted
	inFlight int             // of a run that goes on: sends under way, which are among the ambiguous
}

// State is where a run stands that has not ended by itself. It is empty for one that has.
type State string

const (
	Running State = "running" // a process is at work on it
	CutOff  State = "cut_off" // nothing is, and no end is on record
)

// Counts are numbers of groups; all but Retries and Guarded add up to Groups.
type Counts struct {
	Groups       int `json:"groups"`
	Accepted     int `json:"accepted"`
	UnknownGroup int `json:"unknown_group"`
	Rejected     int `json:"rejected"`
	NotOK        int `json:"not_ok"`
	Unexpected   int `json:"unexpected"`
	Unreachable  int `json:"unreachable"`
	Ambiguous    int `json:"ambiguous"`
	NotAttempted int `json:"not_attempted"`
	Skipped      int `json:"skipped"`
	Retries      int `json:"retries"` // extra tries
	Guarded      int `json:"guarded"` // groups sent to although the server's duplicate check will have skipped them
}

// Outcomes counts the groups by what became of them.
func (d *Document) Outcomes() dispatcher.Counts { return d.results.Counts() }

// InFlight counts the sends that are under way in a run that goes on. They are among the ambiguous.
func (d *Document) InFlight() int { return d.inFlight }

// InFlightLimit is the most sends that may be in flight at the end of what the document tells of; 0 while an operator pauses
// the run.
func (d *Document) InFlightLimit() int {
	if n := len(d.meta.Limits); n > 0 {
		return d.meta.Limits[n-1].Sends
	}
	return d.meta.Workers
}

// Failed counts the groups that failed.
func (c Counts) Failed() int {
	return c.Rejected + c.NotOK + c.Unexpected + c.Unreachable + c.Ambiguous
}

// Seconds are lengths of time: of the run, and of its sends.
type Seconds struct {
	Wall       float64  `json:"wall"`
	P50        float64  `json:"p50"`
	P95        float64  `json:"p95"`
	P99        float64  `json:"p99"`
	Max        float64  `json:"max"`
	LowerBound float64  `json:"lower_bound"` // see measure
	Forecast   *float64 `json:"forecast"`
	Paused     float64  `json:"paused,omitempty"` // of Wall: for so long operators had the run paused
}

// Cause is what some groups that were not accepted have in common.
type Cause struct {
	Outcome  string    `json:"outcome"`
	Reason   string    `json:"reason"`
	Groups   int       `json:"groups"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Examples []string  `json:"examples"`
}

// Group is what became of one group.
type Group struct {
	Site     string  `json:"site"`
	Group    string  `json:"group"`
	Outcome  string  `json:"outcome"`
	Status   int     `json:"status"` // HTTP's; 0 if there was no answer
	Reason   string  `json:"reason"`
	Error    string  `json:"error"`
	Attempts int     `json:"attempts"`
	Start    float64 `json:"start"` // seconds since the run started; 0 if the group was not tried, below 0 if another machine's run had begun the night
	Seconds  float64 `json:"seconds"`
	Worker   int     `json:"worker"` // from 1; 0 if the group was not tried
	// Mail is what became of its digest by the site's own tables; nil: nobody asked.
	Mail *string `json:"mail"`
	// Lost is the first try whose answer was lost, where the group was sent to again: all above is of the last try, and the
	// outcome is ambiguous where that one failed. nil: there is none.
	Lost *Lost `json:"lost,omitempty"`
}

// New makes the document of a run.
func New(results *dispatcher.Report, meta Meta) *Document {
	d := &Document{
		Schema: Schema, Campaign: meta.Campaign, Run: meta.Run, URL: meta.URL,
		Started: instant(meta.Started), Finished: instant(results.Finished),
		Complete: results.StoppedBy == nil && meta.Error == "" && meta.State == "",
		State:    meta.State, Error: meta.Error, Workers: any(meta.Workers), Burst: meta.Burst,
		Notes: meta.Notes, meta: meta, results: results,
	}
	if meta.Workers == 0 {
		d.Workers = "auto"
	}
	for _, l := range meta.Limits {
		l.At = instant(l.At)
		d.Limits = append(d.Limits, l)
	}
	for _, s := range meta.Steered {
		s.At = instant(s.At)
		d.Steered = append(d.Steered, s)
	}
	if meta.StopWord != "" {
		d.StoppedBy = &meta.StopWord
	}
	if meta.Rate > 0 {
		d.Rate = &meta.Rate
	}
	if meta.Forecast > 0 {
		forecast := seconds(meta.Forecast)
		d.Seconds.Forecast = &forecast
	}
	d.Ledger = meta.Ledger.counts()
	d.count()
	d.measure()
	d.Causes = []Cause{}
	for _, c := range d.causes(examples) {
		d.Causes = append(d.Causes, Cause{
			Outcome: c.Outcome.String(), Reason: c.Reason, Groups: c.Jobs,
			First: instant(c.First), Last: instant(c.Last), Examples: c.Examples,
		})
	}
	return d
}

// causes are those of the results, without what is merely under way or to come in a run that goes on: that has no reason.
func (d *Document) causes(examples int) []dispatcher.Cause {
	return slices.DeleteFunc(d.results.Causes(examples), func(c dispatcher.Cause) bool {
		return d.State == Running && c.Reason == ""
	})
}

func (d *Document) count() {
	n := d.Outcomes()
	d.Counts = Counts{
		Groups:   len(d.results.Results),
		Accepted: n[dispatcher.Accepted], UnknownGroup: n[dispatcher.UnknownGroup], Rejected: n[dispatcher.Rejected],
		NotOK: n[dispatcher.NotOK], Unexpected: n[dispatcher.Unexpected], Unreachable: n[dispatcher.Unreachable],
		Guarded:   d.meta.Guarded,
		Ambiguous: n[dispatcher.Ambiguous], NotAttempted: n[dispatcher.NotAttempted], Skipped: n[dispatcher.Skipped],
	}
	for i := range d.results.Results {
		d.Counts.Retries += max(0, d.results.Results[i].Attempts-1)
		if d.underWay(&d.results.Results[i]) {
			d.inFlight++
		}
	}
}

// underWay tells whether a send is in flight, of which it is not known yet what becomes of it.
func (d *Document) underWay(r *dispatcher.Result) bool {
	return d.State == Running && r.Outcome == dispatcher.Ambiguous && r.Attempts > 0 && r.Took == 0
}

// measure fills in the lengths of time. The lower bound is max(longest send, sum of sends ÷ workers, sends ÷ rate):
// without a rate no schedule of these sends could have ended sooner. Of workers that an operator changed the most count, and
// such a rate does not. With one the run may: the bucket starts full,
// and lets the first burst of them go at once.
func (d *Document) measure() {
	var sum time.Duration
	for i := range d.results.Results {
		if r := &d.results.Results[i]; r.Attempts > 0 && !d.underWay(r) {
			d.took = append(d.took, r.Took)
			sum += r.Took
		}
	}
	d.Seconds.Wall = seconds(d.results.Finished.Sub(d.meta.Started))
	d.Seconds.Paused = seconds(d.PausedFor())
	if len(d.took) == 0 {
		return
	}
	slices.Sort(d.took)
	longest := d.took[len(d.took)-1]
	d.Seconds.P50, d.Seconds.P95 = seconds(quantile(d.took, 50)), seconds(quantile(d.took, 95))
	d.Seconds.P99, d.Seconds.Max = seconds(quantile(d.took, 99)), seconds(longest)
	workers := cmp.Or(d.meta.Workers, d.results.Peak)
	if d.steered("workers") {
		for _, l := range d.meta.Limits {
			workers = max(workers, l.Sends)
		}
	}
	bound := max(longest, sum/time.Duration(max(workers, 1)))
	d.Seconds.LowerBound = seconds(bound)
	if d.meta.Rate > 0 && !d.steered("rate") {
		d.Seconds.LowerBound = max(d.Seconds.LowerBound, milli(float64(len(d.took))/d.meta.Rate))
	}
}

// quantile is the nearest-rank percentile of sorted lengths of time.
func quantile(sorted []time.Duration, percent int) time.Duration {
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Ended is when the last send ended, exactly.
func (d *Document) Ended() time.Time { return d.results.Finished }

// Things is what the run sent to.
func (d *Document) Things() printable.Noun { return d.meta.Things }

// Program is the name of the program that made the run.
func (d *Document) Program() string { return cmp.Or(d.meta.Program, "senddigest") }

// Mail is what a send of the run mails.
func (d *Document) Mail() string { return cmp.Or(d.meta.Mail, "digest") }

// Groups yields what became of each group, in the order of the sends, the ones left out last.
func (d *Document) Groups() iter.Seq[Group] {
	return func(yield func(Group) bool) {
		for i := range d.results.Results {
			g := d.group(&d.results.Results[i])
			g.Mail = d.meta.Ledger.word(i)
			if !yield(g) {
				return
			}
		}
	}
}

// Note adds a line that a reader has to know besides.
func (d *Document) Note(text string) {
	d.meta.Notes = append(slices.Clip(d.meta.Notes), text)
	d.Notes = d.meta.Notes
}

func (d *Document) group(r *dispatcher.Result) Group {
	g := Group{
		Outcome: r.Outcome.String(), Status: r.Status, Reason: r.Reason,
		Attempts: r.Attempts, Seconds: seconds(r.Took), Worker: r.Worker, Lost: d.lost(r),
	}
	g.Site, g.Group = d.meta.Names(r.Job)
	if r.Err != nil {
		g.Error = r.Err.Error()
	}
	if r.Attempts > 0 {
		g.Start = seconds(r.Start.Sub(d.meta.Started))
	}
	return g
}

// instant is a time as reports give it: UTC, to the millisecond.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// seconds is a length of time as reports give it: to the millisecond.
func seconds(d time.Duration) float64 { return milli(d.Seconds()) }

func milli(s float64) float64 { return math.Round(s*1000) / 1000 }
