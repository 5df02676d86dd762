package observe

import (
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/notify"
	"github.com/groupserver/senddigest/internal/printable"
)

const (
	statusEvery = 5 * time.Second // a service manager is told how far the run is

	// LastWords is what a run needs after the last of its sends has ended or was cut: journal, history, reports.
	LastWords = 30 * time.Second
)

// A Service is a run as the service manager sees it, if there is one: systemd, by NOTIFY_SOCKET. It is told of what happens
// by events, and asks the display how far the run is in between.
type Service struct {
	socket     *notify.Socket
	status     func() string
	linger     time.Duration
	done, gone chan struct{}
}

// Manage keeps the service manager at an address up to date until End: status says how far the run is. linger is how long the
// program stays after a run that was not ended by a signal. An error leaves a Service that tells nobody.
func Manage(address string, status func() string, linger time.Duration) (*Service, error) {
	socket, err := notify.Open(address)
	v := &Service{socket, status, linger, make(chan struct{}), make(chan struct{})}
	if socket == nil {
		close(v.gone)
		return v, err
	}
	go v.follow()
	return v, err
}

func (v *Service) follow() {
	defer close(v.gone)
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		v.socket.Status(v.status())
		select {
		case <-v.done:
			return
		case <-ticker.C:
		}
	}
}

// Observe tells that the run is under way, that it stops, and how it went, which the manager keeps until the next one.
func (v *Service) Observe(e campaign.Event) {
	switch e := e.(type) {
	case campaign.Planned: // the lock is had, and the list of groups is there
		v.socket.Ready(v.status())
	case campaign.Stopping:
		v.socket.Stopping(e.Grace + LastWords + v.linger)
	case campaign.Ended:
		v.last(e.Document.Headline())
	}
}

// last leaves the last word about the run.
func (v *Service) last(word string) {
	close(v.done)
	<-v.gone
	v.socket.Status(printable.Line(word))
}

// End closes the socket. err ended the run before its first event; nil: it has ended with one.
func (v *Service) End(err error) {
	if err != nil {
		v.last(err.Error())
	}
	v.socket.Close()
}
