package command

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/notify"
	"github.com/groupserver/senddigest/internal/printable"
	"github.com/groupserver/senddigest/internal/progress"
)

const (
	statusEvery = 5 * time.Second // a service manager is told how far the run is

	// lastWords is what a run needs after the last of its sends has ended or was cut: journal, history, reports.
	lastWords = 30 * time.Second
)

// A service is a run as the service manager sees it, if there is one: systemd, by NOTIFY_SOCKET. It is told of what happens
// by events, and asks the display how far the run is in between.
type service struct {
	socket     *notify.Socket
	display    *progress.Display
	done, gone chan struct{}
}

// tellManager keeps the service manager up to date until end.
func (p Process) tellManager(c *session) *service {
	address, _ := p.Getenv(notify.Variable)
	socket, err := notify.Open(address)
	if err != nil {
		fmt.Fprintf(c.display, "%s: warning: the service manager cannot be told of this run: %v\n", program, err)
	}
	v := &service{socket, c.display, make(chan struct{}), make(chan struct{})}
	if socket == nil {
		close(v.gone)
		return v
	}
	go v.follow()
	return v
}

func (v *service) follow() {
	defer close(v.gone)
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		v.socket.Status(v.display.Status())
		select {
		case <-v.done:
			return
		case <-ticker.C:
		}
	}
}

// Observe tells that the run is under way, that it stops, and how it went, which the manager keeps until the next one.
func (v *service) Observe(e campaign.Event) {
	switch e := e.(type) {
	case campaign.Planned: // the lock is had, and the list of groups is there
		v.socket.Ready(v.display.Status())
	case campaign.Stopping:
		v.socket.Stopping(e.Grace + lastWords)
	case campaign.Ended:
		v.last(e.Document.Headline())
	}
}

// last leaves the last word about the run.
func (v *service) last(word string) {
	close(v.done)
	<-v.gone
	v.socket.Status(printable.Line(word))
}

// end closes the socket. err ended the run before its first event; nil: it has ended with one.
func (v *service) end(err error) {
	if err != nil {
		v.last(err.Error())
	}
	v.socket.Close()
}
