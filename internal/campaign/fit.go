package campaign

import (
	"fmt"
	"slices"

	"github.com/groupserver/senddigest/internal/printable"
)

const (
	// mostWorkers is up to how many workers a forecast looks for a run that fits.
	mostWorkers = 16

	// leftExamples is how many of the groups that a run would not come to are named.
	leftExamples = 5
)

// FitError keeps a run from starting that would not be over in time.
type FitError struct {
	Deadline     *DeadlineError
	Left, Groups int            // how many of how many groups would not have been sent to
	Things       printable.Noun // what these are called
	Examples     []string       // keys of some of these, in the order of the sends
	Workers      int            // how many workers would do; 0: not even Most
	Most         int            // up to how many were looked at
}

func (e *FitError) Error() string {
	return fmt.Sprintf("it would not fit: at %s (%s) %d of %d %v would not have been sent to",
		e.Deadline.At.Local().Format("15:04"), e.Deadline.Option, e.Left, e.Groups, e.Things)
}

// Fit returns why the run will not be over by the time at which it starts nothing more. nil means that it will, that there
// is no such time, or that no forecast is known. The plan must still have its Forecast.
func (p *Plan) Fit() *FitError {
	if p.Forecast == nil || p.Ends == nil {
		return nil
	}
	most := max(p.workers, mostWorkers)
	found := p.Forecast.Fit(p.Ends.At, most)
	if found.Fits {
		return nil
	}
	e := &FitError{Deadline: p.Ends, Left: len(found.Left), Groups: p.Forecast.Jobs, Things: p.Things, Workers: found.Workers, Most: most}
	sequence := p.schedule.Sequence()
	for _, job := range found.Left[:min(leftExamples, len(found.Left))] {
		e.Examples = append(e.Examples, p.Groups[slices.Index(sequence, job)].Key())
	}
	return e
}
