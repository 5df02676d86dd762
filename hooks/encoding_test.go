package hooks_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/hooks"
)

// packers are the encodings that are read, by the name that an answer gives them.
var packers = map[string]func(io.Writer) io.WriteCloser{
	"gzip":   func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"x-gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"GZip ":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser {
		return zlib.NewWriter(w)
	},
	"deflate, without zlib's head": func(w io.Writer) io.WriteCloser {
		f, _ := flate.NewWriter(w, flate.BestSpeed) // fails for no known level
		return f
	},
}

func pack(t testing.TB, encoding string, body []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := packers[encoding](&packed)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// encoded is an answer as a front sends it that packs.
func encoded(encoding string, a answer) answer {
	name, _, _ := strings.Cut(encoding, ",")
	a.header = map[string]string{"Content-Encoding": name}
	return a
}

func TestPlainBytesAreAskedFor(t *testing.T) {
	s := &site{answer: answer{200, "application/json", nil, []byte("[]")}}
	if _, err := client(t, s, "t").DigestGroups(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.requests[0].Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding: %q", got)
	}
}

// An answer that is packed although nobody asked for it says what it says.
func TestAPackedAnswerIsReadAllTheSame(t *testing.T) {
	for encoding := range packers {
		t.Run(encoding, func(t *testing.T) {
			packed := func(status int, contentType, name string) *hooks.Client {
				a := encoded(encoding, answer{status: status, contentType: contentType, body: pack(t, encoding, fixture(t, name))})
				return client(t, &site{answer: a}, fixtureToken)
			}
			list, err := packed(200, "application/json", "groups-ok-empty-group-id.json").DigestGroups(t.Context())
			if err != nil || len(list.Entries) != 317 {
				t.Errorf("list: %v", err)
			}
			_, err = packed(200, "application/json", "groups-wrong-token.json").DigestGroups(t.Context())
			check(t, word(true, err), "rejected: token", err)
			for name, want := range map[string]string{
				"send-ok.html": "confirmed", "send-unknown-group.html": "blank form", "send-wrong-token.html": "rejected: token",
			} {
				reply, err := packed(200, htmlType, name).SendDigest(t.Context(), group)
				check(t, word(reply.Confirmed, err), want, err)
			}
			_, err = packed(503, htmlType, "send-503-own-error-page.html").SendDigest(t.Context(), group)
			if e, ok := errors.AsType[*hooks.NotOKError](err); !ok || !e.Zope || e.Detail != "KeyError: u'simulated'" {
				t.Errorf("error page: %v", err)
			}
		})
	}
}

// The server may have mailed, so an answer that breaks off inside of what is packed is as uncertain as any other.
func TestAPackedAnswerThatBreaksOffIsCutShort(t *testing.T) {
	for encoding := range packers {
		whole := pack(t, encoding, fixture(t, "send-ok.html"))
		for _, n := range []int{1, 5, 12, len(whole) / 2, len(whole) - 1} {
			a := encoded(encoding, answer{status: 200, contentType: htmlType, body: whole[:n]})
			reply, err := client(t, &site{answer: a}, fixtureToken).SendDigest(t.Context(), group)
			if e, ok := errors.AsType[*hooks.TransportError](err); !ok || !e.Wrote || reply.Confirmed {
				t.Errorf("%s, %d of %d bytes: %+v, %v", encoding, n, len(whole), reply, err)
			}
		}
	}
}

func TestAPackedAnswerThatCannotBeReadIsNotTheHooks(t *testing.T) {
	spoilt := bytes.Clone(pack(t, "gzip", fixture(t, "send-ok.html")))
	spoilt[len(spoilt)-6] ^= 0xff // of the checksum
	for _, row := range []struct {
		encoding string
		body     []byte
		want     string
	}{
		{"gzip", spoilt, "send digest: 200, but packed (Content-Encoding: gzip) in a way that cannot be read"},
		{"gzip", fixture(t, "send-ok.html"), "send digest: 200, but packed (Content-Encoding: gzip) in a way that cannot be read"},
		{"br", []byte("abc"), "send digest: 200, but packed (Content-Encoding: br) in a way that cannot be read"},
		{"gzip, gzip", spoilt, "send digest: 200, but packed (Content-Encoding: gzip, gzip) in a way that cannot be read"},
		{fixtureToken, nil, "send digest: 200, but packed (Content-Encoding: [token]) in a way that cannot be read"},
		{"gzip", nil, "send digest: 200, but not the hook's page: text/html"},
	} {
		a := answer{200, htmlType, map[string]string{"Content-Encoding": row.encoding}, row.body}
		_, err := client(t, &site{answer: a}, fixtureToken).SendDigest(t.Context(), group)
		if err == nil || err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
	a := answer{200, "application/json", map[string]string{"Content-Encoding": "br"}, fixture(t, "groups-ok.json")}
	_, err := client(t, &site{answer: a}, fixtureToken).DigestGroups(t.Context())
	check(t, word(true, err), "unexpected", err)
}

// A little that unpacks to a lot costs no more memory than a lot.
func TestWhatAPackedAnswerUnpacksToIsBounded(t *testing.T) {
	endless := func(status int, contentType, begin, goesOn string) roundTripper {
		first := pack(t, "gzip", []byte(begin))
		more := pack(t, "gzip", []byte(strings.Repeat(goesOn, 1<<20/len(goesOn))))
		body := io.MultiReader(bytes.NewReader(first), &repeat{text: string(more)}) // members of one file, by gzip's rules
		return func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Body: io.NopCloser(body), Request: req,
				Header: http.Header{"Content-Type": {contentType}, "Content-Encoding": {"gzip"}},
			}, nil
		}
	}
	_, err := client(t, endless(200, "application/json", `[["`, "a"), "t").DigestGroups(t.Context())
	if want := "it is longer than 64 MiB"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("list: %v, want …%s", err, want)
	}
	_, err = client(t, endless(200, htmlType, "<p>", " "), "t").SendDigest(t.Context(), group)
	check(t, word(false, err), "unexpected", err)
	_, err = client(t, endless(500, htmlType, "<p>", " "), "t").SendDigest(t.Context(), group)
	check(t, word(false, err), "not ok: 500", err)
}
