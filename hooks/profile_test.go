package hooks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

// members asks for the list of people and gets this answer.
func members(t *testing.T, a answer) (*hooks.List[hooks.Profile], error) {
	t.Helper()
	return client(t, &site{answer: a}, fixtureToken).ProfileMembers(t.Context())
}

// sendProfile sends to one person and gets this answer.
func sendProfile(t *testing.T, a answer) (hooks.ProfileAnswer, error) {
	t.Helper()
	return client(t, &site{answer: a}, fixtureToken).SendProfile(t.Context(), "u1")
}

// The rows of docs/groupserver.md section 11, people hook.
func TestPeopleHookAnswers(t *testing.T) {
	const html, js = "text/html; charset=utf-8", "application/json"
	for _, row := range []struct {
		row    string
		answer answer
		want   string
	}{
		{"200, list of profile ids", answer{200, js, nil, fixture(t, "profile-members-ok.json")}, "confirmed"},
		{"200, nobody on it", answer{200, js, nil, []byte("[]")}, "confirmed"},
		{"refused: status -1 and message as a list", answer{200, js, nil, fixture(t, "profile-members-wrong-token.json")}, "rejected: token"},
		{"refused by design: status 100", answer{200, js, nil, fixture(t, "groups-wrong-token-as-designed.json")}, "rejected: token"},
		{"refused, and no JSON for the token that it repeats", answer{200, js, nil, fixture(t, "groups-wrong-token-backslash.txt")}, "rejected: token"},
		{"refused for another field", answer{200, js, nil, []byte(`{"status": -1, "message": ["Get: Required input is missing."]}`)}, "rejected"},
		{"action field missing: self-description object", answer{200, js, nil, fixture(t, "profile-members-missing-action.json")}, "unexpected"},
		{"the answer of the other hook", answer{200, js, nil, fixture(t, "profile-send-ok.json")}, "unexpected"},
		{"a list of pairs", answer{200, js, nil, fixture(t, "groups-ok.json")}, "malformed"},
		{"not the hook", answer{200, html, nil, fixture(t, "handmade-login-page.html")}, "unexpected"},
		{"exceptions as in section 3", answer{500, html, zopeHead, fixture(t, "groups-500.html")}, "not ok: 500 from Zope"},
		{"404: too old for this hook, or no such site", answer{404, html, zopeHead, fixture(t, "not-found-404.html")}, "not ok: 404 from Zope"},
	} {
		t.Run(row.row, func(t *testing.T) {
			_, err := members(t, row.answer)
			check(t, word(true, err), row.want, err)
		})
	}
}

// The rows of docs/groupserver.md section 11, send hook, and what is near them. In doubt the mail may have gone.
func TestProfileSendHookAnswers(t *testing.T) {
	const html, js, template = "text/html; charset=utf-8", "application/json", "application/json; charset=utf-8"
	said := func(object string) answer { return answer{200, js, nil, []byte(object)} }
	page := func(name string) answer { return answer{200, js, nil, fixture(t, name)} }
	for _, row := range []struct {
		row    string
		answer answer
		want   string
	}{
		{"0: sent", page("profile-send-ok.json"), "sent"},
		{"-2: no such person", page("profile-send-no-user.json"), "the site knows no such person"},
		{"-4: not in any group", page("profile-send-no-groups.json"), "skipped: not in any group"},
		{"-8: no verified address", page("profile-send-no-email.json"), "skipped: no verified address"},
		{"-16: no activity this month", page("profile-send-no-activity.json"), "skipped: no activity this month"},
		{"-32: opted out", page("profile-send-skip.json"), "skipped: opted out"},
		{"-1: form refused, token", page("profile-send-wrong-token.json"), "rejected: token"},
		{"-1: an absent token is refused", page("profile-send-missing-token.json"), "rejected: token"},
		{"-1: form refused, profileId", page("profile-send-missing-profileid.json"), "rejected"},
		{"-1024: never used", said(`{"status": -1024, "message": "?"}`), "unexpected"},
		{"100: form refused, by design", page("groups-wrong-token-as-designed.json"), "rejected: token"},
		{"100: .. for another field", said(`{"status": 100, "message": ["('profileId', u'Profile identifier', RequiredMissing('profileId'))"]}`), "rejected"},
		{"action field missing: self-description object", page("profile-send-missing-action.json"), "unexpected"},

		{"-1 and one string", said(`{"status": -1, "message": "no"}`), "rejected"},
		{"100 and one string", said(`{"status": 100, "message": "no"}`), "rejected"},
		{"a list beside a status of no meaning", said(`{"status": 7, "message": ["Token: no"]}`), "rejected: token"},
		{"a list beside the status of a send", said(`{"status": 0, "message": ["Token: no"]}`), "unexpected"},
		{"no message beside the status of a send", said(`{"status": 0}`), "unexpected"},
		{"a list of other things than texts", said(`{"status": 7, "message": [1]}`), "unexpected"},
		{"a status of no meaning", said(`{"status": 1, "message": "ok"}`), "unexpected"},
		{"half a status", said(`{"status": 0.5, "message": "ok"}`), "unexpected"},
		{"a status that is text", said(`{"status": "0", "message": "ok"}`), "unexpected"},
		{"no status", said(`{"message": "Sent"}`), "unexpected"},
		{"null for a status", said(`{"status": null, "message": "Sent"}`), "unexpected"},
		{"nothing but null", said(`null`), "unexpected"},
		{"a list", said(`[0]`), "unexpected"},
		{"a number", said(`0`), "unexpected"},
		{"text after the object", said(`{"status": 0, "message": "Sent"} x`), "unexpected"},
		{"half of a confirmation", said(`{"status": 0, "message": "Sent the mon`), "unexpected"},
		{"half of a refusal", said(`{"status": -1, "message": ["Token: The auth`), "unexpected"},
		{"a refusal that is no JSON for the token that it repeats", answer{200, template, nil, []byte("{\n\n  \"status\": -1,\n  \"message\": [\n  \"Token: The authentication token \"x\\\" does not match\"\n ]\n\n}\n")}, "rejected: token"},
		{"a confirmation that is no JSON", said(`{"status": 0, "message": "Sent to A "Nick" Person"}`), "unexpected"},
		{"an object longer than is read", said(`{"status": 0, "message": "` + strings.Repeat("a", 70_000) + `"}`), "unexpected"},
		{"empty", said(""), "unexpected"},
		{"not the hook", answer{200, html, nil, fixture(t, "handmade-login-page.html")}, "unexpected"},
		{"the page of the digest's hook", answer{200, html, nil, fixture(t, "send-ok.html")}, "unexpected"},

		{"exceptions as in section 3: 500", answer{500, html, nil, fixture(t, "send-500-own-error-page.html")}, "not ok: 500 from Zope"},
		{"exceptions as in section 3: 503", answer{503, html, nil, fixture(t, "send-503-own-error-page.html")}, "not ok: 503 from Zope"},
		{"a proxy's 502", answer{502, html, nil, fixture(t, "handmade-proxy-502.html")}, "not ok: 502"},
		{"201 with a confirmation", answer{201, js, nil, fixture(t, "profile-send-ok.json")}, "not ok: 201"},
	} {
		t.Run(row.row, func(t *testing.T) {
			got, err := sendProfile(t, row.answer)
			check(t, profileWord(got, err), row.want, err)
		})
	}
}

// profileWord is what came of a person's notification, in words.
func profileWord(a hooks.ProfileAnswer, err error) string {
	switch {
	case err != nil && a != 0:
		return fmt.Sprintf("answer %d beside the error %v", a, err)
	case err != nil:
		return word(false, err)
	case a == hooks.ProfileSent:
		return "sent"
	case a.Skipped():
		return "skipped: " + a.Reason()
	}
	return a.Reason()
}

func TestMessagesOfTheProfileHooksNameTheCauseAndNobody(t *testing.T) {
	const html, js = "text/html; charset=utf-8", "application/json"
	for _, row := range []struct {
		answer answer
		want   string
	}{
		{answer{500, html, zopeHead, fixture(t, "send-500-database-error.html")}, "500 Internal Server Error: RuntimeError"},
		{answer{500, html, nil, fixture(t, "send-500-own-error-page.html")}, "500 Internal Server Error: RuntimeError"},
		{answer{500, html, nil, fixture(t, "send-500-database-refused.html")}, "500 Internal Server Error: no message; the database may be away"},
		{answer{500, html, nil, fixture(t, "send-500-no-prepared-transactions.html")}, "500 Internal Server Error: PREPARE TRANSACTION failed: more commits at once than PostgreSQL's max_prepared_transactions allows, or some left in pg_prepared_xacts"},
		{answer{500, html, nil, []byte("<h1>A Person has a problem</h1>")}, "500 Internal Server Error"},
		{answer{599, html, nil, nil}, "599"},
		{answer{200, html, nil, []byte("<title>A Person</title>")}, "200, but not the hook's page: text/html"},
		{answer{200, js, nil, []byte(`{"status": -1, "message": ["Profile identifier: A Person", "A Person"]}`)}, "the site refused the request: Profile identifier"},
		{answer{200, js, nil, []byte(`{"status": 7, "message": "A Person"}`)}, "200, but an object that is not the hook's, with status 7"},
	} {
		_, err := sendProfile(t, row.answer)
		if want := "send profile status: " + row.want; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// person stands wherever an answer can hold a person's name.
const person = "Renée Person-Übel"

func TestNoNameGetsIntoAnErrorOfTheProfileHooks(t *testing.T) {
	for _, body := range []string{
		person,
		"<title>" + person + "</title><h1>" + person + "</h1>",
		`<code class="message">` + person + `: ` + person + `</code><code class="error">x</code>`,
		`<code class="message">KeyError: u'` + person + `'</code><code class="error">x</code>`,
		"<p>Error Type: " + person + "</p><p>Error Value: " + person + "</p>",
		`(ProgrammingError) ` + person + ` "SELECT x FROM ` + person + `"`,
		`{"status": 7, "message": "` + person + `"}`,
		`{"status": -1, "message": ["` + person + `", "Profile identifier: ` + person + `"]}`,
		`{"` + person + `": 1}`, `{"status": "` + person + `"}`, `["` + person + `", "", 1]`, `[{"` + person + `": 1}]`, `["` + person,
	} {
		for _, contentType := range []string{"text/html; charset=utf-8", "application/json", "text/plain"} {
			for _, status := range []int{200, 404, 429, 500, 503, 599} {
				a := answer{status, contentType, nil, []byte(body)}
				list, listErr := members(t, a)
				_, sendErr := sendProfile(t, a)
				if list != nil {
					listErr = errors.New(list.Unusable.String())
				}
				for _, err := range []error{listErr, sendErr} {
					impersonal(t, fmt.Sprintf("%s as %d, %s", body, status, contentType), err)
				}
			}
		}
	}
}

func TestAnAnswerOfAProfileHookThatIsNotHTTPIsNotQuoted(t *testing.T) {
	t.Parallel()
	s := startRaw(t, false, func(c *rawConn, _ int) {
		c.request()
		_, _ = fmt.Fprintf(c, "%s\r\n\r\n", person)
	})
	_, err := connect(t, s.url, hooks.Options{}, hooks.TransportOptions{}).SendProfile(t.Context(), "u1")
	if e := transportError(t, err); !e.Wrote || e.Reason() != "the answer is not HTTP" {
		t.Errorf("wrote %v, %s", e.Wrote, e.Reason())
	}
	impersonal(t, "an answer that is not HTTP", err)
}

// impersonal fails if anything that can be printed of an error holds the person's name, or a part of it.
func impersonal(t *testing.T, name string, err error) {
	t.Helper()
	for _, text := range printed(err) {
		for _, part := range strings.FieldsFunc(person, func(r rune) bool { return r == ' ' || r == '-' }) {
			if strings.Contains(text, part) {
				t.Errorf("%s: the name stands in %s", name, text)
			}
		}
	}
}

func TestTheListOfPeopleIsInTheServersOrderWithoutDuplicates(t *testing.T) {
	list, err := members(t, answer{200, "application/json", nil, []byte(`["u2","u10","u2","gr\u00fcn","u1","u10"]`)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hooks.Profile{"u2", "u10", "grün", "u1"}, list.Entries); diff != "" {
		t.Error(diff)
	}
}

// One bad row of the table must not cost the others their mail.
func TestAnEntryThatIsNoProfileIsLeftOutAlone(t *testing.T) {
	for _, row := range []struct{ entry, want string }{
		{`null`, "its profile id is not a string"},
		{`7`, "its profile id is not a string"},
		{`["a", ["b"]]`, "its profile id is not a string"},
		{`{"a": {"b": []}}`, "its profile id is not a string"},
		{`""`, "its profile id is empty"},
		{`"` + strings.Repeat("u", 1025) + `"`, "its profile id is longer than 1024 bytes"},
	} {
		list, err := members(t, answer{200, "application/json", nil, []byte(`["z",` + row.entry + `,"x"]`)})
		if err != nil {
			t.Errorf("%s: %v", row.entry, err)
			continue
		}
		if diff := cmp.Diff([]hooks.Profile{"z", "x"}, list.Entries); diff != "" {
			t.Errorf("%s: %s", row.entry, diff)
		}
		if got, want := list.Unusable.String(), "1 of 3 entries of the list cannot be sent to: entry 2: "+row.want; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// The server has no check that would make the repeat of a mail harmless, so whatever goes wrong, only what is proven
// not to have mailed may be told from what may have.
func TestWhatMailedAPersonIsNeverTakenForUnsent(t *testing.T) {
	for _, kind := range standin.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := standin.New(standin.Options{
					People: []string{"u1"},
					Faults: []standin.Fault{{Pattern: "people/*", Kind: kind, URL: "http://elsewhere.example.com/"}},
				})
				pipe := standin.Pipe()
				server := site.Serve(pipe)
				transport := hooks.NewTransport(hooks.TransportOptions{})
				transport.Proxy, transport.DialContext = nil, pipe.DialContext
				answer, err := client(t, transport, fixtureToken).SendProfile(t.Context(), "u1")
				server.Close()
				site.Close()

				mails := site.Mails()[standin.Person("u1")]
				if mails > 0 && unsent(err) || answer == hooks.ProfileSent && mails != 1 || answer.Reason() != "" {
					t.Errorf("%d mails, and the answer is %d, %v", mails, answer, err)
				}
				if kind == standin.WrongToken {
					check(t, word(false, err), "rejected: token", err)
				}
			})
		})
	}
}

// unsent reports whether an error proves that nothing was mailed (docs/groupserver.md section 5).
func unsent(err error) bool {
	if e, ok := errors.AsType[*hooks.NotOKError](err); ok {
		return e.Status == 500 || e.Status == 429 || e.Status < 500
	}
	if e, ok := errors.AsType[*hooks.TransportError](err); ok {
		return !e.Wrote
	}
	_, rejected := errors.AsType[*hooks.RejectedError](err)
	_, redirected := errors.AsType[*hooks.RedirectError](err)
	return rejected || redirected
}

func TestEachStatusOfAPersonComesFromTheSiteAsItIs(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"in-no-group": -4, "no-address": -8, "idle": -16, "left": -32}
	site := standin.New(standin.Options{
		People: []string{"u2", "in-no-group", "u1", "no-address", "idle", "left", "u2"},
		Status: func(id string) int { return statuses[id] },
	})
	server, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	t.Cleanup(server.Close)
	c := connect(t, server.URL, hooks.Options{}, hooks.TransportOptions{})
	list, err := c.ProfileMembers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, person := range append(list.Entries, "gone") {
		answer, err := c.SendProfile(t.Context(), person)
		got = append(got, string(person)+": "+profileWord(answer, err))
	}
	want := []string{
		"u2: sent", "in-no-group: skipped: not in any group", "u1: sent", "no-address: skipped: no verified address",
		"idle: skipped: no activity this month", "left: skipped: opted out", "gone: the site knows no such person",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[standin.Group]int{standin.Person("u1"): 1, standin.Person("u2"): 1}, site.Mails()); diff != "" {
		t.Errorf("mails: %s", diff)
	}
}

// Nothing a foreign answer says can make the client panic, print the token or a text of the answer, or believe more than
// the answer shows.
func FuzzProfileAnswers(f *testing.F) {
	for _, name := range []string{
		"profile-members-ok.json", "profile-members-wrong-token.json", "profile-members-missing-action.json",
		"profile-send-ok.json", "profile-send-skip.json", "profile-send-wrong-token.json", "profile-send-missing-profileid.json",
		"groups-wrong-token-as-designed.json", "groups-wrong-token-newline.txt", "send-500-own-error-page.html",
	} {
		f.Add(fixture(f, name), 200)
		f.Add(fixture(f, name), 500)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		if status < 200 || status > 599 || 300 <= status && status < 400 {
			return
		}
		body = []byte(strings.ReplaceAll(string(body), "A Person", person))
		a := answer{status, "application/json", nil, body}
		list, err := members(t, a)
		for _, text := range printed(err) {
			if strings.Contains(text, fixtureToken) || strings.Contains(text, person) || list != nil {
				t.Errorf("%q, %v", text, list)
			}
		}
		if list != nil && (strings.Contains(list.Unusable.String(), person) || len(list.Entries)+list.Unusable.N > list.Unusable.Of) {
			t.Errorf("%d people and %v", len(list.Entries), list.Unusable)
		}
		got, err := sendProfile(t, a)
		for _, text := range printed(err) {
			if strings.Contains(text, fixtureToken) || strings.Contains(text, person) || got != 0 {
				t.Errorf("%q, %v", text, got)
			}
		}
		lower := strings.ToLower(string(body))
		if err == nil && (status != 200 || got == 0 || !strings.Contains(lower, "0") && got == hooks.ProfileSent) {
			t.Errorf("status %d, answer %d", status, got)
		}
	})
}
