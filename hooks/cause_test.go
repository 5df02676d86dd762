package hooks_test

import (
	"errors"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/hooks"
)

const htmlType = "text/html; charset=UTF-8"

// ownPage is GroupServer's own error page with another message.
func ownPage(t testing.TB, message string) answer {
	t.Helper()
	element := regexp.MustCompile(`<code class="message">[^<]*</code>`)
	page := element.ReplaceAllLiteral(fixture(t, "send-500-own-error-page.html"),
		[]byte(`<code class="message">`+html.EscapeString(message)+`</code>`))
	return answer{500, htmlType, nil, page}
}

// plainPage is the page of a Zope without GroupServer's.
func plainPage(kind, value string) answer {
	return answer{500, htmlType, zopeHead, []byte("<html><head><title>Site Error</title></head><body><h2>Site Error</h2>\n<p><strong>Error Type: " +
		html.EscapeString(kind) + "</strong><br />\n<strong>Error Value: " + html.EscapeString(value) + "</strong><br /></p></body></html>")}
}

// fails sends one group's digest, and returns what became of it.
func fails(t testing.TB, a answer, g hooks.Group) *hooks.NotOKError {
	t.Helper()
	_, err := client(t, &site{answer: a}, fixtureToken).SendDigest(t.Context(), g)
	e, ok := errors.AsType[*hooks.NotOKError](err)
	if !ok {
		t.Fatalf("got %v, want a NotOKError", err)
	}
	return e
}

func TestTheCauseOfAnErrorPageIsNamed(t *testing.T) {
	const (
		prepared = "PREPARE TRANSACTION failed: more commits at once than PostgreSQL's max_prepared_transactions allows, or some left in pg_prepared_xacts"
		silent   = "no message; the database may be away"
	)
	captured := func(name string) answer { return answer{500, htmlType, zopeHead, fixture(t, name)} }
	for _, row := range []struct {
		answer answer
		want   string
	}{
		{captured("send-500-own-error-page.html"), "RuntimeError: simulated: …"},
		{captured("send-503-own-error-page.html"), "KeyError: u'simulated'"},
		{captured("send-500-database-lost.html"), "failed in the database: SELECT … FROM option"},
		{captured("send-500-database-refused.html"), silent},
		{captured("groups-500-database-refused.html"), silent},
		{captured("send-500-no-prepared-transactions.html"), prepared},
		{captured("send-500-digest-error.html"), "RuntimeError: boom"},
		{captured("send-500-commit-error.html"), "RuntimeError: database refused the prepare"},
		{captured("groups-500-failure-handler.html"), "TypeError: to_id() takes exactly … argument (… given)"},
		{captured("handmade-site-error-500.html"), "The site has a problem"},
		{plainPage("RuntimeError", "boom"), "RuntimeError: boom"},
		{plainPage("RuntimeError", ""), "RuntimeError"},
		{plainPage("OperationalError", "(OperationalError) None None"), "OperationalError: (OperationalError) " + silent},
		{
			plainPage("OperationalError", "(OperationalError) could not connect to server: Connection refused\n\tIs the server running on host \"db\" (10.1.2.3) and accepting\n\tTCP/IP connections on port 5432?\n None None"),
			"OperationalError: (OperationalError) could not connect to server: Connection refused Is the server running on host \"db\" (…) and accepting TCP/IP connections on port …?",
		},
		{
			plainPage("ProgrammingError", "(ProgrammingError) relation \"option\" does not exist\nLINE 2: FROM option\n             ^\n 'SELECT option.value \\nFROM option \\nWHERE option.site_id = %(site_id_1)s' {'site_id_1': u'main'}"),
			"ProgrammingError: (ProgrammingError) relation \"option\" does not exist LINE …: FROM option ^ (SELECT … FROM option)",
		},
		{
			plainPage("IntegrityError", "(IntegrityError) duplicate key value violates unique constraint \"group_digest_pkey\"\nDETAIL: Key (site_id)=(main)\n 'INSERT INTO group_digest (site_id) VALUES (%(site_id)s)' {'site_id': 'main'}"),
			"IntegrityError: (IntegrityError) duplicate key value violates unique constraint \"group_digest_pkey\" DETAIL: Key (site_id)=(…) (INSERT INTO group_digest)",
		},
		{
			plainPage("OperationalError", "(OperationalError) maximum number of prepared transactions reached\nHINT:  Increase max_prepared_transactions (currently 1).\n \"PREPARE TRANSACTION '_sa_9c34fdda'\" {}"),
			prepared,
		},
		{ownPage(t, `(OperationalError) Zu viele. HINT: Increase max_prepared_transactions (currently 1). "PREPARE TRANSACTION '_sa_1'" {}`), prepared},
		{
			ownPage(t, `(OperationalError) server closed the connection unexpectedly "PREPARE TRANSACTION '_sa_9c34fdda'" {}`),
			"(OperationalError) server closed the connection unexpectedly (PREPARE TRANSACTION)",
		},
		{ownPage(t, `"COMMIT PREPARED '_sa_9c34fdda2d2bc4a6158b00119f0d8d2c'" {}`), "failed in the database: COMMIT PREPARED"},
		{ownPage(t, "no list in mainland, main, main-street"), "no list in mainland, …, main-street"},
		{ownPage(t, "The token is "+fixtureToken), "The token is [token]"},
	} {
		e := fails(t, row.answer, hooks.Group{Site: "main", Group: "g-01"})
		if e.Detail != row.want {
			t.Errorf("got  %s\nwant %s", e.Detail, row.want)
		}
		if want := row.want == prepared; e.Prepared != want {
			t.Errorf("%s: prepared %t, want %t", e.Detail, e.Prepared, want)
		}
	}
}

// The same fault, as two groups' pages tell it.
func TestOneFaultIsOneCauseForAllGroups(t *testing.T) {
	for name, pair := range map[string][2]string{
		"the group's id":               {"RuntimeError: simulated: choir", "RuntimeError: simulated: announce"},
		"the site's id, twice":         {"no list for choir in north north", "no list for announce in south south"},
		"the group's id in an address": {"bad address choir@example.com", "bad address announce@example.com"},
		"a random id":                  {`"PREPARE TRANSACTION '_sa_9c34fdda2d2bc4a6158b00119f0d8d2c'" {}`, `"PREPARE TRANSACTION '_sa_11111111111111111111111111111111'" {}`},
		"another random id":            {"no post 4aDYjXcQnLzhnjbV3Ugq5n", "no post 7Hn2vQbKzXcQnLzhnjbV3U"},
		"a place in memory":            {"<Group at 0x7f0a3c> is broken", "<Group at 0x55ffee> is broken"},
		"numbers":                      {"line 7, column 12: 3.5 s", "line 8, column 9: 12 s"},
		"a date":                       {"at 2026-03-01 10:20:30.5", "at 2026-03-02"},
		"a quoted value":               {"KeyError: u'Mill Choir'", "KeyError: 'The Announcements'"},
		"a quoted value in a list":     {`bad values "a b", "c d"`, `bad values "e f", "g h"`},
		"a statement's parameters": {
			`'SELECT post.body \nFROM post \nWHERE post.id = %(id)s' {'id': u'alpha'}`,
			`'SELECT post.body \nFROM post \nWHERE post.id = %(id)s' {'id': u'beta'}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := fails(t, ownPage(t, pair[0]), hooks.Group{Site: "north", Group: "choir"})
			second := fails(t, ownPage(t, pair[1]), hooks.Group{Site: "south", Group: "announce"})
			if first.Reason() != second.Reason() {
				t.Errorf("two causes:\n%s\n%s", first.Reason(), second.Reason())
			}
			for i, e := range []*hooks.NotOKError{first, second} {
				if !strings.Contains(e.Error(), pair[i]) {
					t.Errorf("the page's own words are lost in %s", e)
				}
			}
		})
	}
}

func TestTwoFaultsAreTwoCauses(t *testing.T) {
	for _, pair := range [][2]string{
		{"RuntimeError: simulated", "RuntimeError: another"},
		{"KeyError: u'groupId'", "KeyError: u'siteId'"},
		{"AttributeError: 'NoneType' object has no attribute 'get_property'", "AttributeError: 'NoneType' object has no attribute 'title'"},
		{`'SELECT a.b \nFROM a' {}`, `'SELECT a.b \nFROM c' {}`},
		{`"PREPARE TRANSACTION '_sa_1'" {}`, `"COMMIT PREPARED '_sa_1'" {}`},
		{"None None", `'SELECT a.b \nFROM a' {}`},
	} {
		first, second := fails(t, ownPage(t, pair[0]), group), fails(t, ownPage(t, pair[1]), group)
		if first.Reason() == second.Reason() {
			t.Errorf("one cause for %s and %s: %s", pair[0], pair[1], first.Reason())
		}
	}
}

// No proxy makes up this page, so a 503 with it is the site's own error and not a refusal.
func TestGroupServersOwnErrorPageProvesThatTheSiteAnswered(t *testing.T) {
	for _, name := range []string{"send-500-own-error-page.html", "send-503-own-error-page.html", "send-500-database-lost.html", "send-500-database-refused.html"} {
		if e := fails(t, answer{503, htmlType, nil, fixture(t, name)}, group); !e.Zope {
			t.Errorf("%s: taken for a proxy's", name)
		}
	}
	for _, name := range []string{"handmade-proxy-503.html", "handmade-site-error-500.html", "handmade-login-page.html"} {
		if e := fails(t, answer{503, htmlType, nil, fixture(t, name)}, group); e.Zope {
			t.Errorf("%s: taken for Zope's", name)
		}
	}
}

// A message may be as long as a page; what is quoted of it is not.
func TestTheCauseIsBounded(t *testing.T) {
	e := fails(t, ownPage(t, strings.Repeat("word ", 10_000)), group)
	if n := len([]rune(e.Error())); n > 800 {
		t.Errorf("%d characters: %s", n, e)
	}
	if n := len([]rune(e.Reason())); n > 250 {
		t.Errorf("%d characters: %s", n, e.Reason())
	}
}
