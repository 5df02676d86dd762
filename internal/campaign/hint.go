package campaign

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/printable"
)

// A Hinter is an error that knows what to do about it.
type Hinter interface {
	error
	Hint() string
}

// proxyHint is the hint where a proxy is in the way.
const proxyHint = "the environment names that proxy (HTTP_PROXY or HTTPS_PROXY, with user and password in its URL if it asks " +
	"for them); NO_PROXY=HOST reaches the site without it"

// Hint says what to do about an error that ended a run, or kept it from beginning, and how often the list was asked for;
// empty: there is nothing to say.
func Hint(err error) string {
	hint := advice(err)
	e, ok := errors.AsType[*ListError](err)
	if !ok || e.Asked < 2 {
		return hint
	}
	asked := fmt.Sprintf("it was asked for %d times in %s", e.Asked, printable.Span(e.For))
	if hint == "" {
		return asked
	}
	return asked + "; " + hint
}

func advice(err error) string {
	if e, ok := errors.AsType[Hinter](err); ok {
		return e.Hint()
	}
	if e, ok := errors.AsType[*hooks.RejectedError](err); ok && e.Token {
		return "compare the token in the configuration file with the one in the site's database"
	}
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		switch e.Status {
		case 404:
			return "is the host one of the installation's sites? GroupServer before April 2015 has other hooks"
		case 407:
			return proxyHint
		}
	}
	if e, ok := errors.AsType[*hooks.UnexpectedPageError](err); ok && e != nil {
		return "is the URL that of a GroupServer site, and not of a log-in page or a proxy before it?"
	}
	if e, ok := errors.AsType[*hooks.TransportError](err); ok {
		return transportHint(e)
	}
	return ""
}

// transportHint says what to do about a request without an answer.
func transportHint(e *hooks.TransportError) string {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](e)
	_, plain := errors.AsType[tls.RecordHeaderError](e)
	switch {
	case e.Local:
		return "raise that limit, or lower --workers"
	case e.Proxy != "":
		return proxyHint
	case untrusted:
		return "--cacert FILE trusts the authority of the site's certificate"
	case plain:
		return "does the URL have to begin with http://, or to name another port?"
	case !e.Wrote:
		return "is the site up, and is the URL right?"
	}
	return ""
}
