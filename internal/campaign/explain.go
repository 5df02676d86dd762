package campaign

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/guard"
	"github.com/groupserver/senddigest/internal/ledger"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/state"
)

// An Explanation says why a group got a digest or none, and what a run would make of it now. Its times are true instants, as
// far as the server's clock is known.
type Explanation struct {
	URL   string `json:"url"`
	Site  string `json:"site"`
	Group string `json:"group"`
	// Listed: the site's list of groups has it. null: the list could not be had, for the reason in ListError.
	Listed    *bool  `json:"listed"`
	ListError string `json:"list_error,omitempty"`
	// Ledger is what the site's own tables tell; null: they were not read, for the reason in LedgerError.
	Ledger      *ExplainedMail `json:"ledger"`
	LedgerError string         `json:"ledger_error,omitempty"`
	Runs        []ExplainedRun `json:"runs"` // what our last runs did with it, the newest first
	// Next is what a run would make of it now: mail, nothing, hold (until Until), swallowed, left_out, unlisted, or unknown.
	Next  string     `json:"next"`
	Until *time.Time `json:"until,omitempty"`
}

// ExplainedMail is what the site's own tables tell of a group.
type ExplainedMail struct {
	ClockKnown bool        `json:"clock_known"`
	Digests    []time.Time `json:"digests"`     // the newest first
	GuardUntil *time.Time  `json:"guard_until"` // null: the group never had a digest
	Guarded    bool        `json:"guarded"`
	Posts      int         `json:"posts"` // since the newest digest, of the last three days
	NewestPost *time.Time  `json:"newest_post"`
	WeeklyDue  bool        `json:"weekly_due"`
	Subscribed bool        `json:"subscribed"` // somebody is set to get digests
}

// ExplainedRun is what a run did with a group.
type ExplainedRun struct {
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	Outcome string    `json:"outcome"`
	Mail    string    `json:"mail,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

// How much of the past an explanation has.
const explainedDigests, explainedRuns = 5, 5

// Explain finds out what there is to say of a group. It sends nothing, and takes no lock. Its error is that of the list, or an
// [*UnlistedError]: what could be found out all the same is in the explanation.
func Explain(ctx context.Context, c Campaign, s Settings, g state.Group) (*Explanation, error) {
	r := newRun(c, s)
	ctx, deadline := r.keepDeadline(ctx)
	defer deadline.over()
	r.look()
	deadline.sooner(r.maxDuration())
	if err := r.remember(); err != nil {
		return nil, err
	}
	x := &Explanation{URL: r.URL, Site: g.Site, Group: g.Group, Next: "unknown"}
	list, failed := r.ask(ctx)
	if failed != nil {
		x.ListError = failed.Error()
	} else {
		listed := slices.Contains(list.Entries, g)
		x.Listed = &listed
	}
	// The server's clock is found by the digests of others, too.
	asked := []state.Group{g}
	if list != nil {
		asked = append(asked, slices.DeleteFunc(list.Entries, func(other state.Group) bool { return other == g })...)
	}
	r.explainMail(ctx, x, asked)
	r.explainRuns(x, g)
	r.explainNext(x, g)
	if failed == nil && x.unheardOf() {
		failed = &UnlistedError{Group: g, Alike: alike(g, list.Entries)}
	}
	return x, failed
}

// unheardOf reports whether neither the site's list, nor its tables, nor our runs know the group: it may well be mistyped.
func (x *Explanation) unheardOf() bool {
	m := x.Ledger
	return x.Listed != nil && !*x.Listed && len(x.Runs) == 0 &&
		(m == nil || len(m.Digests) == 0 && m.NewestPost == nil && !m.Subscribed)
}

// An UnlistedError is a group of which nothing is known: neither the site nor our runs have it.
type UnlistedError struct {
	Group state.Group
	Alike []string // groups that the site lists and whose names are alike; a few
}

func (e *UnlistedError) Error() string {
	return fmt.Sprintf("the site does not list %s, and nothing is known of it", e.Group.Key())
}

// Hint implements [Hinter].
func (e *UnlistedError) Hint() string {
	if len(e.Alike) == 0 {
		return "--dry-run lists the site's groups"
	}
	return "did you mean " + strings.Join(e.Alike, " or ") + "?"
}

// alike are the listed groups whose names are nearly that of g, at most three: but for capitals, on another site, or with the
// same first half.
func alike(g state.Group, listed []state.Group) (keys []string) {
	near := func(a, b string) bool {
		a, b = strings.ToLower(a), strings.ToLower(b)
		least := (max(len(a), len(b)) + 1) / 2
		return a == b || len(a) >= least && len(b) >= least && a[:least] == b[:least]
	}
	for _, other := range listed {
		if len(keys) == 3 {
			break
		}
		if other.Group == g.Group || near(other.Site, g.Site) && near(other.Group, g.Group) {
			keys = append(keys, other.Key())
		}
	}
	return keys
}

func (r *run) explainMail(ctx context.Context, x *Explanation, asked []state.Group) {
	g := ledger.Group(asked[0])
	r.consult(ctx, &List{Entries: asked})
	if r.book == nil {
		x.LedgerError = notKnown + cmp.Or(r.why, "the site's tables are not read (--ledger)")
		return
	}
	digests, err := r.Ledger.Digests(ctx, g, explainedDigests)
	if err != nil {
		r.unread(err)
		x.LedgerError = notKnown + r.why
		return
	}
	clock, told := r.book.Clock(), r.book.Tell(g, time.Now())
	m := &ExplainedMail{
		ClockKnown: clock.Known, Digests: []time.Time{}, Guarded: told.Guarded, Posts: told.Posts, WeeklyDue: told.Weekly, Subscribed: told.Subscribed,
	}
	for _, row := range digests {
		m.Digests = append(m.Digests, clock.Instant(row))
	}
	if told.Digest != 0 {
		m.GuardUntil = new(guard.New(clock.Clock).EndsAfter(told.Digest.Time()))
	}
	if told.Post != 0 {
		m.NewestPost = new(clock.Instant(told.Post))
	}
	x.Ledger = m
}

func (r *run) explainRuns(x *Explanation, g state.Group) {
	x.Runs = []ExplainedRun{}
	if r.dir == nil {
		return
	}
	runs, err := r.dir.Runs(r.Installation)
	if err != nil {
		return // it was warned of
	}
	for i := range runs {
		if len(x.Runs) == explainedRuns {
			return
		}
		past, err := r.dir.Load(runs[i].Run)
		if err != nil || !runs[i].Listed {
			continue
		}
		e, listed := past.Entry(g)
		if !listed {
			continue
		}
		at := past.Started
		if !e.Last.IsZero() {
			at = e.Last
		}
		x.Runs = append(x.Runs, ExplainedRun{Run: past.Run, Started: at, Outcome: e.Outcome.String(), Mail: e.Mail.String(), Reason: e.Reason})
	}
}

// explainNext is what a run would make of a group now.
func (r *run) explainNext(x *Explanation, g state.Group) {
	if x.Listed != nil && !*x.Listed {
		x.Next = "unlisted"
		return
	}
	if leftOut(r.Only, r.Exclude, g) != "" {
		x.Next = "left_out"
		return
	}
	now := time.Now()
	known := r.past.Of(g)
	free, swallowed := r.guarded(r.free(known, time.Time{}), now)
	switch {
	case x.Ledger == nil && swallowed:
		x.Next = "swallowed"
	case x.Ledger != nil && r.idle(g, now, 0):
		x.Next = "nothing"
	case !free.IsZero():
		x.Next, x.Until = "hold", &free
	case swallowed:
		x.Next = "swallowed"
	case x.Ledger != nil && r.book.Tell(ledger.Group(g), now).Certain:
		x.Next = "mail"
	}
}

// WriteText writes the explanation for people: some ten lines that the owner of the list could be sent.
func (x *Explanation) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s/%s at %s\n\n", printable.Line(x.Site), printable.Line(x.Group), x.URL)
	line := func(title, format string, values ...any) {
		fmt.Fprintf(out, "%-15s %s\n", title, printable.Line(fmt.Sprintf(format, values...)))
	}
	switch {
	case x.Listed == nil:
		line("list", "it could not be had: %s", x.ListError)
	case *x.Listed:
		line("list", "the site lists the group, so each run asks for its digest")
	default:
		line("list", "the site does not list the group: there is no such one, or nobody ever chose how to get its mail")
	}
	if !x.unheardOf() {
		x.writeMail(line)
	}
	for i, run := range x.Runs {
		title := ""
		if i == 0 {
			title = "our last runs"
		}
		text := strings.ReplaceAll(run.Outcome, "_", " ")
		if run.Mail != "" {
			text += ", " + mailWords[run.Mail]
		}
		if run.Reason != "" {
			text += ": " + run.Reason
		}
		line(title, "%s %s", minute(run.Started), text)
	}
	if len(x.Runs) == 0 {
		line("our last runs", "none of them knows the group")
	}
	until := ""
	if x.Until != nil {
		until = minute(*x.Until)
	}
	line("a run now", "%s", strings.ReplaceAll(nextWords[x.Next], "UNTIL", until))
	return out.Flush()
}

func (x *Explanation) writeMail(line func(title, format string, values ...any)) {
	m := x.Ledger
	if m == nil {
		line("mail", "%s", x.LedgerError)
		return
	}
	var digests []string
	for _, at := range m.Digests {
		digests = append(digests, minute(at))
	}
	if len(digests) == 0 {
		digests = []string{"none, ever"}
	}
	line("last digests", "%s", strings.Join(digests, ", "))
	switch {
	case m.GuardUntil == nil:
	case m.Guarded:
		line("guard", "until %s the server skips the group in silence: 21.6 hours after its last digest", minute(*m.GuardUntil))
	default:
		line("guard", "down since %s: the server sends what there is", minute(*m.GuardUntil))
	}
	switch {
	case m.NewestPost == nil && m.WeeklyDue:
		line("posts", "none since the last digest; its weekly digest is due")
	case m.NewestPost == nil:
		line("posts", "none since the last digest, of the last three days")
	default:
		line("posts", "%d since the last digest, of the last three days; the newest of %s", m.Posts, minute(*m.NewestPost))
	}
	if m.Subscribed {
		line("on digest", "somebody is set to get digests")
	} else {
		line("on digest", "nobody is set to get digests, so none is mailed")
	}
	if !m.ClockKnown {
		line("clock", "GroupServer's is not known yet: the times are right if it is that of this machine, or of --server-zone")
	}
}

// minute is a time as an explanation has it.
func minute(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }

var mailWords = map[string]string{
	"mailed": "mailed", "nothing": "nothing to mail", "swallowed": "skipped by the server in silence", "missing": "no digest though there was something to mail",
	"unknown": "not known whether it was mailed",
}

var nextWords = map[string]string{
	"mail":      "would have it mailed",
	"nothing":   "would find nothing to mail",
	"hold":      "would hold it back until UNTIL, and have it mailed then",
	"swallowed": "would be skipped by the server in silence, since the guard is up for longer than a run waits (--guard-wait)",
	"left_out":  "would leave it out, by --only or --exclude",
	"unlisted":  "would not ask for it",
	"unknown":   "would ask for its digest; whether there is something to mail is not known",
}
