package hooks

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// The elements by which docs/groupserver.md section 3 tells the pages of the send hook apart. Their words are
// not looked at: some are translated, and "digest", "error" and the labels stand on every page.
const (
	messageID = "gs-content-form-base-message"
	formID    = "gs-group-messages-topicsdigest-sendalldigests"

	doneClass  = "alert-info"
	errorClass = "alert-error"

	tokenLabel = "Token"
)

// A page is what a 200 of the send hook says.
type page struct {
	form      bool // the hook's form is there: it is the hook's page
	message   bool // the message element is there
	confirmed bool // it says done
	refused   bool // it lists errors
	token     bool // one of them is the token's
	errors    []string
	title     string
}

// readPage finds the elements that count. It stops where the page is known to be the hook's and no message can
// come any more: in the server's confirmation that is after a third, and this runs for every send.
func readPage(body []byte) page {
	var p page
	lastMessage := bytes.LastIndex(body, []byte(messageID))
	s := scanner{Tokenizer: html.NewTokenizer(bytes.NewReader(body))}
	for s.read <= lastMessage || !(p.form || p.message) {
		kind := s.next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		name, attributes := s.TagName()
		if p.title == "" && string(name) == "title" && kind == html.StartTagToken {
			if s.next() == html.TextToken {
				p.title = words(string(s.Text()))
			}
			continue
		}
		if raw := s.Raw(); !bytes.Contains(raw, []byte(messageID)) && !bytes.Contains(raw, []byte(formID)) {
			continue // its attributes cost more than all the rest
		}
		switch id, class := s.idAndClass(attributes); id {
		case formID:
			p.form = true
		case messageID:
			p.readMessage(&s, class)
		}
	}
	return p
}

// readMessage reads the message element, whose start tag was the last token.
func (p *page) readMessage(s *scanner, class string) {
	p.message = true
	for word := range strings.FieldsSeq(class) {
		p.confirmed = p.confirmed || word == doneClass
		p.refused = p.refused || word == errorClass
	}
	if !p.refused {
		return // nothing in it counts
	}
	var text strings.Builder
	var label string
	for depth := 1; depth > 0; {
		kind := s.next()
		switch kind {
		case html.ErrorToken:
			return
		case html.TextToken:
			text.Write(s.Text())
			continue
		case html.StartTagToken, html.EndTagToken:
		default:
			continue
		}
		name, _ := s.TagName()
		switch open := kind == html.StartTagToken; string(name) {
		case "div":
			if open {
				depth++
			} else {
				depth--
			}
		case "dt":
			if !open {
				label = words(text.String())
			}
			text.Reset()
		case "dd":
			switch {
			case open:
			case label == tokenLabel:
				p.token = true // its text repeats the token
			default:
				p.errors = append(p.errors, label+": "+words(text.String()))
			}
			text.Reset()
		}
	}
}

// A scanner is a tokenizer that knows how much it has read.
type scanner struct {
	*html.Tokenizer
	read int
}

func (s *scanner) next() html.TokenType {
	kind := s.Next()
	s.read += len(s.Raw())
	return kind
}

func (s *scanner) idAndClass(more bool) (id, class string) {
	for more {
		var key, value []byte
		key, value, more = s.TagAttr()
		switch string(key) {
		case "id":
			id = string(value)
		case "class":
			class = string(value)
		}
	}
	return id, class
}

// words makes one line of a text.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }
