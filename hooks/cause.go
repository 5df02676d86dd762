package hooks

import (
	"regexp"
	"strings"
)

// One fault of a site fails many sends, and each of its pages may name something else: the group, a transaction's
// random id, a time. A cause is a page's message with “…” in place of these, so that a report shows the fault once.
//
// What differs from send to send is: the ids of the group that was sent, a word with a digit in it, an address of
// mail, and a quoted value, unless that is a name in the code ('groupId', 'NoneType'), which tells one fault from
// another. Of an SQL statement the verb and the table stay.

// gap stands in a cause for what differs from send to send.
const gap = "…"

// The causes of messages that name none. psycopg2 has no message where the connection to PostgreSQL is gone, and
// SQLAlchemy writes two words for the statement and the parameters that there are not.
const (
	nothing       = "None None"
	noMessage     = "no message; the database may be away"
	failedIn      = "failed in the database: "
	preparedCause = "PREPARE TRANSACTION failed: more commits at once than PostgreSQL's max_prepared_transactions allows, or some left in pg_prepared_xacts"
)

var (
	// A statement stands at the end of SQLAlchemy's messages, quoted, with its parameters behind it; in
	// PostgreSQL's own it stands, cut, behind "LINE 1:".
	statement = regexp.MustCompile(`(?:^|\s)(?:LINE \d+:\s*)?(?:\[SQL: )?u?["']?((?:SELECT|INSERT INTO|UPDATE|DELETE FROM|PREPARE TRANSACTION|COMMIT PREPARED|ROLLBACK PREPARED)\b.*)`)
	from      = regexp.MustCompile(`\bFROM\s+([\w.]+)`)
	table     = regexp.MustCompile(`^(?:INSERT INTO|UPDATE|DELETE FROM)\s+[\w.]+`)
	prepare   = regexp.MustCompile(`^(?:PREPARE TRANSACTION|COMMIT PREPARED|ROLLBACK PREPARED)`)

	exceptions = regexp.MustCompile(`^(?:[\s(:]*[\w.]*(?:Error|Exception)[\s):]*)*$`) // the names of their classes alone
	exception  = regexp.MustCompile(`^\(?([\w.]*(?:Error|Exception))\b`)
	quoted     = regexp.MustCompile(`(^|[\s(\[{<=:,])u?(?:'([^']*)'|"([^"]*)")`)
	codeName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z_.]{0,39}$`)
	address    = regexp.MustCompile(`[^\s<>("']+@[^\s<>)"']+`)
	numbered   = regexp.MustCompile(`[\pL\pN_.-]*\pN(?:[\pL\pN_]|[.-][\pL\pN_])*`)
	gaps       = regexp.MustCompile(gap + `(?:[\s:,/+-]{0,2}` + gap + `)+`)
)

// causeOf is the cause that a message names, without the ids that were sent. prepared is the fault that
// [NotOKError].Prepared describes.
func causeOf(message string, ids ...string) (cause string, prepared bool) {
	said, failed := message, ""
	if at := statement.FindStringSubmatchIndex(message); at != nil {
		said, failed = message[:at[0]], nameStatement(message[at[2]:])
	}
	switch lacking := failed == "PREPARE TRANSACTION" && exceptions.MatchString(said); {
	case lacking,
		strings.Contains(said, "max_prepared_transactions"),
		strings.Contains(said, "maximum number of prepared transactions"):
		return preparedCause, true
	}
	said, empty := strings.CutSuffix(strings.TrimSpace(said), nothing)
	said = generalise(strings.TrimSpace(said), ids)
	switch silent := exceptions.MatchString(said); {
	case silent && failed != "":
		return said + space(said) + failedIn + failed, false
	case silent && empty:
		return said + space(said) + noMessage, false
	case failed != "":
		return said + " (" + failed + ")", false
	}
	return said, false
}

// impersonal leaves of a cause what can name nobody: this program's own words, and the class of an exception.
func impersonal(cause string) string {
	if cause == preparedCause || cause == noMessage {
		return cause
	}
	if class := exception.FindStringSubmatch(cause); class != nil {
		return class[1]
	}
	return ""
}

func space(before string) string {
	if before == "" {
		return ""
	}
	return " "
}

// nameStatement shortens an SQL statement to what names it: "SELECT … FROM option", "INSERT INTO group_digest".
func nameStatement(sql string) string {
	sql = strings.ReplaceAll(sql, `\n`, " ") // as Python's repr writes a line end
	if name := prepare.FindString(sql); name != "" {
		return name
	}
	if name := table.FindString(sql); name != "" {
		return name
	}
	verb, _, _ := strings.Cut(sql, " ")
	if name := from.FindStringSubmatch(sql); name != nil {
		return verb + " " + gap + " FROM " + name[1]
	}
	return verb
}

// generalise puts gaps into a message.
func generalise(text string, ids []string) string {
	text = address.ReplaceAllString(text, gap)
	for _, id := range ids {
		text = replaceWord(text, id)
	}
	text = quoted.ReplaceAllStringFunc(text, func(value string) string {
		parts := quoted.FindStringSubmatch(value)
		if codeName.MatchString(parts[2] + parts[3]) {
			return value
		}
		return parts[1] + gap
	})
	text = numbered.ReplaceAllStringFunc(text, func(word string) string {
		if strings.HasSuffix(word, "Error") || strings.HasSuffix(word, "Exception") {
			return word // psycopg2.OperationalError
		}
		return gap
	})
	return gaps.ReplaceAllString(text, gap)
}

// replaceWord puts a gap in place of an id, where it is no part of a longer one.
func replaceWord(text, id string) string {
	if id == "" {
		return text
	}
	word := regexp.MustCompile(`(^|[^\pL\pN_-])` + regexp.QuoteMeta(id) + `($|[^\pL\pN_-])`)
	for range 2 { // two in a row share what is between them
		text = word.ReplaceAllString(text, "${1}"+gap+"${2}")
	}
	return text
}
