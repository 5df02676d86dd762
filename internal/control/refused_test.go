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

// A server that refuses somebody does so without reading what they ask, and one that is ending says nothing at all.
func TestAnAnswerIsHeardThoughNothingWasAsked(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         func(error) bool
	}{
		{"refused", `{"control":1,"error":"permission denied"}` + "\n", func(err error) bool {
			e, ok := errors.AsType[*control.RefusedError](err)
			return ok && e.Problem == "permission denied"
		}},
		{"ended", "", func(err error) bool { return errors.Is(err, control.ErrNobody) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
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
				_, _ = io.WriteString(conn, tt.answer)
				_ = conn.Close()
			}()
			_, err = control.Ask(t.Context(), []string{path}, "status", strings.Repeat("x", 1<<20)) // more than it has room for
			if !tt.want(err) {
				t.Errorf("got %v", err)
			}
			<-done
			_ = listener.Close()
		})
	}
}
