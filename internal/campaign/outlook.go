package campaign

import (
	"fmt"

	"github.com/groupserver/senddigest/internal/printable"
)

// Outlook says in lines how long a planned run will take, and whether it will be over in time. Of a campaign of which no
// history is kept there is nothing to say.
func (p *Plan) Outlook() []string {
	f := p.Forecast
	switch {
	case p.Private:
		return nil
	case f == nil:
		return []string{"no forecast: past runs do not tell what these sends take"}
	}
	text := fmt.Sprintf("the run is expected to take %s, and in nine nights of ten between %s and %s",
		printable.Span(f.Expected), printable.Span(f.Low), printable.Span(f.High))
	if p.auto {
		text += fmt.Sprintf(", with %d at a time", p.Workers)
	}
	if f.Known < f.Jobs {
		text += fmt.Sprintf("; past runs tell of %d of the %d %v", f.Known, f.Jobs, p.Things)
	}
	lines := []string{text}
	if p.Ends == nil {
		return lines
	}
	fit := p.Fit()
	if fit == nil {
		return append(lines, fmt.Sprintf("it fits: all sends will have started by %s (%s)", p.Ends.At.Local().Format("15:04"), p.Ends.Option))
	}
	lines = append(lines, fit.Error())
	if fit.Workers > 0 && !p.auto {
		return append(lines, fmt.Sprintf("with --workers %d it would fit, if the site bears them", fit.Workers))
	}
	text = "it would leave " + printable.Names(fit.Examples, fit.Left)
	if !p.auto {
		text = fmt.Sprintf("not even with --workers %d; %s", fit.Most, text)
	}
	return append(lines, text)
}
