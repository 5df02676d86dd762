package hooks_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/groupserver/senddigest/hooks"
)

const secret = "Sesame42"

// leaks tells in which common form a text shows the secret.
func leaks(text string) string {
	lower := strings.ToLower(text)
	for name, form := range map[string]string{
		"plain": secret, "hexadecimal": fmt.Sprintf("%x", secret), "decimal": strings.Trim(fmt.Sprint([]byte(secret)), "[]"), "quoted": strconv.Quote(secret),
	} {
		if strings.Contains(lower, strings.ToLower(form)) {
			return name
		}
	}
	return ""
}

func TestTheTokenIsPrintedByNothing(t *testing.T) {
	token := hooks.NewToken(secret)
	type hidden struct{ token hooks.Token }
	type shown struct {
		Token hooks.Token `json:"token" xml:"token"`
	}
	c := client(t, roundTripper(func(req *http.Request) (*http.Response, error) {
		return (&site{answer: answer{200, "text/html", nil, []byte(confirmation)}}).RoundTrip(req)
	}), secret)
	if _, err := c.SendDigest(t.Context(), group); err != nil { // whatever a send may leave behind in it
		t.Fatal(err)
	}
	values := map[string]any{
		"token": token, "pointer": &token, "hidden": hidden{token}, "pointer to hidden": &hidden{token}, "shown": shown{token},
		"pointer to shown": &shown{token}, "slice": []hooks.Token{token}, "map": map[string]hooks.Token{"t": token},
		"interface": []any{token, hidden{token}}, "client": c, "client itself": struct{ C *hooks.Client }{c},
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%b", "%o", "%c", "%U", "%e", "%t", "%p", "%T", "%w", "%10.3s"} {
			if text := fmt.Sprintf(verb, value); leaks(text) != "" {
				t.Errorf("%s prints the token of %s %s: %s", verb, name, leaks(text), text)
			}
		}
		if text := fmt.Sprint(value); leaks(text) != "" {
			t.Errorf("Sprint: %s: %s", name, text)
		}
		if text, _ := json.Marshal(value); leaks(string(text)) != "" {
			t.Errorf("json: %s: %s", name, text)
		}
		if text, _ := xml.Marshal(value); leaks(string(text)) != "" {
			t.Errorf("xml: %s: %s", name, text)
		}
		var text bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil)} {
			slog.New(handler).With("with", value).Info("message", "value", value, slog.Group("group", "value", value))
		}
		if leaks(text.String()) != "" {
			t.Errorf("slog: %s: %s", name, text.String())
		}
	}
	for _, text := range []string{fmt.Sprint(token), token.String(), token.GoString(), fmt.Sprintf("%q", token)} {
		if text != "[token]" {
			t.Errorf("printed as %s, want [token]", text)
		}
	}
	if text, err := json.Marshal(shown{token}); err != nil || string(text) != `{"token":"[token]"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAnEmptyTokenIsNone(t *testing.T) {
	var zero hooks.Token
	for _, token := range []hooks.Token{zero, hooks.NewToken("")} {
		if !token.IsZero() || token.Scrub("a text") != "a text" {
			t.Errorf("%v is not the zero token", token)
		}
	}
	if hooks.NewToken(" ").IsZero() {
		t.Error("a blank is a token, if a bad one")
	}
	if got := hooks.NewToken(" ").Scrub("a text"); strings.Contains(got, "a text") {
		t.Errorf("scrubbed to %q", got)
	}
}

// submitted is the token that was sent when a fixture was captured (testdata/groupserver/README.md says which).
func submitted(t *testing.T, name string) string {
	switch name {
	case "send-wrong-token-special-characters.html":
		// As the hook gave it back in the form.
		_, rest, found := strings.Cut(string(fixture(t, name)), `name="form.token" size="20" type="text" value='`)
		value, _, ended := strings.Cut(rest, "'")
		if !found || !ended {
			t.Fatal("no token in the form")
		}
		return html.UnescapeString(value)
	case "groups-wrong-token-newline.txt":
		return fixtureToken + "\n"
	case "groups-wrong-token-backslash.txt":
		return fixtureToken + `\`
	}
	return fixtureToken
}

func TestNoEchoOfTheTokenGetsIntoAnError(t *testing.T) {
	entries, err := os.ReadDir(fixtures)
	if err != nil {
		t.Fatal(err)
	}
	echoes := 0
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, "index") || strings.HasPrefix(name, "README") || strings.HasPrefix(name, "embed") {
			continue
		}
		body := fixture(t, name)
		if !bytes.Contains(body, []byte(fixtureToken)) {
			continue
		}
		echoes++
		token := submitted(t, name)
		if got := hooks.NewToken(token).Scrub(string(body)); strings.Contains(got, fixtureToken) {
			t.Errorf("%s: Scrub leaves the token in\n%s", name, got)
		}
		for _, contentType := range []string{"text/html; charset=utf-8", "application/json", "text/plain", token} {
			for _, status := range []int{200, 302, 500, 599} {
				s := &site{answer: answer{status, contentType, map[string]string{"Location": "http://h/" + url.PathEscape(token) + "?" + url.QueryEscape(token)}, body}}
				c := client(t, s, token)
				_, listErr := c.DigestGroups(t.Context())
				_, sendErr := c.SendDigest(t.Context(), group)
				_, membersErr := c.ProfileMembers(t.Context())
				_, profileErr := c.SendProfile(t.Context(), "u1")
				for _, err := range []error{listErr, sendErr, membersErr, profileErr} {
					free(t, fmt.Sprintf("%s as %d, %s", name, status, contentType), err)
				}
			}
		}
	}
	if echoes < 13 {
		t.Errorf("%d fixtures repeat the token: have they changed?", echoes)
	}
}

// free fails if anything that can be printed of an error holds the token of the fixtures.
func free(t *testing.T, name string, err error) {
	t.Helper()
	for _, text := range printed(err) {
		if strings.Contains(text, fixtureToken) {
			t.Errorf("%s: the token stands in %s", name, text)
		}
	}
}

// printed is all that can be printed of an error; nothing of nil.
func printed(err error) (texts []string) {
	if err == nil {
		return nil
	}
	encoded, _ := json.Marshal(err)
	texts = append(texts, fmt.Sprintf("%v %+v %#v %s %q", err, err, err, err, err), string(encoded))
	if e, ok := err.(interface{ Reason() string }); ok {
		texts = append(texts, e.Reason())
	}
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		texts = append(texts, fmt.Sprintf("%v %#v", cause, cause))
	}
	return texts
}

func TestScrubFindsTheTokenInEveryForm(t *testing.T) {
	// Capitals and digits, so that no part of "[token]" can be taken for one.
	plain := rapid.StringMatching(`[A-Z0-9]{4,12}`)
	special := rapid.StringMatching(`[ -Z\\^-~\t\n]{0,6}`) // no brackets, for the same reason
	words := rapid.StringMatching(`[a-z <>&"'%;=/\n]{0,12}`)
	zope := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	hex := strings.NewReplacer("%2F", "%2f", "%3C", "%3c", "%3E", "%3e", "%3D", "%3d", "%2B", "%2b", "%5C", "%5c", "%0A", "%0a", "%3A", "%3a", "%3B", "%3b", "%3F", "%3f", "%2A", "%2a", "%2C", "%2c", "%5E", "%5e", "%7B", "%7b", "%7C", "%7c", "%7D", "%7d", "%7E", "%7e")
	rapid.Check(t, func(t *rapid.T) {
		text := plain.Draw(t, "begin") + special.Draw(t, "middle") + plain.Draw(t, "end") + special.Draw(t, "tail")
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		quoted := strconv.Quote(text)
		query, path := url.QueryEscape(text), url.PathEscape(text)
		forms := []string{
			text, strings.TrimSpace(text), strings.Join(strings.Fields(text), " "), html.EscapeString(text),
			zope.Replace(text), strings.ReplaceAll(zope.Replace(text), `"`, "&quot;"),
			query, path, strings.ReplaceAll(query, "+", "%20"), hex.Replace(query), hex.Replace(path),
			strings.ReplaceAll(text, `"`, `\"`), string(encoded[1 : len(encoded)-1]), quoted[1 : len(quoted)-1],
		}
		var page strings.Builder
		page.WriteString(words.Draw(t, "words"))
		for range rapid.IntRange(0, 4).Draw(t, "echoes") {
			page.WriteString(rapid.SampledFrom(forms).Draw(t, "form"))
			page.WriteString(words.Draw(t, "words"))
		}
		token := hooks.NewToken(text)
		got := token.Scrub(page.String())
		for _, form := range forms {
			if strings.Contains(got, form) {
				t.Fatalf("%q stands in %q", form, got)
			}
		}
		if again := token.Scrub(got); again != got {
			t.Fatalf("scrubbed again: %q, was %q", again, got)
		}
	})
}

func TestScrubLeavesOtherTextAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[A-Z]{4,32}`).Draw(t, "token")
		text := rapid.StringMatching(`[^A-Z]{0,200}`).Draw(t, "text")
		if got := hooks.NewToken(token).Scrub(text); got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	})
}
