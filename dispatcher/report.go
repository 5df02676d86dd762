package dispatcher

import (
	"cmp"
	"slices"
	"time"
)

// Result is what became of one job.
type Result struct {
	Job Job
	Verdict
	Attempts int           // tries made; 0 if it never started
	Worker   int           // who made the last one, from 1; 0 if it never started
	Start    time.Time     // of the last try; zero if it never started
	Took     time.Duration // from Start to the end of that try
	Lost     *Lost         // the first try that was ambiguous, where it is not the last; nil: there is none
}

// Report is what became of a run: one result for each job, in dispatch order.
type Report struct {
	Started, Finished time.Time
	Results           []Result
	StoppedBy         error // why not everything was tried or finished; nil if everything was
	Peak              int   // most sends that were in flight at once; 0 if none was, or it is not known
}

// Counts says how many jobs ended with each outcome; index it with an [Outcome].
type Counts [outcomes]int

// Failed counts the jobs that failed.
func (c Counts) Failed() (n int) {
	for o, count := range c {
		if Outcome(o).Failed() {
			n += count
		}
	}
	return n
}

// Counts counts the results by outcome.
func (r *Report) Counts() Counts {
	var c Counts
	for i := range r.Results {
		c[r.Results[i].Outcome]++
	}
	return c
}

// Cause is what one or more jobs have in common that were tried or left, and not accepted.
type Cause struct {
	Outcome     Outcome
	Reason      string
	Jobs        int
	First, Last time.Time // when such a job ended; for jobs that never started, the end of the run
	Examples    []string  // keys of some of the jobs, in dispatch order
}

// Causes groups the jobs that were not accepted by outcome and reason, most jobs first; jobs left out on purpose
// have no cause. Each cause names at most examples of its jobs.
func (r *Report) Causes(examples int) []Cause {
	type key struct {
		outcome Outcome
		reason  string
	}
	index := map[key]int{}
	var causes []Cause
	for i := range r.Results {
		result := &r.Results[i]
		if result.Outcome == Accepted || result.Outcome == Skipped {
			continue
		}
		at := r.Finished
		if result.Attempts > 0 {
			at = result.Start.Add(result.Took)
		}
		k := key{result.Outcome, result.Reason}
		n, seen := index[k]
		if !seen {
			n = len(causes)
			index[k] = n
			causes = append(causes, Cause{Outcome: k.outcome, Reason: k.reason, First: at, Last: at})
		}
		c := &causes[n]
		c.Jobs++
		if at.Before(c.First) {
			c.First = at
		}
		if at.After(c.Last) {
			c.Last = at
		}
		if len(c.Examples) < examples {
			c.Examples = append(c.Examples, result.Job.Key())
		}
	}
	slices.SortStableFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), failedFirst(a.Outcome, b.Outcome))
	})
	return causes
}

func failedFirst(a, b Outcome) int {
	switch {
	case a.Failed() == b.Failed():
		return 0
	case a.Failed():
		return -1
	}
	return 1
}

// PeakOf is the most last tries that were under way at once, for results of which that is not known otherwise.
func PeakOf(results []Result) int {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for i := range results {
		if r := &results[i]; r.Attempts > 0 {
			changes = append(changes, change{r.Start, +1}, change{r.Start.Add(r.Took), -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	peak, flying := 0, 0
	for _, c := range changes {
		flying += c.by
		peak = max(peak, flying)
	}
	return peak
}
