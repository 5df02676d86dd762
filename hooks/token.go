package hooks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Token is the site's shared secret. No verb of fmt, no logger and no encoder prints it, also not as a field of
// a struct: the text sits behind two pointers. One is not enough: where fmt may not call methods, on a field that
// is not exported, and the verb does not fit, it prints what a pointer to a struct points to.
type Token struct{ secret *secret }

type secret struct {
	escaped *string // as the value of a form's field
	scrub   *strings.Replacer
}

// redacted stands wherever the token stood.
const redacted = "[token]"

// NewToken wraps a token. It takes any text: which tokens are good is for the site to say.
func NewToken(text string) Token {
	if text == "" {
		return Token{}
	}
	var pairs []string
	for _, form := range forms(text) {
		pairs = append(pairs, form, redacted)
	}
	escaped := url.QueryEscape(text)
	return Token{&secret{escaped: &escaped, scrub: strings.NewReplacer(pairs...)}}
}

// forms lists how a page, a URL or a message may show the text that was submitted.
func forms(text string) []string {
	markup := html.EscapeString(text)
	zope := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	attribute := strings.ReplaceAll(zope, `"`, "&quot;")
	query, path := url.QueryEscape(text), url.PathEscape(text)
	strict := strings.ReplaceAll(query, "+", "%20")
	encoded, _ := json.Marshal(text)
	quoted := strconv.QuoteToASCII(text)
	all := []string{
		text, strings.TrimSpace(text), strings.Join(strings.Fields(text), " "),
		markup, zope, attribute,
		query, lowerHex(query), path, lowerHex(path), strict, lowerHex(strict),
		strings.ReplaceAll(text, `"`, `\"`), // all that the groups hook escapes
		string(encoded[1 : len(encoded)-1]), quoted[1 : len(quoted)-1],
	}
	return slices.DeleteFunc(all, func(form string) bool { return form == "" })
}

// lowerHex writes %2F as %2f.
func lowerHex(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.secret == nil }

// escaped returns the token itself, ready for a form. Its only callers write the body of a request; nothing keeps
// what they wrote, since fmt prints the fields of a struct.
func (t Token) escaped() string {
	if t.secret == nil {
		return ""
	}
	return *t.secret.escaped
}

// Digest names the token without telling it: the same for the same token, and good for nothing else. It is not to
// be kept anywhere as it is, since whoever has it could try tokens against it.
func (t Token) Digest() string {
	if t.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte("senddigest token\x00" + t.escaped()))
	return hex.EncodeToString(sum[:])
}

// Scrub replaces the token in text, in whatever form a page, a URL or a message shows it. Whatever a server said
// goes through here before anyone sees it, since the server repeats the token (docs/groupserver.md section 3).
func (t Token) Scrub(text string) string {
	if t.secret == nil {
		return text
	}
	return t.secret.scrub.Replace(text)
}

// String keeps the token out of %v and %s.
func (t Token) String() string { return redacted }

// GoString keeps the token out of %#v.
func (t Token) GoString() string { return redacted }

// Format keeps the token out of all other verbs.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText keeps the token out of encoders.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the token out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }
