package campaign

import (
	"context"
	"time"

	"github.com/groupserver/senddigest/ratelimit"
)

// Visitors know what visitors of the site wait.
type Visitors interface {
	// Watch reports to limit what visitors wait while nothing is sent, and returns. From then on it reports what they wait,
	// until over is called; over returns when no report can follow.
	Watch(ctx context.Context, limit *ratelimit.Adaptive) (over func())
}

// It does not pay to find out what the site bears for so few groups, or, where no earlier run has, for so short a run: it
// is over before that is known.
const (
	fewGroups = 5
	shortRun  = 30 * time.Second
)

// watchVisitors has the visitors report to the limit until over is called, where that pays.
func (r *run) watchVisitors(ctx context.Context, plan *Plan) (over func()) {
	if !r.auto() || r.Visitors == nil || ctx.Err() != nil || len(plan.Groups) < fewGroups {
		return func() {}
	}
	if plan.Forecast != nil && plan.Forecast.Expected < shortRun && r.adaptive.Found().Sends < 2 {
		return func() {}
	}
	r.events.Observe(Measuring{})
	return r.Visitors.Watch(ctx, r.adaptive)
}
