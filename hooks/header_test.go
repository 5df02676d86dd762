package hooks_test

import (
	"errors"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/hooks"
)

func TestAHeaderOfTheUsersOwnGoesWithEveryRequest(t *testing.T) {
	const name = "InstanceId" // as it is written, not as net/http would write it
	want := http.Header{name: {"parks"}, "Cookie": {"a=b", "c=d"}}
	s := &site{answer: answer{200, "application/json", nil, []byte("[]")}}
	c := hooks.New(parseURL(t, "http://groups.example.com/"), hooks.NewToken("t"), hooks.Options{Transport: s, Header: want})
	if _, err := c.DigestGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = c.SendDigest(t.Context(), group) // the answer is a list
	for i, req := range s.requests {
		for name, values := range want {
			if got := req.Header[name]; !slices.Equal(got, values) {
				t.Errorf("request %d: %s is %q, want %q", i, name, got, values)
			}
		}
		if req.Header.Get("Content-Type") == "" || req.Header.Get("Accept-Encoding") == "" {
			t.Errorf("request %d has lost headers of its own: %v", i, req.Header)
		}
	}
}

func TestParseHeaderTakesWhatIsTheUsersToSend(t *testing.T) {
	for _, row := range []struct{ text, name, value string }{
		{"InstanceId:parks", "InstanceId", "parks"},
		{"InstanceId: \tparks ", "InstanceId", "parks"},
		{"Cookie: a=b; c=d", "Cookie", "a=b; c=d"},
		{"X-When: 10:30, or later", "X-When", "10:30, or later"},
		{"Authorization: Basic abc", "Authorization", "Basic abc"},
	} {
		name, value, err := hooks.ParseHeader(row.text)
		if name != row.name || value != row.value || err != nil {
			t.Errorf("%s: %q, %q, %v", row.text, name, value, err)
		}
	}
}

func TestParseHeaderRefusesTheRestWithoutItsValue(t *testing.T) {
	const secret = "shibboleth-7"
	const noHeader = "is not NAME:VALUE, such as InstanceId:groups"
	const own, hop = "which the program sets itself", "which is between this program and its next hop"
	texts := map[string]string{
		secret: noHeader, ":" + secret: noHeader, "": noHeader, "a b:" + secret: noHeader, "ä:" + secret: noHeader,
		"A\r\nB:" + secret: noHeader, " A:" + secret: noHeader,
		"A:": "gives A no value", "A: \t": "gives A no value",
		"A:" + secret + "\r\nB: c":  "gives A a value that is not printable ASCII",
		"A:…":                       "gives A a value that is not printable ASCII",
		"Idempotency-Key:" + secret: "names Idempotency-Key, with which a request may be repeated that has mailed",
	}
	for _, name := range []string{"Host", "HOST", "User-Agent", "Accept", "accept-encoding", "Content-Type", "content-length", "Content-Whatever"} {
		texts[name+":"+secret] = "names " + name + ", " + own
	}
	for _, name := range []string{
		"Connection", "connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
		"TE", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	} {
		texts[name+":"+secret] = "names " + name + ", " + hop
	}
	for text, want := range texts {
		name, value, err := hooks.ParseHeader(text)
		if _, ok := errors.AsType[*hooks.HeaderError](err); !ok || err.Error() != want || name+value != "" {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// A site repeats what it was sent, in an error page or elsewhere.
func TestTheValuesOfHeadersAreTakenOutOfWhatTheSiteSays(t *testing.T) {
	header := http.Header{"Cookie": {`first=s3cret<value>; x=another-secret`}, "Authorization": {"Basic c2VjcmV0OnNlY3JldA=="}, "InstanceId": {"short"}}
	for _, said := range []string{
		"s3cret<value>", html.EscapeString("s3cret<value>"), "s3cret%3Cvalue%3E", "another-secret", "c2VjcmV0OnNlY3JldA==", "c2VjcmV0OnNlY3JldA",
	} {
		s := &site{answer: ownPage(t, "ConfigSetError: "+said+" in short")}
		c := hooks.New(parseURL(t, "http://groups.example.com/"), hooks.NewToken("t0ken-of-this-test"), hooks.Options{Transport: s, Header: header})
		_, err := c.SendDigest(t.Context(), group)
		e, ok := errors.AsType[*hooks.NotOKError](err)
		if !ok {
			t.Fatal(err)
		}
		if text := e.Error() + e.Reason(); strings.Contains(text, said) || !strings.HasSuffix(text, " in short") {
			t.Errorf("%s: %s", said, text)
		}
	}
}
