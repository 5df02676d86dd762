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

// of is what became of the group in a place.
func (l *Ledger) of(place int) ledger.Mail {
	if l == nil || place >= len(l.Mails) {
		return ledger.NotAsked
	}
	return l.Mails[place]
}

// word is what a report says of the group in a place; nil: nothing.
func (l *Ledger) word(place int) *string {
	m := l.of(place)
	if m == ledger.NotAsked {
		return nil
	}
	word := m.String()
	return &word
}

// A mailList is groups of which the site's own tables told the same, and that are told of by name.
type mailList struct {
	ledger.Mail
	Text  string // what they have in common, after their number
	Names []string
}

// mailLists are what is not as it should be, in the order of urgency.
func (d *Document) mailLists() []mailList {
	if d.meta.Ledger == nil {
		return nil
	}
	var lists []mailList
	for _, l := range []mailList{
		{Mail: ledger.Swallowed, Text: "had something to mail that the server skipped in silence, since the last digest was not 21.6 hours old"},
		{Mail: ledger.Missing, Text: "had something to mail and somebody set to get it, and got no digest: there is no mailing list, these members are gone, or their addresses are not verified"},
		{Mail: ledger.Unknown, Text: "may have been mailed or not, by the site's tables"},
	} {
		if l.Names = d.mailed(l.Mail); len(l.Names) > 0 {
			l.Text = d.meta.Things.Count(len(l.Names)) + " " + l.Text
			lists = append(lists, l)
		}
	}
	return lists
}

// mailNotes say what the site's own tables told, where that is not that all was well: with names, or with
// their numbers alone.
func (d *Document) mailNotes(named bool) []string {
	var list []string
	for _, l := range d.mailLists() {
		if !named {
			list = append(list, l.Text)
			continue
		}
		list = append(list, l.Text+": "+printable.Names(l.Names, len(l.Names)))
	}
	if text, names := d.gaps(); named && len(names) > 0 {
		list = append(list, text+": "+printable.Names(names, d.Ledger.Gaps.Groups))
	} else if text != "" {
		list = append(list, text)
	}
	return list
}

// mailNote is all of it in one line, for a page that has the names further down.
func (d *Document) mailNote() []string {
	var parts []string
	for _, l := range d.mailLists() {
		parts = append(parts, fmt.Sprintf("%d %v", len(l.Names), l.Mail))
	}
	if d.Ledger != nil && d.Ledger.Gaps.Posts > 0 {
		parts = append(parts, posts(d.Ledger.Gaps.Posts)+" in no digest")
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{"of what was to be mailed: " + strings.Join(parts, ", ")}
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

// gaps says which posts were in no digest, and names their groups where they are known; empty: none were.
func (d *Document) gaps() (text string, names []string) {
	if d.Ledger == nil || d.Ledger.Gaps.Posts == 0 {
		return "", nil
	}
	gaps := d.meta.Ledger.Gaps
	text = fmt.Sprintf("%s in %s fell between two digests and got into neither",
		posts(gaps.Posts), d.meta.Things.Count(d.Ledger.Gaps.Groups))
	if gaps.Later > 0 {
		text += fmt.Sprintf(": this run came up to %s later than the one of the day before", printable.Span(gaps.Later))
	}
	for _, g := range gaps.Groups {
		names = append(names, fullName(g.Site, g.Group))
	}
	return text, names
}

// posts counts posts: "1 post", "3 posts".
func posts(n int) string { return printable.NewNoun("post", "posts").Count(n) }
