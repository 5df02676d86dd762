package standin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/testdata/groupserver"
)

// without returns a form less some fields, with returns it with one value changed.
func without(form url.Values, names ...string) url.Values {
	for _, n := range names {
		form.Del(n)
	}
	return form
}

func with(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

// recordedGroups reads the groups of a recorded list, in its order.
func recordedGroups(t *testing.T, file string) []standin.Group {
	t.Helper()
	body, err := groupserver.FS.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pairs [][2]string
	if err := json.Unmarshal(body, &pairs); err != nil {
		t.Fatal(err)
	}
	groups := make([]standin.Group, 0, len(pairs))
	for _, p := range pairs {
		groups = append(groups, standin.Group{Site: p[0], Group: p[1]})
	}
	return groups
}

// TestAnswersAreTheRecordedBytes brings the stand-in into every situation of index.tsv, and compares status, content
// type and body with what the real site sent. The test fails for a recorded answer that it does not know.
func TestAnswersAreTheRecordedBytes(t *testing.T) {
	one := standin.Options{Groups: []standin.Group{alpha}}
	other := standin.Options{Groups: one.Groups, Token: "anotherToken456"}
	quiet := standin.Options{Groups: one.Groups, Quiet: func(standin.Group) bool { return true }}
	fault := func(s string) standin.Options {
		f, err := standin.ParseFault(s)
		if err != nil {
			t.Fatal(err)
		}
		return standin.Options{Groups: one.Groups, Faults: []standin.Fault{f}}
	}
	listing := func(groups ...standin.Group) standin.Options { return standin.Options{Groups: groups} }
	persons := standin.Options{
		People: []string{"u1", "u2", "nogroups", "noemail", "idle", "skipper"},
		Status: func(id string) int {
			return map[string]int{"nogroups": -4, "noemail": -8, "idle": -16, "skipper": -32}[id]
		},
	}
	couple := standin.Options{People: persons.People[:2]}
	others := standin.Options{People: persons.People, Token: "anotherToken456"}
	situations := map[string]struct {
		site standin.Options
		form url.Values
		skip string // why the stand-in cannot do this
	}{
		"groups-500-database-refused.html":         {site: fault("list=database-away"), form: listForm()},
		"groups-500-failure-handler.html":          {skip: "another zope.formlib"},
		"groups-500.html":                          {site: fault("list=500"), form: listForm()},
		"groups-empty-token.json":                  {site: one, form: with(listForm(), "token", "")},
		"groups-get-request.json":                  {site: one, form: url.Values{}},
		"groups-missing-action.json":               {site: one, form: without(listForm(), "get")},
		"groups-missing-token-as-designed.json":    {skip: "another zope.formlib"},
		"groups-missing-token.json":                {site: one, form: without(listForm(), "token")},
		"groups-ok-300.json":                       {site: listing(recordedGroups(t, "groups-ok-300.json")...), form: listForm()},
		"groups-ok-empty-group-id.json":            {site: listing(recordedGroups(t, "groups-ok-empty-group-id.json")...), form: listForm()},
		"groups-ok-empty.json":                     {site: listing(), form: listForm()},
		"groups-ok-nonascii.json":                  {site: listing(standin.Group{Site: "example_site", Group: "grüppe"}), form: listForm()},
		"groups-ok.json":                           {site: listing(beta, alpha, standin.Group{Site: "other_site", Group: "zebra"}, standin.Group{Site: "example_site", Group: "nosite"}), form: listForm()},
		"groups-wrong-token-as-designed.json":      {skip: "another zope.formlib"},
		"groups-wrong-token-backslash.txt":         {site: other, form: with(listForm(), "token", standin.DefaultToken+`\`)},
		"groups-wrong-token-newline.txt":           {site: other, form: with(listForm(), "token", standin.DefaultToken+"\n")},
		"groups-wrong-token.json":                  {site: other, form: listForm()},
		"send-500-commit-error.html":               {site: fault("*/*=commit-error"), form: sendForm(alpha)},
		"send-500-conflict.html":                   {site: fault("*/*=conflict"), form: sendForm(alpha)},
		"send-500-database-error.html":             {site: fault("*/*=500"), form: sendForm(alpha)},
		"send-500-database-lost.html":              {site: fault("*/*=database-lost"), form: sendForm(alpha)},
		"send-500-database-refused.html":           {site: fault("*/*=database-away"), form: sendForm(alpha)},
		"send-500-digest-error.html":               {site: fault("*/*=digest-error"), form: sendForm(alpha)},
		"send-500-no-prepared-transactions.html":   {site: fault("*/*=no-prepared"), form: sendForm(alpha)},
		"send-500-own-error-page.html":             {site: fault("*/*=own-error"), form: sendForm(alpha)},
		"send-503-missing-groupid.html":            {site: one, form: without(sendForm(alpha), "form.groupId")},
		"send-503-missing-siteid.html":             {site: one, form: without(sendForm(alpha), "form.siteId")},
		"send-503-own-error-page.html":             {site: fault("*/*=own-503"), form: sendForm(alpha)},
		"send-empty-groupid.html":                  {site: one, form: with(sendForm(alpha), "form.groupId", "")},
		"send-empty-siteid.html":                   {site: one, form: with(sendForm(alpha), "form.siteId", "")},
		"send-empty-token.html":                    {site: one, form: with(sendForm(alpha), "form.token", "")},
		"send-get-request.html":                    {site: one, form: url.Values{}},
		"send-missing-action.html":                 {site: one, form: without(sendForm(alpha), "form.actions.send")},
		"send-missing-token.html":                  {site: one, form: without(sendForm(alpha), "form.token")},
		"send-nonascii-groupid.html":               {site: one, form: with(sendForm(alpha), "form.groupId", "grüppe")},
		"send-nonascii-token.html":                 {site: one, form: with(sendForm(alpha), "form.token", "tök")},
		"send-ok-already-sent.html":                {site: one, form: sendForm(alpha)}, // sent once before, below
		"send-ok-no-digest-members.html":           {site: quiet, form: sendForm(alpha)},
		"send-ok-no-mailing-list.html":             {site: quiet, form: sendForm(alpha)},
		"send-ok-nothing-to-send.html":             {site: quiet, form: sendForm(alpha)},
		"send-ok.html":                             {site: one, form: sendForm(alpha)},
		"send-three-errors-as-designed.html":       {skip: "another zope.formlib"},
		"send-three-errors.html":                   {site: one, form: url.Values{"form.siteId": {""}, "form.groupId": {""}, "form.token": {""}, "form.actions.send": {"Send"}}},
		"send-unknown-group.html":                  {site: standin.Options{Unknown: []standin.Group{alpha}}, form: sendForm(alpha)},
		"send-unknown-site.html":                   {site: one, form: with(sendForm(alpha), "form.siteId", "nosuchsite")},
		"send-wrong-token-and-unknown-group.html":  {site: other, form: with(sendForm(alpha), "form.groupId", "nosuchgroup")},
		"send-wrong-token-as-designed.html":        {skip: "another zope.formlib"},
		"send-wrong-token-special-characters.html": {site: other, form: with(sendForm(alpha), "form.token", standin.DefaultToken+`<"&>`)},
		"send-wrong-token.html":                    {site: other, form: sendForm(alpha)},
		"profile-members-missing-action.json":      {site: couple, form: without(listForm(), "get")},
		"profile-members-ok.json":                  {site: couple, form: listForm()},
		"profile-members-wrong-token.json":         {site: others, form: listForm()},
		"profile-send-missing-action.json":         {site: persons, form: without(profileForm("u1"), "send")},
		"profile-send-missing-profileid.json":      {site: persons, form: without(profileForm("u1"), "profileId")},
		"profile-send-missing-token.json":          {site: persons, form: without(profileForm("u1"), "token")},
		"profile-send-no-activity.json":            {site: persons, form: profileForm("idle")},
		"profile-send-no-email.json":               {site: persons, form: profileForm("noemail")},
		"profile-send-no-groups.json":              {site: persons, form: profileForm("nogroups")},
		"profile-send-no-user.json":                {site: persons, form: profileForm("nobody")},
		"profile-send-ok.json":                     {site: persons, form: profileForm("u1")},
		"profile-send-skip.json":                   {site: persons, form: profileForm("skipper")},
		"profile-send-wrong-token.json":            {site: others, form: profileForm("u1")},
		"handmade-login-page.html":                 {site: fault("*/*=login"), form: sendForm(alpha)},
		"handmade-proxy-502.html":                  {site: fault("*/*=proxy-502"), form: sendForm(alpha)},
		"handmade-proxy-503.html":                  {site: fault("*/*=proxy-503"), form: sendForm(alpha)},
		"handmade-proxy-504.html":                  {site: fault("*/*=proxy-504"), form: sendForm(alpha)},
		"handmade-site-error-500.html":             {site: fault("*/*=site-error"), form: sendForm(alpha)},
		"not-found-404.html":                       {site: one, form: sendForm(alpha)},
	}

	table, err := groupserver.FS.ReadFile("index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		row := strings.Split(line, "\t")
		file, hook, status, ctype, mails := row[0], row[1], row[2], row[3], row[6]
		t.Run(file, func(t *testing.T) {
			situation, ok := situations[file]
			if !ok {
				t.Fatal("a recorded answer that this test does not know")
			}
			if situation.skip != "" {
				t.Skip(situation.skip)
			}
			want, err := groupserver.FS.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path := map[string]string{
				"groups": standin.GroupsPath, "send": standin.SendPath, "any": standin.SendPath,
				"profile-members": standin.PeoplePath, "profile-send": standin.ProfilePath,
			}[hook]
			if file == "not-found-404.html" {
				path = "/gs-no-such-page.html"
			}

			s, c := pipeSite(t, situation.site)
			before := 0
			if file == "send-ok-already-sent.html" {
				before = 1
				send(c, alpha)
			}
			got := post(context.Background(), c, base+path, situation.form)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if code, _, _ := strings.Cut(status, " "); strconv.Itoa(got.status) != code {
				t.Errorf("status: got %d, want %s", got.status, status)
			}
			if got := got.header.Get("Content-Type"); got != ctype {
				t.Errorf("content type: got %q, want %q", got, ctype)
			}
			if got.length != int64(len(want)) {
				t.Errorf("content length: got %d, want %d", got.length, len(want))
			}
			if got.body != string(want) {
				t.Errorf("body differs: got\n%s\nwant\n%s", got.body, want)
			}
			s.Close() // a proxy answers before the work has ended
			mailed := -before
			for _, n := range s.Mails() {
				mailed += n
			}
			if hook != "any" && strconv.Itoa(mailed) != mails {
				t.Errorf("mails: got %d, want %s", mailed, mails)
			}
		})
	}
}

// The same page comes back when the form is sent another way.
func TestFormsOfSending(t *testing.T) {
	query := base + standin.SendPath + "?" + sendForm(alpha).Encode()
	var multi bytes.Buffer
	mw := multipart.NewWriter(&multi)
	for name, v := range sendForm(alpha) {
		_ = mw.WriteField(name, v[0])
	}
	_ = mw.Close()
	for _, tt := range []struct {
		name, method, url, ctype, body string
		want                           func(answer) bool
		mails                          int
	}{
		{"urlencoded", "POST", base + standin.SendPath, "application/x-www-form-urlencoded", sendForm(alpha).Encode(), accepted, 1},
		{"charset", "POST", base + standin.SendPath, "application/x-www-form-urlencoded; charset=utf-8", sendForm(alpha).Encode(), accepted, 1},
		{"multipart", "POST", base + standin.SendPath, mw.FormDataContentType(), multi.String(), accepted, 1},
		{"GET with a query", "GET", query, "", "", accepted, 1},
		{"plain GET", "GET", base + standin.SendPath, "", "", blank, 0},
		{"JSON", "POST", base + standin.SendPath, "application/json", `{"form.siteId":"example_site"}`, blank, 0},
		{
			"round the proxy", "POST", base + "/VirtualHostBase/http/groups.example.com:80/groupserver/Content/initial_site/VirtualHostRoot" + standin.SendPath,
			"application/x-www-form-urlencoded", sendForm(alpha).Encode(), accepted, 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}})
			req, err := http.NewRequest(tt.method, tt.url, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.ctype != "" {
				req.Header.Set("Content-Type", tt.ctype)
			}
			if got := do(c, req); !tt.want(got) {
				t.Errorf("got %d, %v:\n%s", got.status, got.err, got.body)
			}
			if got := s.Mails()[alpha]; got != tt.mails {
				t.Errorf("mails: got %d, want %d", got, tt.mails)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	const root = "/VirtualHostBase/http/groups.example.com:80/groupserver/Content/initial_site/VirtualHostRoot"
	for _, tt := range []struct {
		path   string
		status int
		names  string // what the page must name
	}{
		{"/", 200, "Example Site"},
		{root + "/", 200, "Example Site"},
		{"/nothing", 404, "http://pipe.example.com/nothing<"},
		{"/a&b", 404, "http://pipe.example.com/a&amp;b<"},
		{root + "/nothing", 404, "http://groups.example.com/nothing<"},
		{strings.Replace(root, ":80", ":8080", 1) + "/nothing", 404, "http://groups.example.com:8080/nothing<"},
		{strings.Replace(root, "Content", "Contents", 1) + standin.SendPath, 404, "Contents"},
		{"/VirtualHostBase/ftp/h:80/groupserver/Content/x/VirtualHostRoot" + standin.SendPath, 404, "ftp"},
		{"/VirtualHostBase", 404, "not exist"},
		{"/VirtualHostBase/", 404, "not exist"},
		{standin.SendPath + "/", 404, "not exist"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			_, c := pipeSite(t, standin.Options{})
			req, err := http.NewRequest("GET", "http://pipe.example.com"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := do(c, req)
			if got.status != tt.status || !strings.Contains(got.body, tt.names) {
				t.Errorf("got %d, want %d and %q in\n%s", got.status, tt.status, tt.names, got.body)
			}
		})
	}
}

// The signs by which a client tells Zope from a proxy (docs/groupserver.md section 3).
func TestHeads(t *testing.T) {
	const zope = "Zope/(2.13.24, python 2.7.18, linux2) ZServer/1.1"
	for _, tt := range []struct{ fault, server, poweredBy, bobo string }{
		{"", zope, "", ""},
		{"*/*=500", zope, "", "<type 'exceptions.RuntimeError'>"},
		{"*/*=503", zope, "", "<type 'exceptions.KeyError'>"},
		{"*/*=conflict", zope, "", "<class 'ZODB.POSException.ConflictError'>"},
		{"*/*=404", zope, "", "<class 'zExceptions.NotFound'>"},
		{"*/*=site-error", "", "Zope (www.zope.org), Python (www.python.org)", ""},
		{"*/*=bare-500", "nginx", "", ""},
		{"*/*=proxy-502", "nginx", "", ""},
		{"*/*=proxy-503", "nginx", "", ""},
		{"*/*=too-many", "nginx", "", ""},
		{"*/*=login", "nginx", "", ""},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			o := standin.Options{Groups: []standin.Group{alpha}}
			if tt.fault != "" {
				o.Faults = faults(t, tt.fault)
			}
			_, c := pipeSite(t, o)
			h := send(c, alpha).header
			for name, want := range map[string]string{"Server": tt.server, "X-Powered-By": tt.poweredBy, "Bobo-Exception-Type": tt.bobo} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			for _, name := range []string{"Bobo-Exception-Value", "Bobo-Exception-File", "Bobo-Exception-Line"} {
				if got := h.Get(name) != ""; got != (tt.bobo != "") {
					t.Errorf("%s: got %q", name, h.Get(name))
				}
			}
		})
	}
}

func TestListNamesUnknownGroupsToo(t *testing.T) {
	_, c := pipeSite(t, standin.Options{Groups: []standin.Group{beta, alpha, beta}, Unknown: []standin.Group{alpha, gamma}})
	want := `[["example_site", "beta"], ["example_site", "alpha"], ["example_site", "beta"], ["example_site", "gamma"]]`
	if got := list(c); got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
	for g, want := range map[standin.Group]func(answer) bool{alpha: blank, beta: accepted, gamma: blank} {
		if got := send(c, g); !want(got) {
			t.Errorf("%v: got\n%s", g, got.body)
		}
	}
}

func TestListEscapesLikePython(t *testing.T) {
	_, c := pipeSite(t, standin.Options{Groups: []standin.Group{{Site: "a\"b\\c\n\r\t\b\f\x01\x7f", Group: "ü€😀"}}})
	want := `[["a\"b\\c\n\r\t\b\f\u0001\u007f", "\u00fc\u20ac\ud83d\ude00"]]`
	if got := list(c); got.body != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}

// A value with both kinds of quotes cannot be told from the recorded pages; the rule is Python's quoteattr.
func TestFormQuotesValues(t *testing.T) {
	_, c := pipeSite(t, standin.Options{Groups: []standin.Group{alpha}})
	for value, want := range map[string]string{
		`plain`:        `value="plain"`,
		`a"b`:          `value='a"b'`,
		`a"b'c`:        `value="a&quot;b'c"`,
		"a<>&'\n\r\tb": `value="a&lt;&gt;&amp;'&#10;&#13;&#9;b"`,
	} {
		got := post(context.Background(), c, base+standin.SendPath, url.Values{"form.token": {value}})
		if !strings.Contains(got.body, want) {
			t.Errorf("%q: no %s in\n%s", value, want, got.body)
		}
	}
}
