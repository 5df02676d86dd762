package report

import (
	"fmt"
	"slices"

	"github.com/groupserver/senddigest/dispatcher"
)

// A place is a job by its number in the report, from 1.
type place struct {
	thing  string
	number int
}

func (p place) Key() string { return fmt.Sprintf("%s %d", p.thing, p.number) }

// Nameless is the document for those who must not know whom the run was sent to, if the names are personal data: numbers
// stand for them. The texts of errors, which may have them, are left out.
func (d *Document) Nameless() *Document {
	if !d.meta.Private {
		return d
	}
	results, meta := *d.results, d.meta
	results.Results = slices.Clone(results.Results)
	for i := range results.Results {
		r := &results.Results[i]
		r.Job, r.Err = place{meta.Things.One(), i + 1}, nil
	}
	meta.Names = func(j dispatcher.Job) (site, name string) { return "", j.Key() }
	meta.Ledger, meta.Nights = nil, nil
	return New(&results, meta)
}
