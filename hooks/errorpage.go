package hooks

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// maxDetail bounds what an error message quotes of a page, in characters.
const maxDetail = 200

// fromZope reports whether the site itself gave this answer and not a proxy before it. A site's own error page
// behind nginx shows no sign of Zope, so false proves nothing (docs/groupserver.md section 3).
func fromZope(h http.Header) bool {
	return h.Get("Bobo-Exception-Type") != "" ||
		strings.Contains(h.Get("Server"), "Zope") || strings.Contains(h.Get("X-Powered-By"), "Zope")
}

// errorDetail boils an error page down to its cause: the last line of the traceback on Zope's built-in page
// ("RuntimeError: database error"), else the page's heading or title if it says more than the status does, else
// the first line of a plain text.
func (c *Client) errorDetail(resp *http.Response, body []byte) string {
	var heading, title, exception string
	isHTML := strings.Contains(resp.Header.Get("Content-Type"), "html")
	if isHTML {
		heading, title, exception = errorPage(body)
	} else if line := words(firstLine(string(body))); !strings.ContainsAny(line, "{}<>") {
		heading = line
	}
	for _, text := range []string{exception, heading, title} {
		if text = c.quote(text); text != "" && !repeatsStatus(text, resp) {
			return text
		}
	}
	return ""
}

// errorPage finds the texts of an error page that may name its cause.
func errorPage(body []byte) (heading, title, exception string) {
	tokens := html.NewTokenizer(bytes.NewReader(body))
	var text strings.Builder
	frames, afterTraceback := false, false
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return heading, title, exception
		}
		if kind == html.TextToken {
			text.Write(tokens.Text())
			continue
		}
		if kind != html.StartTagToken && kind != html.EndTagToken {
			continue
		}
		name, _ := tokens.TagName()
		tag, content := string(name), words(text.String())
		text.Reset()
		if kind == html.StartTagToken {
			continue
		}
		switch tag {
		case "h1":
			heading = orFirst(heading, content)
		case "title":
			title = orFirst(title, content)
		case "li":
			frames = frames || strings.HasPrefix(content, "Module ")
		case "ul":
			frames, afterTraceback = false, frames
		case "p":
			// <ul><li>Module …</li> …</ul><p>ConflictError: conflict</p>
			if afterTraceback {
				exception = orFirst(exception, content)
			}
			afterTraceback = false
		}
	}
}

func orFirst(first, second string) string {
	if first != "" {
		return first
	}
	return second
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

// quote makes a server's text fit for a message: without the token, in one line, printable, and not too long.
func (c *Client) quote(text string) string {
	text = words(c.token.Scrub(strings.Map(printable, c.token.Scrub(text))))
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail]) + "…"
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
