package hooks

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// These bound what is quoted of a page, in characters: in a cause, and where the page's own words are given.
const (
	maxDetail  = 200
	maxMessage = 500
)

// fromZope reports whether the site itself gave this answer and not a proxy before it. A site's own error page
// behind nginx shows no sign of Zope, so false proves nothing (docs/groupserver.md section 3).
func fromZope(h http.Header) bool {
	return h.Get("Bobo-Exception-Type") != "" ||
		strings.Contains(h.Get("Server"), "Zope") || strings.Contains(h.Get("X-Powered-By"), "Zope")
}

// readErrorPage finds what an error page names as its cause, scrubbed and bounded; empty if it names none that says
// more than the status does. own reports whether the page is GroupServer's.
//
// A cause stands in GroupServer's own page in its message element, in Zope's as the last line of a traceback
// ("RuntimeError: database error") or behind "Error Type:" and "Error Value:", else in the heading or the title; of
// a plain text it is the first line.
func (c *Client) readErrorPage(resp *http.Response, body []byte) (message string, own bool) {
	var p errorPage
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		p.read(body)
	} else if line := words(firstLine(string(body))); !strings.ContainsAny(line, "{}<>") {
		p.heading = line
	}
	for _, text := range []string{p.message, p.exception, p.typeAndValue(), p.heading, p.title} {
		if text = c.quoteUpTo(maxMessage, text); text != "" && !repeatsStatus(text, resp) {
			return text, p.own()
		}
	}
	return "", p.own()
}

// An errorPage is the texts of a page that may name its cause.
type errorPage struct {
	heading, title        string
	exception             string // the last line of a traceback
	errorType, errorValue string // as plain Zope's page labels them
	message               string // of GroupServer's own page (gs.errormesg)
	description           string // of the same page: "500 Internal Server Error", also where the status is 503
}

// own reports whether the page is GroupServer's own, whichever status it came with. No proxy makes up such a page.
func (p *errorPage) own() bool { return p.message != "" && p.description != "" }

func (p *errorPage) typeAndValue() string {
	if p.errorType == "" || p.errorValue == "" {
		return p.errorType + p.errorValue
	}
	return p.errorType + ": " + p.errorValue
}

func (p *errorPage) read(body []byte) {
	tokens := html.NewTokenizer(bytes.NewReader(body))
	var text strings.Builder
	code := "" // the class of the open <code>
	frames, afterTraceback := false, false
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return
		}
		if kind == html.TextToken {
			text.Write(tokens.Text())
			continue
		}
		if kind != html.StartTagToken && kind != html.EndTagToken {
			continue
		}
		name, attributes := tokens.TagName()
		tag := string(name)
		if code != "" && tag != "code" {
			continue // its text has parts
		}
		content := words(text.String())
		text.Reset()
		p.labelled(content)
		if kind == html.StartTagToken {
			if tag == "code" {
				_, code = (&scanner{Tokenizer: tokens}).idAndClass(attributes)
			}
			continue
		}
		switch tag {
		case "h1":
			p.heading = cmp.Or(p.heading, content)
		case "title":
			p.title = cmp.Or(p.title, content)
		case "code":
			switch code {
			case "message":
				p.message = cmp.Or(p.message, content)
			case "error":
				p.description = cmp.Or(p.description, content)
			}
			code = ""
		case "li":
			frames = frames || strings.HasPrefix(content, "Module ")
		case "ul":
			frames, afterTraceback = false, frames
		case "p":
			// <ul><li>Module …</li> …</ul><p>ConflictError: conflict</p>
			if afterTraceback {
				p.exception = cmp.Or(p.exception, content)
			}
			afterTraceback = false
		}
	}
}

// labelled takes what plain Zope's page labels.
func (p *errorPage) labelled(content string) {
	if value, ok := strings.CutPrefix(content, "Error Type:"); ok {
		p.errorType = cmp.Or(p.errorType, words(value))
	}
	if value, ok := strings.CutPrefix(content, "Error Value:"); ok {
		p.errorValue = cmp.Or(p.errorValue, words(value))
	}
}

// repeatsStatus reports whether text says no more than the status line: "502 Bad Gateway", "Gateway Time-out".
func repeatsStatus(text string, resp *http.Response) bool {
	said := letters(text)
	return said == "" || said == "error" || said == letters(phrase(resp)) || said == "servicetemporarilyunavailable"
}

func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

// phrase is the words of a status line. The standard's are the same for all servers, so failures of one kind
// stay one kind; a status that the standard does not know keeps the server's.
func phrase(resp *http.Response) string {
	if text := http.StatusText(resp.StatusCode); text != "" {
		return text
	}
	return words(strings.TrimPrefix(resp.Status, strconv.Itoa(resp.StatusCode)))
}

// quote makes a server's text fit for a message: without secrets, in one line, printable, and not too long.
func (c *Client) quote(text string) string { return c.quoteUpTo(maxDetail, text) }

func (c *Client) quoteUpTo(most int, text string) string {
	text = words(c.Scrub(strings.Map(printable, c.Scrub(text))))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + gap
	}
	return text
}

// printable drops what could move a terminal's cursor or hide text.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == unicode.ReplacementChar || !unicode.IsPrint(r):
		return -1
	}
	return r
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
