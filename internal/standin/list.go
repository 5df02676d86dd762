package standin

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// listJSON is the list hook's right answer as Python's json.dumps writes it: a blank after each comma, ASCII only.
func listJSON(groups []Group) []byte {
	b := make([]byte, 0, 2+24*len(groups))
	b = append(b, '[')
	for i, g := range groups {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '[')
		b = appendPython(b, g.Site)
		b = append(b, ", "...)
		b = appendPython(b, g.Group)
		b = append(b, ']')
	}
	return append(b, ']')
}

// listOfDicts is the list in a shape that no real site sends: objects for pairs.
func listOfDicts(groups []Group) []byte {
	b := []byte{'['}
	for i, g := range groups {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, `{"siteId": `...)
		b = appendPython(b, g.Site)
		b = append(b, `, "groupId": `...)
		b = appendPython(b, g.Group)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendPython appends s as json.dumps writes a string.
func appendPython(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r >= ' ' && r <= '~':
			b = append(b, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}

// hugePair is the only pair of the huge list, with the blank that follows. One pair again and again keeps the length
// easy to tell before the first byte.
const hugePair = `["huge", "group"], `

// writeHuge streams a list of about so many MiB: valid JSON, never whole in memory.
func writeHuge(w http.ResponseWriter, mib int) {
	pairs := mib << 20 / len(hugePair)
	// The last pair is without the comma and blank that its place in the list would give it; the brackets make up.
	size := pairs * len(hugePair)
	a := reply{status: http.StatusOK, ctype: "application/json", from: fromZope}
	h := w.Header()
	h["Server"] = zopeServer
	h["Content-Type"] = []string{a.ctype}
	h["Content-Length"] = []string{strconv.Itoa(size)}
	w.WriteHeader(a.status)

	const block = 4096 // pairs a write
	full := bytes.Repeat([]byte(hugePair), block)
	if _, err := w.Write([]byte{'['}); err != nil {
		return
	}
	for left := pairs; left > 0; left -= block {
		part := full
		if left <= block {
			part = append(bytes.TrimSuffix(full[:left*len(hugePair)], []byte(", ")), ']')
		}
		if _, err := w.Write(part); err != nil {
			return // the client has read enough
		}
	}
}
