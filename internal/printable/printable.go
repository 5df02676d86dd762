// Package printable makes text harmless that somebody else chose: an id a server named, a name in a file. A
// terminal must not obey it, and it must stay on its line of a mail.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is text with everything in it escaped that does not print, as Go escapes it in a string.
func Line(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
