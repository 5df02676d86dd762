package standin_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/standin"
)

var (
	alpha = standin.Group{Site: "example_site", Group: "alpha"}
	beta  = standin.Group{Site: "example_site", Group: "beta"}
	gamma = standin.Group{Site: "example_site", Group: "gamma"}
)

const base = "http://groups.example.com"

// pipeSite is a site on a pipe, with a client for it that follows no redirect. Both end with the test.
func pipeSite(t testing.TB, o standin.Options) (*standin.Site, *http.Client) {
	t.Helper()
	s := standin.New(o)
	l := standin.Pipe()
	v := s.Serve(l)
	tr := &http.Transport{DialContext: l.DialContext, MaxIdleConnsPerHost: 1000}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		v.Close()
		s.Close()
	})
	return s, plainClient(tr)
}

func plainClient(tr http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func sendForm(g standin.Group) url.Values {
	return url.Values{
		"form.siteId": {g.Site}, "form.groupId": {g.Group}, "form.token": {standin.DefaultToken}, "form.actions.send": {"Send"},
	}
}

func listForm() url.Values { return url.Values{"token": {standin.DefaultToken}, "get": {""}} }

func profileForm(id string) url.Values {
	return url.Values{"profileId": {id}, "token": {standin.DefaultToken}, "send": {"Send"}}
}

// answer is what a client got: the head, the body as far as it came, and what stopped it.
type answer struct {
	status int
	header http.Header
	length int64
	body   string
	err    error
}

func post(ctx context.Context, c *http.Client, url string, form url.Values) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(c, req)
}

func do(c *http.Client, req *http.Request) answer {
	res, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, res.ContentLength, string(body), err}
}

func send(c *http.Client, g standin.Group) answer {
	return post(context.Background(), c, base+standin.SendPath, sendForm(g))
}

func list(c *http.Client) answer {
	return post(context.Background(), c, base+standin.GroupsPath, listForm())
}

// accepted and blank are the marks of docs/groupserver.md section 3.
func accepted(a answer) bool {
	return a.status == 200 && strings.Contains(a.body, `class="alert alert-info"`)
}

func blank(a answer) bool {
	return a.status == 200 && strings.Contains(a.body, `id="gs-group-messages-topicsdigest-sendalldigests"`) &&
		!strings.Contains(a.body, `id="gs-content-form-base-message"`)
}

func TestTheListHookNamesTheGroupsThatWereSetLast(t *testing.T) {
	s, client := pipeSite(t, standin.Options{Groups: []standin.Group{alpha, beta}})
	for _, groups := range [][]standin.Group{nil, {gamma, alpha}} {
		want := `[["example_site", "alpha"], ["example_site", "beta"]]`
		if groups != nil {
			s.SetGroups(groups...)
			want = `[["example_site", "gamma"], ["example_site", "alpha"]]`
		}
		if a := list(client); a.body != want {
			t.Errorf("got %s, want %s", a.body, want)
		}
	}
	for _, g := range []standin.Group{beta, gamma} {
		if a := send(client, g); !accepted(a) || s.Mails()[g] != 1 {
			t.Errorf("%s: status %d, mailed %d times, want 200 and once", g.Group, a.status, s.Mails()[g])
		}
	}
}
