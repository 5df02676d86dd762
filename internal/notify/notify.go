// Package notify tells a service manager how the service is, in the manner of sd_notify(3): one datagram to the socket
// that NOTIFY_SOCKET names. It never waits, and it starts no goroutine.
package notify

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Variable is the environment variable in which a service manager names its socket.
const Variable = "NOTIFY_SOCKET"

// A Socket takes what a service has to say. Its methods may be called from any goroutine; nil is a socket to nobody.
type Socket struct{ conn net.Conn }

// Open opens the socket at address: a path, or a name that begins with @, for Linux's abstract ones. Nobody listens at an
// empty address: the socket is nil then.
func Open(address string) (*Socket, error) {
	if address == "" {
		return nil, nil
	}
	if address[0] != '/' && address[0] != '@' {
		return nil, fmt.Errorf("%q is neither a path nor an abstract socket", address)
	}
	conn, err := net.Dial("unixgram", address)
	if err != nil {
		return nil, err
	}
	return &Socket{conn}, nil
}

// Ready says that the service has started, and in one line what it is doing.
func (s *Socket) Ready(line string) { s.tell("READY=1\n" + status(line)) }

// Status says in one line what the service is doing.
func (s *Socket) Status(line string) { s.tell(status(line)) }

// status keeps what is said from being read as a word of its own: those are lines.
func status(line string) string { return "STATUS=" + strings.ReplaceAll(line, "\n", " ") }

// Stopping says that the service is about to end, and asks for so much time to do it in, from now on.
func (s *Socket) Stopping(within time.Duration) {
	s.tell(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

// patience is how long a datagram may wait for room in the manager's queue. A run does not stand still for a manager that
// does; what it would have read by then is old news.
const patience = 100 * time.Millisecond

func (s *Socket) tell(message string) {
	if s == nil {
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = s.conn.Write([]byte(message)) // a manager that does not hear loses a line of its status, and the run goes on
}

// Close closes the socket.
func (s *Socket) Close() {
	if s != nil {
		_ = s.conn.Close()
	}
}
