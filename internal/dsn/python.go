package dsn

import (
	"iter"
	"strconv"
	"strings"
)

// What Python 2.7's library does for SQLAlchemy. Go's own functions refuse what is not well-formed where Python's leave it
// as it is, and passwords that nobody escaped are rarely well-formed.

// number is int(): blanks around it and a sign are taken.
func number(text string) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(text, " \t\n\r\v\f"))
	return n, err == nil
}

// unquote is urllib.unquote: a "%" that no two hexadecimal digits follow stays, and so does a "+".
func unquote(text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		text = rest
		if len(rest) < 2 {
			out.WriteByte('%')
			continue
		}
		b, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			out.WriteByte('%')
			continue
		}
		out.WriteByte(byte(b))
		text = rest[2:]
	}
}

// options is urlparse.parse_qsl: pairs end at "&" or ";", and one without a value is none.
func options(query string) iter.Seq2[string, string] {
	plus := strings.NewReplacer("+", " ")
	return func(yield func(name, value string) bool) {
		for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			if value != "" && !yield(unquote(plus.Replace(name)), unquote(plus.Replace(value))) {
				return
			}
		}
	}
}
