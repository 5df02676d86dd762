package hooks

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxPage bounds the answer to a send; the server's is about 4 KiB and the site's chrome.
const maxPage = 1 << 20

// A Group is a group of one of the installation's sites.
type Group struct {
	Site  string
	Group string
}

// Key is "site/group". No id of Zope's holds a slash.
func (g Group) Key() string { return g.Site + "/" + g.Group }

func (g Group) compare(other Group) int {
	return cmp.Or(strings.Compare(g.Site, other.Site), strings.Compare(g.Group, other.Group))
}

// Reply is the hook's own page, with no error on it.
type Reply struct {
	Status int
	// Confirmed: the server took the request. Not "sent": the page is the same where the group had nothing to
	// send or had its digest already. Not confirmed: the hook's blank form, no such site or group.
	Confirmed bool
}

// DigestGroups fetches the groups whose digests the server thinks are to be sent: of all sites of the installation, in
// the order of site and group, each once. It only reads, so it may be called again at any time.
func (c *Client) DigestGroups(ctx context.Context) (*List[Group], error) {
	list, err := call(ctx, c, digestGroups, "token="+c.token.escaped()+"&get=", readList((*listDecoder).pair))
	if err != nil {
		return nil, err
	}
	// The order of the Python script; the server's own is that of a set.
	slices.SortFunc(list.Entries, Group.compare)
	list.Entries = slices.Compact(list.Entries)
	return list, nil
}

// SendDigest asks the server to send the digest of one group. A nil error means that the hook's own page came
// back. The errors are [*RejectedError], [*NotOKError], [*UnexpectedPageError], [*RedirectError] and
// [*TransportError].
//
// The token is always in the form: the server mails without asking where it is absent (docs/groupserver.md section 4).
func (c *Client) SendDigest(ctx context.Context, g Group) (Reply, error) {
	form := "form.siteId=" + url.QueryEscape(g.Site) + "&form.groupId=" + url.QueryEscape(g.Group) +
		"&form.token=" + c.token.escaped() + "&form.actions.send=Send"
	return call(ctx, c, digestSend, form, (*Client).readDigest, g.Group, g.Site)
}

// readDigest judges what the send hook answered with 200 (docs/groupserver.md section 3).
func (c *Client) readDigest(h hook, body io.Reader, contentType string) (Reply, error) {
	p, err := c.readPage(body)
	switch {
	case err != nil:
		return Reply{}, err
	case p.confirmed && !p.refused:
		return Reply{Status: http.StatusOK, Confirmed: true}, nil
	case p.refused && !p.confirmed:
		return Reply{}, &RejectedError{Hook: h.String(), Token: p.token, Message: c.quote(strings.Join(p.errors, "; "))}
	case p.form && !p.message:
		return Reply{Status: http.StatusOK}, nil
	}
	return Reply{}, &UnexpectedPageError{h.String(), c.describe(h, p, contentType)}
}

// readPage reads a page of the send hook.
func (c *Client) readPage(r io.Reader) (page, error) {
	buffer, ok := c.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer c.buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(io.LimitReader(r, maxPage)); err != nil {
		return page{}, err
	}
	if known := c.confirmation.Load(); known != nil && bytes.Equal(*known, buffer.Bytes()) {
		return page{message: true, confirmed: true}, nil
	}
	p := readPage(buffer.Bytes())
	if p.confirmed && !p.refused {
		known := bytes.Clone(buffer.Bytes())
		c.confirmation.Store(&known)
	}
	return p, nil
}

// describe returns what a 200 is that is not the hook's page.
func (c *Client) describe(h hook, p page, contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	switch title := c.quote(p.title); {
	case p.message:
		return "the message on the page is neither a confirmation nor an error"
	case p.form:
		return "the hook's page, and yet not"
	case title != "" && !h.personal():
		return "not the hook's page: it is titled “" + title + "”"
	case mediaType != "":
		return "not the hook's page: " + c.quote(mediaType)
	}
	return "not the hook's page"
}
