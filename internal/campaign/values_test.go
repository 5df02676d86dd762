package campaign_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // not every machine has the zones

	"github.com/groupserver/senddigest/internal/campaign"
	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Times are written with their offset, which tells the two of an hour that comes twice apart.
func TestNextIsTheFirstSuchTimeAfterNow(t *testing.T) {
	for _, tt := range []struct {
		name, zone, now, clock, want string
	}{
		{"later today", "UTC", "2026-11-23T02:00:00Z", "05:30", "2026-11-23T05:30:00Z"},
		{"over midnight", "UTC", "2026-11-23T23:10:00Z", "05:30", "2026-11-24T05:30:00Z"},
		{"midnight itself", "UTC", "2026-11-23T23:10:00Z", "00:00", "2026-11-24T00:00:00Z"},
		{"now is tomorrow", "UTC", "2026-11-23T05:30:00Z", "05:30", "2026-11-24T05:30:00Z"},
		{"a moment ago is tomorrow", "UTC", "2026-11-23T05:30:00.000000001Z", "05:30", "2026-11-24T05:30:00Z"},
		{"in a moment is today", "UTC", "2026-11-23T05:29:59.999999999Z", "05:30", "2026-11-23T05:30:00Z"},
		{"over the end of a month", "UTC", "2028-02-29T23:00:00Z", "01:00", "2028-03-01T01:00:00Z"},
		{"over the end of a year", "UTC", "2026-12-31T23:00:00Z", "01:00", "2027-01-01T01:00:00Z"},
		{"the machine's clock counts", "Europe/Berlin", "2026-11-23T05:00:00+01:00", "05:30", "2026-11-23T05:30:00+01:00"},

		// In Berlin 02:00 becomes 03:00 on 29 March, in New York on 8 March; in São Paulo it was 00:00 that became 01:00.
		{"a time that is left out", "Europe/Berlin", "2026-03-29T00:30:00+01:00", "02:30", "2026-03-29T03:30:00+02:00"},
		{"in its last minute before", "Europe/Berlin", "2026-03-29T01:59:59+01:00", "02:30", "2026-03-29T03:30:00+02:00"},
		{"just over", "Europe/Berlin", "2026-03-29T03:30:00+02:00", "02:30", "2026-03-30T02:30:00+02:00"},
		{"the first that is left out", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "02:00", "2026-03-29T03:00:00+02:00"},
		{"behind the gap", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "03:00", "2026-03-29T03:00:00+02:00"},
		{"left out west of Greenwich", "America/New_York", "2026-03-08T00:30:00-05:00", "02:30", "2026-03-08T03:30:00-04:00"},
		{"there in the last minute before", "America/New_York", "2026-03-08T01:45:00-05:00", "02:30", "2026-03-08T03:30:00-04:00"},
		{"left out at midnight", "America/Sao_Paulo", "2018-11-03T22:00:00-03:00", "00:30", "2018-11-04T01:30:00-02:00"},
		{"half an hour left out", "Australia/Lord_Howe", "2026-10-04T01:00:00+10:30", "02:10", "2026-10-04T02:40:00+11:00"},

		// In Berlin 03:00 becomes 02:00 on 25 October, in New York 02:00 becomes 01:00 on 1 November.
		{"the first of two", "Europe/Berlin", "2026-10-25T01:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"},
		{"the second of two", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "02:30", "2026-10-25T02:30:00+01:00"},
		{"neither of two", "Europe/Berlin", "2026-10-25T02:30:00+01:00", "02:30", "2026-10-26T02:30:00+01:00"},
		{"the first of two, west", "America/New_York", "2026-11-01T00:15:00-04:00", "01:30", "2026-11-01T01:30:00-04:00"},
		{"the second of two, west", "America/New_York", "2026-11-01T01:45:00-04:00", "01:30", "2026-11-01T01:30:00-05:00"},
		{"after a longer day", "Europe/Berlin", "2026-10-24T23:00:00+02:00", "22:00", "2026-10-25T22:00:00+01:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339Nano, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse("15:04", tt.clock)
			if err != nil {
				t.Fatal(err)
			}
			c := campaign.Clock{Hour: at.Hour(), Minute: at.Minute()}
			got := c.Next(now.In(zone(t, tt.zone)))
			if got.Format(time.RFC3339) != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			if c.String() != tt.clock {
				t.Errorf("got %v, want %s", c, tt.clock)
			}
		})
	}
}

// Near the days on which clocks are changed, and for every time of day: no clock shows the time any sooner.
func TestNoClockShowsTheTimeBeforeNext(t *testing.T) {
	changes := []time.Time{
		time.Date(2026, 3, 29, 2, 0, 0, 0, zone(t, "Europe/Berlin")), time.Date(2026, 10, 25, 2, 0, 0, 0, zone(t, "Europe/Berlin")),
		time.Date(2026, 3, 8, 2, 0, 0, 0, zone(t, "America/New_York")), time.Date(2026, 11, 1, 1, 0, 0, 0, zone(t, "America/New_York")),
		time.Date(2018, 11, 4, 0, 0, 0, 0, zone(t, "America/Sao_Paulo")), time.Date(2018, 2, 18, 0, 0, 0, 0, zone(t, "America/Sao_Paulo")),
		time.Date(2026, 4, 5, 2, 0, 0, 0, zone(t, "Australia/Lord_Howe")), time.Date(2026, 10, 4, 2, 0, 0, 0, zone(t, "Australia/Lord_Howe")),
		time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	}
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.SampledFrom(changes).Draw(t, "change").Add(time.Duration(rapid.IntRange(-30*3600, 6*3600).Draw(t, "seconds")) * time.Second)
		c := campaign.Clock{Hour: rapid.IntRange(0, 23).Draw(t, "hour"), Minute: rapid.IntRange(0, 59).Draw(t, "minute")}
		got := c.Next(now)
		if !got.After(now) {
			t.Fatalf("%v is not after %v", got, now)
		}
		shows := func(at time.Time) bool { return at.Hour() == c.Hour && at.Minute() == c.Minute }
		for at := now.Truncate(time.Minute).Add(time.Minute); at.Before(got); at = at.Add(time.Minute) {
			if shows(at) {
				t.Fatalf("after %v: got %v, but %v comes first", now, got, at)
			}
		}
		if shows(got) {
			return
		}
		// Then the time is left out on that day, and got is as much later as the clock was put forward.
		year, month, day := got.Date()
		wanted := time.Date(year, month, day, c.Hour, c.Minute, 0, 0, time.UTC)
		shown := time.Date(year, month, day, got.Hour(), got.Minute(), got.Second(), 0, time.UTC)
		_, before := got.Add(-24 * time.Hour).Zone()
		_, after := got.Zone()
		if late := shown.Sub(wanted); late <= 0 || late != time.Duration(after-before)*time.Second {
			t.Fatalf("after %v: got %v for %v", now, got, c)
		}
	})
}

func TestLimitOfAShareIsRoundedUp(t *testing.T) {
	for _, tt := range []struct {
		limit  campaign.Share
		groups int
		want   int
	}{
		{campaign.Share{}, 100, 0},
		{campaign.Share{N: 20}, 100, 20},
		{campaign.Share{N: 20}, 3, 20},
		{campaign.Share{N: 20}, 0, 20},
		{campaign.Share{Percent: 10}, 50, 5},
		{campaign.Share{Percent: 10}, 51, 6},
		{campaign.Share{Percent: 1}, 3, 1},
		{campaign.Share{Percent: 1}, 0, 1},
		{campaign.Share{Percent: 7}, 100, 7}, // 0.07 * 100 is a little more than 7
		{campaign.Share{Percent: 100}, 17, 17},
		{campaign.Share{Percent: 0.1}, 200_000, 200},
		{campaign.Share{Percent: 0.1}, 200_001, 201},
		{campaign.Share{Percent: 33.3}, 1000, 333},
	} {
		if got := tt.limit.Of(tt.groups); got != tt.want {
			t.Errorf("%+v of %d: got %d, want %d", tt.limit, tt.groups, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		percent, groups := rapid.IntRange(1, 100).Draw(t, "percent"), rapid.IntRange(0, 1_000_000).Draw(t, "groups")
		got, want := campaign.Share{Percent: float64(percent)}.Of(groups), max(1, (percent*groups+99)/100)
		if got != want {
			t.Fatalf("%d%% of %d: got %d, want %d", percent, groups, got, want)
		}
	})
}

func pattern(t testing.TB, text string) campaign.Pattern {
	t.Helper()
	p, err := campaign.ParsePattern(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestPatternMatchesAsAShellWould(t *testing.T) {
	for _, tt := range []struct {
		pattern, site, group string
		want                 bool
	}{
		{"main/announce", "main", "announce", true},
		{"main/announce", "main", "announcements", false},
		{"main/announce", "Main", "announce", false},
		{"main/announce", "parks", "announce", false},
		{"*/announce", "parks", "announce", true},
		{"*/*", "any", "thing", true},
		{"main/*", "main", "", true},
		{"main/a*e", "main", "announce", true},
		{"main/a?c", "main", "abc", true},
		{"main/a?c", "main", "ac", false},
		{"main/gr?n", "main", "grün", true},
		{"main/[a-c]x", "main", "bx", true},
		{"main/[a-c]x", "main", "dx", false},
		{"main/[!a-c]x", "main", "dx", true},
		{"main/[!a-c]x", "main", "bx", false},
		{"main/[!a-c]x", "main", "!x", true},
		{"main/[^a-c]x", "main", "bx", false},
		{"[!m]*/x", "parks", "x", true},
		{"[!m]*/x", "main", "x", false},
		{"main/[a!]", "main", "!", true},
		{`main/\[!a]`, "main", "[!a]", true},
		{`main/\[!a]`, "main", "b", false},
		{`main/[\]!a]`, "main", "!", true},
		{`main/\*`, "main", "*", true},
		{`main/\*`, "main", "x", false},
		{`main/\\`, "main", `\`, true},
		{"main/{a,b}", "main", "a", false},
		{"main/{a,b}", "main", "{a,b}", true},

		// No id of Zope's holds a slash. Should a site have one, it is a character like another.
		{"main/a/b", "main", "a/b", true},
		{"main/a?b", "main", "a/b", true},
		{"main/*", "main", "a/b/c", true},
		{"main/[/]", "main", "/", true},
		{"*/b", "main/a", "b", true},
		{"main/*", "main/a", "b", false},
	} {
		if got := pattern(t, tt.pattern).Match(tt.site, tt.group); got != tt.want {
			t.Errorf("%s for group %q of site %q: got %t, want %t", tt.pattern, tt.group, tt.site, got, tt.want)
		}
	}
}

func TestLiteralMatchesThatGroupAndNoOther(t *testing.T) {
	// A slash in a site's id would be the one between site and group, and NUL is what stands for a slash.
	const odd = `ab*?[]\-^!{} ü` + "\n\xff"
	ids := func(letters string) *rapid.Generator[string] {
		return rapid.OneOf(
			rapid.StringOfN(rapid.RuneFrom([]rune(letters)), 1, 6, -1),
			rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte(letters)), 1, 6), func(b []byte) string { return string(b) }),
		)
	}
	rapid.Check(t, func(t *rapid.T) {
		site, group := ids(odd).Draw(t, "site"), ids(odd+"/").Draw(t, "group")
		otherSite, otherGroup := ids(odd).Draw(t, "other site"), ids(odd+"/").Draw(t, "other group")
		text := campaign.Literal(site, group)
		p, err := campaign.ParsePattern(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !p.Match(site, group) {
			t.Fatalf("%q does not match group %q of site %q", text, group, site)
		}
		if p.String() != text {
			t.Fatalf("got %q, want %q", p, text)
		}
		for _, other := range [][2]string{
			{otherSite, group},
			{site, otherGroup},
			{otherSite, otherGroup},
			{site, group + "x"},
			{site, ""},
			{"x" + site, group},
			{site, strings.ToUpper(group)},
			{site, strings.ReplaceAll(group, "*", "x")},
			{site, strings.ReplaceAll(group, "?", "x")},
			{site, strings.ReplaceAll(group, `\`, "")},
			{site, strings.ReplaceAll(group, "[", "")},
		} {
			if same := other == [2]string{site, group}; p.Match(other[0], other[1]) != same {
				t.Fatalf("%q matches group %q of site %q: got %t, want %t", text, other[1], other[0], !same, same)
			}
		}
	})
}

// Any text is a pattern or an error of one line that does not repeat it: a pattern without wildcards means itself.
func FuzzParsePattern(f *testing.F) {
	for _, text := range []string{"", "/", "main/announce", "*/*", "main/[!a-c]?", "main/[", `main/\`, "main/a/b", "a/[^]", "a/[]", "ü/\xff", "a/\x00"} {
		f.Add(text, "main", "announce")
	}
	f.Fuzz(func(t *testing.T, text, site, group string) {
		p, err := campaign.ParsePattern(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("%q: got %q", text, err)
			}
			return
		}
		if p.String() != text {
			t.Errorf("got %q, want %q", p, text)
		}
		got := p.Match(site, group)
		if strings.ContainsAny(text, `*?[\`) || strings.ContainsAny(site+group+text, "\x00") || strings.Contains(site, "/") {
			return
		}
		if want := text == site+"/"+group; got != want {
			t.Errorf("%q for group %q of site %q: got %t, want %t", text, group, site, got, want)
		}
	})
}
