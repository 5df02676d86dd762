package config_test

import (
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/config"
)

func TestWhatIsAssumedIsTheLastRunThatIsOver(t *testing.T) {
	for _, tt := range []struct {
		from   config.Clock
		length time.Duration
		now    string
		want   string
	}{
		{config.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23 02:00:01", "2026-11-22 02:00:00"}, // tonight's is ours
		{config.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23 07:59:59", "2026-11-22 02:00:00"},
		{config.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23 08:00:00", "2026-11-23 02:00:00"},
		{config.Clock{Hour: 2}, 6 * time.Hour, "2026-11-23 01:00:00", "2026-11-22 02:00:00"},
		{config.Clock{Hour: 23, Minute: 30}, 2 * time.Hour, "2026-11-23 01:00:00", "2026-11-21 23:30:00"}, // past midnight
		{config.Clock{Hour: 23, Minute: 30}, 2 * time.Hour, "2026-11-23 01:30:00", "2026-11-22 23:30:00"},
		{config.Clock{Hour: 0}, 24 * time.Hour, "2026-11-23 00:00:00", "2026-11-22 00:00:00"},
	} {
		now, err := time.ParseInLocation(time.DateTime, tt.now, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		a := config.Assumption{From: tt.from, Length: tt.length}
		if got := a.Began(now).Format(time.DateTime); got != tt.want {
			t.Errorf("%v+%v at %s: %s, want %s", tt.from, tt.length, tt.now, got, tt.want)
		}
	}
}
