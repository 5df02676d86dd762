package report

import (
	"fmt"
	"strings"

	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
)

// A Ledger is what the site's own tables told of a run.
type Ledger struct {
	Mails []ledger.Mail // by place in the results
	Gaps  ledger.Gaps
	// GapGroups is how many groups have gaps, where they are not named.
	GapGroups int
}

// LedgerCounts counts what the site's own tables told of the groups that were sent to, or left out since they had nothing to
// mail.
type LedgerCounts struct {
	Mailed    int       `json:"mailed"`
	Nothing   int       `json:"nothing"`
	Swallowed int       `json:"swallowed"`
	Missing   int       `json:"missing"`
	Unknown   int       `json:"unknown"`
	Gaps      GapCounts `json:"gaps"`
}

// GapCounts counts posts that fell between the windows of two digests, and their groups.
type GapCounts struct {
	Groups int `json:"groups"`
	Posts  int `json:"posts"`
}

func (l *Ledger) counts() *LedgerCounts {
	if l == nil {
		return nil
	}
	n := ledger.CountMails(l.Mails)
	return &LedgerCounts{
		Mailed: n[ledger.Mailed], Nothing: n[ledger.Nothing], Swallowed: n[ledger.Swallowed],
		Missing: n[ledger.Missing], Unknown: n[ledger.Unknown],
		Gaps: GapCounts{Groups: max(len(l.Gaps.Groups), l.GapGroups), Posts: l.Gaps.Posts},
	}
}

// Mails counts what the site's own tables told. It is false where they have nothing to tell of such a campaign.
func (d *Document) Mails() (counts ledger.Counts, ok bool) {
	if d.meta.Ledger != nil {
		counts = ledger.CountMails(d.meta.Ledger.Mails)
	}
	return counts, !d.meta.Unguarded
}

// word is what a report says of the group in a place; nil: nothing.
func (l *Ledger) word(place int) *string {
	if l == nil || place >= len(l.Mails) || l.Mails[place] == ledger.NotAsked {
		return nil
	}
	word := l.Mails[place].String()
	return &word
}

// mailNotes say what the site's own tables told, where that is not that all was well.
func (d *Document) mailNotes() []string {
	l := d.meta.Ledger
	if l == nil {
		return nil
	}
	var list []string
	for _, kind := range []struct {
		mail ledger.Mail
		text string
	}{
		{ledger.Swallowed, "had something to mail, and the server skipped them in silence, since their last digest was not 21.6 hours old"},
		{ledger.Missing, "had something to mail and somebody set to get it, and got no digest: there is no mailing list, these members are gone, or their addresses are not verified"},
		{ledger.Unknown, "may have been mailed or not, by the site's tables"},
	} {
		if names := d.mailed(kind.mail); len(names) > 0 {
			list = append(list, fmt.Sprintf("%s %s: %s", d.meta.Things.Count(len(names)), kind.text, printable.Names(names)))
		}
	}
	if c := d.Ledger.Gaps; c.Posts > 0 {
		list = append(list, l.gapNote(d.meta.Things, c))
	}
	return list
}

// mailed names the groups of which the tables told so.
func (d *Document) mailed(mail ledger.Mail) (names []string) {
	for i, m := range d.meta.Ledger.Mails {
		if m == mail {
			names = append(names, d.results.Results[i].Job.Key())
		}
	}
	return names
}

func (l *Ledger) gapNote(things printable.Noun, c GapCounts) string {
	posts := "1 post"
	if c.Posts > 1 {
		posts = fmt.Sprintf("%d posts", c.Posts)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s fell between two digests and were in neither", posts, things.Count(c.Groups))
	if l.Gaps.Later > 0 {
		fmt.Fprintf(&b, ": they were sent to up to %s later than the day before", printable.Span(l.Gaps.Later))
	}
	if len(l.Gaps.Groups) > 0 {
		names := make([]string, len(l.Gaps.Groups))
		for i, g := range l.Gaps.Groups {
			names[i] = g.Site + "/" + g.Group
		}
		b.WriteString(": " + printable.Names(names))
	}
	return b.String()
}
