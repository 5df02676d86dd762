package campaign_test

import (
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
)

func TestWhatIsAssumedIsTheLastRunThatIsOver(t *testing.T) {
	for _, tt := range []struct {
		zone   string
		from   campaign.Clock
		length time.Duration
		now    string
		want   string
	}{
		{"UTC", campaign.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23T02:00:01Z", "2026-11-22T02:00:00Z"}, // tonight's is ours
		{"UTC", campaign.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23T07:59:59Z", "2026-11-22T02:00:00Z"},
		{"UTC", campaign.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23T08:00:00Z", "2026-11-23T02:00:00Z"},
		{"UTC", campaign.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23T01:00:00Z", "2026-11-22T02:00:00Z"},
		{"UTC", campaign.Clock{Hour: 23, Minute: 30}, 2 * time.Hour, "2026-11-23T01:00:00Z", "2026-11-21T23:30:00Z"}, // past midnight
		{"UTC", campaign.Clock{Hour: 23, Minute: 30}, 2 * time.Hour, "2026-11-23T01:30:00Z", "2026-11-22T23:30:00Z"},
		{"UTC", campaign.Clock{Hour: 0}, 24 * time.Hour, "2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z"},
		// In the spring night there is no such time. Cron starts the script by the time that the hour becomes.
		{"Europe/Berlin", campaign.Clock{Hour: 2, Minute: 30}, 6 * time.Hour, "2026-03-30T02:30:00+02:00", "2026-03-29T03:30:00+02:00"},
		{"Pacific/Auckland", campaign.Clock{Hour: 2}, 6 * time.Hour, "2026-09-28T02:00:00+13:00", "2026-09-27T03:00:00+13:00"},
		// In the autumn night there are two: the later one, as long as that run is over.
		{"Europe/Berlin", campaign.Clock{Hour: 2, Minute: 30}, 2 * time.Hour, "2026-10-26T02:30:00+01:00", "2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", campaign.Clock{Hour: 2, Minute: 30}, 2 * time.Hour, "2026-10-25T04:29:00+01:00", "2026-10-25T02:30:00+02:00"},
		{"Australia/Lord_Howe", campaign.Clock{Hour: 1, Minute: 45}, time.Hour, "2026-04-05T12:00:00+10:30", "2026-04-05T01:45:00+10:30"},
		// The length is of real time: the run of 00:00+6h ends at 05:00 in the autumn night, and at 07:00 in the spring night.
		{"America/New_York", campaign.Clock{Hour: 0}, 6 * time.Hour, "2026-11-01T05:00:00-05:00", "2026-11-01T00:00:00-04:00"},
		{"America/New_York", campaign.Clock{Hour: 0}, 6 * time.Hour, "2026-03-08T06:59:00-04:00", "2026-03-07T00:00:00-05:00"},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		a := campaign.Assumption{From: tt.from, Length: tt.length}
		if got := a.Began(now.In(zone)).Format(time.RFC3339); got != tt.want {
			t.Errorf("%v+%v in %s at %s: %s, want %s", tt.from, tt.length, tt.zone, tt.now, got, tt.want)
		}
	}
}
