package hooks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
)

// A hook is one of a site's web-hooks, by its row in [endpoints].
type hook uint8

const (
	digestGroups hook = iota
	digestSend
	profileMembers
	profileSend
)

// endpoints is the hooks of a site (docs/groupserver.md sections 1 and 11).
var endpoints = [...]struct {
	name string // what messages call it
	path string // below the site's URL

	// personal: the hook's answers hold people's names, so an error quotes nothing of their texts. It has the status, this
	// program's own words, and the class of an exception.
	personal bool
}{
	digestGroups:   {name: "list of groups", path: "gs-group-messages-topic-digest-groups.html"},
	digestSend:     {name: "send digest", path: "gs-group-messages-topic-digest-send.html"},
	profileMembers: {name: "list of people", path: "gs-profile-status-members.html", personal: true},
	profileSend:    {name: "send profile status", path: "gs-profile-status-send.html", personal: true},
}

func (h hook) String() string { return endpoints[h].name }
func (h hook) path() string   { return endpoints[h].path }
func (h hook) personal() bool { return endpoints[h].personal }

// An endpoint is a hook and where its requests go.
type endpoint struct {
	hook
	url atomic.Pointer[url.URL] // moves when the site redirects
}

// rebase points all hooks below a site's URL.
func (c *Client) rebase(site *url.URL) {
	if site.Path == "" {
		site = site.JoinPath("/") // or the requests would name a path without its first slash
	}
	for i := range c.endpoints {
		e := &c.endpoints[i]
		e.url.Store(site.JoinPath("/", e.path())) // the slash is for a site without any path
	}
}

// call posts a form to a hook, within the time of one try. read judges the page of a 200; any other status is a
// [*NotOKError], whose cause leaves out the ids that were sent.
func call[A any](
	ctx context.Context, c *Client, h hook, form string,
	read func(c *Client, h hook, page io.Reader, contentType string) (A, error), ids ...string,
) (A, error) {
	var none A
	ctx, cancel := c.try(ctx)
	defer cancel()
	e := &c.endpoints[h]
	resp, trip, err := c.post(ctx, e, form)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return none, c.notOK(h, resp, trip, ids...)
	}
	answer, err := read(c, h, trip.reader(resp), resp.Header.Get("Content-Type"))
	if _, rejected := errors.AsType[*RejectedError](err); err == nil || rejected {
		c.learn(e, trip) // the answer is the hook's own
	}
	if err != nil {
		return none, err
	}
	c.tls.Store(resp.TLS)
	return answer, nil
}
