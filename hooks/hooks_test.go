package hooks_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/hooks"
)

// The token that was submitted when the fixtures were captured.
const fixtureToken = "exampleToken123"

const fixtures = "../testdata/groupserver"

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(fixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// An answer is what the site says next.
type answer struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
}

// A site answers every request in the same way, without a network, and remembers what it was asked.
type site struct {
	answer   answer
	requests []*http.Request
	forms    []url.Values
}

func (s *site) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.requests, s.forms = append(s.requests, req), append(s.forms, form)
	resp := &http.Response{
		StatusCode: s.answer.status, Status: fmt.Sprintf("%d Words Of The Server", s.answer.status),
		Header: http.Header{"Content-Type": {s.answer.contentType}}, Body: io.NopCloser(bytes.NewReader(s.answer.body)),
		Request: req, ProtoMajor: 1, ProtoMinor: 1,
	}
	for name, value := range s.answer.header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := hooks.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func client(t testing.TB, s http.RoundTripper, token string) *hooks.Client {
	t.Helper()
	return hooks.New(parseURL(t, "http://groups.example.com/"), hooks.NewToken(token), hooks.Options{Transport: s})
}

func TestTheFormsAreTheHooksOwn(t *testing.T) {
	s := &site{answer: answer{200, "application/json", nil, []byte("[]")}}
	c := client(t, s, "t&k=n")
	if _, err := c.DigestGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.answer = answer{200, "text/html; charset=utf-8", nil, fixture(t, "send-ok.html")}
	if _, err := c.SendDigest(t.Context(), hooks.Group{Site: "a site", Group: "a&b"}); err != nil {
		t.Fatal(err)
	}
	s.answer = answer{200, "application/json", nil, fixture(t, "profile-members-ok.json")}
	if _, err := c.ProfileMembers(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.answer = answer{200, "application/json", nil, fixture(t, "profile-send-ok.json")}
	if _, err := c.SendProfile(t.Context(), "u&1"); err != nil {
		t.Fatal(err)
	}
	want := []url.Values{
		{"token": {"t&k=n"}, "get": {""}},
		{"form.siteId": {"a site"}, "form.groupId": {"a&b"}, "form.token": {"t&k=n"}, "form.actions.send": {"Send"}},
		{"token": {"t&k=n"}, "get": {""}},
		{"profileId": {"u&1"}, "token": {"t&k=n"}, "send": {"Send"}},
	}
	if diff := cmp.Diff(want, s.forms); diff != "" {
		t.Error(diff)
	}
	for i, path := range []string{
		"/gs-group-messages-topic-digest-groups.html", "/gs-group-messages-topic-digest-send.html",
		"/gs-profile-status-members.html", "/gs-profile-status-send.html",
	} {
		req := s.requests[i]
		if req.Method != "POST" || req.URL.Path != path || req.URL.RawQuery != "" {
			t.Errorf("request %d: %s %s", i, req.Method, req.URL)
		}
		if got := req.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
			t.Errorf("request %d: content type %q", i, got)
		}
		// With one of these, net/http repeats a POST by itself.
		for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			if _, there := req.Header[name]; there {
				t.Errorf("request %d has the header %s", i, name)
			}
		}
	}
}

func TestSchemePortAndPrefixOfTheURLAreHonoured(t *testing.T) {
	const direct = "http://127.0.0.1:8080/VirtualHostBase/http/groups.example.com:80/groupserver/Content/initial_site/VirtualHostRoot"
	for _, row := range []struct{ site, want string }{
		{"http://h/", "http://h/gs-group-messages-topic-digest-groups.html"},
		{"http://h", "http://h/gs-group-messages-topic-digest-groups.html"},
		{"https://h:8443/", "https://h:8443/gs-group-messages-topic-digest-groups.html"},
		{"http://[::1]:81/lists/", "http://[::1]:81/lists/gs-group-messages-topic-digest-groups.html"},
		{direct, direct + "/gs-group-messages-topic-digest-groups.html"},
	} {
		s := &site{answer: answer{200, "application/json", nil, []byte("[]")}}
		c := hooks.New(parseURL(t, row.site), hooks.NewToken("t"), hooks.Options{Transport: s})
		if _, err := c.DigestGroups(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.requests[0].URL.String(); got != row.want {
			t.Errorf("%s: asked %s, want %s", row.site, got, row.want)
		}
		if uri := s.requests[0].URL.RequestURI(); uri[0] != '/' {
			t.Errorf("%s: the request line would begin with %s", row.site, uri)
		}
	}
}

func TestParseURLRefusesWhatIsNoSite(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "the URL is empty"},
		{"http://h:0/", "the port in the URL http://h:0/ is not from 1 to 65535"},
		{"https://h:99999/", "the port in the URL https://h:99999/ is not from 1 to 65535"},
		{"groups.example.com", "no host in the URL groups.example.com"},
		{"localhost:8080", "no host in the URL localhost:8080"},
		{"http:///", "no host in the URL http:///"},
		{"mailto:a@h", "no host in the URL mailto:a@h"},
		{" http://h/", "the URL cannot be read"},
		{"http://h:abc/", "the URL cannot be read"},
		{"ftp://h/", "the URL ftp://h/ is not http or https"},
		{"//h/", "the URL //h/ does not begin with http:// or https://"},
		{"http://user:hushhush@h/", "the URL holds a user name or a password"},
		{"http://h/?q=hushhush", "the URL holds a query or a fragment"},
		{"http://h/#hushhush", "the URL holds a query or a fragment"},
		{"http://user:hushhush@h:x/", "the URL cannot be read"},
	} {
		_, err := hooks.ParseURL(row.text)
		if _, ok := errors.AsType[*hooks.URLError](err); !ok || err.Error() != row.want {
			t.Errorf("ParseURL(%q): %v, want %q", row.text, err, row.want)
		}
	}
}

func TestASiteHasOneNameHoweverItsURLIsWritten(t *testing.T) {
	for name, texts := range map[string][]string{
		"https://groups.example.com/": {
			"https://groups.example.com", "https://groups.example.com/", "HTTPS://Groups.EXAMPLE.com:443//", "https://groups.example.com.:0443/.",
		},
		"http://h/":         {"http://h", "http://h:", "http://h:80/", "http://h/a/.."},
		"http://h:443/a/b/": {"http://h:443/a/b", "http://h:443/a/b/", "http://h:443//a/./b//", "http://h:443/%61/b/"},
		"http://h/a%2Fb/":   {"http://h/a%2Fb", "http://h/a%2fb/"},
		"http://h/%C3%A4/":  {"http://h/ä", "http://h/%c3%a4/"},
		"http://[::1]:8080/VirtualHostBase/http/groups.example.com:80/groupserver/VirtualHostRoot/": {
			"http://[::1]:8080/VirtualHostBase/http/groups.example.com:80/groupserver/VirtualHostRoot",
			"http://[::1]:8080/VirtualHostBase/http/groups.example.com%3A80/groupserver/VirtualHostRoot/",
		},
	} {
		for _, text := range append(texts, name) {
			if got := hooks.SiteName(parseURL(t, text)); got != name {
				t.Errorf("%s: got %s, want %s", text, got, name)
			}
		}
	}
	other := map[string]bool{}
	for _, text := range []string{"http://h/", "https://h/", "http://h:8080/", "http://h:443/", "https://h:80/", "http://h/a/", "http://h/A/", "http://h/a/b/", "http://h/a%2Fb/"} {
		name := hooks.SiteName(parseURL(t, text))
		if other[name] {
			t.Errorf("%s has the name of another site, %s", text, name)
		}
		other[name] = true
	}
}

// word is what the errors of a call amount to, in the words of the contract and of the answer catalogue.
func word(confirmed bool, err error) string {
	if e, ok := errors.AsType[*hooks.RejectedError](err); ok {
		if e.Token {
			return "rejected: token"
		}
		return "rejected"
	}
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		if e.Zope {
			return fmt.Sprintf("not ok: %d from Zope", e.Status)
		}
		return fmt.Sprintf("not ok: %d", e.Status)
	}
	if _, ok := errors.AsType[*hooks.UnexpectedPageError](err); ok {
		return "unexpected"
	}
	if _, ok := errors.AsType[*hooks.MalformedListError](err); ok {
		return "malformed"
	}
	switch {
	case err != nil:
		return err.Error()
	case confirmed:
		return "confirmed"
	}
	return "blank form"
}

// zopeHead is what comes with Zope's built-in error pages.
var zopeHead = map[string]string{
	"Server":              "Zope/(2.13.24, python 2.7.18, linux2) ZServer/1.1",
	"Bobo-Exception-Type": "<type 'exceptions.RuntimeError'>",
}

// Every captured answer, judged as its class in the index says, with the token that was submitted in no message.
func TestEveryCapturedAnswerIsJudgedByItsElements(t *testing.T) {
	file, err := os.Open(filepath.Join(fixtures, "index.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, row := range rows[1:] {
		name, hook, status, contentType, class := row[0], row[1], row[2], row[3], row[4]
		t.Run(name, func(t *testing.T) {
			code, err := strconv.Atoi(status[:3])
			if err != nil {
				t.Fatal(err)
			}
			a := answer{status: code, contentType: contentType, body: fixture(t, name)}
			want := ""
			switch class {
			case "list", "accepted":
				want = "confirmed"
			case "skipped":
				want = "skipped"
			case "rejected-token":
				want = "rejected: token"
			case "rejected-field":
				want = "rejected"
			case "not-sent":
				want = "blank form"
			case "about", "not-the-hook":
				want = "unexpected"
			case "server-error":
				a.header = zopeHead
				if name == "handmade-site-error-500.html" {
					a.header = map[string]string{"X-Powered-By": "Zope (www.zope.org), Python (www.python.org)"}
				}
				want = fmt.Sprintf("not ok: %d from Zope", code)
			case "proxy", "ambiguous":
				want = fmt.Sprintf("not ok: %d", code)
			default:
				t.Fatalf("class %q is not known", class)
			}
			c := client(t, &site{answer: a}, fixtureToken)
			if hook == "groups" || hook == "any" {
				_, err := c.DigestGroups(t.Context())
				check(t, word(true, err), want, err)
			}
			if hook == "send" || hook == "any" {
				reply, err := c.SendDigest(t.Context(), hooks.Group{Site: "example_site", Group: "alpha"})
				check(t, word(reply.Confirmed, err), want, err)
			}
			if hook == "profile-members" || hook == "any" {
				_, err := c.ProfileMembers(t.Context())
				check(t, word(true, err), want, err)
			}
			if hook == "profile-send" || hook == "any" {
				answer, err := c.SendProfile(t.Context(), "u1")
				got := word(answer == hooks.ProfileSent, err)
				if err == nil && answer.Reason() != "" {
					got = "skipped"
				}
				check(t, got, want, err)
			}
			judged++
		})
	}
	if judged != 68 {
		t.Errorf("%d answers judged, want 68: has the index changed?", judged)
	}
}

func check(t *testing.T, got, want string, err error) {
	t.Helper()
	if got != want {
		t.Errorf("judged %q, want %q (%v)", got, want, err)
	}
	if err != nil && strings.Contains(err.Error(), fixtureToken) {
		t.Errorf("the token stands in %q", err)
	}
}

// The rows of the catalogue in docs/groupserver.md section 3, groups hook.
func TestGroupsHookAnswers(t *testing.T) {
	const html, js = "text/html; charset=utf-8", "application/json"
	for _, row := range []struct {
		row    string
		answer answer
		want   string
	}{
		{"200, JSON array: list", answer{200, js, nil, fixture(t, "groups-ok.json")}, "confirmed"},
		{"200, empty JSON array: list", answer{200, js, nil, []byte("[]\n")}, "confirmed"},
		{"200, JSON object with status and message: refused", answer{200, js, nil, fixture(t, "groups-wrong-token.json")}, "rejected: token"},
		{"200, status 100 by design: refused", answer{200, js, nil, fixture(t, "groups-wrong-token-as-designed.json")}, "rejected: token"},
		{"200, status -1 about another field: refused, not for the token", answer{200, js, nil, []byte(`{"status": -1, "message": ["Get: Required input is missing."]}`)}, "rejected"},
		{"200, object with actions and arguments: not the right request", answer{200, js, nil, fixture(t, "groups-missing-action.json")}, "unexpected"},
		{"200, application/json, starts with { and does not parse: refused", answer{200, js, nil, fixture(t, "groups-wrong-token-backslash.txt")}, "rejected: token"},
		{"200, starts with { and does not parse, not application/json: not the hook", answer{200, html, nil, []byte("{{ template }}")}, "unexpected"},
		{"200, not JSON: not the hook", answer{200, html, nil, fixture(t, "handmade-login-page.html")}, "unexpected"},
		{"200, an object that is JSON but of other types: not the hook", answer{200, js, nil, []byte(`{"message": "Not found"}`)}, "unexpected"},
		{"200, a status that is no number: not the hook", answer{200, js, nil, []byte(`{"status": "ok", "message": ["hello"]}`)}, "unexpected"},
		{"200, an object too long to be a refusal: not the hook", answer{200, js, nil, []byte(`{"a": "` + strings.Repeat("a", 70_000) + `"}`)}, "unexpected"},
		{"200, empty: not the hook", answer{200, html, nil, nil}, "unexpected"},
		{"200, another JSON object: not the hook", answer{200, js, nil, []byte(`{"error": "no"}`)}, "unexpected"},
		{"200, JSON array holding a pair with an empty group id: list", answer{200, js, nil, fixture(t, "groups-ok-empty-group-id.json")}, "confirmed"},
		{"200, JSON array with nothing but other elements than pairs of ids: unexpected element", answer{200, js, nil, []byte(`[["a", ""]]`)}, "malformed"},
		{"404: no such site, or too old", answer{404, html, zopeHead, fixture(t, "not-found-404.html")}, "not ok: 404 from Zope"},
		{"500: exception, or a token with non-ASCII characters", answer{500, html, zopeHead, fixture(t, "groups-500.html")}, "not ok: 500 from Zope"},
		{"401: never from the hook itself", answer{401, html, nil, nil}, "not ok: 401"},
		{"403: never from the hook itself", answer{403, html, nil, nil}, "not ok: 403"},
	} {
		t.Run(row.row, func(t *testing.T) {
			_, err := client(t, &site{answer: row.answer}, fixtureToken).DigestGroups(t.Context())
			check(t, word(true, err), row.want, err)
		})
	}
}

// The rows of the catalogue in docs/groupserver.md section 3, send hook. Those without an answer (time-out, reset,
// refused connection …) are in transport_test.go, redirects in redirect_test.go.
func TestSendHookAnswers(t *testing.T) {
	const html = "text/html; charset=utf-8"
	page := func(name string) answer { return answer{200, html, nil, fixture(t, name)} }
	ok := string(fixture(t, "send-ok.html"))
	for _, row := range []struct {
		row    string
		answer answer
		want   string
	}{
		{"200, message element of class alert-info: ok", page("send-ok.html"), "confirmed"},
		{"200, message element of class alert-error: rejected", page("send-empty-groupid.html"), "rejected"},
		{"label Token: rejected for the token", page("send-wrong-token.html"), "rejected: token"},
		{"label Site Identifier: rejected for a field", page("send-empty-siteid.html"), "rejected"},
		{"label Group Identifier: rejected for a field", page("send-nonascii-groupid.html"), "rejected"},
		{"200, the form but no message element: not sent", page("send-unknown-group.html"), "blank form"},
		{"200, neither element: not the hook", page("handmade-login-page.html"), "unexpected"},
		{"200, empty: not the hook", answer{200, html, nil, nil}, "unexpected"},
		{"500 with Bobo-Exception-Type: server error", answer{500, html, map[string]string{"Bobo-Exception-Type": "x"}, nil}, "not ok: 500 from Zope"},
		{"500 with Server naming Zope: server error", answer{500, html, map[string]string{"Server": "Zope/(2.13.24)"}, nil}, "not ok: 500 from Zope"},
		{"500 with X-Powered-By naming Zope: server error", answer{500, html, map[string]string{"X-Powered-By": "Zope (www.zope.org)"}, nil}, "not ok: 500 from Zope"},
		{"503 with a sign of Zope: server error", answer{503, html, zopeHead, fixture(t, "send-503-missing-groupid.html")}, "not ok: 503 from Zope"},
		{"500 without any sign of Zope: server error", answer{500, html, nil, fixture(t, "handmade-site-error-500.html")}, "not ok: 500"},
		{"502 without a sign of Zope", answer{502, html, nil, fixture(t, "handmade-proxy-502.html")}, "not ok: 502"},
		{"504 without a sign of Zope", answer{504, html, nil, fixture(t, "handmade-proxy-504.html")}, "not ok: 504"},
		{"503 without a sign of Zope", answer{503, html, nil, fixture(t, "handmade-proxy-503.html")}, "not ok: 503"},
		{"404: host is no site of the installation", answer{404, html, zopeHead, fixture(t, "not-found-404.html")}, "not ok: 404 from Zope"},
		{"3xx without Location: not 200", answer{302, html, nil, nil}, "not ok: 302"},

		// The elements decide, not the words: none of these says what its words say.
		{"the words of success outside of the element", answer{200, html, nil, []byte("<html><body><p>All digests sent.</p></body></html>")}, "unexpected"},
		{"a translated confirmation", answer{200, html, nil, []byte(strings.ReplaceAll(ok, "All digests sent.", "Alles verschickt; error"))}, "confirmed"},
		{"the element in a comment", answer{200, html, nil, []byte(strings.ReplaceAll(strings.ReplaceAll(ok, `<div id="gs-content-form-base-message"`, `<!-- <div id="gs-content-form-base-message"`), "<!--messages-->", "-->"))}, "blank form"},
		{"the element in a script", answer{200, html, nil, []byte(`<script>'<div id="gs-content-form-base-message" class="alert alert-info">'</script>`)}, "unexpected"},
		{"the element in a text field", answer{200, html, nil, []byte(`<div id="gs-group-messages-topicsdigest-sendalldigests"><textarea><div id="gs-content-form-base-message" class="alert alert-info"></textarea></div>`)}, "blank form"},
		{"the element in an attribute", answer{200, html, nil, []byte(`<input value='<div id="gs-content-form-base-message" class="alert alert-info">'>`)}, "unexpected"},
		{"the element of neither class", answer{200, html, nil, []byte(strings.ReplaceAll(ok, "alert alert-info", "alert"))}, "unexpected"},
		{"a confirmation and a refusal", answer{200, html, nil, append(fixture(t, "send-ok.html"), fixture(t, "send-wrong-token.html")...)}, "unexpected"},
		{"other attributes, other quotes, other order", answer{200, html, nil, []byte(`<DIV class='alert-info x alert' ID=gs-content-form-base-message>`)}, "confirmed"},
		{"a status of 201 with the right page", answer{201, html, nil, fixture(t, "send-ok.html")}, "not ok: 201"},
	} {
		t.Run(row.row, func(t *testing.T) {
			reply, err := client(t, &site{answer: row.answer}, fixtureToken).
				SendDigest(t.Context(), hooks.Group{Site: "example_site", Group: "alpha"})
			check(t, word(reply.Confirmed, err), row.want, err)
		})
	}
}

func TestMessagesNameTheCause(t *testing.T) {
	const html = "text/html; charset=utf-8"
	for _, row := range []struct {
		answer answer
		want   string
	}{
		{answer{500, html, zopeHead, fixture(t, "send-500-database-error.html")}, "send digest: 500 Internal Server Error: RuntimeError: database error"},
		{answer{500, html, zopeHead, fixture(t, "send-500-conflict.html")}, "send digest: 500 Internal Server Error: ConflictError: conflict"},
		{answer{503, html, zopeHead, fixture(t, "send-503-missing-groupid.html")}, "send digest: 503 Service Unavailable: KeyError: u'groupId'"},
		{answer{500, html, nil, fixture(t, "handmade-site-error-500.html")}, "send digest: 500 Internal Server Error: The site has a problem"},
		{answer{502, html, nil, fixture(t, "handmade-proxy-502.html")}, "send digest: 502 Bad Gateway"},
		{answer{504, html, nil, fixture(t, "handmade-proxy-504.html")}, "send digest: 504 Gateway Timeout"},
		{answer{429, "text/plain", nil, []byte("slow down,\x1b please\nsecond line")}, "send digest: 429 Too Many Requests: slow down, please"},
		{answer{599, html, nil, nil}, "send digest: 599 Words Of The Server"},
		{answer{200, html, nil, fixture(t, "handmade-login-page.html")}, "send digest: 200, but not the hook's page: it is titled “Sign in”"},
		{answer{200, html, nil, fixture(t, "send-wrong-token.html")}, "send digest: the site refused the token"},
		{answer{200, html, nil, fixture(t, "send-empty-groupid.html")}, "send digest: the site refused the request: Group Identifier: Required input is missing."},
	} {
		_, err := client(t, &site{answer: row.answer}, fixtureToken).SendDigest(t.Context(), hooks.Group{Site: "s", Group: "g"})
		if err == nil || err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
}

func TestTheListIsInTheScriptsOrderWithoutDuplicates(t *testing.T) {
	s := &site{answer: answer{
		200, "application/json", nil,
		[]byte(`[["site10","b"],["site1","z"],["Site2","a"],["site1","a"],["site1","z"],["site1","gr\u00fcppe"]]`),
	}}
	got, err := client(t, s, "t").DigestGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []hooks.Group{{"Site2", "a"}, {"site1", "a"}, {"site1", "grüppe"}, {"site1", "z"}, {"site10", "b"}}
	if diff := cmp.Diff(want, got.Entries); diff != "" {
		t.Error(diff)
	}
}

func TestAMalformedListSaysWhere(t *testing.T) {
	for _, row := range []struct{ list, want string }{
		{`[{"site":"a"}]`, "entry 1, at byte 2): is not a pair of site and group"},
		{`["ab"]`, "entry 1, at byte 5): is not a pair of site and group"},
		{`[null]`, "entry 1, at byte 5): is not a pair of site and group"},
		{`[["a"]]`, "entry 1, at byte 6): is a list of fewer than two"},
		{`[[]]`, "entry 1, at byte 3): is a list of fewer than two"},
		{`[["a","b","c"]]`, "entry 1, at byte 13): is a list of more than two"},
		{`[["a",1]]`, "entry 1, at byte 7): its group is not a string"},
		{`[[null,"b"]]`, "entry 1, at byte 6): its site is not a string"},
		{`[["",""]]`, "entry 1, at byte 4): its site is empty"},
		{`[["a","` + strings.Repeat("g", 1025) + `"]]`, "entry 1, at byte 1033): its group is longer than 1024 bytes"},
		{`[["a",""]]`, "entry 1, at byte 8): its group is empty"},
		{`[["a","b"]`, "at byte 10): it breaks off"},
		{`[["a","b"],["c"`, "entry 2, at byte 15): it breaks off"},
		{`[["a","b"]] x`, "at byte 12): text follows the list"},
		{`[["a","b"]][]`, "at byte 12): text follows the list"},
		{`[["a","b"] ["c","d"]]`, "it is not JSON"},
		{`[["a","b"],["c"}`, "entry 2, at byte 15): it is not JSON"},
		{`[["a","b"],` + strings.Repeat("[", 1_000_000), "it breaks off"},
		{`[1,2]`, "entry 1, at byte 2): is not a pair of site and group"},
	} {
		s := &site{answer: answer{200, "application/json", nil, []byte(row.list)}}
		_, err := client(t, s, "t").DigestGroups(t.Context())
		if _, ok := errors.AsType[*hooks.MalformedListError](err); !ok || !strings.HasSuffix(err.Error(), row.want) {
			t.Errorf("%s\ngot  %v\nwant …%s", row.list, err, row.want)
		}
	}
}

// The server lists what its table holds; a row that nobody can be sent to must not cost the others their digests.
func TestAnEntryThatIsNoGroupIsLeftOutAlone(t *testing.T) {
	fetch := func(list []byte) (*hooks.List[hooks.Group], error) {
		return client(t, &site{answer: answer{200, "application/json", nil, list}}, fixtureToken).DigestGroups(t.Context())
	}
	list, err := fetch(fixture(t, "groups-ok-empty-group-id.json"))
	if err != nil || len(list.Entries) != 317 {
		t.Fatalf("%v, want 317 groups", err)
	}
	if got, want := list.Unusable.String(), "1 of 318 entries of the list cannot be sent to: entry 265, site initial_site: its group is empty"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, row := range []struct{ entry, want string }{
		{`null`, "entry 2: is not a pair of site and group"},
		{`7`, "entry 2: is not a pair of site and group"},
		{`"ab"`, "entry 2: is not a pair of site and group"},
		{`{"site": "a", "group": ["b"]}`, "entry 2: is not a pair of site and group"},
		{`[]`, "entry 2: is a list of fewer than two"},
		{`["a"]`, "entry 2, site a: is a list of fewer than two"},
		{`["a", "b", "c"]`, "entry 2, site a: is a list of more than two"},
		{`["a", "b", ["c", {"d": []}]]`, "entry 2, site a: is a list of more than two"},
		{`["a", null]`, "entry 2, site a: its group is not a string"},
		{`[["a"], "b"]`, "entry 2: its site is not a string"},
		{`["", "b"]`, "entry 2: its site is empty"},
		{`["a", "` + strings.Repeat("g", 1025) + `"]`, "entry 2, site a: its group is longer than 1024 bytes"},
		{`["` + fixtureToken + `\u001b", ""]`, "entry 2, site [token]: its group is empty"},
	} {
		list, err := fetch([]byte(`[["z","y"],` + row.entry + `,["x","w"]]`))
		if err != nil {
			t.Errorf("%s: %v", row.entry, err)
			continue
		}
		if diff := cmp.Diff([]hooks.Group{{"x", "w"}, {"z", "y"}}, list.Entries); diff != "" {
			t.Errorf("%s: %s", row.entry, diff)
		}
		if got, want := list.Unusable.String(), "1 of 3 entries of the list cannot be sent to: "+row.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestEntriesLeftOutAreCountedAndAFewAreNamed(t *testing.T) {
	body := `[["a","b"]` + strings.Repeat(`,["s",""]`, 1000) + `]`
	list, err := client(t, &site{answer: answer{200, "application/json", nil, []byte(body)}}, "t").DigestGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = "1000 of 1001 entries of the list cannot be sent to: entry 2, site s: its group is empty; " +
		"entry 3, site s: its group is empty; entry 4, site s: its group is empty; and 997 more"
	if got := list.Unusable.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An endless list of long ids.
func endless() io.Reader {
	entry := fmt.Sprintf("[%q,%q],", "site", strings.Repeat("g", 1000))
	return io.MultiReader(strings.NewReader("["), &repeat{text: entry})
}

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestReadsAreBounded(t *testing.T) {
	t.Parallel() // 64 MiB of JSON take their time under the race detector
	reply := func(contentType string, body io.Reader) roundTripper {
		return func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(body), Request: req}, nil
		}
	}
	_, err := client(t, reply("application/json", endless()), "t").DigestGroups(t.Context())
	if want := "it is longer than 64 MiB"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("an endless list: %v, want …%s", err, want)
	}
	tiny := io.MultiReader(strings.NewReader("["), &repeat{text: `["s","g"],`})
	_, err = client(t, reply("application/json", tiny), "t").DigestGroups(t.Context())
	if want := "there are more than 1000000"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("an endless list of short names: %v, want …%s", err, want)
	}
	spaces := io.MultiReader(strings.NewReader("<p>"), neverEnding(' '))
	_, err = client(t, reply("text/html", spaces), "t").SendDigest(t.Context(), hooks.Group{Site: "s", Group: "g"})
	if got := word(false, err); got != "unexpected" {
		t.Errorf("an endless page: %v", err)
	}
	_, err = client(t, reply("text/html", neverEnding('x')), "t").DigestGroups(t.Context())
	if got := word(false, err); got != "unexpected" {
		t.Errorf("an endless page instead of a list: %v", err)
	}
	_, err = client(t, reply("application/json", neverEnding(' ')), "t").DigestGroups(t.Context())
	if err == nil {
		t.Error("endless white space is no list")
	}
	_, err = client(t, reply("application/json", io.MultiReader(strings.NewReader("{"), neverEnding(' '))), "t").DigestGroups(t.Context())
	if got := word(false, err); got != "unexpected" {
		t.Errorf("an endless object: %v", err)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// Nothing a foreign page says can make the client panic, print the token, or believe more than the page shows.
func FuzzSendPage(f *testing.F) {
	for _, name := range []string{"send-ok.html", "send-wrong-token.html", "send-unknown-group.html", "send-three-errors.html", "handmade-login-page.html", "send-500-conflict.html", "send-500-database-lost.html", "send-500-no-prepared-transactions.html"} {
		f.Add(fixture(f, name), 200)
		f.Add(fixture(f, name), 500)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 || 300 <= status && status < 400 {
			return
		}
		c := client(t, &site{answer: answer{status, "text/html", nil, body}}, fixtureToken)
		reply, err := c.SendDigest(t.Context(), hooks.Group{Site: "s", Group: "g"})
		if err != nil && strings.Contains(err.Error(), fixtureToken) {
			t.Errorf("the token stands in %q", err)
		}
		if e, ok := errors.AsType[*hooks.NotOKError](err); ok && (strings.Contains(e.Reason(), fixtureToken) || len([]rune(e.Error())) > 1000) {
			t.Errorf("the cause is %q of %q", e.Reason(), e)
		}
		lower := bytes.ToLower(body)
		if err == nil && reply.Confirmed && !(status == 200 && bytes.Contains(lower, []byte("alert-info")) && bytes.Contains(lower, []byte("gs-content-form-base-message"))) {
			t.Errorf("confirmed without the element")
		}
		if err == nil && !reply.Confirmed && !bytes.Contains(lower, []byte("gs-group-messages-topicsdigest-sendalldigests")) {
			t.Errorf("a blank form without the form")
		}
	})
}

func FuzzGroupList(f *testing.F) {
	for _, name := range []string{"groups-ok.json", "groups-ok-nonascii.json", "groups-wrong-token.json", "groups-missing-action.json", "groups-wrong-token-newline.txt"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte(`[["a","b"],["a",`))
	f.Add([]byte(`[["a","b"],["a",""],null,{"a":[1]},["exampleToken123",""]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := client(t, &site{answer: answer{200, "application/json", nil, body}}, fixtureToken).DigestGroups(t.Context())
		if err != nil {
			if strings.Contains(err.Error(), fixtureToken) || list != nil {
				t.Errorf("%v, %q", list, err)
			}
			return
		}
		if left := list.Unusable; strings.Contains(left.String(), fixtureToken) || len(list.Entries)+left.N > left.Of || list.Entries == nil && left.N > 0 {
			t.Errorf("%d groups and %v", len(list.Entries), left)
		}
		for i, g := range list.Entries {
			if g.Site == "" || g.Group == "" || i > 0 && list.Entries[i-1] == g {
				t.Errorf("entry %d: %q", i, g)
			}
		}
	})
}
