package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/internal/ledger"
)

// Newest implements [ledger.Source]. It looks each group up by the table's key: a scan of the table grows with the years.
func (r *Reader) Newest(ctx context.Context, groups []ledger.Group) ([]ledger.Reading, error) {
	newest := make([]ledger.Reading, 0, len(groups))
	sites, names := make([]string, len(groups)), make([]string, len(groups))
	for i, g := range groups {
		if storable(g) { // otherwise no group has the empty name
			sites[i], names[i] = g.Site, g.Group
		}
	}
	err := r.ask(ctx, "group_digest", `
SELECT (SELECT `+shown("max(sent_date)")+` FROM group_digest d WHERE d.site_id = q.site AND d.group_id = q.name)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(site, name, place) ORDER BY place`,
		[]string{array(sites), array(names)}, func(values [][]byte) error {
			row, err := reading(values[0])
			newest = append(newest, row)
			return err
		})
	return newest, err
}

// storable reports whether PostgreSQL can hold the names: one that it cannot would be an error for all of them.
func storable(g ledger.Group) bool {
	name := g.Site + g.Group
	return utf8.ValidString(name) && !strings.Contains(name, "\x00")
}

// Digests implements [ledger.Source].
func (r *Reader) Digests(ctx context.Context, g ledger.Group, most int) ([]ledger.Reading, error) {
	var digests []ledger.Reading
	err := r.ask(ctx, "group_digest", "SELECT "+shown("sent_date")+` FROM group_digest
WHERE site_id = $1 AND group_id = $2 ORDER BY sent_date DESC LIMIT $3`,
		[]string{g.Site, g.Group, strconv.Itoa(most)}, func(values [][]byte) error {
			row, err := reading(values[0])
			digests = append(digests, row)
			return err
		})
	return digests, err
}

// counted is SQL for the posts that a daily digest counts. Hidden ones are among them.
var counted = `
FROM topic t JOIN topic_keywords k ON k.topic_id = t.topic_id JOIN post p ON p.topic_id = t.topic_id
WHERE t.last_post_date >= $1::timestamp AND p.date >= $1::timestamp`

// Posts implements [ledger.Source].
func (r *Reader) Posts(ctx context.Context, since ledger.Reading, each func(ledger.Group, ledger.Reading)) error {
	return r.ask(ctx, "post, topic and topic_keywords", "SELECT t.site_id, t.group_id, "+shown("p.date")+counted+" ORDER BY p.date",
		[]string{timestamp(since)}, of(each))
}

// of takes rows of a group and a reading.
func of(each func(ledger.Group, ledger.Reading)) func(values [][]byte) error {
	return func(values [][]byte) error {
		at, err := reading(values[2])
		if err == nil {
			each(ledger.Group{Site: string(values[0]), Group: string(values[1])}, at)
		}
		return err
	}
}

// PostsOf implements [ledger.Source].
func (r *Reader) PostsOf(ctx context.Context, g ledger.Group, since ledger.Reading) ([]ledger.Reading, error) {
	var posts []ledger.Reading
	err := r.ask(ctx, "post, topic and topic_keywords",
		"SELECT "+shown("p.date")+counted+" AND t.site_id = $2 AND t.group_id = $3 ORDER BY p.date",
		[]string{timestamp(since), g.Site, g.Group}, func(values [][]byte) error {
			at, err := reading(values[0])
			posts = append(posts, at)
			return err
		})
	return posts, err
}

// Topics implements [ledger.Source].
func (r *Reader) Topics(ctx context.Context, each func(ledger.Group, ledger.Reading)) error {
	return r.ask(ctx, "topic and topic_keywords", "SELECT t.site_id, t.group_id, "+shown("max(t.last_post_date)")+`
FROM topic t JOIN topic_keywords k ON k.topic_id = t.topic_id WHERE t.hidden IS NULL GROUP BY t.site_id, t.group_id`,
		nil, of(each))
}

// Subscribed implements [ledger.Source].
func (r *Reader) Subscribed(ctx context.Context, each func(name string)) error {
	return r.ask(ctx, "email_setting", "SELECT DISTINCT group_id FROM email_setting WHERE setting = 'digest'",
		nil, func(values [][]byte) error {
			each(string(values[0]))
			return nil
		})
}

// Pending implements [ledger.Source].
func (r *Reader) Pending(ctx context.Context, within time.Duration) (n int, err error) {
	err = r.ask(ctx, "pg_prepared_xacts", `
SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND prepared > now() - $1::interval`,
		[]string{seconds(within)}, func(values [][]byte) (err error) {
			n, err = strconv.Atoi(string(values[0]))
			return err
		})
	return n, err
}

// Grants are the rights that suffice, for a role of one's own in the place of ROLE. docs/operators.md has them.
const Grants = `GRANT SELECT ON group_digest TO ROLE;
GRANT SELECT (site_id, group_id, topic_id, date) ON post TO ROLE;
GRANT SELECT (topic_id, site_id, group_id, last_post_date, hidden) ON topic TO ROLE;
GRANT SELECT (topic_id) ON topic_keywords TO ROLE;
GRANT SELECT (group_id, setting) ON email_setting TO ROLE;
`
