package guard

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // wherever the tests run

	"pgregory.net/rapid"
)

// zone loads a time zone. One whose name is a rule has nothing but that, as the zones of some systems have for all years
// to come, where others have a table.
func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	load := time.LoadLocation
	if strings.Contains(name, ",") {
		load = ruled
	}
	z, err := load(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func ruled(rule string) (*time.Location, error) {
	// Version 2 of the format of RFC 9636, which has all twice but the rule: six counts, and one kind of time, of UTC.
	const block = "TZif2\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x04" +
		"\x00\x00\x00\x00\x00\x00" + "UTC\x00"
	return time.LoadLocationFromTZData(rule, []byte(block+block+"\n"+rule+"\n"))
}

func instant(t rapid.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A minute more than the 21.6 hours is for the server's row, which may be that much younger.
func TestTheGuardEnds21HoursAnd36MinutesLaterOnTheWall(t *testing.T) {
	for _, tt := range []struct{ zone, accepted, want string }{
		{"UTC", "2026-10-24T12:00:00Z", "2026-10-25T09:37:00Z"},
		{"Asia/Kolkata", "2026-10-24T12:00:00+05:30", "2026-10-25T09:37:00+05:30"},
		// The clocks are put back: an hour more, or half an hour on Lord Howe.
		{"Europe/Berlin", "2026-10-24T12:00:00+02:00", "2026-10-25T09:37:00+01:00"},
		{"America/New_York", "2026-10-31T12:00:00-04:00", "2026-11-01T09:37:00-05:00"},
		{"Pacific/Auckland", "2026-04-04T12:00:00+13:00", "2026-04-05T09:37:00+12:00"},
		{"Australia/Lord_Howe", "2026-04-04T12:00:00+11:00", "2026-04-05T09:37:00+10:30"},
		{"Africa/Casablanca", "2026-02-14T12:00:00+01:00", "2026-02-15T09:37:00Z"},
		// They show the end twice: the second time, for the guard is up again in between.
		{"Europe/Berlin", "2026-10-24T05:00:00+02:00", "2026-10-25T02:37:00+01:00"},
		{"Australia/Lord_Howe", "2026-04-04T04:00:00+11:00", "2026-04-05T01:37:00+10:30"},
		// The group was accepted in the hour that comes twice.
		{"Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-26T00:07:00+01:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-26T00:07:00+01:00"},
		// The server's row may be from just before the clocks were put back.
		{"Europe/Berlin", "2026-10-25T02:05:00+01:00", "2026-10-26T00:36:00+01:00"},
		{"Europe/Berlin", "2026-10-25T02:59:30+02:00", "2026-10-26T00:36:00+01:00"},
		// They are put forward: an hour less.
		{"Europe/Berlin", "2026-03-28T12:00:00+01:00", "2026-03-29T09:37:00+02:00"},
		{"America/New_York", "2026-03-07T12:00:00-05:00", "2026-03-08T09:37:00-04:00"},
		{"Pacific/Auckland", "2026-09-26T12:00:00+12:00", "2026-09-27T09:37:00+13:00"},
		{"Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", "2026-10-04T09:37:00+11:00"},
		{"Africa/Casablanca", "2026-03-21T12:00:00Z", "2026-03-22T09:37:00+01:00"},
		// The year ends, in a zone that has a rule: that day, and the first of the next, are like others.
		{berlin, "2028-10-28T12:00:00+02:00", "2028-10-29T09:37:00+01:00"},
		{berlin, "2028-12-30T12:00:00+01:00", "2028-12-31T09:37:00+01:00"},
		{berlin, "2028-12-31T12:00:00+01:00", "2029-01-01T09:37:00+01:00"},
		// They never show the end: when they jump over it.
		{"Europe/Berlin", "2026-03-28T05:00:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"Australia/Lord_Howe", "2026-10-03T04:30:00+10:30", "2026-10-04T02:30:00+11:00"},
	} {
		clock := Clock{zone: zone(t, tt.zone)}
		if got := (&Guard{clock}).Ends(instant(t, tt.accepted)).In(clock.zone).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s, accepted %s: got %s, want %s", tt.zone, tt.accepted, got, tt.want)
		}
	}
}

func TestTheGuardIsCountedOnOnlyAsLongAsItStandsForCertain(t *testing.T) {
	for _, tt := range []struct {
		zone, from string
		length     time.Duration // in which the group was mailed
		want       string
	}{
		{"UTC", "2026-10-24T12:00:00Z", 10 * time.Minute, "2026-10-25T09:36:00Z"},
		{"Europe/Berlin", "2026-10-24T12:00:00+02:00", 10 * time.Minute, "2026-10-25T09:36:00+01:00"},
		{"Europe/Berlin", "2026-03-28T12:00:00+01:00", 10 * time.Minute, "2026-03-29T09:36:00+02:00"},
		{"Europe/Berlin", "2026-10-24T05:00:00+02:00", 0, "2026-10-25T02:36:00+02:00"}, // the first of two
		{"Europe/Berlin", "2026-03-28T05:00:00+01:00", 0, "2026-03-29T03:00:00+02:00"}, // it never shows 02:36
		// The clocks were put back before the server wrote its row, perhaps.
		{"Europe/Berlin", "2026-10-25T02:55:00+02:00", 10 * time.Minute, "2026-10-25T23:36:00+01:00"},
	} {
		clock := Clock{zone: zone(t, tt.zone)}
		from := instant(t, tt.from)
		if got := (&Guard{clock}).Stands(from, from.Add(tt.length)).In(clock.zone).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s, mailed from %s: got %s, want %s", tt.zone, tt.from, got, tt.want)
		}
	}
}

func TestTheGuardEndsBySoMuchOfTheWallAfterARowThatIsKnown(t *testing.T) {
	for _, tt := range []struct {
		zone  string
		ahead time.Duration
		row   string // by the server's clock
		want  string
	}{
		{"UTC", 0, "2026-11-23T02:00:00Z", "2026-11-23T23:37:00Z"},
		{"UTC", 13 * time.Hour, "2026-11-23T15:00:00Z", "2026-11-23T23:37:00Z"}, // a server in Auckland
		{"Europe/Berlin", 0, "2026-10-24T12:00:00Z", "2026-10-25T09:37:00+01:00"},
		{"Europe/Berlin", 0, "2026-03-28T12:00:00Z", "2026-03-29T09:37:00+02:00"},
		{"Pacific/Auckland", 0, "2026-04-04T12:00:00Z", "2026-04-05T09:37:00+12:00"},
		{"Pacific/Auckland", 0, "2026-09-26T12:00:00Z", "2026-09-27T09:37:00+13:00"},
		{"Europe/Berlin", 0, "2026-10-24T05:00:00Z", "2026-10-25T02:37:00+01:00"}, // shown twice: the second time
	} {
		clock := NewClock(zone(t, tt.zone), tt.ahead)
		if got := New(clock).EndsAfter(instant(t, tt.row)).In(clock.zone).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s, row of %s: got %s, want %s", tt.zone, tt.row, got, tt.want)
		}
	}
}

// shown is a reading of a clock, made in another way than Clock.At makes it.
func shown(at time.Time, zone *time.Location) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// zones are some in which the clocks change: by one hour, by half of one, by two, because of Ramadan, on another continent,
// at midnight; and two in which they do not.
var zones = []string{
	"Europe/Berlin", "America/New_York", "Pacific/Auckland", "Australia/Lord_Howe", "Antarctica/Troll",
	"Africa/Casablanca", "America/Santiago", "Africa/Cairo", "UTC", "Asia/Kolkata", berlin,
}

const berlin = "CET-1CEST,M3.5.0,M10.5.0/3"

// drawClock draws a zone and an instant from 2024 to 2035, most of them in the days about a change of its clock.
func drawClock(t *rapid.T) (Clock, time.Time) {
	clock := Clock{zone: zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))}
	first, last := instant(t, "2024-01-01T00:00:00Z"), instant(t, "2035-12-31T00:00:00Z")
	at := first.Add(time.Duration(rapid.Int64Range(0, int64(last.Sub(first))).Draw(t, "at")))
	_, change := at.In(clock.zone).ZoneBounds()
	if rapid.Bool().Draw(t, "near a change") && !change.IsZero() {
		const near = 30 * time.Hour
		at = change.Add(time.Duration(rapid.Int64Range(int64(-near), int64(near)).Draw(t, "from it")))
	}
	return clock, at
}

func between(t *rapid.T, what string, from, to time.Time) time.Time {
	return from.Add(time.Duration(rapid.Int64Range(0, int64(to.Sub(from))).Draw(t, what)))
}

// The server's rule: a row is looked at that is younger than 21.6 hours on the wall.
func guarded(row, at time.Time, zone *time.Location) bool {
	return shown(at, zone).Sub(shown(row, zone)) < 21*time.Hour+36*time.Minute
}

func TestTheServersCheckPassesEachGroupWhoseGuardHasEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock, accepted := drawClock(t)
		ends := (&Guard{clock}).Ends(accepted)
		row := between(t, "row", accepted.Add(-rowBefore), accepted.Add(rowAfter))
		at := between(t, "looked at", ends, ends.Add(48*time.Hour))
		if guarded(row, at, clock.zone) {
			t.Fatalf("accepted %v: the guard ends %v, and skips at %v", accepted, ends, at)
		}
		if length := ends.Sub(accepted); length < 19*time.Hour || length > Memory {
			t.Fatalf("accepted %v: the guard lasts %v", accepted, length)
		}
	})
}

func TestTheServersCheckStopsEachRepeatWhileTheGuardStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock, from := drawClock(t)
		to := from.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "length")))
		stands := (&Guard{clock}).Stands(from, to)
		row := between(t, "row", from, to)
		at := between(t, "looked at", to, stands.Add(-1))
		if !guarded(row, at, clock.zone) {
			t.Fatalf("mailed at %v, from %v on: the guard stands until %v, and lets a repeat pass at %v", row, from, stands, at)
		}
	})
}

func TestAReadingIsReachedAtTheFirstInstantThatShowsItAndForGoodAfterTheLastThatDoesNot(t *testing.T) {
	const day = 24 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		clock, at := drawClock(t)
		reading := clock.At(at)
		first, forGood := clock.Reaches(reading)
		shows := func(at time.Time) bool { return !shown(at, clock.zone).Before(reading) }
		before := between(t, "before", first.Add(-day), first.Add(-1))
		after := between(t, "after", forGood, forGood.Add(day))
		if shows(before) || !shows(first) || shows(forGood.Add(-1)) || !shows(after) {
			t.Fatalf("%v is reached at %v and for good at %v; looked at it at %v and %v", reading, first, forGood, before, after)
		}
	})
}

func TestALaterReadingIsNeverReachedEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock, at := drawClock(t)
		reading := clock.At(at)
		first, forGood := clock.Reaches(reading)
		later, laterForGood := clock.Reaches(between(t, "later", reading, reading.Add(6*time.Hour)))
		if later.Before(first) || laterForGood.Before(forGood) {
			t.Fatalf("%v is reached at %v and for good at %v, a later reading at %v and %v", reading, first, forGood, later, laterForGood)
		}
	})
}
