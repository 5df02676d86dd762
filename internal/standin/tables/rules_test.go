package tables_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/standin/tables"
)

// a case's rows are of group, whose topic and post have these names.
type rows func(group standin.Group) []tables.Row

// posted is a topic that counts with a post in it, so long before the night.
func posted(age time.Duration) rows {
	return func(g standin.Group) []tables.Row { return append(quietTopic(age)(g), post(age)(g)...) }
}

// quietTopic is a topic that counts without a post in it.
func quietTopic(age time.Duration) rows {
	return func(g standin.Group) []tables.Row {
		return []tables.Row{tables.Topic{ID: g.Group, Group: g, LastPost: night.Add(-age)}, tables.Keywords{Topic: g.Group}}
	}
}

func post(age time.Duration) rows {
	return func(g standin.Group) []tables.Row {
		return []tables.Row{tables.Post{ID: g.Group, Topic: g.Group, Group: g, User: "u2", Date: night.Add(-age)}}
	}
}

func digest(age time.Duration) rows {
	return func(g standin.Group) []tables.Row {
		return []tables.Row{tables.Digest{Group: g, Sent: night.Add(-age)}}
	}
}

func setting(user, site, how string) rows {
	return func(g standin.Group) []tables.Row {
		g.Site = site
		return []tables.Row{tables.Setting{User: user, Group: g, Setting: how}}
	}
}

func TestASendMailsByGroupServersRules(t *testing.T) {
	t.Parallel()
	const day, micro = 24 * hour, time.Microsecond
	const guard = 21*hour + 36*time.Minute
	member := setting("u1", alpha.Site, "digest")
	hidden := func(age time.Duration) rows {
		return func(g standin.Group) []tables.Row {
			return []tables.Row{
				tables.Topic{ID: "hidden " + g.Group, Group: g, LastPost: night.Add(-age), Hidden: night},
				tables.Keywords{Topic: "hidden " + g.Group},
				tables.Post{ID: "hidden " + g.Group, Topic: "hidden " + g.Group, Group: g, Date: night.Add(-age), Hidden: night},
			}
		}
	}
	bare := func(g standin.Group) []tables.Row {
		return append([]tables.Row{tables.Topic{ID: g.Group, Group: g, LastPost: night.Add(-hour)}}, post(hour)(g)...)
	}
	unreachable := "" // the group of that case, known when it is numbered
	tests := []struct {
		name string
		rows []rows
		want bool
	}{
		{"daily: a post of this day", []rows{member, posted(hour)}, true},
		{"daily: a post a day old", []rows{member, posted(day)}, true},
		{"daily: one that is older", []rows{member, posted(day + micro)}, false},
		{"daily: a topic of this day, its posts older", []rows{member, quietTopic(hour), post(day + micro)}, false},
		{"daily: a post of this day, its topic older", []rows{member, quietTopic(day + micro), post(hour)}, false},
		{"daily: a topic without keywords", []rows{member, bare}, false},
		{"daily: what is hidden counts", []rows{member, hidden(hour)}, true},
		{"daily: nothing at all", []rows{member}, false},

		{"weekly: 6 days and some", []rows{member, quietTopic(7*day - micro)}, false},
		{"weekly: 7 days", []rows{member, quietTopic(7 * day)}, true},
		{"weekly: 7 days and some", []rows{member, quietTopic(8*day - micro)}, true},
		{"weekly: 8 days", []rows{member, quietTopic(8 * day)}, false},
		{"weekly: 14 days", []rows{member, quietTopic(14*day + hour)}, true},
		{"weekly: what is hidden does not count", []rows{member, quietTopic(8 * day), hidden(7 * day)}, false},
		{"weekly: the newest that is not hidden", []rows{member, quietTopic(7 * day), hidden(2 * day)}, true},
		{"weekly: in the future, -1 day", []rows{member, quietTopic(-hour)}, false},
		{"weekly: in the future, -7 days", []rows{member, quietTopic(-6*day - hour)}, true},

		{"nobody has a setting", []rows{posted(hour)}, false},
		{"nobody is on digest", []rows{setting("u1", alpha.Site, "webonly"), posted(hour)}, false},
		{"one of two is", []rows{setting("u1", alpha.Site, "webonly"), setting("u2", alpha.Site, "digest"), posted(hour)}, true},
		{"on digest in a group of that id on another site", []rows{setting("u1", "other", "digest"), posted(hour)}, true},
		{"on digest, but not to be reached", []rows{
			func(g standin.Group) []tables.Row { unreachable = g.Group; return nil }, member, posted(hour),
		}, false},

		{"guard: a row of this night", []rows{member, posted(hour), digest(hour)}, false},
		{"guard: 0.9 days old", []rows{member, posted(hour), digest(guard)}, false},
		{"guard: older", []rows{member, posted(hour), digest(guard + micro)}, true},
		{"guard: weekly digests, too", []rows{member, quietTopic(7 * day), digest(hour)}, false},
		{"guard: the newest row counts", []rows{member, posted(hour), digest(9 * day), digest(hour)}, false},
	}
	d := postgres.Tables(t, tables.Options{
		Zone: time.UTC, Unreachable: func(g standin.Group) bool { return g.Group == unreachable },
	})
	for i, tt := range tests {
		g := standin.Group{Site: alpha.Site, Group: "g" + strconv.Itoa(i)}
		for _, r := range tt.rows {
			add(t, d, r(g)...)
		}
		if got := sends(t, d, g, night); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
		if tt.want && sends(t, d, g, night.Add(hour)) {
			t.Errorf("%s: mailed again an hour later", tt.name)
		}
	}
}

func TestTheSameGroupOnAnotherSiteIsAnotherGroup(t *testing.T) {
	t.Parallel()
	d := postgres.Tables(t, tables.Options{Zone: time.UTC})
	other := standin.Group{Site: "other", Group: alpha.Group}
	ready(t, d, night, alpha)
	if sends(t, d, other, night) {
		t.Error("another site's posts were mailed")
	}
	ready(t, d, night, standin.Group{Site: "other", Group: beta.Group})
	add(t, d, tables.Digest{Group: other, Sent: night.Add(-hour)})
	if !sends(t, d, alpha, night) {
		t.Error("another site's row kept a digest back")
	}
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestARowBearsTheWallClockReadInTheSessionsZone(t *testing.T) {
	t.Parallel()
	auckland := zone(t, "Pacific/Auckland") // 12 hours before UTC in June
	night := night.Add(1234567 * time.Nanosecond)
	for session, want := range map[string]time.Time{
		"UTC": night.Add(12 * hour), "Pacific/Auckland": night, "Europe/Berlin": night.Add(10 * hour), "": night.Add(12 * hour),
	} {
		d := postgres.Tables(t, tables.Options{Zone: auckland, SessionZone: session})
		ready(t, d, night, alpha)
		if !sends(t, d, alpha, night.In(auckland)) {
			t.Errorf("session in %q: nothing was mailed", session)
		}
		want := []tables.Digest{{Group: alpha, Sent: want.Truncate(time.Microsecond)}}
		if diff := cmp.Diff(digests(t, d), want); diff != "" {
			t.Errorf("session in %q: got -, want +:\n%s", session, diff)
		}
	}
}

// In the night to 27 September 2026 New Zealand's clocks go from 02:00 to 03:00.
func TestTheGuardIsOverByTheWallClock(t *testing.T) {
	t.Parallel()
	auckland := zone(t, "Pacific/Auckland")
	evening := time.Date(2026, time.September, 26, 23, 30, 0, 0, auckland)
	d := postgres.Tables(t, tables.Options{Zone: auckland, SessionZone: "UTC"})
	add(t, d, onDigest(alpha), tables.Digest{Group: alpha, Sent: evening})
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{20*hour + 36*time.Minute, false}, {20*hour + 37*time.Minute, true}} {
		now := evening.Add(tt.after)
		if err := d.Publish(patient(t), tables.Post{Group: alpha, Date: now.Add(-hour)}); err != nil {
			t.Fatal(err)
		}
		if got := sends(t, d, alpha, now); got != tt.want {
			t.Errorf("%v later: got %t, want %t", tt.after, got, tt.want)
		}
	}
}

// GroupServer subtracts true instants there, of which one was written by the wall clock.
func TestAWeeklyDigestIsLateByTheDifferenceOfTheZones(t *testing.T) {
	t.Parallel()
	auckland := zone(t, "Pacific/Auckland")
	d := postgres.Tables(t, tables.Options{Zone: auckland, SessionZone: "UTC"})
	add(t, d, onDigest(alpha))
	if err := d.Publish(patient(t), tables.Post{Group: alpha, Date: night}); err != nil {
		t.Fatal(err)
	}
	const week = 7 * 24 * hour
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{week, false}, {week + 12*hour - time.Minute, false}, {week + 12*hour, true}} {
		if got := sends(t, d, alpha, night.Add(tt.after).In(auckland)); got != tt.want {
			t.Errorf("%v later: got %t, want %t", tt.after, got, tt.want)
		}
	}
}

func TestRowsAreWrittenAsTheyAre(t *testing.T) {
	t.Parallel()
	d := postgres.Tables(t, tables.Options{Zone: time.UTC})
	odd := "tab\tline\nreturn\rback\\slash \\N \"quote\" 'é' {,}"
	add(
		t, d, tables.Setting{User: odd, Group: alpha, Setting: "digest"},
		tables.Keywords{Topic: "t", Words: []string{odd, ""}}, tables.Setting{User: "", Group: beta, Setting: "webonly"},
	)
	for sql, want := range map[string][][]string{
		"SELECT user_id, site_id, group_id, setting FROM email_setting ORDER BY group_id": {
			{odd, alpha.Site, alpha.Group, "digest"}, {"", beta.Site, beta.Group, "webonly"},
		},
		"SELECT unnest(keywords) FROM topic_keywords": {{odd}, {""}},
	} {
		got, err := d.Query(patient(t), sql)
		if diff := cmp.Diff(got, want); err != nil || diff != "" {
			t.Errorf("%s: %v, got -, want +:\n%s", sql, err, diff)
		}
	}
	if err := d.Add(patient(t), tables.Digest{Group: alpha, Sent: night}, tables.Digest{Group: alpha, Sent: night}); err == nil {
		t.Error("the same row twice: got no error")
	}
	if got := digests(t, d); got != nil {
		t.Errorf("after the error got %v, want none", got)
	}
}

func TestManyRowsAreFilledInAtOnce(t *testing.T) {
	t.Parallel()
	d := postgres.Tables(t, tables.Options{Zone: time.UTC})
	const many = 50_000
	err := tables.Fill(patient(t), d, func(yield func(tables.Digest) bool) {
		for i := range many {
			if !yield(tables.Digest{Group: alpha, Sent: night.Add(time.Duration(i) * time.Second)}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Query(patient(t), "SELECT count(*) FROM group_digest"); err != nil || got[0][0] != strconv.Itoa(many) {
		t.Errorf("got %v, %v, want %d", got, err, many)
	}
}

func TestPostsOfATopicMakeItNewer(t *testing.T) {
	t.Parallel()
	d := postgres.Tables(t, tables.Options{Zone: time.UTC})
	for _, age := range []time.Duration{3 * hour, hour, 2 * hour} {
		if err := d.Publish(patient(t), tables.Post{Group: alpha, Topic: "t", Date: night.Add(-age)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Query(patient(t), "SELECT last_post_date, num_posts, (SELECT count(*) FROM post), (SELECT count(*) FROM topic_keywords) FROM topic")
	if diff := cmp.Diff(got, [][]string{{"2026-06-15 02:30:00+00", "3", "3", "1"}}); err != nil || diff != "" {
		t.Errorf("%v, got -, want +:\n%s", err, diff)
	}
}
