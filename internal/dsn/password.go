package dsn

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Password is the database's. No verb of fmt, no logger and no encoder prints it, also not as a field of a struct: the text
// sits behind two pointers, as that of hooks.Token does, and for the same reason.
type Password struct{ secret *secret }

type secret struct {
	text  *string
	scrub *strings.Replacer
}

// redacted stands wherever the password stood.
const redacted = "[password]"

// newPassword wraps a password. An error of a driver may show it in any of its forms; written is the one that the DSN had.
func newPassword(text, written string) Password {
	if text == "" {
		return Password{}
	}
	quoted := strconv.Quote(text)
	return Password{&secret{
		text:  &text,
		scrub: strings.NewReplacer(text, redacted, written, redacted, quoted[1:len(quoted)-1], redacted),
	}}
}

// IsZero reports whether there is no password.
func (p Password) IsZero() bool { return p.secret == nil }

// Reveal returns the password itself, for the driver alone: fmt prints whatever field it is put into.
func (p Password) Reveal() string {
	if p.secret == nil {
		return ""
	}
	return *p.secret.text
}

// Scrub replaces the password in text. What a driver said goes through here before anyone sees it.
func (p Password) Scrub(text string) string {
	if p.secret == nil {
		return text
	}
	return p.secret.scrub.Replace(text)
}

// String keeps the password out of %v and %s.
func (p Password) String() string { return redacted }

// GoString keeps the password out of %#v.
func (p Password) GoString() string { return redacted }

// Format keeps the password out of all other verbs.
func (p Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText keeps the password out of encoders.
func (p Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the password out of logs.
func (p Password) LogValue() slog.Value { return slog.StringValue(redacted) }
