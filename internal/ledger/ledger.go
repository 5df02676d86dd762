// Package ledger is what GroupServer's own tables tell of its digests: which group was mailed, and when; who had something to
// mail, and somebody to mail it to.
//
// The hooks' page is the same for a digest that was mailed, for nothing to mail, and for a group that was skipped in
// silence. The tables tell them apart. A [Book] holds what they said before a run, and judges after it ([Mail]). It asks a
// [Source], which package postgres is one of, and knows the server's clock ([Clock]), since all times in the tables are
// readings of that clock and no instants. What cannot be told is Unknown: the package proves, or says so.
package ledger

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/guard"
)

// A Group names one group of one site.
type Group struct{ Site, Group string }

// A Source answers from the site's tables. It only reads. Its methods may be called by several goroutines; each returns when
// its context ends.
type Source interface {
	// Newest is when the newest digest of each group was sent; 0: there is none. It is asked for 5,000 groups at most.
	Newest(ctx context.Context, groups []Group) ([]Reading, error)
	// Digests are the newest digests of one group, the newest first.
	Digests(ctx context.Context, g Group, most int) ([]Reading, error)
	// Posts gives each when the posts were made that a daily digest counts, from a reading on and in order.
	Posts(ctx context.Context, since Reading, each func(Group, Reading)) error
	// PostsOf are those of one group, in order.
	PostsOf(ctx context.Context, g Group, since Reading) ([]Reading, error)
	// Topics gives each when the newest topic of each group had its last post, of those that a weekly digest counts.
	Topics(ctx context.Context, each func(Group, Reading)) error
	// Subscribed gives each the groups' names, without their sites, that somebody is set to get digests of. Of others it is
	// proven that nobody gets any.
	Subscribed(ctx context.Context, each func(name string)) error
	// Pending counts the transactions between the two phases of their commits that got there within a time: what they wrote
	// is not visible yet.
	Pending(ctx context.Context, within time.Duration) (int, error)
}

const (
	// day is how far a daily digest looks back (docs/groupserver.md section 15).
	day = 24 * time.Hour
	// week is how many days after a topic's last post, and how many further ones, a weekly digest is due.
	week = 7
	// postsBack is how far back the posts are looked at: a daily digest's day, and the day before, see Gaps.
	postsBack = 2 * day
)

// chunk is for how many groups the newest digests are asked for at a time.
const chunk = 5000

// fact is what the tables said of a group before the run.
type fact struct {
	digest     Reading // the newest one; 0: none
	topic      Reading // for a weekly digest; 0: none
	subscribed bool
}

// A Book is what the tables said before a run, and what they say now. Not for use by several goroutines but for Settle.
type Book struct {
	source Source
	clock  Clock
	groups []Group   // in the order of compare: of 200,000 groups a map would take twice the memory
	facts  []fact    // of each
	posts  []Reading // of one group after the other
	first  []int32   // of each group, where its posts begin; and the end of the last one's
	since  Reading   // of the posts
	opened time.Time
}

// Open reads the tables before a run at an instant. It keeps the groups, in an order of its own. The clock is that of the server,
// as far as it is known.
func Open(ctx context.Context, source Source, clock Clock, groups []Group, now time.Time) (*Book, error) {
	slices.SortFunc(groups, Group.compare)
	groups = slices.Compact(groups)
	b := &Book{source: source, clock: clock, groups: groups, facts: make([]fact, len(groups)), opened: now}
	for from := 0; from < len(groups); from += chunk {
		newest, err := source.Newest(ctx, groups[from:min(from+chunk, len(groups))])
		if err != nil {
			return nil, err
		}
		for i, row := range newest {
			b.facts[from+i].digest = row
		}
	}
	if err := source.Subscribed(ctx, b.subscribe); err != nil {
		return nil, err
	}
	if err := source.Topics(ctx, func(g Group, at Reading) {
		if i, known := b.find(g); known {
			b.facts[i].topic = at
		}
	}); err != nil {
		return nil, err
	}
	// For a clock that is not known yet, too.
	low := ReadingOf(clock.At(now)).add(-unknownSkew - postsBack)
	return b, b.readPosts(ctx, low)
}

// subscribe notes that somebody is set to get digests of the groups of a name.
func (b *Book) subscribe(name string) {
	for i, _ := b.find(Group{Group: name}); i < len(b.groups) && b.groups[i].Group == name; i++ {
		b.facts[i].subscribed = true
	}
}

// compare orders groups by their names, and those of one name by their sites.
func (g Group) compare(other Group) int {
	return cmp.Or(strings.Compare(g.Group, other.Group), strings.Compare(g.Site, other.Site))
}

// find is where a group is among the groups, or would be.
func (b *Book) find(g Group) (int, bool) { return slices.BinarySearchFunc(b.groups, g, Group.compare) }

// fact is what is known of a group; zero for one that the book was not opened with.
func (b *Book) fact(g Group) (f fact) {
	if i, known := b.find(g); known {
		f = b.facts[i]
	}
	return f
}

// readPosts takes the posts of all groups in and sorts them by their groups.
func (b *Book) readPosts(ctx context.Context, since Reading) error {
	var places []int32
	var readings []Reading
	first := make([]int32, len(b.groups)+1)
	err := b.source.Posts(ctx, since, func(g Group, at Reading) {
		if i, known := b.find(g); known {
			places, readings = append(places, int32(i)), append(readings, at)
			first[i+1]++
		}
	})
	if err != nil { // half of the posts would prove that the groups of the others have none
		return err
	}
	for i := range b.groups {
		first[i+1] += first[i]
	}
	posts, next := make([]Reading, len(readings)), slices.Clone(first)
	for k, i := range places {
		posts[next[i]] = readings[k]
		next[i]++
	}
	b.since, b.posts, b.first = since, posts, first
	return nil
}

// postsOf are the posts of a group, in order.
func (b *Book) postsOf(g Group) []Reading {
	i, known := b.find(g)
	if !known {
		return nil
	}
	return b.posts[b.first[i]:b.first[i+1]]
}

// Refresh reads again what may have been posted since.
func (b *Book) Refresh(ctx context.Context) error { return b.readPosts(ctx, b.since) }

// Clock is the server's, as far as it is known.
func (b *Book) Clock() Clock { return b.clock }

// Calibrate finds out the server's clock, see [Clock.Calibrate] and, where all the digests are new, [Clock.CalibrateNew].
func (b *Book) Calibrate(samples iter.Seq[Sample], allNew bool) {
	if allNew {
		b.clock = b.clock.CalibrateNew(samples)
		return
	}
	b.clock = b.clock.Calibrate(samples)
}

// Ahead reports whether a digest is there that the server's clock, as it is assumed to be, does not show yet at an instant: then
// the clock is another.
func (b *Book) Ahead(now time.Time) bool {
	latest := ReadingOf(b.clock.At(now).Add(skew))
	return slices.ContainsFunc(b.facts, func(f fact) bool { return f.digest > latest })
}

// Digest is the newest digest of a group before the run; 0: none.
func (b *Book) Digest(g Group) Reading { return b.fact(g).digest }

// MailedSince reports whether the group was mailed at an instant or later, by a digest that is in the book. It is false, too,
// where the server's clock is not known.
func (b *Book) MailedSince(g Group, start time.Time) bool {
	return b.mailedSince(b.Digest(g), start)
}

func (b *Book) mailedSince(row Reading, start time.Time) bool {
	return b.clock.Known && row != 0 && row >= ReadingOf(b.clock.At(start).Add(-skew))
}

// Idle reports whether it is proven that the group has nothing to mail at any moment from one instant to a later one, but for
// what is posted after the book was read.
func (b *Book) Idle(g Group, from, to time.Time) bool { return b.due(g, from, to) == no }

// due reports whether a request that the server worked on at some time from one instant to a later one had something to mail,
// and somebody to mail it to. A yes is less certain than a no: no table holds who is a member.
func (b *Book) due(g Group, from, to time.Time) answer {
	i, listed := b.find(g)
	if !listed {
		return maybe
	}
	return b.dueBy(&b.facts[i], b.postsOf(g), from, to)
}

// dueBy is due by some posts of the group.
func (b *Book) dueBy(f *fact, posts []Reading, from, to time.Time) answer {
	if !f.subscribed {
		return no
	}
	low, high := b.clock.span(from, to)
	daily, weekly := b.daily(posts, low, high), b.clock.weekly(f.topic, from, to)
	switch {
	case daily == yes || weekly == yes:
		return yes
	case daily == no && weekly == no:
		return no
	}
	return maybe
}

// daily reports whether a daily digest had some of these posts, by what the server's clock may have shown.
func (b *Book) daily(posts []Reading, low, high Reading) answer {
	if low.add(-day) < b.since {
		return maybe
	}
	found := no
	for _, p := range posts {
		switch {
		case p >= high.add(-day) && p <= low:
			return yes
		case p >= low.add(-day) && p <= high:
			found = maybe
		}
	}
	return found
}

// weekly reports whether a weekly digest was due to a request that the server worked on at some time from one instant to a later
// one. It is not established whether the server counts the days by its clock on the wall, or from the instant that its database
// takes the post's time for. Where the two differ, the answer is maybe.
func (c Clock) weekly(topic Reading, from, to time.Time) answer {
	if topic == 0 {
		return no
	}
	low, high := c.span(from, to)
	found := days(low.sub(topic), high.sub(topic))
	for _, zone := range []Clock{c, {c.Set(0), c.Known}} { // the database is in the server's zone, or in ours
		posted := zone.Instant(topic)
		if days(from.Sub(posted)-c.slack(), to.Sub(posted)+c.slack()) != found {
			return maybe
		}
	}
	return found
}

// days reports whether the whole days of an age are a multiple of a week, and not 0, by what the age may be.
func days(youngest, oldest time.Duration) answer {
	if oldest < 0 {
		return no // later posts count for a daily digest
	}
	first, last := int(youngest/day), int(oldest/day)
	switch {
	case first > 0 && first == last && first%week == 0:
		return yes
	case last/week == max(first-1, 0)/week: // no multiple of a week among them
		return no
	}
	return maybe
}

// Unguarded reports whether it is proven that the server's guard of the group is down at an instant.
func (b *Book) Unguarded(g Group, at time.Time) bool { return b.guarded(g, at, at) == no }

// guarded reports whether the server's guard of the group was up for a request that it worked on at some time from one instant
// to a later one.
func (b *Book) guarded(g Group, from, to time.Time) answer {
	row := b.Digest(g)
	low, high := b.clock.span(from, to)
	switch {
	case row == 0 || row < low.add(-guard.Time):
		return no
	case row >= high.add(-guard.Time):
		return yes
	}
	return maybe
}

// Settle finds out, in the course of a run, what became of a request that began at an instant and whose answer was lost.
// It returns Unknown where that does not follow from the tables, or not yet.
func (b *Book) Settle(ctx context.Context, g Group, start, now time.Time) (Mail, error) {
	newest, err := b.source.Newest(ctx, []Group{g})
	if err != nil {
		return Unknown, err
	}
	i, listed := b.find(g)
	if !listed {
		return Unknown, nil
	}
	if newest[0] > b.facts[i].digest {
		return Mailed, nil
	}
	posts, err := b.source.PostsOf(ctx, g, b.since)
	if err != nil {
		return Unknown, err
	}
	if b.dueBy(&b.facts[i], posts, start, now) == no {
		return Nothing, nil
	}
	return Unknown, nil
}
