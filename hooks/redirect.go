package hooks

import (
	"net/http"
	"net/url"
	"strings"
)

// maxHops bounds how many redirects in a row are followed.
const maxHops = 5

// redirects reports whether an answer asks for the request to be made elsewhere.
func redirects(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return resp.Header.Get("Location") != ""
	}
	return false // a redirect that names no place is an answer like any other that is not 200
}

// follow returns where a redirect leads, if the token may go there: to the same host name, and never from https
// down to http. The form is posted again whatever the redirect's status says. net/http would turn it into a GET,
// which the hook answers with 200 and its blank form (docs/groupserver.md section 6).
func (c *Client) follow(e *endpoint, from *url.URL, resp *http.Response, hop int) (*url.URL, error) {
	refused := func(to *url.URL, problem string) error {
		err := &RedirectError{Hook: e.String(), Status: resp.StatusCode, Problem: problem}
		if to != nil {
			err.To = c.quote(bare(to).String())
			err.Use = c.quote(advice(to, e))
		}
		return err
	}
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, refused(nil, "its address cannot be read")
	}
	to.Fragment = ""
	switch {
	case to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return nil, refused(nil, "its address is not http or https")
	case to.User != nil:
		return nil, refused(to, "its address holds a user name")
	case !strings.EqualFold(to.Hostname(), from.Hostname()):
		return nil, refused(to, "another host must not get the token")
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, refused(to, "the token must not leave encryption")
	case hop == maxHops:
		return nil, refused(to, "more redirects in a row than are followed")
	}
	return to, nil
}

// advice is the URL to give instead, so that no redirect is needed: none where the redirect leads to some other
// page, such as a login, or back to where we came from.
func advice(to *url.URL, e *endpoint) string {
	site := siteOf(to, e)
	if site.Path == to.Path && strings.Trim(to.Path, "/") != "" || site.String() == siteOf(e.url.Load(), e).String() {
		return ""
	}
	return site.String()
}

// learn keeps for the rest of the run where redirects led, so that the token goes there at once. Where only the
// site's place changed, that holds for all hooks.
func (c *Client) learn(e *endpoint, t *trip) {
	if t.hops == 0 {
		return
	}
	target := t.target
	if site := siteOf(target, e); target.RawQuery == "" && site.Path != target.Path {
		c.rebase(site)
		return
	}
	e.url.Store(target)
}

// siteOf takes the hook's own path from a URL, where it ends so.
func siteOf(u *url.URL, e *endpoint) *url.URL {
	site := bare(u)
	if strings.HasSuffix(site.Path, "/"+e.path()) {
		return site.ResolveReference(&url.URL{Path: "."})
	}
	return site
}

// bare is a URL without what may hold secrets.
func bare(u *url.URL) *url.URL {
	short := *u
	short.User, short.RawQuery, short.ForceQuery, short.Fragment = nil, "", false, ""
	return &short
}
