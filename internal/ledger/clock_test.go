package ledger

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run

	"github.com/groupserver/senddigest/internal/guard"
	"pgregory.net/rapid"
)

func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func clockIn(t rapid.TB, name string) Clock { return Clock{Clock: guard.NewClock(zone(t, name), 0)} }

// mailed is what a server in a zone writes of a digest that it mailed at an instant.
func mailed(t rapid.TB, zoneOfServer string, at time.Time) Reading {
	return ReadingOf(guard.NewClock(zone(t, zoneOfServer), 0).At(at))
}

func TestTheServersClockIsFoundFromFiveSendsThatAgree(t *testing.T) {
	night := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, ours, theirs string
		samples            int
		length             time.Duration
		want               time.Duration
		known              bool
	}{
		{"one zone", "Europe/Berlin", "Europe/Berlin", 5, time.Second, 0, true},
		{"four are too few", "Europe/Berlin", "Europe/Berlin", 4, time.Second, 0, false},
		{"the server in Auckland", "UTC", "Pacific/Auckland", 5, time.Second, 13 * time.Hour, true},
		{"we in Auckland", "Pacific/Auckland", "UTC", 20, time.Minute, -13 * time.Hour, true},
		{"a quarter of an hour", "UTC", "Asia/Kathmandu", 5, time.Second, 5*time.Hour + 45*time.Minute, true},
		{"sends of four minutes", "UTC", "UTC", 30, 4 * time.Minute, 0, true},
		{"the farthest from UTC", "UTC", "Pacific/Kiritimati", 5, time.Second, 14 * time.Hour, true},
		{"farther than that", "Etc/GMT+12", "Pacific/Kiritimati", 5, time.Second, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var samples []Sample
			for i := range tt.samples {
				start := night.Add(time.Duration(i) * 90 * time.Second)
				samples = append(samples, Sample{start, start.Add(tt.length), mailed(t, tt.theirs, start.Add(tt.length/3))})
			}
			got := clockIn(t, tt.ours).Calibrate(slices.Values(samples))
			if got.Known != tt.known || got.Ahead() != tt.want {
				t.Errorf("got %v (known: %v), want %v (%v)", got.Ahead(), got.Known, tt.want, tt.known)
			}
		})
	}
}

// A group that a run mailed nothing to has the digest of the night before, and that was at nearly the same time of day.
func TestDigestsOfTheNightBeforeDoNotMoveTheClockByADay(t *testing.T) {
	night := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	var samples []Sample
	for i := range 200 {
		start := night.Add(time.Duration(i) * time.Second)
		row := start.Add(-24 * time.Hour)
		if i%20 == 0 {
			row = start
		}
		samples = append(samples, Sample{start, start.Add(time.Second), mailed(t, "Europe/Berlin", row)})
	}
	if got := clockIn(t, "Europe/Berlin").Calibrate(slices.Values(samples)); !got.Known || got.Ahead() != 0 {
		t.Errorf("got %v (known: %v)", got.Ahead(), got.Known)
	}
}

// Somebody has the whole list sent by hand while the run goes, and mails what had nothing to mail earlier in it, or what the run
// reaches later.
func TestAHandMadeRunInTheCourseOfOursDoesNotMoveTheClock(t *testing.T) {
	night := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	for _, by := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		var samples []Sample
		for i := range 200 {
			start := night.Add(time.Duration(i) * time.Second)
			row := start
			if i%20 == 0 {
				row = start.Add(by)
			}
			samples = append(samples, Sample{start, start.Add(time.Second), mailed(t, "Europe/Berlin", row)})
		}
		if got := clockIn(t, "Europe/Berlin").CalibrateNew(slices.Values(samples)); !got.Known || got.Ahead() != 0 {
			t.Errorf("by %v: got %v (known: %v)", by, got.Ahead(), got.Known)
		}
		if got := clockIn(t, "Europe/Berlin").CalibrateNew(slices.Values(samples[:fits-1])); got.Known {
			t.Errorf("by %v: %v is found from too few", by, got.Ahead())
		}
	}
}

func TestAClockThatIsFoundIsRight(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "Pacific/Auckland", "Asia/Kathmandu", "America/St_Johns", "Asia/Tokyo"}
	rapid.Check(t, func(t *rapid.T) {
		ours, theirs := rapid.SampledFrom(zones).Draw(t, "ours"), rapid.SampledFrom(zones).Draw(t, "theirs")
		night := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC) // no zone of them changes its clock on that day
		off := time.Duration(rapid.Int64Range(-int64(skew), int64(skew)).Draw(t, "skew"))
		var samples []Sample
		for range rapid.IntRange(0, 40).Draw(t, "samples") {
			start := night.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "start")))
			length := time.Duration(rapid.Int64Range(0, int64(3*time.Minute)).Draw(t, "length"))
			at := start.Add(time.Duration(rapid.Int64Range(0, int64(length)).Draw(t, "row")))
			samples = append(samples, Sample{start, start.Add(length), mailed(t, theirs, at.Add(off))})
		}
		got := clockIn(t, ours).Calibrate(slices.Values(samples))
		if !got.Known {
			if ahead := mailed(t, theirs, night).sub(mailed(t, ours, night)); len(samples) >= fits && ahead.Abs() <= farthest {
				t.Fatalf("%d samples, and it is not known", len(samples))
			}
			return
		}
		want := mailed(t, theirs, night).sub(mailed(t, ours, night))
		if got.Ahead() != want {
			t.Fatalf("got %v, want %v, from %d samples", got.Ahead(), want, len(samples))
		}
	})
}
