package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/cluster"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/rogpeppe/go-internal/testscript"
)

// freePort: freeport: sets PAGE to an address of a port that is free now.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	port, err := cluster.FreePort(context.Background())
	ts.Check(err)
	ts.Setenv("PAGE", fmt.Sprintf("127.0.0.1:%d", port))
}

// takePort: takeport: the port of PAGE is another program's until the script ends, if it is not already.
func takePort(ts *testscript.TestScript, neg bool, args []string) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", ts.Getenv("PAGE"))
	if errors.Is(err, syscall.EADDRINUSE) {
		return
	}
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}

// fetch: fetch STATUS PATH [METHOD [HOST]]: asks PAGE for a path, and leaves the answer in the files head and body. With ! no
// answer comes.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	method := http.MethodGet
	if len(args) > 2 {
		method = args[2]
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+ts.Getenv("PAGE")+args[1], nil)
	ts.Check(err)
	if len(args) > 3 {
		r.Host = args[3]
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if neg != (err != nil) {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if neg {
		return
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if got := fmt.Sprint(answer.StatusCode); got != args[0] {
		ts.Fatalf("%s: got %s, want %s: %s", args[1], got, args[0], body)
	}
	var head strings.Builder
	for name := range answer.Header {
		head.WriteString(name + ": " + answer.Header.Get(name) + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs("head"), []byte(head.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}

// opened: opened: waits until something listens at PAGE.
func opened(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(program.Patience); time.Now().Before(end); runtime.Gosched() {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", ts.Getenv("PAGE"))
		if err == nil {
			ts.Check(conn.Close())
			return
		}
	}
	ts.Fatalf("nothing listens at %s", ts.Getenv("PAGE"))
}
