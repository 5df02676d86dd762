package hooks

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
)

// A request asks for plain bytes. Some fronts compress all the same, as HTTP allows them (docs/groupserver.md section
// 13), and the Python script read that.

// plain is the Accept-Encoding of every request.
const plain = "identity"

// unpack reads an answer's body as the site wrote it. Whoever reads bounds the unpacked size: a little that unpacks to
// a lot is no different from a lot.
func (t *trip) unpack(resp *http.Response, body io.Reader) io.Reader {
	encoding := strings.TrimSpace(resp.Header.Get("Content-Encoding"))
	if encoding == "" || strings.EqualFold(encoding, plain) {
		return body
	}
	return &unpacker{trip: t, encoding: encoding, packed: body}
}

// An unpacker opens the packed body with the first byte that is asked of it.
type unpacker struct {
	trip     *trip
	encoding string // as the answer names it
	packed   io.Reader
	plain    io.Reader
}

func (u *unpacker) Read(p []byte) (n int, err error) {
	if u.plain == nil {
		u.plain, err = u.open()
	}
	if err == nil {
		n, err = u.plain.Read(p)
	}
	if _, broken := errors.AsType[*TransportError](err); broken || err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return n, u.trip.failed(err, true) // an answer had begun
	}
	encoding := u.trip.client.quote(u.encoding)
	return n, &UnexpectedPageError{u.trip.hook.String(), "packed (Content-Encoding: " + encoding + ") in a way that cannot be read"}
}

// open begins to unpack; io.EOF if there is nothing.
func (u *unpacker) open() (io.Reader, error) {
	switch strings.ToLower(u.encoding) {
	case "gzip", "x-gzip":
		return gzip.NewReader(u.packed)
	case "deflate": // the standard means zlib's format; some servers send what is inside of it
		r := bufio.NewReader(u.packed)
		head, err := r.Peek(2)
		if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			return zlib.NewReader(r)
		}
		if len(head) == 0 {
			return nil, err
		}
		return flate.NewReader(r), nil
	}
	return nil, errors.ErrUnsupported
}
