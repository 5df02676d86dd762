package hooks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Every error of this package has been scrubbed of the token, and those of the profile hooks quote nothing of an answer's
// text, which holds people's names. Its Error text is one line and names the hook; its Reason is shorter and the same for
// all sends that failed for one cause.

// A NotOKError is an answer with any status but 200: the NotOk of the Python script.
type NotOKError struct {
	Hook   string
	Status int
	Phrase string // the standard's phrase for the status, or what the server said where there is none
	Detail string // the cause that the page names, the same for all sends that failed for it: "KeyError: …"; empty: none

	// Message is what the page says in its own words, in one line of at most 500 characters; empty: nothing.
	Message string

	// Zope: the site itself answered, not a proxy before it (docs/groupserver.md section 3). False proves nothing.
	Zope bool

	// Prepared: a commit failed for lack of a prepared transaction, so PostgreSQL's max_prepared_transactions is
	// below the number of sends that commit at once (docs/groupserver.md section 5). All was rolled back. Where
	// the page shows nothing but the statement that failed, the database may have gone away at that moment instead.
	Prepared bool

	RetryAfter time.Duration // how long the answer asks to wait before another request; 0: it does not ask
}

// Reason is the status, and the cause that the page names.
func (e *NotOKError) Reason() string {
	reason := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Phrase))
	if e.Detail != "" {
		reason += ": " + e.Detail
	}
	return reason
}

// Error is the reason, and the page's own words where the cause leaves something out of them.
func (e *NotOKError) Error() string {
	text := e.Hook + ": " + e.Reason()
	if e.Message != "" && e.Message != e.Detail {
		text += " (the page says: " + e.Message + ")"
	}
	return text
}

// A RejectedError is a 200 whose page refuses the request: nothing was sent.
type RejectedError struct {
	Hook    string
	Message string // the labels and texts of the form's errors; empty for a refused token, whose text repeats it
	Token   bool   // the token was refused
}

// Reason returns what was refused.
func (e *RejectedError) Reason() string {
	if e.Token {
		return "the site refused the token"
	}
	if e.Message == "" {
		return "the site refused the request"
	}
	return "the site refused the request: " + e.Message
}

func (e *RejectedError) Error() string { return e.Hook + ": " + e.Reason() }

// An UnexpectedPageError is a 200 with a page that is not the hook's.
type UnexpectedPageError struct {
	Hook    string
	Problem string // "not the hook's page (its title is \"Sign in\")"
}

// Reason returns what came instead.
func (e *UnexpectedPageError) Reason() string { return "200, but " + e.Problem }

func (e *UnexpectedPageError) Error() string { return e.Hook + ": " + e.Reason() }

// A MalformedListError says where a list stops making sense.
type MalformedListError struct {
	Hook    string
	Entry   int   // from 1; 0 if it is no entry's fault
	Offset  int64 // bytes read of the list until then
	Problem string
}

func (e *MalformedListError) Error() string {
	where := fmt.Sprintf("at byte %d", e.Offset)
	if e.Entry > 0 {
		where = fmt.Sprintf("entry %d, %s", e.Entry, where)
	}
	return fmt.Sprintf("%[1]s: the %[1]s makes no sense (%[2]s): %[3]s", e.Hook, where, e.Problem)
}

// A RedirectError is a redirect that the client does not follow: it would take the token to where it must not go.
type RedirectError struct {
	Hook    string
	Status  int
	To      string // where it leads, without query and token; empty if that is no place at all
	Problem string // why it is not followed
	Use     string // the URL that a user can give instead; empty if none helps
}

// Reason returns where the redirect leads, and why it is not followed.
func (e *RedirectError) Reason() string {
	to := ""
	if e.To != "" {
		to = " to " + e.To
	}
	return fmt.Sprintf("%d redirect%s not followed: %s", e.Status, to, e.Problem)
}

func (e *RedirectError) Error() string {
	text := e.Hook + ": " + e.Reason()
	if e.Use != "" {
		text += "; use " + e.Use
	}
	return text
}

// A TimeoutError ends a try that took too long. The server may go on with it (docs/groupserver.md section 3).
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no whole answer within %v", e.After) }

// Timeout marks this as a time-out, as [net.Error] does.
func (e *TimeoutError) Timeout() bool { return true }

// A TransportError is a request that got no whole answer.
type TransportError struct {
	Hook  string
	Wrote bool  // the whole request left us: the server may have acted on it
	Err   error // the cause

	// Local: this machine lacked what a connection needs: files, ports or memory. The site was not asked.
	Local bool
	// Proxy is the one from the environment that the request did not get past, as a URL without user and password;
	// empty: none.
	Proxy string

	text string
}

// Reason is the cause without addresses and ports, which differ from send to send.
func (e *TransportError) Reason() string { return e.text }

func (e *TransportError) Error() string {
	if e.Wrote {
		return e.Hook + ": " + e.text + " after the request was sent"
	}
	return e.Hook + ": " + e.text
}

func (e *TransportError) Unwrap() error { return e.Err }

// boil names the cause of a network error in an operator's words.
func boil(err error) string {
	if e, ok := errors.AsType[*TimeoutError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "no such host: " + e.Name
		}
		return "looking up the host " + e.Name + " failed"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate: " + certificate(e)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "TLS: the server does not speak it; is this an http URL?"
	}
	// The type of an alert is not exported; what crypto/tls wraps it in is.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return "TLS: the server broke off: " + strings.TrimPrefix(e.Err.Error(), "tls: ")
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the answer was cut short"
	case errors.Is(err, io.EOF):
		return "the server closed the connection without an answer"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timed out while connecting"
	case errors.Is(err, net.ErrClosed): // by net/http, on seeing something wrong while it was still writing
		return "the connection broke"
	case strings.Contains(err.Error(), "TLS handshake timeout"): // net/http exports no type for it
		return "timed out while connecting (TLS)"
	case strings.Contains(err.Error(), "readLoopPeekFailLocked"): // nor for this
		return "the server spoke before it was asked"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	if _, said, ok := strings.Cut(err.Error(), broken); ok {
		return errNotHTTP.Error() + ": " + said
	}
	return err.Error()
}

// broken is how net/http begins to quote an answer that is not HTTP; it exports no type for that.
const broken = "transport connection broken: "

var errNotHTTP = errors.New("the answer is not HTTP")

// withoutAnswer is a network error that does not quote what came.
func withoutAnswer(err error) error {
	if strings.Contains(err.Error(), broken) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return errNotHTTP
	}
	return err
}

func certificate(err error) string {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "not valid for the host " + e.Host
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "expired, or not valid yet"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "signed by an authority that this machine does not know"
	}
	return err.Error()
}
