package docs_test

import (
	"archive/zip"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run
)

// By a clock on the wall, as the server's guard goes, each run is 21.6 hours after the one before at least, and no night is
// left out, whatever the time zone.
func TestATimerRunsOnceEachNightInEveryTimeZone(t *testing.T) {
	all := machines(t)
	t.Run("ours, and those on the pages", func(t *testing.T) {
		for _, spec := range timers(t) {
			for name, m := range all {
				if fault := m.nights(t, spec.clock, spec.zone); fault != "" {
					t.Errorf("%v in %s: %s", spec, name, fault)
				}
			}
		}
	})
	t.Run("from 04:00 to 20:59", func(t *testing.T) {
		for at := 4 * time.Hour; at < 21*time.Hour; at += 29 * time.Minute { // no clock is changed by less than half an hour
			clock := time.Time{}.Add(at).Format(time.TimeOnly)
			for name, m := range all {
				if fault := m.nights(t, clock, ""); fault != "" {
					t.Errorf("%s in %s: %s", clock, name, fault)
				}
			}
		}
	})
	t.Run("others are found out", func(t *testing.T) {
		for _, tt := range []struct{ zone, clock, want string }{
			{"Europe/Berlin", "02:00:00", "2024-03-30 02:00:00 CET and 2024-04-01 02:00:00 CEST"},
			{"Europe/London", "01:30:00", "2024-03-30 01:30:00 GMT and 2024-04-01 01:30:00 BST"},
			{"America/New_York", "02:00:00", "2024-03-09 02:00:00 EST and 2024-03-11 02:00:00 EDT"},
			{"America/New_York", "01:30:00", "2024-11-03 01:30:00 EDT and 2024-11-03 01:30:00 EST"},
			{"Europe/Athens", "03:59:00", "2024-03-30 03:59:00 EET and 2024-04-01 03:59:00 EEST"},
			{"America/Nuuk", "23:00:00", "2024-03-29 23:00:00 -02 and 2024-03-31 23:00:00 -01"},
			{"Europe/Berlin", "01:30:00", ""},
			{"Asia/Kolkata", "02:00:00", ""},
		} {
			zone, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := (machine{zone, changes(zone)}).nights(t, tt.clock, ""); got != tt.want {
				t.Errorf("%s in %s: got %q, want %q", tt.clock, tt.zone, got, tt.want)
			}
		}
	})
}

// A timer is when systemd starts a run: at a time of day of a zone, empty for the machine's.
type timer struct{ clock, zone string }

// timers are ours and those that the pages show. The delay of ours cannot bring two runs too close.
func timers(t *testing.T) (found []timer) {
	t.Helper()
	unit := readText(t, "contrib/systemd/senddigest@.timer")
	for _, line := range []string{"RandomizedDelaySec=2min", "FixedRandomDelay=yes", "AccuracySec=1s"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the timer has no %s", line)
		}
	}
	var text strings.Builder
	text.WriteString(unit)
	for _, page := range pages(t) {
		text.WriteString(readText(t, page))
	}
	for _, spec := range regexp.MustCompile(`(?m)^OnCalendar=\*-\*-\* (\d\d:\d\d:\d\d)(?: (\S+))?$`).FindAllStringSubmatch(text.String(), -1) {
		found = append(found, timer{spec[1], spec[2]})
	}
	if len(found) < 3 || strings.Count(text.String(), "\nOnCalendar=*") != len(found) {
		t.Fatalf("timers: %v", found)
	}
	return found
}

// A machine has a clock in a time zone.
type machine struct {
	zone  *time.Location
	weeks []time.Time // the middles of those in which it is changed, and of one more
}

// machines have clocks in all time zones, by name, where a zone has several by one of them. The zones are those of Go's own copy
// of the database, so that the test is the same everywhere.
func machines(t *testing.T) map[string]machine {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	database, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	all, known := map[string]machine{}, map[string]bool{}
	for _, file := range database.File {
		if file.FileInfo().IsDir() {
			continue
		}
		text, err := fs.ReadFile(database, file.Name)
		if err != nil {
			t.Fatal(err)
		}
		if known[string(text)] {
			continue // by another name
		}
		known[string(text)] = true
		zone, err := time.LoadLocationFromTZData(file.Name, text)
		if err != nil {
			t.Fatal(err)
		}
		all[file.Name] = machine{zone, changes(zone)}
	}
	if len(all) < 300 {
		t.Fatalf("only %d time zones", len(all))
	}
	return all
}

// changes lists, from 2024 to 2035, a first day and the days after which a clock is changed.
func changes(zone *time.Location) []time.Time {
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	days := []time.Time{day}
	for day.Year() < 2036 {
		next := day.AddDate(0, 0, 1)
		_, before := day.In(zone).Zone()
		if _, after := next.In(zone).Zone(); before != after {
			days = append(days, day)
		}
		day = next
	}
	return days
}

// nights looks at the runs of a timer in the nights around each change of the machine's clock, and names the first two that
// are not one night apart by it.
func (m machine) nights(t *testing.T, clock, in string) string {
	t.Helper()
	at, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		t.Fatal(err)
	}
	zone := m.zone
	if in != "" {
		if zone, err = time.LoadLocation(in); err != nil {
			t.Fatal(err)
		}
	}
	for _, middle := range m.weeks {
		var runs []time.Time
		for day := -3; day <= 3; day++ {
			runs = append(runs, showing(time.Date(middle.Year(), middle.Month(), middle.Day()+day, at.Hour(), at.Minute(), at.Second(), 0, time.UTC), zone)...)
		}
		for i := 1; i < len(runs); i++ {
			a, b := runs[i-1].In(m.zone), runs[i].In(m.zone)
			// A timer of another zone is hours early or late by the machine's clock when that is changed. A quarter of an
			// hour beyond the guard's 21.6 is more than the timer's delay.
			if apart := onTheWall(b).Sub(onTheWall(a)); apart < 21*time.Hour+51*time.Minute || apart > 26*time.Hour {
				const form = "2006-01-02 15:04:05 MST"
				return a.Format(form) + " and " + b.Format(form)
			}
		}
	}
	return ""
}

// showing lists when the clock of a zone shows a reading: not at all where it is put forward over it, and twice where it is
// put back. systemd takes no other time for the one that there is not, and may take either of two.
func showing(reading time.Time, zone *time.Location) (instants []time.Time) {
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := reading.Add(near).In(zone).Zone()
		at := reading.Add(-time.Duration(offset) * time.Second).In(zone)
		if onTheWall(at).Equal(reading) && (len(instants) == 0 || !at.Equal(instants[0])) {
			instants = append(instants, at)
		}
	}
	return instants
}

// onTheWall is what a clock shows, as that time of UTC.
func onTheWall(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
}
