package tables

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/standin"
)

// A Row is a [Digest], [Topic], [Keywords], [Post] or [Setting]. Its times are when something happened; they are written as
// GroupServer writes them, read off the clock of Options.Zone and without the zone.
type Row interface {
	table() string // with the columns
	write(*line)
}

// A Digest is the row that a mailed digest leaves.
type Digest struct {
	Group standin.Group
	Sent  time.Time
}

// A Topic is what a digest names. Without Keywords it does not count.
type Topic struct {
	ID       string
	Group    standin.Group
	LastPost time.Time
	Posts    int       // 0 means 1
	Hidden   time.Time // zero means that it is not
	Sticky   time.Time // zero means that it is not
}

// Keywords are those of a topic, which a trigger of GroupServer's finds; none are Keywords too.
type Keywords struct {
	Topic string
	Words []string
}

// A Post is one in a topic.
type Post struct {
	ID     string
	Topic  string
	Group  standin.Group
	User   string
	Date   time.Time
	Hidden time.Time // zero means that it is not
}

// A Setting is how a member gets a group's mail: "digest", "webonly", "email". Who is on digest is asked by the group's id
// alone, on whatever site.
type Setting struct {
	User    string
	Group   standin.Group
	Setting string
}

func (Digest) table() string { return "group_digest (site_id, group_id, sent_date)" }

func (d Digest) write(l *line) { l.text(d.Group.Site, d.Group.Group).time(d.Sent) }

func (Topic) table() string {
	return "topic (topic_id, site_id, group_id, last_post_date, num_posts, hidden, sticky)"
}

func (t Topic) write(l *line) {
	l.text(t.ID, t.Group.Site, t.Group.Group).time(t.LastPost).text(strconv.Itoa(cmp.Or(t.Posts, 1))).time(t.Hidden).time(t.Sticky)
}

func (Keywords) table() string { return "topic_keywords (topic_id, keywords)" }

func (k Keywords) write(l *line) {
	quoted := make([]string, len(k.Words))
	for i, w := range k.Words {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
	}
	l.text(k.Topic, "{"+strings.Join(quoted, ",")+"}")
}

func (Post) table() string {
	return "post (post_id, topic_id, site_id, group_id, user_id, date, hidden)"
}

func (p Post) write(l *line) {
	l.text(p.ID, p.Topic, p.Group.Site, p.Group.Group, p.User).time(p.Date).time(p.Hidden)
}

func (Setting) table() string { return "email_setting (user_id, site_id, group_id, setting)" }

func (s Setting) write(l *line) { l.text(s.User, s.Group.Site, s.Group.Group, s.Setting) }

// A line is a row in the text format of COPY.
type line struct {
	zone  *time.Location
	bytes []byte
	begun bool // the row has a field
}

var escapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

func (l *line) text(fields ...string) *line {
	for _, f := range fields {
		l.field(escapes.Replace(f))
	}
	return l
}

// time appends a time, NULL for the zero one.
func (l *line) time(t time.Time) *line {
	if t.IsZero() {
		l.field(`\N`)
		return l
	}
	l.field(naive(t.In(l.zone)))
	return l
}

func (l *line) field(s string) {
	if l.begun {
		l.bytes = append(l.bytes, '\t')
	}
	l.bytes, l.begun = append(l.bytes, s...), true
}

func (l *line) end() { l.bytes, l.begun = append(l.bytes, '\n'), false }
