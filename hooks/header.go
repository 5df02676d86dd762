package hooks

import (
	"net/http"
	"slices"
	"strings"
)

// A header of the user's own goes with every request to the site, such as the InstanceId by which Zope chooses its
// configuration set (docs/groupserver.md section 13). Its value may be a secret, so no error and no message has it.

// A HeaderError says why a text is no header that may be sent. It holds the header's name at most.
type HeaderError struct{ Problem string }

func (e *HeaderError) Error() string { return e.Problem }

// ParseHeader reads NAME:VALUE. The name stays as it is written. The error is a [*HeaderError].
func ParseHeader(text string) (name, value string, err error) {
	name, value, found := strings.Cut(text, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !found || name == "" || strings.Trim(name, nameCharacters) != "":
		return "", "", &HeaderError{"is not NAME:VALUE, such as InstanceId:groups"}
	case refusedHeader(name) != "":
		return "", "", &HeaderError{"names " + name + ", " + refusedHeader(name)}
	case value == "":
		return "", "", &HeaderError{"gives " + name + " no value"}
	case strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }):
		return "", "", &HeaderError{"gives " + name + " a value that is not printable ASCII"}
	}
	return name, value, nil
}

// nameCharacters are what HTTP allows in the name of a header (RFC 9110, token).
const nameCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// refusedHeader returns why a header is not the user's to send; empty if it is.
func refusedHeader(name string) string {
	switch lower := strings.ToLower(name); lower {
	case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "expect", "http2-settings":
		return "which is between this program and its next hop"
	case "host", "user-agent", "accept", "accept-encoding":
		return "which the program sets itself"
	case "idempotency-key", "x-idempotency-key":
		return "with which a request may be repeated that has mailed" // by net/http
	default:
		if strings.HasPrefix(lower, "content-") {
			return "which the program sets itself"
		}
	}
	return ""
}

// ClearCredentials reports whether a header holds credentials that must not travel unencrypted.
func ClearCredentials(name string) bool { return strings.EqualFold(name, "Authorization") }

// shortest is the length from which on a header's value, or a word of it, is taken out of what the site says: what is
// shorter is no secret, and stands in many a text by chance.
const shortest = 8 // bytes

// hideValues replaces what headers hold by their names.
func hideValues(header http.Header) *strings.Replacer {
	var pairs []string
	for name, values := range header {
		for _, value := range values {
			words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t;,=\"", r) })
			for _, secret := range slices.Concat([]string{value}, words) {
				if len(secret) < shortest {
					continue
				}
				for _, form := range forms(secret) {
					pairs = append(pairs, form, "["+name+"]")
				}
			}
		}
	}
	return strings.NewReplacer(pairs...)
}
