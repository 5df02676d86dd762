package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/groupserver/senddigest/internal/replace"
)

// The format is text, version 2: it is there to be looked at and sorted, numbers in it are exact all the same, and to
// read 200,000 lines takes a fraction of a second. Fields are parted by tabs.
//
//	senddigest-history  2  2  3.8  4  7  0.2  1  1.31  1.27    version, how many groups, how many sends the last run had
//	                                                in flight on average, what was found that the site bears (see [FoundLimit]),
//	                                                and the last runs' paces, oldest first
//	main/announce  11.172834  0.38214  12  0  31.5    the group's cost in seconds, the spread of its sends, how many (32 at
//	main/choir  0.2  0  1  3  0.25                    most), for how many runs it has not been on the list, and its longest
//	                                                  send in seconds; ordered by key
//	end  0b5c77aa                              CRC-32 of all lines before
//
// The last line tells a whole file from a torn one, and its checksum a good one from a damaged one. A file that is not
// whole and good counts for nothing: a wrong cost would be believed for weeks. Version 1 had neither what was found nor the
// longest sends.
const (
	historyVersion = 2
	historyMagic   = "senddigest-history"
	endMark        = "end"

	mostAbreast = 1e6

	maxKey = 4 << 10 // bytes of a group's key; the first line is shorter
)

// fileMode keeps the names of closed groups to the user who sends.
const fileMode = 0o600

// HistoryReadError is a history that cannot be read. The run goes on without it.
type HistoryReadError struct {
	Path string
	Err  error
}

func (e *HistoryReadError) Error() string { return fmt.Sprintf("history %s: %v", e.Path, e.Err) }
func (e *HistoryReadError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *HistoryReadError) Hint() string {
	switch {
	case errors.Is(e.Err, errNewer):
		return "use the newer senddigest that wrote it, or move it away"
	case errors.Is(e.Err, fs.ErrPermission):
		return "let the user who runs senddigest read it, or move it away"
	}
	return "nothing needs to be done: the digests go out, and this run begins a new history"
}

// HistoryWriteError is a history that could not be written. An older one stands as it was, and nothing else is lost.
type HistoryWriteError struct {
	Path string
	Err  error
}

func (e *HistoryWriteError) Error() string { return fmt.Sprintf("history %s: %v", e.Path, e.Err) }
func (e *HistoryWriteError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *HistoryWriteError) Hint() string {
	const lost = "the digests are not affected, but what this run told of the groups' times is lost"
	switch {
	case errors.Is(e.Err, fs.ErrPermission):
		return "let the user who runs senddigest write there; " + lost
	case errors.Is(e.Err, syscall.ENOSPC):
		return "make room on the disk; " + lost
	}
	return lost
}

var (
	errNewer = errors.New("a newer senddigest wrote it")
	errTorn  = errors.New("its end is missing")
	errSum   = errors.New("it is damaged: its checksum is wrong")
	errMagic = errors.New("it is no history")
)

// LoadHistory reads the history in the file at path. Where there is no such file nothing is known yet, which is no error.
// All errors are [*HistoryReadError], and the history is good, and empty, with them, too.
func LoadHistory(path string) (*History, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewHistory(), nil
	}
	if err == nil {
		var h *History
		if h, err = readHistory(text); err == nil {
			return h, nil
		}
	}
	h := NewHistory()
	h.newer = errors.Is(err, errNewer)
	return h, &HistoryReadError{path, bare(err)}
}

// readHistory reads a history.
func readHistory(text []byte) (*History, error) {
	h := &History{}
	head, _, _ := strings.Cut(string(text[:min(len(text), maxKey)]), "\n")
	r := fields{rest: head, more: true}
	if r.next() != historyMagic {
		return nil, errMagic
	}
	version := r.integer(1, math.MaxUint32)
	if version > historyVersion {
		return nil, fmt.Errorf("%w: it has version %d of the format, and this senddigest reads up to %d",
			errNewer, version, historyVersion)
	}
	end := bytes.LastIndex(text, []byte("\n"+endMark+"\t")) + 1
	if end == 0 {
		return nil, errTorn
	}
	if string(text[end:]) != endLine(crc32.ChecksumIEEE(text[:end])) {
		return nil, errSum
	}
	lines := bytes.Count(text[:end], []byte("\n"))
	groups := r.integer(0, math.MaxUint32)
	h.abreast = r.number(0, mostAbreast)
	if version > 1 {
		h.found = FoundLimit{r.integer(0, mostFound), r.integer(0, mostSpare), float64(r.number(0, mostShare))}
	}
	h.paces = append(h.paces, r.number(least, most))
	for r.more && len(h.paces) < keptPaces {
		h.paces = append(h.paces, r.number(least, most))
	}
	if !r.good() || groups != lines-1 {
		return nil, damagedLine(1)
	}
	h.groups = make([]known, 0, groups)
	before := ""
	for line := range bytes.Lines(text[len(head)+1 : end]) {
		r := fields{rest: string(line[:len(line)-1]), more: true}
		g := known{key: strings.Clone(r.next())}
		g.median, g.spread = r.number(least, most), r.number(0, maxSpread)
		g.sends, g.missed = uint8(r.integer(1, maxSends)), uint8(r.integer(0, forgetAfter-1))
		if version > 1 {
			g.longest = r.number(0, most)
		}
		if !r.good() || g.key <= before || len(g.key) > maxKey { // they are looked for by their order
			return nil, damagedLine(len(h.groups) + 2)
		}
		before = g.key
		h.groups = append(h.groups, g)
	}
	h.settle()
	return h, nil
}

func damagedLine(n int) error { return fmt.Errorf("line %d: it is damaged", n) }

// fields are what is left of a line.
type fields struct {
	rest string
	more bool // there is another field
	bad  bool // one was missing, or not what it had to be
}

// good tells whether all fields were read, and each was what it had to be.
func (f *fields) good() bool { return !f.bad && !f.more }

func (f *fields) next() (field string) {
	f.bad = f.bad || !f.more
	field, f.rest, f.more = strings.Cut(f.rest, "\t")
	return field
}

func (f *fields) integer(least, most uint64) int {
	n, err := strconv.ParseUint(f.next(), 10, 64)
	f.bad = f.bad || err != nil || n < least || n > most
	return int(n)
}

func (f *fields) number(least, most float32) float32 {
	x, err := strconv.ParseFloat(f.next(), 32)
	f.bad = f.bad || err != nil || !(float32(x) >= least && float32(x) <= most) // NaN is neither
	return float32(x)
}

// Save writes what is known to the file at path, whole or not at all. It leaves a file alone that a newer senddigest
// wrote. Its error is a [*HistoryWriteError].
func (h *History) Save(path string) error {
	if h.newer {
		return nil
	}
	if err := replace.File(path, fileMode, h.write); err != nil {
		return &HistoryWriteError{path, err}
	}
	return nil
}

// write writes a history. %g is the shortest number that reads as the same one.
func (h *History) write(f io.Writer) error {
	sum := crc32.NewIEEE()
	w := bufio.NewWriter(io.MultiWriter(f, sum)) // it keeps its first error until Flush
	count := 0
	for i := range h.groups {
		if h.groups[i].sends > 0 {
			count++
		}
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%g", historyMagic, historyVersion, count, h.abreast)
	fmt.Fprintf(w, "\t%d\t%d\t%g", h.found.Sends, h.found.Spare, float32(h.found.Share))
	for _, pace := range h.paces {
		fmt.Fprintf(w, "\t%g", pace)
	}
	fmt.Fprintln(w)
	for i := range h.groups {
		if g := &h.groups[i]; g.sends > 0 {
			fmt.Fprintf(w, "%s\t%g\t%g\t%d\t%d\t%g\n", g.key, g.median, g.spread, g.sends, g.missed, g.longest)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(f, endLine(sum.Sum32()))
	return err
}

// endLine is the last line of a history whose other lines have that checksum.
func endLine(sum uint32) string { return fmt.Sprintf("%s\t%08x\n", endMark, sum) }
