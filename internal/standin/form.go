package standin

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// maxBody is what a request body may have, in bytes: the hooks' forms are a few hundred.
const maxBody = 8 << 20

// fields are the form's values as they were sent: nothing is trimmed (docs/groupserver.md section 1). A field that
// was sent empty is there, a field that was not sent is not, and for the send hook that makes all the difference.
type fields url.Values

func (f fields) get(name string) (value string, sent bool) {
	v, sent := f[name]
	if len(v) > 0 {
		value = v[0]
	}
	return value, sent
}

// readFields reads the whole request and gives its form: the body, urlencoded or multipart, and the query string,
// with any method (docs/groupserver.md section 1). JSON is no form: its fields are all absent. What does not parse is
// left out, as Zope does. The error means that the body did not come whole.
func readFields(r *http.Request) (fields, error) {
	var body []byte
	// To the very end of the body, also with a content type we do not read: net/http only notices that a client has
	// left once its request has been read whole.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if len(body) == maxBody {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}

	ctype, params := "application/x-www-form-urlencoded", map[string]string(nil)
	if h := r.Header.Get("Content-Type"); h != "" {
		ctype, params, _ = mime.ParseMediaType(h)
	}
	values := url.Values{}
	switch ctype {
	case "application/x-www-form-urlencoded":
		values, _ = url.ParseQuery(string(body))
	case "multipart/form-data":
		readMultipart(values, body, params["boundary"])
	}
	if r.URL.RawQuery != "" {
		query, _ := url.ParseQuery(r.URL.RawQuery)
		for name, v := range query {
			values[name] = append(values[name], v...)
		}
	}
	return fields(values), nil
}

func readMultipart(values url.Values, body []byte, boundary string) {
	if boundary == "" {
		return
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if err != nil {
			return
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return
		}
		if name := part.FormName(); name != "" {
			values.Add(name, string(value))
		}
	}
}

// The digest hooks' paths (docs/groupserver.md section 1).
const (
	GroupsPath = "/gs-group-messages-topic-digest-groups.html"
	SendPath   = "/gs-group-messages-topic-digest-send.html"
)

// route returns what a request asks for.
func route(r *http.Request) Hook {
	path, _ := sitePath(r)
	switch path {
	case GroupsPath:
		return Groups
	case SendPath:
		return Send
	case PeoplePath:
		return People
	case ProfilePath:
		return Profile
	case "/", "":
		return Front
	}
	return Nothing
}

// sitePath returns the path inside the site and the site's own URL. Round the proxy a client asks with
// /VirtualHostBase/http/HOST:PORT/groupserver/Content/SITE/VirtualHostRoot before the path (docs/groupserver.md
// section 5): then HOST and PORT name the site, and port 80 is not written.
func sitePath(r *http.Request) (path, base string) {
	path = r.URL.Path
	rest, ok := strings.CutPrefix(path, "/VirtualHostBase/")
	if !ok {
		return path, siteURL(r)
	}
	scheme, rest, _ := strings.Cut(rest, "/")
	host, rest, _ := strings.Cut(rest, "/")
	rest, ok = strings.CutPrefix(rest, "groupserver/Content/")
	site, rest, found := strings.Cut(rest, "/VirtualHostRoot")
	if !ok || !found || site == "" || strings.Contains(site, "/") || host == "" ||
		(scheme != "http" && scheme != "https") || (rest != "" && rest[0] != '/') {
		return path, siteURL(r) // no object of that name: 404
	}
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return rest, scheme + "://" + strings.TrimSuffix(host, port)
}

// siteURL is where the client thinks the site is.
func siteURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
