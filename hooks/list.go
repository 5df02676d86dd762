package hooks

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxList bounds a list, in bytes: some 600,000 groups with long names.
const maxList = 64 << 20

// The largest known installations have some thousands of groups, with ids of a few dozen characters. What is far
// beyond that is no list, and must not cost the memory of one.
const (
	maxEntries = 1_000_000
	maxID      = 1 << 10 // bytes
)

// errTooLarge ends a body that is longer than we are ready to read.
var errTooLarge = errors.New("longer than allowed")

// limit reads at most n bytes, and fails with errTooLarge if there are more.
func limit(r io.Reader, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(r, n), tooLarge{r})
}

type tooLarge struct{ rest io.Reader }

func (t tooLarge) Read(p []byte) (int, error) {
	n, err := t.rest.Read(p[:1])
	if n > 0 {
		return 0, errTooLarge
	}
	return 0, err
}

// A List is what a hook lists.
type List[E any] struct {
	Entries  []E
	Unusable Unusable // the entries that were left out
}

// Unusable are entries of a list that cannot be sent to. The server lists what its table of settings holds, such as a
// legacy row without a group id (docs/groupserver.md section 3). The zero value is none.
type Unusable struct {
	N        int             // how many
	Of       int             // of so many entries
	Examples []UnusableEntry // the first of them, maxExamples at most
}

// An UnusableEntry is one of them.
type UnusableEntry struct {
	Entry   int    // its place in the list, from 1
	Site    string // the id of its site, scrubbed and bounded; empty: none
	Problem string // "its group is empty"
}

// maxExamples bounds how many entries are named that were left out.
const maxExamples = 3

func (u Unusable) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d entries of the list cannot be sent to", u.N, u.Of)
	for i, e := range u.Examples {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprintf(&text, "%sentry %d", separator, e.Entry)
		if e.Site != "" {
			fmt.Fprintf(&text, ", site %s", e.Site)
		}
		text.WriteString(": " + e.Problem)
	}
	if more := u.N - len(u.Examples); more > 0 {
		fmt.Fprintf(&text, "; and %d more", more)
	}
	return text.String()
}

// readList judges what a hook answered with 200 that lists something (docs/groupserver.md section 3). It decodes the list
// entry by entry, so that memory never holds the whole text.
func readList[E any](entry func(*listDecoder) (E, *MalformedListError)) func(*Client, hook, io.Reader, string) (*List[E], error) {
	return func(c *Client, h hook, body io.Reader, contentType string) (*List[E], error) {
		r := bufio.NewReader(limit(body, maxList))
		first, err := firstByte(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil, &UnexpectedPageError{h.String(), "an empty answer"}
		case err != nil:
			return nil, err
		case first == '[':
			return decodeList(c, h, r, entry)
		case first == '{':
			return nil, c.readRefusal(h, r, contentType)
		}
		page, err := io.ReadAll(io.LimitReader(r, maxPage))
		if err != nil {
			return nil, err
		}
		return nil, &UnexpectedPageError{h.String(), c.describe(h, readPage(page), contentType)}
	}
}

// firstByte peeks at the first byte that is not JSON's white space.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		if _, err := r.Peek(1); err != nil {
			return 0, err
		}
		waiting, _ := r.Peek(r.Buffered())
		rest := bytes.TrimLeft(waiting, " \t\r\n")
		_, _ = r.Discard(len(waiting) - len(rest))
		if len(rest) > 0 {
			return rest[0], nil
		}
	}
}

// decodeList reads a list to the end of the body. entry reads one entry, and says why it is none. Such an entry is left
// out; a list of nothing but such entries is none. The errors are *MalformedListError, and those of the body.
func decodeList[E any](c *Client, h hook, r io.Reader, entry func(*listDecoder) (E, *MalformedListError)) (*List[E], error) {
	d := &listDecoder{hook: h, json: json.NewDecoder(r), sites: map[string]string{}}
	list := &List[E]{}
	var first *MalformedListError // of the entries left out
	d.token()                     // the opening bracket, which the caller has seen
	for d.more() {
		d.entry++
		if d.entry > maxEntries {
			d.fail(fmt.Sprintf("there are more than %d", maxEntries))
			break
		}
		d.site = ""
		e, bad := entry(d)
		switch {
		case d.err != nil:
		case bad == nil:
			list.Entries = append(list.Entries, e)
		default:
			first = cmp.Or(first, bad)
			if list.Unusable.N++; list.Unusable.N <= maxExamples {
				list.Unusable.Examples = append(list.Unusable.Examples, UnusableEntry{d.entry, c.quote(d.site), bad.Problem})
			}
		}
	}
	list.Unusable.Of, d.entry = d.entry, 0
	d.token() // .. and the closing one
	if d.err == nil {
		if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
			d.fail("text follows the list")
		}
	}
	switch {
	case errors.Is(d.err, errTooLarge):
		return nil, &MalformedListError{Hook: h.String(), Offset: maxList, Problem: fmt.Sprintf("it is longer than %d MiB", maxList>>20)}
	case d.err != nil:
		return nil, d.err
	case list.Entries == nil && first != nil:
		return nil, first
	}
	return list, nil
}

// A listDecoder reads a list token by token; after the first error it does nothing.
type listDecoder struct {
	hook  hook
	json  *json.Decoder
	entry int               // the entry being read, from 1
	site  string            // .. its site, as far as it has one
	sites map[string]string // thousands of groups share a few site ids
	err   error
}

func (d *listDecoder) intern(site string) string {
	if known, ok := d.sites[site]; ok {
		return known
	}
	d.sites[site] = site
	return site
}

func (d *listDecoder) token() json.Token {
	if d.err != nil {
		return nil
	}
	token, err := d.json.Token()
	if _, transport := errors.AsType[*TransportError](err); transport {
		d.err = err // that the body breaks off before its announced end says nothing about the list
	} else if _, syntax := errors.AsType[*json.SyntaxError](err); syntax {
		d.fail("it is not JSON")
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		d.fail("it breaks off")
	} else if err != nil {
		d.err = err
	}
	return token
}

func (d *listDecoder) more() bool { return d.err == nil && d.json.More() }

// pair reads ["site", "group"]. bad is why and where an entry is no such pair, nil if it is one.
func (d *listDecoder) pair() (g Group, bad *MalformedListError) {
	token := d.token()
	if token != json.Delim('[') {
		bad = d.problem("is not a pair of site and group")
		d.skip(token)
		return g, bad
	}
	n := 0
	for ; d.more(); n++ {
		token, problem := d.token(), ""
		switch n {
		case 0:
			g.Site, problem = id(token, "site")
			g.Site = d.intern(g.Site)
			d.site = g.Site
		case 1:
			g.Group, problem = id(token, "group")
		default:
			problem = "is a list of more than two"
		}
		if bad == nil && problem != "" {
			bad = d.problem(problem)
		}
		d.skip(token)
	}
	d.token() // the closing bracket
	if bad == nil && n < 2 {
		bad = d.problem("is a list of fewer than two")
	}
	return g, bad
}

// skip reads to the end of the list or object that a token opens, however deep that is.
func (d *listDecoder) skip(token json.Token) {
	for depth := 0; d.err == nil; token = d.token() {
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// profile reads the id of a person's profile. bad is why and where an entry is no id, nil if it is one.
func (d *listDecoder) profile() (p Profile, bad *MalformedListError) {
	token := d.token()
	text, problem := id(token, "profile id")
	if problem != "" {
		bad = d.problem(problem)
		d.skip(token)
	}
	return Profile(text), bad
}

// id judges an id, or half of an entry.
func id(token json.Token, name string) (id, problem string) {
	id, ok := token.(string)
	switch {
	case !ok:
		return "", "its " + name + " is not a string"
	case id == "":
		return "", "its " + name + " is empty"
	case len(id) > maxID:
		return "", fmt.Sprintf("its %s is longer than %d bytes", name, maxID)
	}
	return id, ""
}

func (d *listDecoder) fail(problem string) {
	if d.err == nil {
		d.err = d.problem(problem)
	}
}

func (d *listDecoder) problem(problem string) *MalformedListError {
	return &MalformedListError{d.hook.String(), d.entry, d.json.InputOffset(), problem}
}
