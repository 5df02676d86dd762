package observe

import "github.com/groupserver/senddigest/internal/campaign"

// Stdout is a report that is not a file.
const Stdout = "-"

// Files writes what a run leaves besides its record, at its end, while it still has the lock: of two runs close together the
// files of the later one stay.
type Files struct {
	Reports []string // paths, or Stdout, which is passed by: whoever reads it may keep the run waiting
	// Metrics writes the metrics of a run of which something could not be written, or nothing: they have its exit code as far
	// as it is known then.
	Metrics func(result campaign.Result, unwritten error) error

	Unwritten error   // the last thing that could not be written, the record included; nil: all has been
	Faults    []error // what could not be written, but for the record, of which the operator has been warned
}

// Observe writes the reports, and then the metrics.
func (f *Files) Observe(event campaign.Event) {
	e, ok := event.(campaign.Ended)
	if !ok {
		return
	}
	f.Unwritten = e.Unwritten
	for _, path := range f.Reports {
		if path != Stdout {
			f.Note(e.Document.WriteFile(path))
		}
	}
	f.Note(f.Metrics(e.Result, f.Unwritten))
}

// Note notes what could not be written; nil is nothing.
func (f *Files) Note(err error) {
	if err != nil {
		f.Unwritten, f.Faults = err, append(f.Faults, err)
	}
}
