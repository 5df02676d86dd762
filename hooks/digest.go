package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The two hooks of the daily digests, and what messages call them (docs/groupserver.md section 1).
const (
	groupsPath = "gs-group-messages-topic-digest-groups.html"
	sendPath   = "gs-group-messages-topic-digest-send.html"

	groupsHook = "list of groups"
	sendHook   = "send digest"
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

// DigestGroups fetches the groups whose digests the server thinks are to be sent. It only reads, so it may be called
// again at any time.
func (c *Client) DigestGroups(ctx context.Context) (*List, error) {
	form := "token=" + c.token.escaped() + "&get="
	ctx, cancel := c.try(ctx)
	defer cancel()
	resp, trip, err := c.post(ctx, &c.groups, form)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, c.notOK(groupsHook, resp, trip)
	}
	list, err := c.readList(trip.reader(resp), resp.Header.Get("Content-Type"))
	if _, rejected := errors.AsType[*RejectedError](err); err == nil || rejected {
		c.learn(&c.groups, trip)
	}
	if err != nil {
		return nil, err
	}
	c.tls.Store(resp.TLS)
	return list, nil
}

// SendDigest asks the server to send the digest of one group. A nil error means that the hook's own page came
// back. The errors are [*RejectedError], [*NotOKError], [*UnexpectedPageError], [*RedirectError] and
// [*TransportError].
func (c *Client) SendDigest(ctx context.Context, g Group) (Reply, error) {
	ctx, cancel := c.try(ctx)
	defer cancel()
	resp, trip, err := c.post(ctx, &c.send, c.sendForm(g))
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return Reply{}, c.notOK(sendHook, resp, trip, g.Group, g.Site)
	}
	p, err := c.readPage(trip.reader(resp))
	if err != nil {
		return Reply{}, err
	}
	if p.form || p.message {
		c.learn(&c.send, trip)
	}
	switch {
	case p.confirmed && !p.refused:
		return Reply{Status: resp.StatusCode, Confirmed: true}, nil
	case p.refused && !p.confirmed:
		return Reply{}, &RejectedError{Hook: sendHook, Token: p.token, Message: c.quote(strings.Join(p.errors, "; "))}
	case p.form && !p.message:
		return Reply{Status: resp.StatusCode}, nil
	default:
		return Reply{}, &UnexpectedPageError{sendHook, c.describe(p, resp.Header.Get("Content-Type"))}
	}
}

// sendForm is the body of a send. The token is always in it: the server mails without asking where it is absent
// (docs/groupserver.md section 4).
func (c *Client) sendForm(g Group) string {
	return "form.siteId=" + url.QueryEscape(g.Site) + "&form.groupId=" + url.QueryEscape(g.Group) +
		"&form.token=" + c.token.escaped() + "&form.actions.send=Send"
}

// describe says what a 200 is that is not the hook's page.
func (c *Client) describe(p page, contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	switch title := c.quote(p.title); {
	case p.message:
		return "the message on the page is neither a confirmation nor an error"
	case p.form:
		return "the hook's page, and yet not"
	case title != "":
		return fmt.Sprintf("not the hook's page: it is titled “%s”", title)
	case mediaType != "":
		return fmt.Sprintf("not the hook's page: %s", c.quote(mediaType))
	}
	return "not the hook's page"
}
