package standin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/standin"
)

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// What a send that costs nothing takes above net/http.
func BenchmarkSend(b *testing.B) {
	s := standin.New(standin.Options{Groups: []standin.Group{alpha}, NoLog: true})
	defer s.Close()
	body := sendForm(alpha).Encode()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", standin.SendPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s.ServeHTTP(discard{http.Header{}}, r)
	}
}

func BenchmarkSendOverSocket(b *testing.B) {
	s := standin.New(standin.Options{Groups: []standin.Group{alpha}, Threads: 64})
	v, c := socketSite(b, s, false)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got := post(b.Context(), c, v.URL+standin.SendPath, sendForm(alpha)); got.status != 200 {
				b.Errorf("got %d, %v", got.status, got.err)
			}
		}
	})
}
