package hooks

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
)

// A URLError says why a text is not the URL of a site.
type URLError struct{ Problem, Advice string }

func (e *URLError) Error() string { return e.Problem }

// Hint says what to write.
func (e *URLError) Hint() string { return e.Advice }

// ParseURL reads the URL of a site: http[s]://host[:port][/prefix]. The error is a [*URLError].
func ParseURL(text string) (*url.URL, error) {
	const hint = "write http://HOST/ or https://HOST/, with a port or a path if the site has one"
	u, err := url.Parse(text)
	if err != nil {
		// Not the text itself: it may hold a password.
		return nil, &URLError{"the URL cannot be read", hint}
	}
	shown := u.Redacted()
	port, err := strconv.Atoi(cmp.Or(u.Port(), "80"))
	switch {
	case u.User != nil:
		return nil, &URLError{"the URL holds a user name or a password", "leave them out: the hooks ask for the token alone"}
	case text == "":
		return nil, &URLError{"the URL is empty", hint}
	case u.Hostname() == "":
		return nil, &URLError{"no host in the URL " + shown, hint}
	case err != nil || port < 1 || port > 65535:
		return nil, &URLError{"the port in the URL " + shown + " is not from 1 to 65535", hint}
	case u.Scheme == "":
		return nil, &URLError{"the URL " + shown + " does not begin with http:// or https://", hint}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &URLError{"the URL " + shown + " is not http or https", hint}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, &URLError{"the URL holds a query or a fragment", hint}
	}
	return u, nil
}

// SiteName is the URL of a site in its one spelling, for wherever it is a label, a name or a key: the host in lower case
// and without a final dot, no default port, a path with a final slash, and percent signs only where they are needed. The
// requests go to the URL as it was given to [ParseURL].
func SiteName(site *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(site.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // an address of IPv6
	}
	switch port := strings.TrimLeft(site.Port(), "0"); {
	case port == "", port == "80" && site.Scheme == "http", port == "443" && site.Scheme == "https":
	default:
		host += ":" + port
	}
	path := strings.Split(site.EscapedPath(), "/")
	for i, segment := range path {
		if plain, err := url.PathUnescape(segment); err == nil {
			path[i] = url.PathEscape(plain)
		}
	}
	return (&url.URL{Scheme: site.Scheme, Host: host}).JoinPath(append(path, "/")...).String()
}
