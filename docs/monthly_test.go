package docs_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"
)

// A month without a run has no notifications; with two runs everybody gets them twice.
func TestTheNotificationsTimerRunsOnceEachMonthInEveryTimeZone(t *testing.T) {
	found := regexp.MustCompile(`(?m)^OnCalendar=(.+)$`).FindStringSubmatch(readText(t, "contrib/systemd/sendprofile@.timer"))
	if found == nil || found[1] != "Wed *-*-01..07 11:00:00" {
		t.Fatalf("the timer's time: %q", found)
	}
	for name, m := range machines(t) {
		if fault := months(t, m.zone, found[1]); fault != "" {
			t.Errorf("%s in %s: %s", found[1], name, fault)
		}
	}
	for _, tt := range []struct{ zone, calendar, want string }{
		{"Europe/Berlin", "Sun *-*-25..31 02:30:00", "2024-03: 0 runs"},
		{"America/New_York", "Sun *-*-01..07 01:30:00", "2024-11: 2 runs"},
		{"Asia/Kolkata", "Wed *-*-01..06 11:00:00", "2024-02: 0 runs"},
		{"Asia/Kolkata", "Wed *-*-01..08 11:00:00", "2024-05: 2 runs"},
		{"Asia/Kolkata", "Sun *-*-01..07 01:30:00", ""},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := months(t, zone, tt.calendar); got != tt.want {
			t.Errorf("%s in %s: got %q, want %q", tt.calendar, tt.zone, got, tt.want)
		}
	}
}

// months names the first month from 2024 to 2035 in which a timer, on a weekday of a stretch of days, does not start one run.
func months(t *testing.T, zone *time.Location, calendar string) string {
	t.Helper()
	part := regexp.MustCompile(`^(\w{3}) \*-\*-(\d\d)\.\.(\d\d) (\d\d:\d\d:\d\d)$`).FindStringSubmatch(calendar)
	if part == nil {
		t.Fatalf("no known form of a time: %s", calendar)
	}
	first, _ := strconv.Atoi(part[2])
	last, _ := strconv.Atoi(part[3])
	at, err := time.Parse(time.TimeOnly, part[4])
	if err != nil {
		t.Fatal(err)
	}
	for month := time.Date(2024, 1, 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC); month.Year() < 2036; month = month.AddDate(0, 1, 0) {
		runs := 0
		for day := first; day <= last; day++ {
			reading := month.AddDate(0, 0, day-1)
			if reading.Month() == month.Month() && reading.Weekday().String()[:3] == part[1] {
				runs += len(showing(reading, zone))
			}
		}
		if runs != 1 {
			return month.Format("2006-01") + ": " + strconv.Itoa(runs) + " runs"
		}
	}
	return ""
}
