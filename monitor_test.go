package main

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// monitorSecret is in the ping URL of every script, and in nothing that is printed or written.
const monitorSecret = "5ecret-uuid"

// A scriptMonitor is the monitor of one script, from its command monitor on.
type scriptMonitor struct {
	heard chan heardPing
}

type heardPing struct{ path, body string } // path below the check's, / for none

type monitorKey struct{}

// startMonitor: monitor [STATUS|hang|dead]: starts a monitor that answers so, 200 unless told otherwise, and sets PING
// to the URL of its check.
func startMonitor(ts *testscript.TestScript, neg bool, args []string) {
	m, _ := ts.Value(monitorKey{}).(*scriptMonitor)
	how := "200"
	if len(args) > 0 {
		how = args[0]
	}
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.heard <- heardPing{cmp.Or(strings.TrimPrefix(r.URL.Path, "/"+monitorSecret), "/"), string(body)}
		if how == "hang" {
			<-over
			return
		}
		status, _ := strconv.Atoi(how)
		w.WriteHeader(status)
	}))
	ts.Defer(func() {
		close(over)
		server.Close()
	})
	if how == "dead" {
		server.Close()
	}
	ts.Setenv("PING", server.URL+"/"+monitorSecret)
}

// pinged: pinged [PATH]...: the monitor heard these pings since it was last asked, / for the check's own URL. The last
// one's body is in the file ping. The secret is in nothing that was printed, or stands in a file.
func pinged(ts *testscript.TestScript, neg bool, args []string) {
	m, _ := ts.Value(monitorKey{}).(*scriptMonitor)
	var heard []string
	var last heardPing
	deadline := time.After(patience)
	for len(heard) < len(args) || len(m.heard) > 0 {
		select {
		case last = <-m.heard:
			heard = append(heard, last.path)
		case <-deadline: // of a run that goes on the start may come late
			ts.Fatalf("the monitor heard %v, want %v", heard, args)
		}
	}
	if !slices.Equal(heard, args) {
		ts.Fatalf("the monitor heard %v, want %v", heard, args)
	}
	ts.Check(os.WriteFile(ts.MkAbs("ping"), []byte(last.body), 0o600))
	nowhere(ts, "the ping URL", monitorSecret)
}
