package web

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// A crowd is the connections of a server. It closes one for each that would be too many.
type crowd struct {
	left   sync.WaitGroup // the connections whose handlers may still run, also of those that were closed here
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	silent []net.Conn // of these, the ones that owe a whole request, the one that has for the longest time first
}

// note is a server's ConnState. net/http calls a connection active when it has the whole header of a request, so that one
// which sends it byte by byte is as silent as one that sends nothing.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew: // Serve calls this before it returns: after the wait for Serve no Add comes beside Wait
		c.left.Add(1)
	case http.StateClosed, http.StateHijacked:
		defer c.left.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.open[conn]; !known && state != http.StateNew {
		return // it was closed here
	}
	c.silent = slices.DeleteFunc(c.silent, func(other net.Conn) bool { return other == conn })
	switch state {
	case http.StateNew:
		c.open[conn] = struct{}{}
		c.silent = append(c.silent, conn)
		if len(c.open) > connections {
			oldest := c.silent[0]
			c.silent = c.silent[1:]
			delete(c.open, oldest)
			_ = oldest.Close()
		}
	case http.StateIdle:
		c.silent = append(c.silent, conn)
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	case http.StateActive:
	}
}
