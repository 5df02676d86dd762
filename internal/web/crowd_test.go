package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/web"
)

// many is more than the connections that a server has at once.
const many = 400

// call opens a connection to a server, and says something on it.
func call(t *testing.T, s *web.Server, says string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // for a test that fails
	_, _ = io.WriteString(conn, says)
	return conn
}

// answered asks a server for its page as one person more, who does not wait for long.
func answered(s *web.Server) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get(s.URL())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "hello" {
		return fmt.Errorf("%q, %w", text, err)
	}
	return nil
}

func TestThoseWhoSayNothingKeepNobodyWaiting(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		reads      bool // an answer, and keeps the connection
	}{
		{name: "nothing"},
		{name: "half a header", says: "GET / HTTP/1.1\r\nHost: local"},
		{name: "nothing more after an answer", says: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", reads: true},
		{name: "no body", says: "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"},
		{name: "no body for another machine", says: "POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n"},
		{name: "no end of a body", says: "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := web.Start(t.Context(), "127.0.0.1:0", false, web.ReadOnly(http.HandlerFunc(hello)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(0)
			for i := range many {
				conn := call(t, s, tt.says)
				if !tt.reads {
					continue
				}
				if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
					t.Fatalf("connection %d: %q, %v", i, line, err)
				}
			}
			if err := answered(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that is closed while requests arrive leaves none of them behind.
func TestNothingIsAnsweredOnceAServerIsClosed(t *testing.T) {
	for range 200 {
		var closed atomic.Bool
		s, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hello(w, r)
			if closed.Load() {
				t.Error("a request was answered after Close")
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var conns []net.Conn
		for range 8 {
			conns = append(conns, call(t, s, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		}
		s.Close(0)
		closed.Store(true)
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// A handler that is not read-only has its body, if it comes.
func TestABodyThatComesIsRead(t *testing.T) {
	s, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(0)
	conn := call(t, s, "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
	_, _ = io.WriteString(conn, "llo")
	if text, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(text), "\r\n\r\nhello") {
		t.Errorf("%q, %v", text, err)
	}
}

// What is being answered is not cut for a newcomer, who is told at once if all are.
func TestNobodyIsCutOffForANewcomer(t *testing.T) {
	goOn := make(chan struct{})
	s, err := web.Start(t.Context(), "127.0.0.1:0", false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			hello(w, r)
			return
		}
		fmt.Fprintln(w, "begun")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
		fmt.Fprintln(w, "over")
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	begin := func() *bufio.Reader {
		r := bufio.NewReader(call(t, s, "GET /long HTTP/1.0\r\nHost: localhost\r\n\r\n"))
		for line := ""; line != "begun\n"; {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	long := []*bufio.Reader{begin()}
	for range many {
		call(t, s, "")
	}
	for len(long) < 128 {
		long = append(long, begin())
	}
	_, err = call(t, s, "").Read(make([]byte, 1))
	if timeout, ok := err.(net.Error); err == nil || ok && timeout.Timeout() {
		t.Errorf("got %v, want one that is closed", err)
	}
	close(goOn)
	for i, r := range long {
		if line, err := r.ReadString('\n'); err != nil || line != "over\n" {
			t.Errorf("request %d: %q, %v", i, line, err)
		}
	}
	if err := answered(s); err != nil {
		t.Error(err)
	}
}
