package printable

import (
	"strconv"
	"strings"
)

// A Noun is what something is called: one of it, and several. The zero value is "group" and "groups".
type Noun struct{ one, several string }

// NewNoun makes a noun.
func NewNoun(one, several string) Noun { return Noun{one, several} }

// One is what one of it is called.
func (n Noun) One() string {
	if n.one == "" {
		return "group"
	}
	return n.one
}

// String is what several are called.
func (n Noun) String() string {
	if n.several == "" {
		return "groups"
	}
	return n.several
}

// Title begins a word with a capital letter.
func Title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// Count says how many there are: "1 group", "3 groups".
func (n Noun) Count(k int) string {
	if k == 1 {
		return "1 " + n.One()
	}
	return strconv.Itoa(k) + " " + n.String()
}
