package hooks_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/standin"
)

const (
	listPath = "/gs-group-messages-topic-digest-groups.html"
	sendPath = "/gs-group-messages-topic-digest-send.html"
)

// The whole form of a send of the group above.
var sendForm = url.Values{
	"form.siteId": {group.Site}, "form.groupId": {group.Group}, "form.token": {fixtureToken}, "form.actions.send": {"Send"},
}

// posted is what a server must have seen of such a send.
func posted(uri string) seen { return seen{"POST", uri, "application/x-www-form-urlencoded", sendForm} }

// compare tells how a server's requests differ from those wanted.
func compare(t *testing.T, name string, rec *recorder, want ...seen) {
	t.Helper()
	_, got := rec.seen()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s was asked (-want +got):\n%s", name, diff)
	}
}

// redirect answers with a redirect, whatever is asked.
func redirect(status int, location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{location} // as it is: http.Redirect would tidy it up
		w.WriteHeader(status)
	}
}

// sendOnce makes a client for a server, which trusts those that are behind TLS, and sends.
func sendOnce(t *testing.T, rec *recorder, secure ...*recorder) (*hooks.Client, hooks.Reply, error) {
	t.Helper()
	to := hooks.TransportOptions{Roots: x509.NewCertPool()}
	for _, other := range secure {
		if other.TLS != nil {
			to.Roots.AddCert(other.Certificate())
		}
	}
	c := connect(t, rec.URL, hooks.Options{}, to)
	reply, err := c.SendDigest(t.Context(), group)
	return c, reply, err
}

func TestARedirectIsAnsweredByTheSameForm(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			for _, row := range []struct {
				row      string
				location string // below the second server
				uri      string
			}{
				{"another port of the same host", "/x" + sendPath, "/x" + sendPath},
				{"from http to https", sendPath, sendPath},
				{"a query", sendPath + "?a=b#c", sendPath + "?a=b"},
				{"an escaped path", "/a%2Fb" + sendPath, "/a%2Fb" + sendPath},
				{"another page", "/send", "/send"},
			} {
				t.Run(row.row, func(t *testing.T) {
					second := record(t, row.row == "from http to https", confirm)
					first := record(t, false, redirect(status, second.URL+row.location))
					c, reply, err := sendOnce(t, first, second)
					if err != nil || !reply.Confirmed {
						t.Fatalf("%+v, %v", reply, err)
					}
					compare(t, "the first server", first, posted(sendPath))
					compare(t, "the second server", second, posted(row.uri))

					// Where it led is kept.
					if _, err := c.SendDigest(t.Context(), group); err != nil {
						t.Fatal(err)
					}
					compare(t, "the first server", first, posted(sendPath))
					compare(t, "the second server", second, posted(row.uri), posted(row.uri))
				})
			}
		})
	}
}

func TestRelativeRedirectsAreFollowed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ location, uri string }{
		{"/y" + sendPath, "/y" + sendPath},
		{"z" + sendPath, "/x/z" + sendPath},
		{".." + sendPath, sendPath},
		{"?a=b", "/x" + sendPath + "?a=b"},
		{"//$HOST/y" + sendPath, "/y" + sendPath},
	} {
		rec := record(t, false, func(w http.ResponseWriter, r *http.Request) {
			if r.RequestURI == "/x"+sendPath {
				redirect(302, strings.ReplaceAll(row.location, "$HOST", r.Host))(w, r)
				return
			}
			confirm(w, r)
		})
		c := connect(t, rec.URL+"/x/", hooks.Options{}, hooks.TransportOptions{})
		if reply, err := c.SendDigest(t.Context(), group); err != nil || !reply.Confirmed {
			t.Errorf("%s: %+v, %v", row.location, reply, err)
		}
		compare(t, row.location, rec, posted("/x"+sendPath), posted(row.uri))
	}
}

// The stand-in's redirects, which end where they lead to.
func TestTheTokenCrossesTheNetworkInTheClearOnce(t *testing.T) {
	t.Parallel()
	site := standin.New(standin.Options{Groups: []standin.Group{standin.Group(group)}, Guard: -1})
	t.Cleanup(site.Close)
	secure, err := site.StartTLS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	plain, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	for _, pattern := range []string{"list", "*/*"} {
		f, err := standin.ParseFault(pattern + "=redirect-301:" + secure.URL + "$PATH")
		if err != nil {
			t.Fatal(err)
		}
		site.SetFaults(f) // for all requests of this hook that come over plain http
		c := connect(t, plain.URL, hooks.Options{}, hooks.TransportOptions{Roots: trusting(t, secure)})
		before := len(site.Requests())
		call := map[string]func() error{
			"list": func() error { _, err := c.DigestGroups(t.Context()); return err },
			"*/*":  func() error { _, err := c.SendDigest(t.Context(), group); return err },
		}
		if err := call[pattern](); err != nil {
			t.Fatal(err)
		}
		site.SetFaults()
		plain.Close() // from now on only https is there, for both hooks
		for _, next := range call {
			if err := next(); err != nil {
				t.Errorf("%s: %v", pattern, err)
			}
		}
		statuses := []int{}
		for _, request := range site.Requests()[before:] {
			statuses = append(statuses, request.Status)
		}
		if want := []int{301, 200, 200, 200}; !slices.Equal(statuses, want) {
			t.Errorf("%s: answers %v, want %v", pattern, statuses, want)
		}
		if plain, err = site.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(plain.Close)
	}
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			for _, row := range []struct {
				row      string
				location func(other *recorder) string
				want     func(other *recorder) string // after "redirect"
			}{
				{
					"another host", func(other *recorder) string {
						return other.at("localhost") + sendPath + "?t=" + fixtureToken + "&private=1"
					},
					func(other *recorder) string {
						return " to " + other.at("localhost") + sendPath + " not followed: another host must not get the token; use " + other.at("localhost") + "/"
					},
				},
				{
					"another host, the scheme of the first", func(other *recorder) string { return strings.TrimPrefix(other.at("localhost"), "http:") + sendPath },
					func(other *recorder) string {
						return " to " + strings.Replace(other.at("localhost"), "http:", "https:", 1) + sendPath + " not followed: another host must not get the token; use " +
							strings.Replace(other.at("localhost"), "http:", "https:", 1) + "/"
					},
				},
				{
					"a login page of another host", func(other *recorder) string { return other.at("localhost") + "/login?private=1" },
					func(other *recorder) string {
						return " to " + other.at("localhost") + "/login not followed: another host must not get the token"
					},
				},
				{
					"from https to http", func(other *recorder) string { return other.URL + sendPath },
					func(other *recorder) string {
						return " to " + other.URL + sendPath + " not followed: the token must not leave encryption; use " + other.URL + "/"
					},
				},
				{
					"user info", func(other *recorder) string { return other.at("me:private@127.0.0.1") + sendPath },
					func(other *recorder) string {
						return " to " + other.URL + sendPath + " not followed: its address holds a user name; use " + other.URL + "/"
					},
				},
				{
					"the token in the path", func(other *recorder) string { return other.at("localhost") + "/" + fixtureToken + sendPath },
					func(other *recorder) string {
						return " to " + other.at("localhost") + "/[token]" + sendPath + " not followed: another host must not get the token; use " + other.at("localhost") + "/[token]/"
					},
				},
			} {
				t.Run(row.row, func(t *testing.T) {
					other := record(t, false, confirm)
					first := record(t, true, redirect(status, row.location(other)))
					_, _, err := sendOnce(t, first, first)
					e, ok := errors.AsType[*hooks.RedirectError](err)
					if !ok {
						t.Fatalf("got %v, want a RedirectError", err)
					}
					if want := fmt.Sprintf("send digest: %d redirect%s", status, row.want(other)); err.Error() != want || e.Status != status {
						t.Errorf("got  %v\nwant %s", err, want)
					}
					compare(t, "the first server", first, posted(sendPath))
					if conns, requests := other.seen(); conns != 0 || len(requests) != 0 {
						t.Errorf("the other server: %d connections, %d requests", conns, len(requests))
					}
				})
			}
		})
	}
}

func TestRedirectsToNowhere(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ location, want string }{
		{"", "302 Found"},
		{"http://[::1", "302 redirect not followed: its address cannot be read"},
		{"http://127.0.0.1:port/?private", "302 redirect not followed: its address cannot be read"},
		{"/%zz?private", "302 redirect not followed: its address cannot be read"},
		{"ftp://127.0.0.1" + sendPath, "302 redirect not followed: its address is not http or https"},
		{"javascript:private()", "302 redirect not followed: its address is not http or https"},
		{"http:private", "302 redirect not followed: its address is not http or https"},
		{"http:///private", "302 redirect not followed: its address is not http or https"},
	} {
		for _, hook := range []string{"send digest", "list of groups"} {
			rec := record(t, false, redirect(302, row.location))
			c := connect(t, rec.URL, hooks.Options{}, hooks.TransportOptions{})
			var err error
			if hook == "send digest" {
				_, err = c.SendDigest(t.Context(), group)
			} else {
				_, err = c.DigestGroups(t.Context())
			}
			if err == nil || err.Error() != hook+": "+row.want {
				t.Errorf("%s\ngot  %v\nwant %s: %s", row.location, err, hook, row.want)
			}
			_, notOK := errors.AsType[*hooks.NotOKError](err)
			if notOK != (row.location == "") {
				t.Errorf("%s: %T", row.location, err)
			}
		}
	}
	t.Run("no Location", func(t *testing.T) {
		rec := record(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(307) })
		_, _, err := sendOnce(t, rec)
		if got := word(false, err); got != "not ok: 307" {
			t.Error(err)
		}
	})
	t.Run("a status that is no redirect", func(t *testing.T) {
		for _, status := range []int{201, 300, 304, 305, 306, 401, 500} {
			rec := record(t, false, redirect(status, "/elsewhere"))
			_, _, err := sendOnce(t, rec)
			if got, want := word(false, err), fmt.Sprintf("not ok: %d", status); got != want {
				t.Error(err)
			}
			compare(t, fmt.Sprint(status), rec, posted(sendPath))
		}
	})
}

// hops is a site on which the path /N leads to /N-1, and /0 is at the end.
func hops(w http.ResponseWriter, r *http.Request) {
	var n int
	_, _ = fmt.Sscanf(r.URL.Path, "/%d/", &n)
	if n == 0 {
		confirm(w, r)
		return
	}
	redirect(308, fmt.Sprintf("/%d%s", n-1, sendPath))(w, r)
}

func TestFiveRedirectsInARowAreFollowed(t *testing.T) {
	t.Parallel()
	rec := record(t, false, hops)
	c := connect(t, rec.URL+"/5/", hooks.Options{}, hooks.TransportOptions{})
	for range 2 {
		if reply, err := c.SendDigest(t.Context(), group); err != nil || !reply.Confirmed {
			t.Fatalf("%+v, %v", reply, err)
		}
	}
	var want []seen
	for _, n := range []int{5, 4, 3, 2, 1, 0, 0} { // the second send goes straight to the end
		want = append(want, posted(fmt.Sprintf("/%d%s", n, sendPath)))
	}
	compare(t, "the server", rec, want...)
}

func TestTheSixthRedirectInARowIsRefused(t *testing.T) {
	t.Parallel()
	rec := record(t, false, hops)
	c := connect(t, rec.URL+"/6/", hooks.Options{}, hooks.TransportOptions{})
	_, err := c.SendDigest(t.Context(), group)
	want := "send digest: 308 redirect to " + rec.URL + "/0" + sendPath + " not followed: more redirects in a row than are followed; use " + rec.URL + "/0/"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, requests := rec.seen(); len(requests) != 6 {
		t.Errorf("%d requests, want 6", len(requests))
	}
}

func TestARedirectLoopEndsWithoutAdvice(t *testing.T) {
	t.Parallel()
	site, server := standIn(t, false, standin.Fault{Pattern: "*/*", Kind: standin.Redirect302, URL: "$PATH"})
	_, err := connect(t, server.URL, hooks.Options{}, hooks.TransportOptions{}).SendDigest(t.Context(), group)
	want := "send digest: 302 redirect to " + server.URL + sendPath + " not followed: more redirects in a row than are followed"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if got := len(site.Requests()); got != 6 {
		t.Errorf("%d requests, want 6", got)
	}
}

// A site that asks for a login says so with a redirect, too. The login page is no place to send digests to.
func TestARedirectToALoginPageIsNotKept(t *testing.T) {
	t.Parallel()
	logins := 1
	rec := record(t, false, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/login.html":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write(fixture(t, "handmade-login-page.html"))
		case logins > 0:
			logins--
			redirect(302, "/login.html?came_from="+fixtureToken)(w, r)
		default:
			confirm(w, r)
		}
	})
	c, _, err := sendOnce(t, rec)
	if got := word(false, err); got != "unexpected" {
		t.Errorf("judged %q, want unexpected (%v)", got, err)
	}
	if strings.Contains(err.Error(), fixtureToken) {
		t.Errorf("the token stands in %q", err)
	}
	if reply, err := c.SendDigest(t.Context(), group); err != nil || !reply.Confirmed {
		t.Errorf("the next send: %+v, %v", reply, err)
	}
	compare(t, "the site", rec, posted(sendPath), posted("/login.html?came_from="+fixtureToken), posted(sendPath))
}

func TestOnlyTheHooksOwnAnswerMakesARedirectLast(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		row    string
		status int
		body   string
		kept   bool
	}{
		{"confirmation", 200, "send-ok.html", true},
		{"refusal", 200, "send-wrong-token.html", true},
		{"blank form", 200, "send-unknown-group.html", true},
		{"another page", 200, "handmade-login-page.html", false},
		{"server error", 500, "send-500-conflict.html", false},
	} {
		second := record(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(row.status)
			_, _ = w.Write(fixture(t, row.body))
		})
		first := record(t, false, redirect(301, second.URL+sendPath))
		c, _, _ := sendOnce(t, first)
		_, _ = c.SendDigest(t.Context(), group)
		want := []seen{posted(sendPath)}
		if !row.kept {
			want = append(want, posted(sendPath))
		}
		compare(t, row.row, first, want...)
	}
}
