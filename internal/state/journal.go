package state

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/ledger"
)

// # The rules of the journal
//
// The journal keeps what a run did, in one append-only file a run. It answers one question after a kill at any instant:
// which groups may have been mailed?
//
//   - "start" is written before the request leaves, "end" when the outcome is known, each by one write(2) with no
//     buffer of ours in between. What the kernel has, kill -9 does not take back. A power cut may take the last
//     second, for that is how often the file is synced.
//   - A line counts when its line end is there. A last line without one was torn while it was written, so the
//     request that it announced never left: it is ignored. Anything else that cannot be read is an error: a line in
//     the middle is not torn, it is damaged, and what it said is not ours to guess.
//   - A start without an end is ambiguous. Only an "end" that says accepted is an acceptance.
//   - A journal that cannot be written is set aside: nothing more is written, for a gap in the middle would pass for
//     "never started", and the sends go on. Its file is renamed, which needs no room on a full disk. Whatever such a
//     file does not know is ambiguous, not unsent.
//   - A run without a journal marks the newest one that there is as overtaken, again by its name: what that one calls
//     unsent or failed may have been sent since.
//   - Files are 0600 in a directory of 0700 and hold no token, not even in a form that could be tried out (see
//     [NewInstallation]).
//
// # The format of the journal
//
// JSON Lines, version 1. Times are seconds since "started", to the nanosecond; groups are numbered in the order of
// the list; values but for the header's are flat, so that fields can be added which older readers pass by.
//
//	{"journal":1,"campaign":"digest","run":"20261123T020000Z-7f3a","url":"https://groups.example.com/",
//	 "started":"2026-11-23T02:00:00.000000123Z","workers":4,"rate":10,"burst":1,"resumes":"20261122T020000Z-01c2",
//	 "installation":"0b5c…","site":"77aa…",       and, where the run had them:
//	 "only":["main/*"],"exclude":["*/old"],"assumed":"2026-11-22T01:00:00Z","assumed_seconds":21600}    one line
//	{"list":2,"skipped":2}                        after the header: how many groups follow
//	["main","announce"]                           group 0, the first to be sent to
//	["main","choir"]                              group 1
//	{"text":"left out by --exclude"}              text 0
//	["main","old",0]                              not sent to, for the reason in text 0
//	{"text":"accepted already"}                   text 1
//	{"text":"20261122T020000Z-01c2"}              text 2
//	["main","news",1,2,-86394.5]                  not sent to: accepted in the run of text 2, so long before "started"
//	{"open":1,"t":-12.5}                          of group 1 an earlier run left a try open, begun before "started"; and,
//	                                              where it is known, "since" the first such try began, and its "reason"
//	{"listed":4}                                  the list is whole, sends may start
//	{"start":0,"t":0.5,"w":1}                     worker 1 is about to send to group 0; t is below 0 where that was before
//	                                              "started", in a night that another machine had begun
//	{"end":0,"t":1.25,"outcome":"not_ok","status":500,"not_delivered":true,"reason":"…","error":"…","retry":true}
//	                                              that is proven to have delivered nothing, and another try follows
//	{"start":0,"t":2.75,"w":1,"n":2}              the second try
//	{"end":0,"t":3.5,"outcome":"accepted","status":200,"n":2}
//	{"limit":2,"t":3.6}                           two sends may be in flight from here on
//	{"limit":1,"t":3.9,"crowded":2}               one, since of two in flight the service undid one for the other
//	{"limit":0,"t":3.95,"steer":"pause"}          an operator steers the run: none, until the same with "resume"
//	{"limit":4,"t":4,"steer":"workers","from":"1","to":"4"}
//	                                              from here on; every steer has the limit that holds then, for older readers;
//	                                              they stand without a list where the run ended before it had one
//	{"finished":4.1,"stopped_by":"deadline","error":"…","paused":0.15,"accepted":1,"not_attempted":1,"skipped":2}
//
// Where the service's own tables were read, the last line has what they told, too: "mail":"mu", a letter for each group that
// is sent to (see [ledger.Letters]); and of posts that were in no digest "gaps":[3,12], groups and posts, "gap_groups":[0,1,7],
// the first [mostGaps] of these groups, and "gap_later":7800, how much later than a day after their last digests the run came.
// Of the groups that were accepted already, "left_mail" and "left_gaps" say the same, numbered from the first that is left out.

// Version is the number of the format that this package writes, and the newest that it reads.
const Version = 1

// Header says what run a journal is of.
type Header struct {
	Campaign     string       `json:"campaign"` // "digest"
	Run          string       `json:"run"`      // the run's own name, see [ValidRun]
	URL          string       `json:"url"`      // the site's, with no password
	Installation Installation `json:"-"`
	Started      time.Time    `json:"started"`
	Workers      int          `json:"workers"`
	Rate         float64      `json:"rate"` // sends started per second; 0 means no limit
	Burst        int          `json:"burst"`
	Resumes      string       `json:"resumes"` // the run that this one resumes; empty if none
	// Only and Exclude are the patterns that chose the groups.
	Only    []string `json:"only,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Assumed Assumed  `json:"-"`
	// The commands that resume the run once it was cut short, or is finished; empty means that they are not known. They
	// are for people, from any folder.
	Resume      string `json:"resume,omitempty"`
	RetryFailed string `json:"retry_failed,omitempty"`
}

// Assumed is a run of another program that a run took for granted: it went evenly through the list. The zero value is
// none.
type Assumed struct {
	Start  time.Time
	Length time.Duration
}

// Group is one entry of a run's list: a group, or in Group alone what a campaign sends to that is of no site, such as a
// person's profile id. It is a [dispatcher.Job].
type Group struct{ Site, Group string }

// Key names the entry in events, as site/group, or as the group alone where there is no site.
func (g Group) Key() string {
	if g.Site == "" {
		return g.Group
	}
	return g.Site + "/" + g.Group
}

// Skip is a group of the list that the run leaves out.
type Skip struct {
	Group
	Reason string
	// In and At say in which earlier run the group was accepted, and when, if that is why it is left out. A run
	// that resumes this one needs them: the earlier journal may be gone by then.
	In string
	At time.Time
}

// LeftOpen is a group of the list of which an earlier run left a try without an outcome. Until this run tries it itself,
// or says what became of it, the group stays ambiguous: also where this run is killed before.
type LeftOpen struct {
	Group
	At   time.Time       // when the last such try started; zero: not known
	Lost dispatcher.Lost // the first such try; without a Start it is the last one
}

// Ending says how a run ended.
type Ending struct {
	At        time.Time
	StoppedBy string        // the report's word for what stopped the run; empty if nothing did
	Error     string        // the same in words, or why there was no list
	Paused    time.Duration // how long operators had the run paused; 0: never, or it was not on record
}

// Entry is what a journal knows of one group.
type Entry struct {
	Group
	// Outcome is that of the last try. NotAttempted: none ever started. Skipped: the run left the group out, or, where a try
	// started, the service did.
	Outcome dispatcher.Outcome
	// Open is set where a try may have left of which no outcome is on record. Outcome is Ambiguous then.
	Open bool
	// NotDelivered is the proof that the last try delivered nothing, see [dispatcher.Verdict].
	NotDelivered bool
	Again        bool // another try was to follow: after the journal was set aside it may have
	Status       int  // the service's code; 0 if it gave none
	Reason       string
	Error        string
	Attempts     int // tries that started
	Worker       int // who made the last one; 0: none
	// Last is when the last try started; zero if none did. It is zero, too, for an open try that is not on record
	// because the journal was set aside: that one ended when its process did, before anyone could take its lock. It
	// is that of an earlier run where this one has left the group as it was, see [LeftOpen].
	Last time.Time
	// End is when the last try ended that did. Of a group skipped because it was accepted earlier: when that was.
	End  time.Time
	In   string      // the earlier run in which a skipped group was accepted; empty if it was not
	Mail ledger.Mail // what the service's own tables told of it, where they were read
	// Lost is the first ambiguous try, of this run or of an earlier one, that another try followed; nil: there is none.
	Lost *dispatcher.Lost
}

// IdleReason is why a group is left out that has nothing to mail.
const IdleReason = "it has nothing to mail"

// Idle reports whether the group was left out because it had nothing to mail.
func (e *Entry) Idle() bool { return e.Outcome == dispatcher.Skipped && e.Reason == IdleReason }

// Accepted says whether the site has confirmed the group, in this run or in one that it resumed, and when.
func (e *Entry) Accepted() (at time.Time, ok bool) {
	if e.Outcome == dispatcher.Accepted || e.Outcome == dispatcher.Skipped && e.In != "" {
		return e.End, true
	}
	return time.Time{}, false
}

// Summary is what the ends of a journal tell without reading it whole.
type Summary struct {
	Header      // of a run that was killed at birth, only Run is known
	Listed bool // the list is on record: sends may have started
	Aside  bool // the journal was set aside in mid-run: groups it does not know of may have been sent to
	// Overtaken: a run without a journal came after it. Groups that this one did not get accepted may have been sent to.
	Overtaken bool
	// Last is when the last record was written; where Err is set, when anything last wrote to the file, zero if even
	// that is not known.
	Last time.Time
	// Finished is when the run ended; zero if it was killed, or is still going on.
	Finished time.Time
	// StoppedBy, Error and Paused are those of the [Ending].
	StoppedBy, Error string
	Paused           time.Duration
	Counts           dispatcher.Counts // of a run that is finished and listed
	// Judged: the service's own tables were read after the run. Mails counts what became of the mail of the groups that were to be
	// sent to, or had been accepted already. GapPosts counts the posts of GapGroups groups that were in no digest; [Run.Gaps]
	// names the first of these.
	Judged              bool
	Mails               ledger.Counts
	GapGroups, GapPosts int
	Running             bool  // a process is at work on it, see [Dir.Running]; nothing else sets it
	Err                 error // a [*VersionError] or [*DamagedError]: why nothing else is known
}

// Began tells whether a group may have been sent to. A run that never began is nothing to go on with.
func (s *Summary) Began() bool { return s.Listed || s.Aside || s.Overtaken }

// Unfinished tells whether the run began and left work behind.
func (s *Summary) Unfinished() bool {
	return s.Began() &&
		(s.Aside || s.Finished.IsZero() || s.StoppedBy != "" || s.Counts[dispatcher.NotAttempted] > 0)
}

// Newest is the newest run that began: the only one that can be gone on with, since it took what an earlier one had
// left. It may be one that cannot be read, see [Summary].Err.
func Newest(runs []Summary) (Summary, bool) {
	for _, s := range runs {
		if s.Err != nil || s.Began() {
			return s, true
		}
	}
	return Summary{}, false
}

// VersionError is a journal that a newer version of the program wrote.
type VersionError struct {
	Path    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal %s: it has version %d of the format, and this program reads up to %d",
		e.Path, e.Version, Version)
}

// Hint says what to do about it.
func (e *VersionError) Hint() string {
	return "use the newer program that wrote it, or another directory with --state-dir"
}

// DamagedError is a journal that cannot be read, and not because its end was torn off.
type DamagedError struct {
	Path string
	Line int // counted from 1; 0: the last, and it is not known how many there are
	Err  error
}

func (e *DamagedError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("journal %s: last line: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("journal %s: line %d: %v", e.Path, e.Line, e.Err)
}

// Unwrap gives what is wrong with the line.
func (e *DamagedError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *DamagedError) Hint() string {
	return "something else wrote to the file, or the disk is failing; move it away to go on without it"
}

// JournalWriteError is why a journal was set aside.
type JournalWriteError struct {
	Path   string
	Err    error
	Marked bool // the file is known to be incomplete, and what is not in it will count as ambiguous
}

func (e *JournalWriteError) Error() string { return fmt.Sprintf("journal %s: %v", e.Path, bare(e.Err)) }
func (e *JournalWriteError) Unwrap() error { return e.Err }

// Hint says what it means for the next run.
func (e *JournalWriteError) Hint() string {
	if e.Marked {
		return "the sends go on all the same; --resume will take what is not on record for ambiguous"
	}
	return "the sends go on all the same; remove the file, and do not --resume this run: " +
		"it would send again what is not on record"
}
