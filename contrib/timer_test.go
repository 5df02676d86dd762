//go:build packaging

package contrib_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// The program's own tests reckon when a timer starts, in all time zones; here systemd is asked, in some.
func TestSystemdStartsTheTimerOnceEachNightWhereverTheClocksChange(t *testing.T) {
	t.Parallel()
	timer, err := readUnit("systemd/senddigest@.timer", instance)
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{
		"Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Nuuk", "America/Santiago", "America/Havana",
		"Africa/Casablanca", "Africa/Cairo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Easter", "Antarctica/Troll",
	} {
		if skipped := skippedDays(t, zone, timer.one("Timer.OnCalendar")); len(skipped) > 0 {
			t.Errorf("%s: no run, or two, on %v", zone, skipped)
		}
	}
	// It is not that systemd would do so at any time.
	if skipped := skippedDays(t, "Europe/Berlin", "*-*-* 02:00:00"); len(skipped) != 12 || skipped[0] != "2024-03-31" {
		t.Errorf("02:00 in Berlin: skipped %v, want the spring night of each of twelve years", skipped)
	}
}

// A Wednesday that two runs begin on, or a month without one, would be one mail too many or too few for everybody.
func TestSystemdStartsTheNotificationsOnTheFirstWednesdayOfEachMonth(t *testing.T) {
	t.Parallel()
	timer, err := readUnit("systemd/sendprofile@.timer", instance)
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll"} {
		starts := started(t, zone, timer.one("Timer.OnCalendar"), 12*12)
		for month := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); month.Year() < 2036; month = month.AddDate(0, 1, 0) {
			first := month
			for first.Weekday() != time.Wednesday {
				first = first.AddDate(0, 0, 1)
			}
			if date := first.Format(time.DateOnly); starts[date] != 1 {
				t.Errorf("%s: %d runs on %s", zone, starts[date], date)
			}
		}
		if len(starts) != 12*12 {
			t.Errorf("%s: runs on %d days, want %d", zone, len(starts), 12*12)
		}
	}
}

// skippedDays lists the days from 2024 to 2035 on which systemd does not start a timer once.
func skippedDays(t *testing.T, zone, calendar string) (days []string) {
	t.Helper()
	starts := started(t, zone, calendar, 4383)
	for day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2036; day = day.AddDate(0, 0, 1) {
		if date := day.Format(time.DateOnly); starts[date] != 1 {
			days = append(days, date)
		}
	}
	return days
}

// started counts how often systemd starts a timer on each day that it does, the first so many times from 2024 on.
func started(t *testing.T, zone, calendar string, times int) map[string]int {
	t.Helper()
	out := runIn(t, "", []string{"TZ=" + zone, "LC_ALL=C"}, "systemd-analyze", "calendar", "--base-time=2024-01-01 00:00:00", fmt.Sprintf("--iterations=%d", times), calendar)
	starts := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)(?:Next elapse|Iter\. #\d+): \S+ (\d{4}-\d\d-\d\d) `).FindAllStringSubmatch(out, -1) {
		starts[found[1]]++
	}
	return starts
}
