package hooks_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groupserver/senddigest/hooks"
)

func TestARequestLeavesInTimeOrNotAtAll(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for name, server := range map[string]*httptest.Server{"http": httptest.NewServer(handler), "https": httptest.NewTLSServer(handler)} {
		t.Cleanup(server.Close)
		transport := hooks.NewTransport(hooks.TransportOptions{Insecure: true})
		transport.Proxy = nil
		u, err := hooks.ParseURL(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		client := hooks.New(u, hooks.NewToken("token"), hooks.Options{Transport: transport})
		asked.Store(0)
		if _, err := client.SendDigest(hooks.LeaveBy(t.Context(), time.Now().Add(time.Hour)), hooks.Group{Site: "s", Group: "g"}); errors.Is(err, hooks.ErrLate) || asked.Load() != 1 {
			t.Errorf("%s, in time: got %v, and %d requests", name, err, asked.Load())
		}
		asked.Store(0)
		_, err = client.SendDigest(hooks.LeaveBy(t.Context(), time.Now()), hooks.Group{Site: "s", Group: "g"})
		e, ok := errors.AsType[*hooks.TransportError](err)
		if !ok || e.Wrote || !errors.Is(err, hooks.ErrLate) || asked.Load() != 0 {
			t.Errorf("%s, late: got %v, and %d requests, want none", name, err, asked.Load())
		}
	}
}
