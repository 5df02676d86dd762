package state

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/printable"
)

// Records are written and read by hand, since there are three for each of up to 200,000 groups. What is written is
// JSON, and what is read is a part of JSON: one flat object or array a line.

const (
	maxRecord = 1 << 20  // bytes of a line; a longer one is not ours
	maxText   = 32 << 10 // bytes of a reason or an error; longer ones are clipped
)

// headerRecord is the first line of a journal.
type headerRecord struct {
	Journal      int       `json:"journal"`
	Campaign     string    `json:"campaign"`
	Run          string    `json:"run"`
	URL          string    `json:"url"`
	Installation string    `json:"installation"`
	Site         string    `json:"site"`
	Started      time.Time `json:"started"`
	Workers      int       `json:"workers"`
	Rate         float64   `json:"rate"`
	Burst        int       `json:"burst"`
	Resumes      string    `json:"resumes"`

	Only           []string    `json:"only,omitempty"`
	Exclude        []string    `json:"exclude,omitempty"`
	Assumed        time.Time   `json:"assumed,omitzero"`
	AssumedSeconds json.Number `json:"assumed_seconds,omitempty"`
	Resume         string      `json:"resume,omitempty"`
	RetryFailed    string      `json:"retry_failed,omitempty"`
}

func appendHeader(b []byte, h Header) ([]byte, error) {
	r := headerRecord{
		Version, h.Campaign, h.Run, h.URL, h.Installation.Token, h.Installation.Site, h.Started.UTC(), h.Workers, h.Rate,
		h.Burst, h.Resumes, h.Only, h.Exclude, h.Assumed.Start.UTC(), "",
		h.Resume, h.RetryFailed,
	}
	if h.Assumed.Length != 0 {
		r.AssumedSeconds = json.Number(appendSeconds(nil, h.Assumed.Length))
	}
	line, err := json.Marshal(r)
	return append(append(b, line...), '\n'), err
}

var errNoHeader = errors.New("not the header of a journal")

// parseHeader reads a header, and as much as it can of one with a newer version.
func parseHeader(line []byte) (h Header, version int, err error) {
	var v struct{ Journal int }
	if err := json.Unmarshal(line, &v); err != nil || v.Journal < 1 {
		return Header{}, 0, errNoHeader
	}
	var r headerRecord
	if err := json.Unmarshal(line, &r); err != nil && v.Journal <= Version {
		return Header{}, 0, errNoHeader
	}
	length, ok := parseSeconds([]byte(cmp.Or(r.AssumedSeconds, "0")))
	if !ok && v.Journal <= Version {
		return Header{}, 0, errNoHeader
	}
	if !r.plausible() && v.Journal <= Version {
		return Header{}, 0, errFigure
	}
	return Header{
		Campaign: r.Campaign, Run: r.Run, URL: r.URL, Installation: Installation{r.Installation, r.Site},
		Started: r.Started, Workers: r.Workers, Rate: r.Rate, Burst: r.Burst, Resumes: r.Resumes,
		Only: r.Only, Exclude: r.Exclude, Assumed: Assumed{r.Assumed, length},
		Resume: typable(r.Resume), RetryFailed: typable(r.RetryFailed),
	}, v.Journal, nil
}

// typable is a command, or nothing where a terminal would not show it as it is.
func typable(command string) string {
	if printable.Line(command) != command {
		return ""
	}
	return command
}

// appendString writes a string of JSON. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, '\\', c)
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// clip shortens a text that is too long for a record.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// farthest is the longest time that a record can hold.
const farthest = 9_000_000_000 * time.Second

// appendSeconds writes a length of time in seconds, exactly.
func appendSeconds(b []byte, d time.Duration) []byte {
	d = min(max(d, -farthest), farthest)
	if d < 0 {
		b = append(b, '-')
		d = -d
	}
	b = strconv.AppendInt(b, int64(d/time.Second), 10)
	fraction := int64(d % time.Second)
	if fraction == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(time.Second) / 10; fraction > 0; unit /= 10 {
		b = append(b, byte('0'+fraction/unit))
		fraction %= unit
	}
	return b
}

// parseSeconds reads what appendSeconds wrote.
func parseSeconds(text []byte) (time.Duration, bool) {
	digits := bytes.TrimPrefix(text, []byte("-"))
	whole, fraction, _ := bytes.Cut(digits, []byte("."))
	n, ok := parseInt(whole)
	if !ok || n > int64(farthest/time.Second) || len(fraction) > 9 {
		return 0, false
	}
	d := time.Duration(n) * time.Second
	unit := time.Second
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		d += time.Duration(c-'0') * unit
	}
	if len(digits) < len(text) {
		d = -d
	}
	return d, true
}

// parseInt reads a number of at most 10 digits, without a sign.
func parseInt(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 10 {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// A value is one flat value of a record.
type value struct {
	kind byte   // '"' a string, '0' a number, 't' true, 'f' false, 'n' null
	text []byte // of a string what it means, of a number how it is written; good until the next line is read
}

var errSyntax = errors.New("not a record of a journal")

// scanner reads one line.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// take passes by c, if it is next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) end() bool {
	s.space()
	return s.i == len(s.b)
}

// string reads a string.
func (s *scanner) string() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	start, plain := s.i, true
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			text := s.b[start:s.i]
			s.i++
			if plain {
				return text, true
			}
			return unquote(s.b[start-1 : s.i])
		case c == '\\':
			plain = false
			s.i++
		case c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	return nil, false
}

// unquote reads a string that is not plain ASCII.
func unquote(quoted []byte) ([]byte, bool) {
	if !utf8.Valid(quoted) { // encoding/json would mend it, and make one id of two
		return nil, false
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil, false
	}
	return []byte(text), true
}

// value reads any flat value.
func (s *scanner) value() (value, bool) {
	s.space()
	if s.i == len(s.b) {
		return value{}, false
	}
	switch c := s.b[s.i]; c {
	case '"':
		text, ok := s.string()
		return value{'"', text}, ok
	case 't':
		return value{kind: 't'}, s.word("true")
	case 'f':
		return value{kind: 'f'}, s.word("false")
	case 'n':
		return value{kind: 'n'}, s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return false
	}
	s.i += len(w)
	return true
}

// number reads a number as JSON has them, but for exponents.
func (s *scanner) number() (value, bool) {
	start := s.i
	s.i += len(s.b[s.i:]) - len(bytes.TrimPrefix(s.b[s.i:], []byte("-")))
	whole := s.digits()
	if whole == 0 || whole > 1 && s.b[s.i-whole] == '0' {
		return value{}, false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return value{}, false
		}
	}
	return value{'0', s.b[start:s.i]}, true
}

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}

// array reads a line that is an array, and gives its values in a slice that the next call uses again.
func (s *scanner) array(values []value) ([]value, bool) {
	values = values[:0]
	if !s.take('[') {
		return values, false
	}
	for {
		v, ok := s.value()
		if !ok {
			return values, false
		}
		values = append(values, v)
		if s.take(',') {
			continue
		}
		return values, s.take(']') && s.end()
	}
}

// object reads a line that is an object, and hands each field to f, which tells whether the value can be right.
func (s *scanner) object(f func(name []byte, v value) bool) bool {
	if !s.take('{') {
		return false
	}
	for {
		name, ok := s.string()
		if !ok || !s.take(':') {
			return false
		}
		v, ok := s.value()
		if !ok || !f(name, v) {
			return false
		}
		if s.take(',') {
			continue
		}
		return s.take('}') && s.end()
	}
}

// kind tells the records that are objects from each other. It is their first field.
type kind uint8

const (
	unknownRecord kind = iota
	listRecord
	textRecord
	listedRecord
	openRecord
	startRecord
	endRecord
	limitRecord
	finishedRecord
)

// record is a record that is an object, as far as this version knows its fields.
type record struct {
	kind                     kind
	n                        int           // limit: sends; list: groups; listed: groups and skipped; open, start, end: the group's number
	skipped                  int           // list
	text                     []byte        // text
	at                       time.Duration // open, start, end, finished
	timed                    bool          // it says at
	since                    time.Duration // open, or never
	worker, attempts, status int
	crowded                  int // limit
	outcome                  dispatcher.Outcome
	retry                    bool
	reason, error, stoppedBy []byte
	counts                   dispatcher.Counts
	counted                  bool // finished: it has counts
}

// parseRecord reads a record, and checks each of its figures by itself.
func parseRecord(line []byte, r *record) error {
	*r = record{attempts: 1, outcome: notAnOutcome, since: never}
	s := scanner{b: line}
	if !s.object(r.field) || r.kind == unknownRecord {
		return errSyntax
	}
	if !r.plausible() {
		return errFigure
	}
	return nil
}

const notAnOutcome dispatcher.Outcome = 255

// field takes one field of an object. The first one tells its kind.
func (r *record) field(name []byte, v value) bool {
	if r.kind == unknownRecord {
		return r.first(name, v)
	}
	switch string(name) {
	case "t":
		r.timed = true
		return v.seconds(&r.at)
	case "since":
		return v.seconds(&r.since)
	case "crowded":
		return v.int(&r.crowded)
	case "w":
		return v.int(&r.worker)
	case "n":
		return v.int(&r.attempts)
	case "skipped":
		if r.kind == listRecord {
			return v.int(&r.skipped)
		}
		return r.count(dispatcher.Skipped, v)
	case "status":
		return v.int(&r.status)
	case "reason":
		return v.string(&r.reason)
	case "error":
		return v.string(&r.error)
	case "stopped_by":
		return v.string(&r.stoppedBy)
	case "retry":
		r.retry = v.kind == 't'
		return r.retry || v.kind == 'f'
	case "outcome":
		if v.kind != '"' {
			return false
		}
		r.outcome = outcomeOf(v.text)
		return r.outcome != notAnOutcome
	}
	if o := outcomeOf(name); o != notAnOutcome {
		return r.count(o, v)
	}
	return true // of a later day
}

func (r *record) first(name []byte, v value) bool {
	switch string(name) {
	case "start":
		r.kind = startRecord
	case "end":
		r.kind = endRecord
	case "list":
		r.kind = listRecord
	case "listed":
		r.kind = listedRecord
	case "open":
		r.kind = openRecord
	case "limit":
		r.kind = limitRecord
	case "text":
		r.kind = textRecord
		return v.string(&r.text)
	case "finished":
		r.kind = finishedRecord
		r.timed = true
		return v.seconds(&r.at)
	default:
		return false
	}
	return v.int(&r.n)
}

func (r *record) count(o dispatcher.Outcome, v value) bool {
	r.counted = true
	return v.int(&r.counts[o])
}

func (v value) int(to *int) bool {
	n, ok := parseInt(v.text)
	*to = int(n)
	return ok && v.kind == '0' && n <= math.MaxInt32
}

func (v value) seconds(to *time.Duration) (ok bool) {
	*to, ok = parseSeconds(v.text)
	return ok && v.kind == '0'
}

func (v value) string(to *[]byte) bool {
	*to = v.text
	return v.kind == '"'
}

var outcomes = dispatcher.Outcomes()

func outcomeOf(word []byte) dispatcher.Outcome {
	for _, o := range outcomes {
		if string(word) == o.String() {
			return o
		}
	}
	return notAnOutcome
}

func appendStart(b []byte, group int, at time.Duration, worker, attempts int) []byte {
	b = append(b, `{"start":`...)
	b = strconv.AppendInt(b, int64(group), 10)
	b = appendSeconds(append(b, `,"t":`...), at)
	b = strconv.AppendInt(append(b, `,"w":`...), int64(worker), 10)
	return append(appendAttempts(b, attempts), '}', '\n')
}

func appendOpen(b []byte, group int, o *LeftOpen, started time.Time) []byte {
	b = strconv.AppendInt(append(b, `{"open":`...), int64(group), 10)
	if !o.At.IsZero() {
		b = appendSeconds(append(b, `,"t":`...), o.At.Sub(started))
	}
	if !o.Lost.Start.IsZero() && !o.Lost.Start.Equal(o.At) {
		b = appendSeconds(append(b, `,"since":`...), o.Lost.Start.Sub(started))
	}
	if o.Lost.Reason != "" {
		b = appendString(append(b, `,"reason":`...), clip(o.Lost.Reason))
	}
	return append(b, '}', '\n')
}

func appendLimit(b []byte, sends, crowded int, at time.Duration) []byte {
	b = strconv.AppendInt(append(b, `{"limit":`...), int64(sends), 10)
	b = appendSeconds(append(b, `,"t":`...), at)
	if crowded > 0 {
		b = strconv.AppendInt(append(b, `,"crowded":`...), int64(crowded), 10)
	}
	return append(b, '}', '\n')
}

func appendEnd(b []byte, group int, at time.Duration, v dispatcher.Verdict, attempts int, retry bool) []byte {
	b = append(b, `{"end":`...)
	b = strconv.AppendInt(b, int64(group), 10)
	b = appendSeconds(append(b, `,"t":`...), at)
	b = append(append(b, `,"outcome":"`...), v.Outcome.String()...)
	b = append(b, '"')
	if v.Status != 0 {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(v.Status), 10)
	}
	b = appendAttempts(b, attempts)
	if v.Reason != "" {
		b = appendString(append(b, `,"reason":`...), clip(v.Reason))
	}
	if v.Err != nil {
		b = appendString(append(b, `,"error":`...), clip(v.Err.Error()))
	}
	if retry {
		b = append(b, `,"retry":true`...)
	}
	return append(b, '}', '\n')
}

func appendAttempts(b []byte, attempts int) []byte {
	if attempts == 1 {
		return b
	}
	return strconv.AppendInt(append(b, `,"n":`...), int64(attempts), 10)
}

func appendFinished(b []byte, at time.Duration, e Ending, counts *dispatcher.Counts) []byte {
	b = appendSeconds(append(b, `{"finished":`...), at)
	if e.StoppedBy != "" {
		b = appendString(append(b, `,"stopped_by":`...), clip(e.StoppedBy))
	}
	if e.Error != "" {
		b = appendString(append(b, `,"error":`...), clip(e.Error))
	}
	if counts != nil {
		for _, o := range outcomes {
			if n := counts[o]; n > 0 || o == dispatcher.Accepted {
				b = append(append(append(b, `,"`...), o.String()...), `":`...)
				b = strconv.AppendInt(b, int64(n), 10)
			}
		}
	}
	return append(b, '}', '\n')
}

// key stands for a group's [Group.Key] in large maps, where 200,000 names would take too much room. It is so long that
// no two names have the same one.
type key [16]byte

func keyOf(name string) key {
	sum := sha256.Sum256([]byte(name))
	return key(sum[:len(key{})])
}
