package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/printable"
)

// forecast says in lines how long a planned run will take, and whether it will be over in time. fit is why it will not;
// nil where it will, or nothing is known of that.
func forecast(plan *campaign.Plan, ends *campaign.DeadlineError, s *config.Settings) (lines []string, fit *campaign.FitError) {
	f := plan.Forecast
	if f == nil {
		return []string{"no forecast: past runs do not tell what these sends take"}, nil
	}
	text := fmt.Sprintf("the run is expected to take %s, and in nine nights of ten between %s and %s",
		span(f.Expected), span(f.Low), span(f.High))
	if s.Auto {
		text += fmt.Sprintf(", with %d at a time", plan.Workers)
	}
	if f.Known < f.Jobs {
		text += fmt.Sprintf("; past runs tell of %d of the %d groups", f.Known, f.Jobs)
	}
	lines = []string{text}
	if ends == nil {
		return lines, nil
	}
	fit = plan.Fit(ends, s.Workers)
	if fit == nil {
		return append(lines, fmt.Sprintf("it fits: all sends will have started by %s (%s)", ends.At.Local().Format("15:04"), ends.Option)), nil
	}
	lines = append(lines, fit.Error())
	if fit.Workers > 0 && !s.Auto {
		return append(lines, fmt.Sprintf("with --workers %d it would fit, if the site bears them", fit.Workers)), fit
	}
	var names []string
	for _, key := range fit.Examples {
		names = append(names, printable.Line(key))
	}
	if more := fit.Left - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	text = fmt.Sprintf("not even with --workers %d; it would leave %s", fit.Most, strings.Join(names, ", "))
	if s.Auto {
		text = "it would leave " + strings.Join(names, ", ")
	}
	return append(lines, text), fit
}

// span prints a length of time as people say it: 2h05m, 12m30s, 4.2s.
func span(d time.Duration) string {
	switch {
	case d >= time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return d.Round(100 * time.Millisecond).String()
}
