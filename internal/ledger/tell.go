package ledger

import "time"

// A Telling is what the tables tell of one group at an instant, for people.
type Telling struct {
	Subscribed bool    // somebody is set to get digests
	Digest     Reading // the newest one; 0: none
	Posts      int     // that a daily digest may count, since the newest digest, of some three days
	Post       Reading // the newest of them; 0: none
	Weekly     bool    // a weekly digest may be due
	Certain    bool    // what follows is known and not only assumed
	Guarded    bool    // the server's guard is up
}

// Tell tells of a group that the book was opened with.
func (b *Book) Tell(g Group, now time.Time) Telling {
	f := b.fact(g)
	t := Telling{Subscribed: f.subscribed, Digest: f.digest}
	for _, p := range b.postsOf(g) {
		if p > f.digest {
			t.Posts++
			t.Post = p
		}
	}
	sure := *b
	sure.clock.Known = true
	t.Weekly = sure.clock.weekly(f.topic, now, now) != no
	due, guarded := sure.due(g, now, now), sure.guarded(g, now, now)
	t.Guarded = guarded != no
	t.Certain = b.clock.Known && due != maybe && guarded != maybe || !f.subscribed
	return t
}
