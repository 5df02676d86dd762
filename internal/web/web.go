// Package web serves pages to the people of this machine: it decides where a program may listen, which requests are
// answered, and which headers every answer has. What the pages show is their handler's.
//
// A program that listens on loopback can be reached by every web page that a browser of this machine shows, and by every
// user of the machine. So no page has a secret, none changes anything (see [ReadOnly]), and these keep strangers' pages out:
//
//   - The Host header has to name this machine. Otherwise a stranger's host name could be led to 127.0.0.1 once its page is
//     shown (DNS rebinding), and the page could read ours as its own.
//   - No answer may be framed, read or embedded by another origin, or kept; a request that a browser makes for another site's
//     page is not even answered, unless its user follows a link.
//   - Nothing but loopback is listened on unless somebody asks for it, also where a name is resolved.
//
// Nobody who can reach it keeps others from being answered:
//
//   - A new connection is always accepted. Where there are too many, the one that has owed a request for the longest time is
//     closed, whether it never sent one or was kept after an answer. A connection whose request is being answered stays. If all
//     are such, the new one is closed, rather than left to wait.
//   - A request's header has to come within seconds. Its body too, and what is [ReadOnly] waits for none.
//   - Requests for large answers wait for each other ([Few]), and are turned away where many wait already. So they cannot take
//     all the connections, and a short answer of another path, such as /healthz, comes at once.
package web

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	headerTime  = 3 * time.Second  // for a request's header
	bodyTime    = 10 * time.Second // for its body, where the handler reads one
	answerTime  = 30 * time.Second // for a whole answer, unless its handler gives itself another time
	idleTime    = time.Minute      // that a connection without a request is kept
	headerBytes = 16 << 10
	connections = 128 // that are open at once
	waiting     = 4   // requests for each that [Few] answers; more are turned away
)

// A Server serves a handler at one address, from Start to Close. It owns the goroutines of its connections.
type Server struct {
	http     *http.Server
	url      string
	serves   sync.WaitGroup // the loop that accepts
	visitors *crowd
}

// Start listens at an address, HOST:PORT with port 0 for a free one, and serves h there. anywhere allows an address that
// other machines can reach. Its error is an [*AddressError] where the address is refused; any other is of the machine.
func Start(ctx context.Context, address string, anywhere bool, h http.Handler) (*Server, error) {
	at, err := resolve(ctx, address, anywhere)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	s := &Server{url: "http://" + name(listener.Addr()) + "/", visitors: &crowd{open: map[net.Conn]struct{}{}}}
	guarded := guard(newHosts(address, listener.Addr(), anywhere), h)
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bodyWithin(w, r, bodyTime)
			guarded.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		ConnState: s.visitors.note,
		ErrorLog:  log.New(io.Discard, "", 0), // what a browser does is no news of the program
	}
	s.serves.Go(func() { _ = s.http.Serve(listener) })
	return s, nil
}

// URL is where the server is, with the port that it has.
func (s *Server) URL() string { return s.url }

// Close ends the server: no request is accepted any more, and those that are being answered have the given time. It returns
// when nothing of the server is left.
func (s *Server) Close(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	s.serves.Wait()
	_ = s.http.Close() // connections that Shutdown did not wait for, and one that was accepted while it ran
	s.visitors.left.Wait()
}

// bodyWithin ends the wait for a request's body after some time: net/http waits for it before it answers, also where no handler
// reads it.
func bodyWithin(w http.ResponseWriter, r *http.Request, d time.Duration) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
	}
}

// ReadOnly answers every method but GET and HEAD with 405, and reads no body.
func ReadOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bodyWithin(w, r, 0)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Few answers at most n requests at once, for an answer of some size is kept until it is read. It has some others wait, and
// turns away more with 503.
func Few(n int, h http.Handler) http.Handler {
	places, queue := make(chan struct{}, n), make(chan struct{}, n+n*waiting)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case queue <- struct{}{}:
			defer func() { <-queue }()
		default:
			w.Header().Set("Retry-After", "10")
			http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// guard answers requests that name this machine, and gives each answer its headers. A handler may set another
// Content-Security-Policy.
func guard(known hosts, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      Policy(""),
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cache-Control":                "no-store",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
		} {
			w.Header().Set(name, value)
		}
		if !known.knows(r.Host) {
			bodyWithin(w, r, 0)
			http.Error(w, fmt.Sprintf("%.100q is no name of this machine", r.Host), http.StatusMisdirectedRequest)
			return
		}
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			bodyWithin(w, r, 0)
			http.Error(w, "another site's page has no business here", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Policy is a Content-Security-Policy header: nothing may be framed or embedded, and nothing is allowed but what the policy
// of a page, which may be empty, says.
func Policy(page string) string {
	if page == "" {
		page = "default-src 'none'; base-uri 'none'; form-action 'none'"
	}
	return page + "; frame-ancestors 'none'"
}
