package control_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/control"
)

// A server that refuses somebody does so without reading what they ask.
func TestARefusalIsHeardThoughNothingWasAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, `{"control":1,"error":"permission denied"}`+"\n")
		_ = conn.Close()
	}()
	_, err = control.Ask(t.Context(), []string{path}, "status", strings.Repeat("x", 1<<20)) // more than it has room for
	if e, ok := errors.AsType[*control.RefusedError](err); !ok || e.Problem != "permission denied" {
		t.Errorf("got %v", err)
	}
	<-done
	_ = listener.Close()
}
