package hooks

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxList bounds the list of groups: some 600,000 groups with long names.
const maxList = 64 << 20

// The largest known installations have some thousands of groups, with ids of a few dozen characters. What is far
// beyond that is no list, and must not cost the memory of one.
const (
	maxGroups = 1_000_000
	maxID     = 1 << 10 // bytes
)

// maxRefusal bounds the object that the hook sends instead of a list.
const maxRefusal = 64 << 10

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

// A List is what the groups hook lists.
type List struct {
	Groups   []Group  // of all sites of the installation, in the order of site and group, each once
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
	Site    string // the id of its site, scrubbed and bounded; empty: it has none
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

// readList judges what the groups hook answered with 200 (docs/groupserver.md section 3). It decodes the list
// entry by entry, so that memory never holds the whole text.
func (c *Client) readList(body io.Reader, contentType string) (*List, error) {
	r := bufio.NewReader(limit(body, maxList))
	first, err := firstByte(r)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &UnexpectedPageError{groupsHook, "an empty answer"}
	case err != nil:
		return nil, err
	case first == '[':
		list, err := c.decodeList(r)
		if err != nil {
			return nil, c.listError(err)
		}
		// The order of the Python script; the server's own is that of a set.
		slices.SortFunc(list.Groups, Group.compare)
		list.Groups = slices.Compact(list.Groups)
		return list, nil
	case first == '{':
		return nil, c.readRefusal(r, contentType)
	}
	page, err := io.ReadAll(io.LimitReader(r, maxPage))
	if err != nil {
		return nil, err
	}
	return nil, &UnexpectedPageError{groupsHook, c.describe(readPage(page), contentType)}
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

// decodeList reads [["site", "group"], …] to the end of the body. An entry that is no such pair is left out; a list
// of nothing but such entries is none. Its errors are *MalformedListError, and those of the body.
func (c *Client) decodeList(r io.Reader) (*List, error) {
	d := &listDecoder{json: json.NewDecoder(r), sites: map[string]string{}}
	list := &List{}
	var first *MalformedListError // of the entries left out
	d.token()                     // the opening bracket, which the caller has seen
	for d.more() {
		d.entry++
		if d.entry > maxGroups {
			d.fail(fmt.Sprintf("there are more than %d", maxGroups))
			break
		}
		g, bad := d.pair()
		switch {
		case d.err != nil:
		case bad == nil:
			list.Groups = append(list.Groups, g)
		default:
			first = cmp.Or(first, bad)
			if list.Unusable.N++; list.Unusable.N <= maxExamples {
				list.Unusable.Examples = append(list.Unusable.Examples, UnusableEntry{d.entry, c.quote(g.Site), bad.Problem})
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
	if d.err == nil && list.Groups == nil && first != nil {
		d.err = first
	}
	return list, d.err
}

// A listDecoder reads a list token by token; after the first error it does nothing.
type listDecoder struct {
	json  *json.Decoder
	entry int               // the entry being read, from 1
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

// pair reads an entry to its end. bad is why and where it is no pair of ids, nil if it is one; the pair has what
// could be read.
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

// id judges one half of an entry.
func id(token json.Token, half string) (id, problem string) {
	id, ok := token.(string)
	switch {
	case !ok:
		return "", "its " + half + " is not a string"
	case id == "":
		return "", "its " + half + " is empty"
	case len(id) > maxID:
		return "", fmt.Sprintf("its %s is longer than %d bytes", half, maxID)
	}
	return id, ""
}

func (d *listDecoder) fail(problem string) {
	if d.err == nil {
		d.err = d.problem(problem)
	}
}

func (d *listDecoder) problem(problem string) *MalformedListError {
	return &MalformedListError{groupsHook, d.entry, d.json.InputOffset(), problem}
}

// listError names what ended the list.
func (c *Client) listError(err error) error {
	if errors.Is(err, errTooLarge) {
		return &MalformedListError{Hook: groupsHook, Offset: maxList, Problem: fmt.Sprintf("it is longer than %d MiB", maxList>>20)}
	}
	return err
}

// readRefusal judges an object where the list should be.
func (c *Client) readRefusal(r io.Reader, contentType string) error {
	body, err := io.ReadAll(io.LimitReader(r, maxRefusal))
	if err != nil {
		return err
	}
	var answer struct {
		Status    *float64
		Message   []string
		Actions   map[string]any
		Arguments map[string]any
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil && !json.Valid(body) && len(body) < maxRefusal && strings.Contains(contentType, "json"):
		// The hook does not escape what it repeats: a token with a backslash or a line end in it spoils the JSON.
		return &RejectedError{Hook: groupsHook, Token: true}
	case err != nil:
		return &UnexpectedPageError{groupsHook, "neither the list of groups nor the hook's refusal"}
	case answer.Status != nil:
		return c.refusal(*answer.Status, answer.Message)
	case answer.Actions != nil && answer.Arguments != nil:
		return &UnexpectedPageError{groupsHook, "the hook describes itself: the form did not reach it. " +
			"Does something between here and the site turn POST into GET?"}
	}
	return &UnexpectedPageError{groupsHook, "an object that is not the hook's"}
}

// designed is the status that the hook's authors meant for a refused form; the released versions say -1, and put
// other texts beside it (docs/groupserver.md section 4).
const designed = 100

func (c *Client) refusal(status float64, messages []string) error {
	e := &RejectedError{Hook: groupsHook}
	var others []string
	for _, message := range messages {
		switch {
		case strings.HasPrefix(message, tokenLabel), status == designed && strings.Contains(message, "'token'"):
			e.Token = true // the text repeats the token
		default:
			others = append(others, c.quote(message))
		}
	}
	e.Message = strings.Join(others, "; ")
	return e
}
