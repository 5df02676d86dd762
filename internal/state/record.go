package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
)

const (
	maxRecord = 1 << 20  // bytes of a line; a longer one is not ours
	maxText   = 32 << 10 // bytes of a reason or an error; longer ones are clipped
)

var (
	errSyntax  = errors.New("not a record of a journal")
	errTooLong = errors.New("it is too long for a record")
)

// A record is a line after the header that is an object, as far as this version knows its fields. The format stands at
// the top of journal.go. One of the first eight fields is there, and says what kind of record it is.
type record struct {
	List     *int     `json:"list,omitempty"`   // how many groups follow that will be sent to
	Text     *string  `json:"text,omitempty"`   // what groups that are left out refer to by its number
	Open     *int     `json:"open,omitempty"`   // the number of a group; so are Start and End
	Listed   *int     `json:"listed,omitempty"` // how many groups the list has
	Start    *int     `json:"start,omitempty"`
	End      *int     `json:"end,omitempty"`
	Limit    *int     `json:"limit,omitempty"` // sends in flight
	Finished *seconds `json:"finished,omitempty"`

	Skipped   int      `json:"skipped,omitempty"` // of a list: how many groups follow that are left out
	At        *seconds `json:"t,omitempty"`       // nil means not known
	Since     *seconds `json:"since,omitempty"`   // of an open try: when the first one started; nil means not known
	Worker    int      `json:"w,omitempty"`
	Outcome   string   `json:"outcome,omitempty"`
	Status    int      `json:"status,omitempty"`
	Attempts  int      `json:"n,omitempty"` // 1 is not written
	Reason    string   `json:"reason,omitempty"`
	StoppedBy string   `json:"stopped_by,omitempty"`
	Error     string   `json:"error,omitempty"`
	Paused    *seconds `json:"paused,omitempty"`
	Retry     bool     `json:"retry,omitempty"`
	// Not in files of programs that knew no such field, see [record.provesNothingSent].
	NotDelivered bool `json:"not_delivered,omitempty"`
	Crowded      int  `json:"crowded,omitempty"` // of a limit, see [Limit]
	// Of a limit that an operator changed, or left as it was and changed something else, see [Steer].
	Steer string `json:"steer,omitempty"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	// Of the last record: what the service's own tables told of each group, a letter for each in the order of their numbers
	// ([ledger.Letters]), and of posts that were in no digest. A group that was not tried, and had nothing to mail, was left
	// out for that.
	Mail string `json:"mail,omitempty"`
	Gaps []int  `json:"gaps,omitempty"` // groups, posts
	// The numbers of some of these groups, and how much later than a day after their last digests the run came.
	GapGroups []int    `json:"gap_groups,omitempty"`
	Later     *seconds `json:"gap_later,omitempty"`
	// Mail and GapGroups of the groups that were left out, numbered from the first of these.
	LeftMail string `json:"left_mail,omitempty"`
	LeftGaps []int  `json:"left_gaps,omitempty"`

	n       int                // the number that says the kind; of a text and of the last record 0
	outcome dispatcher.Outcome // of an end
	counts  *dispatcher.Counts // of the last record; nil where the list was never whole
}

// parseRecord reads a record, and checks each of its figures by itself.
func parseRecord(line []byte, r *record) error {
	*r = record{Attempts: 1}
	if !utf8.Valid(line) || json.Unmarshal(line, r) != nil { // encoding/json alone would mend it, and make one id of two
		return errSyntax
	}
	kinds := 0
	for _, n := range []*int{r.List, r.Open, r.Listed, r.Start, r.End, r.Limit} {
		if n != nil {
			kinds++
			r.n = *n
		}
	}
	if r.Text != nil {
		kinds++
	}
	if r.Finished != nil {
		kinds++
		r.At = r.Finished
		if err := r.parseCounts(line); err != nil {
			return err
		}
	}
	if kinds != 1 {
		return errSyntax
	}
	if !r.plausible() {
		return errFigure
	}
	return nil
}

// parseCounts reads how many groups had each outcome. Their words are fields of the last record.
func (r *record) parseCounts(line []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return errSyntax
	}
	var counts dispatcher.Counts
	for _, o := range dispatcher.Outcomes() {
		if count, ok := fields[o.String()]; ok {
			r.counts = &counts
			if json.Unmarshal(count, &counts[o]) != nil {
				return errSyntax
			}
		}
	}
	return nil
}

// appendCounts adds the counts to the last record, which is all that b holds.
func appendCounts(b *bytes.Buffer, counts *dispatcher.Counts) {
	b.Truncate(b.Len() - len("}\n"))
	for _, o := range dispatcher.Outcomes() {
		if n := counts[o]; n > 0 || o == dispatcher.Accepted { // one tells that the list was whole
			fmt.Fprintf(b, `,"%v":%d`, o, n)
		}
	}
	b.WriteString("}\n")
}

// A groupRecord is a line of the list: an array, of which a group that is sent to has the first two values.
type groupRecord struct {
	Group
	reason int      // number of the text that says why the group is left out
	in     int      // number of the text that names the run in which it was accepted
	at     *seconds // when that was
	values int      // how many of these are there
}

func parseGroup(line []byte) (g groupRecord, err error) {
	values := [...]any{&g.Site, &g.Group.Group, &g.reason, &g.in, &g.at}
	if !utf8.Valid(line) || json.Unmarshal(line, &values) != nil {
		return g, errSyntax
	}
	// encoding/json has set to nil what is not there, or is null. It has passed by what is there besides.
	for g.values < len(values) && values[g.values] != nil {
		g.values++
	}
	return g, nil
}

// seconds is a length of time. In records it is a number of seconds, exact to the nanosecond.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	sign, n := "", uint64(s)
	if s < 0 {
		sign, n = "-", -n
	}
	text := fmt.Appendf(nil, "%s%d.%09d", sign, n/1e9, n%1e9)
	return bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte(".")), nil
}

func (s *seconds) UnmarshalJSON(text []byte) error {
	d, err := time.ParseDuration(string(text) + "s") // no number with an exponent is one
	*s = seconds(d)
	return err
}

// clip shortens a text that is too long for a record.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// key stands for a group's [Group.Key] in large maps, where 200,000 names would take too much room. It is so long that
// no two names have the same one.
type key [16]byte

func keyOf(name string) key {
	sum := sha256.Sum256([]byte(name))
	return key(sum[:len(key{})])
}
