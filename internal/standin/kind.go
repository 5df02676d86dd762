package standin

import "strings"

// A Kind is a way for a request to go wrong. What each does, whether the send runs and whether its mail goes, stands
// in the table below; Runs and Mails read it.
type Kind uint8

// The kinds of faults.
const (
	noKind Kind = iota
	Error500
	DigestError
	CommitError
	Conflict
	SiteError
	Bare500
	OwnError
	NoPrepared
	DatabaseLost
	DatabaseAway
	DatabaseRestart
	OwnError503
	Error503
	NotFound
	Proxy502
	Proxy503
	Proxy504
	TooMany
	WrongToken
	Blank
	Login
	Reset
	ResetEarly
	Hang
	SlowBody
	CutBody
	Redirect301
	Redirect302
	Redirect303
	Redirect307
	Redirect308
	HTML
	HalfJSON
	Dicts
	Huge
)

// stage is how far a request gets.
type stage uint8

const (
	stageNone     stage = iota // no fault
	stageFront                 // something before Zope answers; no request thread sees it
	stagePage                  // a request thread answers at once, without work
	stageRollback              // the work runs and takes its time, then an exception undoes it: no mail
	stageAfter                 // the work runs and the mail goes; the answer meets with an accident
)

// argument is what may follow a kind's name after a colon.
type argument uint8

const (
	noArg    argument = iota
	urlArg            // required: where to
	delayArg          // a Go duration
	retryArg          // the value of Retry-After
	mibArg            // a number of MiB
)

var kinds = [...]struct {
	name     string
	stage    stage
	listOnly bool
	arg      argument
	doc      string
}{
	noKind: {},

	Error500:    {"500", stageRollback, false, noArg, "database error after the mail was handed to the queue, Zope's own error page; rolled back"},
	DigestError: {"digest-error", stageRollback, false, noArg, "500, exception while collecting the digest"},
	CommitError: {"commit-error", stageRollback, false, noArg, "500, the database refuses the commit; rolled back"},
	Conflict:    {"conflict", stageRollback, false, noArg, "500, ConflictError in all four tries of the publisher (four times the cost)"},
	SiteError:   {"site-error", stageRollback, false, noArg, "500 with the site's own error page: no Bobo headers, X-Powered-By names Zope"},
	Bare500:     {"bare-500", stageRollback, false, noArg, "500 with the site's own error page behind nginx: no sign of Zope"},

	OwnError:        {"own-error", stageRollback, false, noArg, "500 with GroupServer's own error page: the cause stands in it, no Bobo headers"},
	NoPrepared:      {"no-prepared", stageRollback, false, noArg, "500, more commits at once than max_prepared_transactions; rolled back"},
	DatabaseLost:    {"database-lost", stagePage, false, noArg, "500 at once: the first request after PostgreSQL went away"},
	DatabaseAway:    {"database-away", stagePage, false, noArg, "500 at once, as long as PostgreSQL is away"},
	DatabaseRestart: {"database-restart", stagePage, false, delayArg, "PostgreSQL goes away for DELAY (5s): 500 at once for every request, and for sends under way, all rolled back"},
	OwnError503:     {"own-503", stagePage, false, noArg, "KeyError in the code, which GroupServer answers with 503 and its own error page"},

	Error503:   {"503", stagePage, false, noArg, "KeyError in the code, which Zope answers with 503 and its own error page"},
	NotFound:   {"404", stagePage, false, noArg, "the host is no site of the installation"},
	WrongToken: {"wrong-token", stagePage, false, noArg, "refused as if the site's token had been changed"},
	Blank:      {"blank", stagePage, false, noArg, "the blank form, as for an unknown group; a hook that speaks JSON describes itself"},

	Proxy502: {"proxy-502", stageAfter, false, delayArg, "the proxy loses Zope after DELAY (0) and answers; Zope goes on and mails"},
	Proxy503: {"proxy-503", stageFront, false, noArg, "the proxy answers that the back end is down"},
	Proxy504: {"proxy-504", stageAfter, false, delayArg, "the proxy gives up after DELAY (0) and answers; Zope goes on and mails"},
	TooMany:  {"too-many", stageFront, false, retryArg, "the proxy answers 429 with Retry-After: ARG (1)"},
	Login:    {"login", stageFront, false, noArg, "200, but a login page"},

	Reset:      {"reset", stageAfter, false, noArg, "connection reset when the work is done"},
	ResetEarly: {"reset-early", stageFront, false, noArg, "connection reset before any work"},
	Hang:       {"hang", stageAfter, false, noArg, "the work is done, the answer never comes"},
	SlowBody:   {"slow-body", stageAfter, false, delayArg, "the answer drips for DELAY (3s)"},
	CutBody:    {"cut-body", stageAfter, false, noArg, "half of the answer, then the connection is closed"},

	Redirect301: {"redirect-301", stageFront, false, urlArg, "301 to URL"},
	Redirect302: {"redirect-302", stageFront, false, urlArg, "302 to URL"},
	Redirect303: {"redirect-303", stageFront, false, urlArg, "303 to URL"},
	Redirect307: {"redirect-307", stageFront, false, urlArg, "307 to URL"},
	Redirect308: {"redirect-308", stageFront, false, urlArg, "308 to URL"},

	HTML:     {"html", stagePage, false, noArg, "200, but the site's front page"},
	HalfJSON: {"half-json", stagePage, true, noArg, "the first half of the list, as if it were the whole"},
	Dicts:    {"dicts", stagePage, true, noArg, "a list of objects instead of pairs"},
	Huge:     {"huge", stagePage, true, mibArg, "a list of ARG (100) MiB"},
}

// Kinds returns all kinds, in the order of the constants.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds)-1)
	for k := range kinds[1:] {
		all = append(all, Kind(k+1))
	}
	return all
}

// String is the kind's name in ParseFault, and "" for no fault.
func (k Kind) String() string { return kinds[k].name }

// Doc says in a line what the kind does.
func (k Kind) Doc() string { return kinds[k].doc }

// Runs reports whether the send's work is begun. If not, trying again is harmless, whatever the client may know of it.
func (k Kind) Runs() bool { return kinds[k].stage == stageRollback || kinds[k].stage == stageAfter }

// Mails reports whether the digest goes out (if the group has one) although the client gets no confirmation, or half of
// one, or a late one.
func (k Kind) Mails() bool { return kinds[k].stage == stageAfter }

// redirect returns the status of a redirect kind, else 0.
func (k Kind) redirect() int {
	switch k {
	case Redirect301:
		return 301
	case Redirect302:
		return 302
	case Redirect303:
		return 303
	case Redirect307:
		return 307
	case Redirect308:
		return 308
	}
	return 0
}

func kindNamed(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.String() == name {
			return k, true
		}
	}
	return noKind, false
}

// kindNames lists the kinds for an error message, with their arguments.
func kindNames() string {
	arg := map[argument]string{urlArg: ":URL", delayArg: "[:DELAY]", retryArg: "[:RETRY-AFTER]", mibArg: "[:MIB]"}
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.String()+arg[kinds[k].arg])
	}
	return strings.Join(names, ", ")
}
