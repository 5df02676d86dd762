package ledger

// Mail is what became of one group's digest in a run, by the site's own tables.
type Mail uint8

// The zero value is a group that nobody asked about: it was not sent to, or the send failed and no digest is there.
const (
	NotAsked  Mail = iota
	Mailed         // there is a digest that was not there before the run
	Nothing        // there was nothing to mail, or nobody to mail it to
	Swallowed      // the server skipped the group in silence, since its last digest was not 21.6 hours old
	Missing        // there was something to mail and somebody to mail it to, and there is no digest
	Unknown        // the tables do not tell, or could not be read
)

// Mails lists every answer but NotAsked, in the order in which reports count them.
func Mails() []Mail { return []Mail{Mailed, Nothing, Swallowed, Missing, Unknown} }

// String is the word that reports use; NotAsked has none.
func (m Mail) String() string {
	switch m {
	case Mailed:
		return "mailed"
	case Nothing:
		return "nothing"
	case Swallowed:
		return "swallowed"
	case Missing:
		return "missing"
	case Unknown:
		return "unknown"
	}
	return ""
}

// letters stand for the answers in a journal, in the order of their values.
const letters = "-mnsxu"

// Letters writes answers as one text with a letter for each.
func Letters(mails []Mail) string {
	text := make([]byte, len(mails))
	for i, m := range mails {
		text[i] = letters[min(int(m), len(letters)-1)]
	}
	return string(text)
}

// MailOf is the answer that a letter of [Letters] stands for; Unknown for any other.
func MailOf(letter byte) Mail {
	for m := range len(letters) {
		if letters[m] == letter {
			return Mail(m)
		}
	}
	return Unknown
}

// Counts says how many groups got each answer; index it with a [Mail].
type Counts [len(letters)]int

// CountMails counts answers.
func CountMails(mails []Mail) (c Counts) {
	for _, m := range mails {
		c[m]++
	}
	return c
}

// An answer to a question that the tables may leave open.
type answer int8

const (
	no    answer = -1
	maybe answer = 0
	yes   answer = +1
)

// Evidence is what is known of a group whose send has ended.
type evidence struct {
	newer    bool   // there is a digest that was not there before
	accepted bool   // the server confirmed the send, or it is not known whether it did it
	pending  bool   // a digest may be there that is not visible yet
	due      answer // there was something to mail, and somebody to mail it to
	guarded  answer // the server's guard of the group was up
}

// judge is the table of docs/groupserver.md section 15.
func judge(e evidence) Mail {
	switch {
	case e.newer:
		return Mailed
	case !e.accepted:
		return NotAsked
	case e.due == no:
		return Nothing
	case e.pending || e.due == maybe || e.guarded == maybe:
		return Unknown
	case e.guarded == yes:
		return Swallowed
	}
	return Missing
}
