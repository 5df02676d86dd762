package command

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/notify"
	"github.com/groupserver/senddigest/internal/printable"
)

const (
	statusEvery = 5 * time.Second // a service manager is told how far the run is

	// lastWords is what a run needs after the last of its sends has ended or was cut: journal, history, reports.
	lastWords = 30 * time.Second
)

// A service is a run as the service manager sees it, if there is one: systemd, by NOTIFY_SOCKET.
type service struct {
	socket     *notify.Socket
	done, gone chan struct{}
}

// tellManager keeps the service manager up to date until end: how far the run is, and when it begins to stop. grace is how
// long what is in flight may go on then.
func (p Process) tellManager(c *session, grace time.Duration) *service {
	address, _ := p.Getenv(notify.Variable)
	socket, err := notify.Open(address)
	if err != nil {
		fmt.Fprintf(c.display, "%s: warning: the service manager cannot be told of this run: %v\n", program, err)
	}
	v := &service{socket: socket, done: make(chan struct{}), gone: make(chan struct{})}
	if socket == nil {
		close(v.gone)
		return v
	}
	go v.follow(c, grace)
	return v
}

func (v *service) follow(c *session, grace time.Duration) {
	defer close(v.gone)
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	stopped := c.ctx.Done()
	for {
		v.socket.Status(c.display.Status())
		select {
		case <-v.done:
			return
		case <-stopped:
			stopped = nil // said once
			v.socket.Stopping(grace + lastWords)
		case <-ticker.C:
		}
	}
}

// ready tells that the run is under way: the lock is had, and the list of groups is there.
func (v *service) ready(c *session) {
	v.socket.Ready(c.display.Status())
}

// end leaves the last word about the run, which the manager keeps until the next one: how it went, or err, which ended it
// before the first request.
func (v *service) end(result campaign.Result, err error) {
	close(v.done)
	<-v.gone
	if err != nil {
		v.socket.Status(printable.Line(err.Error()))
	} else {
		v.socket.Status(printable.Line(result.Document.Headline()))
	}
	v.socket.Close()
}
