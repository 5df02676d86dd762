package night

import (
	"context"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/fleet"
	"github.com/groupserver/senddigest/internal/report"
)

// A steering reports what operators change of the limits of an installation while a night goes on.
type steering struct {
	limits fleet.Limits // as reported
	report func(campaign.Steered)
}

// look takes in the limits that hold now.
func (s *steering) look(ctx context.Context, db *fleet.DB, installation int64) error {
	now, err := db.LimitsOf(ctx, installation)
	if err != nil || now == s.limits {
		return err
	}
	before := s.limits
	s.limits = now
	sends := now.Workers
	if now.Paused {
		sends = 0
	}
	changed := func(is bool, what, from, to string) {
		if is {
			s.report(campaign.Steered{Steer: report.Steer{At: time.Now(), What: what, From: from, To: to}, Sends: sends, Rate: now.Rate})
		}
	}
	changed(now.Paused && !before.Paused, "pause", "", "")
	changed(now.Workers != before.Workers, "workers", strconv.Itoa(before.Workers), strconv.Itoa(now.Workers))
	changed(now.Rate != before.Rate, "rate", before.Rate.String(), now.Rate.String())
	changed(!now.Paused && before.Paused, "resume", "", "")
	return nil
}
