package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// A rawSite is a site whose bytes are written by hand: net/http's server would mend what its tests are about.
type rawSite struct {
	url    string
	config string // of its groups' digests
	sends  chan string

	// answer is what a connection gets for the send of a group, the number-th request on it. It returns whether the
	// connection stays open.
	answer func(c net.Conn, group string, number int) (open bool)

	groups   int
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	conns    int
	requests int
	page     int // requests for the front page
}

// startRaw starts a site with so many groups, whose names are those of numbered. It ends with the test.
func startRaw(t *testing.T, groups int, answer func(c net.Conn, group string, number int) (open bool)) *rawSite {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawSite{
		url: "http://" + l.Addr().String() + "/", config: filepath.Join(t.TempDir(), "gsconfig.ini"),
		sends: make(chan string, 100_000), answer: answer, groups: groups, listener: l,
	}
	if err := program.WriteConfig(s.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() {
				defer c.Close()
				defer context.AfterFunc(t.Context(), func() { _ = c.Close() })() // a client may keep it
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.serving.Wait()
	})
	return s
}

// serve answers the requests of a connection until one side closes it.
func (s *rawSite) serve(c net.Conn) {
	s.count(&s.conns)
	r := bufio.NewReader(c)
	for number := 1; ; number++ {
		line, body, err := readRequest(r)
		if err != nil {
			return
		}
		s.count(&s.requests)
		open := true
		switch {
		case strings.HasPrefix(line, "GET "):
			s.count(&s.page)
			err = reply(c, "text/html", "<p>a light page</p>")
		case strings.Contains(line, "digest-groups.html"):
			err = reply(c, "application/json", s.list())
		default:
			form, _ := url.ParseQuery(body)
			s.sends <- form.Get("form.groupId")
			open = s.answer(c, form.Get("form.groupId"), number)
		}
		if err != nil || !open {
			return
		}
	}
}

func (s *rawSite) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

func (s *rawSite) list() string {
	pairs := make([][2]string, s.groups)
	for i := range pairs {
		pairs[i] = [2]string{"main", fmt.Sprintf("g%05d", i)}
	}
	text, _ := json.Marshal(pairs)
	return string(text)
}

// readRequest reads a request: its first line, and its body.
func readRequest(r *bufio.Reader) (line, body string, err error) {
	length := 0
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		text = strings.TrimSpace(text)
		if text == "" {
			break
		}
		if line == "" {
			line = text
		}
		if value, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return "", "", err
			}
		}
	}
	form := make([]byte, length)
	_, err = io.ReadFull(r, form)
	return line, string(form), err
}

// head is the head of an answer that says nothing of closing.
func head(status, kind string, length int) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", status, kind, length)
}

func reply(c net.Conn, kind, body string) error {
	_, err := io.WriteString(c, head("200 OK", kind, len(body))+body)
	return err
}
