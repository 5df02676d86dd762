package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/guard"
	"pgregory.net/rapid"
)

// A shelf is a [Source] in memory.
type shelf struct {
	rows       map[Group]Reading
	posts      map[Group][]Reading
	topics     map[Group]Reading
	subscribed map[string]bool
	fails      error
}

func (s *shelf) Newest(_ context.Context, groups []Group) ([]Reading, error) {
	list := make([]Reading, len(groups))
	for i, g := range groups {
		list[i] = s.rows[g]
	}
	return list, s.fails
}

func (s *shelf) Posts(_ context.Context, since Reading, each func(Group, Reading)) error {
	for g := range s.posts {
		list, _ := s.PostsOf(context.Background(), g, since)
		for _, p := range list {
			each(g, p)
		}
	}
	return s.fails
}

func (s *shelf) PostsOf(_ context.Context, g Group, since Reading) ([]Reading, error) {
	list := slices.DeleteFunc(slices.Clone(s.posts[g]), func(p Reading) bool { return p < since })
	slices.Sort(list)
	return list, s.fails
}

func (s *shelf) Digests(_ context.Context, g Group, _ int) ([]Reading, error) {
	return []Reading{s.rows[g]}, s.fails
}

func (s *shelf) Topics(_ context.Context, each func(Group, Reading)) error {
	for g, at := range s.topics {
		each(g, at)
	}
	return s.fails
}

func (s *shelf) Subscribed(_ context.Context, each func(string)) error {
	for name, some := range s.subscribed {
		if some {
			each(name)
		}
	}
	return s.fails
}

func (s *shelf) Pending(context.Context, time.Duration) (int, error) { return 0, s.fails }

var alpha = Group{"main", "alpha"}

// at is a reading of the server's clock on the day of the run.
func at(text string) Reading {
	t, err := time.Parse("2006-01-02 15:04", "2026-11-"+text)
	if err != nil {
		panic(err)
	}
	return ReadingOf(t)
}

// book opens a book on a shelf at an instant, by a clock that is known, or is not.
func book(t rapid.TB, s *shelf, now time.Time, known bool) *Book {
	t.Helper()
	b, err := Open(context.Background(), s, Clock{guard.NewClock(time.UTC, 0), known}, []Group{alpha}, now)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASendIsJudgedByItsWindowItsGuardAndItsSubscribers(t *testing.T) {
	night := at("24 02:00").Time()
	everybody := map[string]bool{"alpha": true}
	for _, tt := range []struct {
		name    string
		shelf   shelf // before the run
		after   Reading
		later   []Reading // posts while the run goes
		unknown bool      // the server's clock is
		failed  bool
		want    Mail
	}{
		{name: "mailed", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, after: at("24 02:00"), want: Mailed},
		{name: "mailed by somebody else, and failed here", shelf: shelf{subscribed: everybody}, after: at("24 02:00"), failed: true, want: Mailed},
		{name: "failed", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, failed: true, want: NotAsked},
		{name: "no posts", shelf: shelf{subscribed: everybody}, want: Nothing},
		{name: "a post of the day before", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 01:55")}}, subscribed: everybody}, want: Nothing},
		{name: "a post after the send", shelf: shelf{subscribed: everybody}, later: []Reading{at("24 02:10")}, want: Nothing},
		{name: "nobody on digest", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}}, want: Nothing},
		{name: "nobody on digest, by whatever clock", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}}, unknown: true, want: Nothing},
		{name: "a post, and no digest", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, want: Missing},
		{name: "the same by an unknown clock", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, unknown: true, want: Unknown},
		{name: "a post at the edge of the window", shelf: shelf{posts: map[Group][]Reading{alpha: {at("23 02:01")}}, subscribed: everybody}, want: Unknown},
		{name: "guarded", shelf: shelf{rows: map[Group]Reading{alpha: at("23 05:00")}, posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, want: Swallowed},
		{name: "guarded, and no posts", shelf: shelf{rows: map[Group]Reading{alpha: at("23 05:00")}, subscribed: everybody}, want: Nothing},
		{name: "at the edge of its guard", shelf: shelf{rows: map[Group]Reading{alpha: at("23 04:24")}, posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, want: Unknown},
		{name: "its guard is down", shelf: shelf{rows: map[Group]Reading{alpha: at("23 04:20")}, posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: everybody}, want: Missing},
		{name: "a week after the last post", shelf: shelf{topics: map[Group]Reading{alpha: at("17 01:00")}, subscribed: everybody}, want: Missing},
		{name: "six days after it", shelf: shelf{topics: map[Group]Reading{alpha: at("17 03:00")}, subscribed: everybody}, want: Nothing},
		{name: "eight days after it", shelf: shelf{topics: map[Group]Reading{alpha: at("16 01:00")}, subscribed: everybody}, want: Nothing},
		{name: "at the edge of the week", shelf: shelf{topics: map[Group]Reading{alpha: at("17 02:01")}, subscribed: everybody}, want: Unknown},
		{name: "today's last post is no weekly digest", shelf: shelf{topics: map[Group]Reading{alpha: at("24 01:00")}, subscribed: everybody}, want: Nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := book(t, &tt.shelf, night, !tt.unknown)
			if tt.after != 0 {
				tt.shelf.rows = map[Group]Reading{alpha: tt.after}
			}
			if tt.later != nil {
				tt.shelf.posts = map[Group][]Reading{alpha: tt.later}
			}
			v, err := b.Judge(t.Context(), 1, slices.Values([]Sent{{Group: alpha, From: night, To: night.Add(time.Second), Accepted: !tt.failed}}), false)
			if err != nil || v.Mails[0] != tt.want {
				t.Errorf("got %v, %v, want %v", v.Mails, err, tt.want)
			}
		})
	}
}

// A run may follow another within the minutes by which two clocks differ: the digest of that one is not this one's.
func TestOnlyATryOfAnEarlierRunMayHaveMailedADigestFromBeforeThisOne(t *testing.T) {
	night := at("24 02:00").Time()
	for _, tt := range []struct {
		name string
		from time.Time // when the first try began
		want Mail
	}{
		{"of this run", night.Add(time.Second), Swallowed},
		{"of an earlier one", night.Add(-40 * time.Second), Mailed},
	} {
		b := book(t, &shelf{
			rows:  map[Group]Reading{alpha: ReadingOf(night.Add(-30 * time.Second))},
			posts: map[Group][]Reading{alpha: {at("23 12:00")}}, subscribed: map[string]bool{"alpha": true},
		}, night, true)
		v, err := b.Judge(t.Context(), 1, slices.Values([]Sent{{Group: alpha, From: tt.from, To: night.Add(2 * time.Second), Accepted: true}}), false)
		if err != nil || v.Mails[0] != tt.want {
			t.Errorf("%s: got %v, %v, want %v", tt.name, v.Mails, err, tt.want)
		}
	}
}

// The server's rules are said once more here, at one instant and by a clock that is known to the microsecond.
func TestWhatIsProvenIdleHasNothingToMailAtAnyMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		night := at("24 02:00")
		draw := func(label string, from, to time.Duration) Reading {
			return night.add(time.Duration(rapid.Int64Range(int64(from), int64(to)).Draw(t, label)))
		}
		s := &shelf{subscribed: map[string]bool{"alpha": rapid.Bool().Draw(t, "subscribed")}}
		if rapid.Bool().Draw(t, "posts") {
			s.posts = map[Group][]Reading{alpha: {draw("post", -3*day, 0)}}
		}
		if rapid.Bool().Draw(t, "topic") {
			s.topics = map[Group]Reading{alpha: draw("topic", -30*day, 0)}
		}
		known := rapid.Bool().Draw(t, "known")
		b := book(t, s, night.Time(), known)
		from, to := night, draw("until", 0, 4*time.Hour)
		moment := from.add(time.Duration(rapid.Int64Range(0, int64(to.sub(from))).Draw(t, "moment")))
		off := skew
		if !known {
			off = unknownSkew
		}
		server := moment.add(time.Duration(rapid.Int64Range(-int64(off), int64(off)).Draw(t, "skew")))
		has := false
		for _, p := range s.posts[alpha] {
			has = has || p >= server.add(-day) && p <= server
		}
		if topic := s.topics[alpha]; topic != 0 && server > topic {
			days := int(server.sub(topic) / day)
			has = has || days > 0 && days%7 == 0
		}
		has = has && s.subscribed["alpha"]
		if b.Idle(alpha, from.Time(), to.Time()) && has {
			t.Fatalf("idle from %v to %v, and at %v (by the server's clock %v) there is something to mail", from.Time(), to.Time(), moment.Time(), server.Time())
		}
	})
}

func TestALostAnswerIsSettledByANewerDigestOrByNothingToMail(t *testing.T) {
	night := at("24 02:00").Time()
	s := &shelf{rows: map[Group]Reading{alpha: at("23 01:00")}, subscribed: map[string]bool{"alpha": true}}
	ask := func(now time.Time) Mail {
		t.Helper()
		m, err := book(t, s, night, true).Settle(t.Context(), alpha, night, now)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got := ask(night.Add(time.Minute)); got != Nothing {
		t.Errorf("with nothing to mail: %v", got)
	}
	s.posts = map[Group][]Reading{alpha: {at("23 12:00")}}
	if got := ask(night.Add(time.Minute)); got != Unknown {
		t.Errorf("with something to mail: %v", got)
	}
	b := book(t, s, night, false) // no clock is needed to compare digests
	s.rows = map[Group]Reading{alpha: at("24 02:01")}
	if got, err := b.Settle(t.Context(), alpha, night, night.Add(2*time.Minute)); got != Mailed || err != nil {
		t.Errorf("with a newer digest: %v, %v", got, err)
	}
}

func TestPostsBetweenTwoDigestsAreFoundOnceAndWithWhatMadeThemFallThrough(t *testing.T) {
	s := &shelf{
		rows:       map[Group]Reading{alpha: at("23 02:00")},
		posts:      map[Group][]Reading{alpha: {at("22 12:00"), at("23 01:59"), at("23 02:30"), at("23 04:00"), at("23 05:00")}},
		subscribed: map[string]bool{"alpha": true},
	}
	start := at("24 04:10").Time()
	b := book(t, s, start, true)
	s.rows = map[Group]Reading{alpha: at("24 04:10")}
	v, err := b.Judge(t.Context(), 1, slices.Values([]Sent{{Group: alpha, From: start, To: start.Add(time.Second), Accepted: true}}), false)
	if err != nil {
		t.Fatal(err)
	}
	if v.Gaps.Posts != 2 || !slices.Equal(v.Gaps.Groups, []Group{alpha}) || v.Gaps.Later != 2*time.Hour+10*time.Minute {
		t.Errorf("got %+v", v.Gaps)
	}
}

func TestPostsThatCouldNotBeReadAnewAreThoseOfBefore(t *testing.T) {
	night := at("24 02:00")
	s := &shelf{posts: map[Group][]Reading{alpha: {night.add(-time.Hour)}}, subscribed: map[string]bool{"alpha": true}}
	b := book(t, s, night.Time(), true)
	s.posts, s.fails = nil, errors.New("gone")
	if err := b.Refresh(t.Context()); err == nil || b.Idle(alpha, night.Time(), night.Time()) {
		t.Errorf("%v; the group has nothing to mail: %v", err, b.Idle(alpha, night.Time(), night.Time()))
	}
}

func TestABookThatCannotBeReadSaysWhy(t *testing.T) {
	gone := errors.New("gone")
	if _, err := Open(t.Context(), &shelf{fails: gone}, Clock{}, nil, time.Time{}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// The database of a server in Auckland takes its times for those of UTC. By the server's clock on the wall the topic is seven days
// old, by what the database says six.
func TestAWeekIsNotKnownWhereTheClocksOfServerAndDatabaseDiffer(t *testing.T) {
	night := at("24 02:00").Time()
	auckland := Clock{guard.NewClock(time.UTC, 13*time.Hour), true}
	for topic, want := range map[Reading]answer{
		at("17 14:00"): maybe, // 7 days and 1 hour by the wall
		at("17 02:00"): maybe, // 7 days and 13 hours, or 7 days
		at("17 01:00"): yes,   // 7 days and 14 hours, or 7 days and 1 hour
		at("19 12:00"): no,
	} {
		if got := auckland.weekly(topic, night, night); got != want {
			t.Errorf("%v: got %v, want %v", topic.Time(), got, want)
		}
	}
}

// A book of more groups than are asked for at once, of which two sites have one of the same name, one is in the list twice, and
// of one the tables tell more than the list.
func TestABookOfManyGroupsTellsOfEach(t *testing.T) {
	s := &shelf{rows: map[Group]Reading{}, posts: map[Group][]Reading{}, topics: map[Group]Reading{}, subscribed: map[string]bool{"twin": true, "unlisted": true}}
	groups := []Group{{"main", "twin"}, {"parks", "twin"}, {"main", "alpha"}, {"main", "alpha"}}
	night := at("24 02:00")
	for i := range 2*chunk + 7 {
		g := Group{"main", fmt.Sprintf("group%05d", i)}
		groups = append(groups, g)
		s.rows[g], s.posts[g], s.subscribed[g.Group] = night.add(-time.Duration(i)*time.Minute), []Reading{night.add(-time.Hour), night.add(-2 * time.Hour)}, i%2 == 0
	}
	s.posts[Group{"main", "unlisted"}] = []Reading{night.add(-time.Hour)}
	b, err := Open(t.Context(), s, Clock{guard.NewClock(time.UTC, 0), true}, slices.Clone(groups), night.Time())
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range groups[4:] {
		told := b.Tell(g, night.Time())
		if b.Digest(g) != s.rows[g] || told.Subscribed != (i%2 == 0) || (i > 120) != (told.Posts == 2) {
			t.Errorf("%v: a digest at %v and %+v", g, b.Digest(g), told)
		}
	}
	for _, g := range groups[:2] {
		if !b.Tell(g, night.Time()).Subscribed {
			t.Errorf("%v: nobody gets digests", g)
		}
	}
	if b.Tell(Group{"main", "unlisted"}, night.Time()) != (Telling{Certain: true}) || b.Idle(Group{"main", "unlisted"}, night.Time(), night.Time()) {
		t.Error("something is told of a group that is not in the list")
	}
}
