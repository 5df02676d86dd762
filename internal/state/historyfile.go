package state

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
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
// whole and good counts for nothing: a wrong cost would be believed for weeks. Version 1 had neither what was found nor the longest
// sends.
const (
	historyVersion = 2
	historyMagic   = "senddigest-history"
	endMark        = "end"

	mostAbreast = 1e6

	maxKey  = 4 << 10  // bytes of a group's key
	maxLine = 64 << 10 // bytes of a line; more than any that is written
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
	errNewer          = errors.New("a newer senddigest wrote it")
	errTorn           = errors.New("its end is missing")
	errSum            = errors.New("it is damaged: its checksum is wrong")
	errDamagedHistory = errors.New("it is damaged")
	errMagic          = errors.New("it is no history")
)

// LoadHistory reads the history in the file at path. Where there is no such file nothing is known yet, which is no error. All
// errors are [*HistoryReadError], and the history is good, and empty, with them, too.
func LoadHistory(path string) (*History, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewHistory(), nil
	}
	h := NewHistory()
	if err == nil {
		h, err = readHistory(f)
		_ = f.Close()
	}
	if err == nil {
		return h, nil
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // we say the path ourselves
	}
	h = NewHistory()
	h.newer = errors.Is(err, errNewer)
	return h, &HistoryReadError{path, err}
}

// historyReader reads whole lines and sums them up.
type historyReader struct {
	in      *bufio.Reader
	sum     uint32
	line    int
	figures int // of a group, as the version has them
}

// next gives the next line without its end. It is good until the one after is read.
func (r *historyReader) next() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	switch {
	case err == io.EOF:
		return nil, errTorn
	case err == bufio.ErrBufferFull:
		return nil, errDamagedHistory
	case err != nil:
		return nil, err
	}
	r.line++
	r.sum = crc32.Update(r.sum, crc32.IEEETable, line)
	return line[:len(line)-1], nil
}

// readHistory reads a history.
func readHistory(f io.Reader) (*History, error) {
	r := &historyReader{in: bufio.NewReaderSize(f, maxLine)}
	h := NewHistory()
	groups, err := h.readHeader(r)
	for range groups {
		if err != nil {
			break
		}
		err = h.readGroup(r)
	}
	if err == nil {
		err = readEnd(r)
	}
	switch {
	case err == errDamagedHistory:
		return nil, fmt.Errorf("line %d: %w", r.line, err)
	case err != nil:
		return nil, err
	}
	h.settle()
	return h, nil
}

// readHeader takes the first line, and says how many groups follow.
func (h *History) readHeader(r *historyReader) (groups uint64, err error) {
	line, err := r.next()
	if err != nil {
		return 0, err
	}
	word, line, _ := bytes.Cut(line, tab)
	if string(word) != historyMagic {
		return 0, errMagic
	}
	word, line, _ = bytes.Cut(line, tab)
	v, ok := integer(word, math.MaxUint32)
	if !ok || v < 1 {
		return 0, errDamagedHistory
	}
	if r.figures = 5; v == 1 {
		r.figures = 4
	}
	if v > historyVersion {
		return 0, fmt.Errorf("%w: it has version %d of the format, and this senddigest reads up to %d", errNewer, v, historyVersion)
	}
	word, line, _ = bytes.Cut(line, tab)
	if groups, ok = integer(word, math.MaxUint32); !ok {
		return 0, errDamagedHistory
	}
	word, line, _ = bytes.Cut(line, tab)
	if h.abreast, ok = number(word, 0, mostAbreast); !ok {
		return 0, errDamagedHistory
	}
	if v > 1 {
		if line, ok = h.readFound(line); !ok {
			return 0, errDamagedHistory
		}
	}
	// A count that is wrong must not cost memory. So many groups have room without growing in any real site.
	room := min(groups, 1<<20)
	h.ends, h.costs = make([]uint32, 0, room), make([]cost, 0, room)
	h.paces = h.paces[:0]
	for more := true; more; {
		word, line, more = bytes.Cut(line, tab)
		pace, ok := number(word, least, most)
		if !ok || len(h.paces) == keptPaces {
			return 0, errDamagedHistory
		}
		h.paces = append(h.paces, pace)
	}
	return groups, nil
}

// readFound takes three words of the first line, and returns what follows them.
func (h *History) readFound(line []byte) (rest []byte, ok bool) {
	var words [3][]byte
	for i := range words {
		words[i], line, _ = bytes.Cut(line, tab)
	}
	sends, okSends := integer(words[0], mostFound)
	spare, okSpare := integer(words[1], mostSpare)
	share, okShare := number(words[2], 0, mostShare)
	h.found = FoundLimit{int(sends), int(spare), float64(share)}
	return line, okSends && okSpare && okShare
}

// readGroup takes the line of one group.
func (h *History) readGroup(r *historyReader) error {
	line, err := r.next()
	if err != nil {
		return err
	}
	key, line, _ := bytes.Cut(line, tab)
	var words [5][]byte
	more := true
	for i := range words[:r.figures] {
		if !more {
			return errDamagedHistory
		}
		words[i], line, more = bytes.Cut(line, tab)
	}
	median, okMedian := number(words[0], least, most)
	spread, okSpread := number(words[1], 0, maxSpread)
	sends, okSends := integer(words[2], maxSends)
	missed, okMissed := integer(words[3], forgetAfter-1)
	longest, okLongest := number(words[4], 0, most)
	n := len(h.costs)
	switch {
	case more || !okMedian || !okSpread || !okSends || !okMissed || sends == 0,
		r.figures == len(words) && !okLongest,
		len(key) == 0 || len(key) > maxKey,
		n > 0 && bytes.Compare(h.name(n-1), key) >= 0: // they are looked for by their order
		return errDamagedHistory
	}
	h.add(key, cost{median, spread, uint8(sends), uint8(missed), longest})
	return nil
}

// readEnd takes the last line. Nothing may follow.
func readEnd(r *historyReader) error {
	want := fmt.Appendf(nil, "%s\t%08x", endMark, r.sum)
	line, err := r.next()
	switch {
	case err != nil:
		return err
	case !bytes.Equal(line, want):
		return errSum
	}
	if _, err := r.in.ReadByte(); err != io.EOF {
		return cmp.Or(err, errSum)
	}
	return nil
}

var tab = []byte{'\t'}

func integer(word []byte, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(string(word), 10, 64)
	return n, err == nil && n <= most
}

func number(word []byte, least, most float32) (float32, bool) {
	x, err := strconv.ParseFloat(string(word), 32)
	return float32(x), err == nil && float32(x) >= least && float32(x) <= most
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

// write writes a history.
func (h *History) write(f io.Writer) error {
	sum := crc32.NewIEEE()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 64<<10)
	known := 0
	for i := range h.costs {
		if h.costs[i].sends > 0 {
			known++
		}
	}
	line := appendNumber(fmt.Appendf(nil, "%s\t%d\t%d", historyMagic, historyVersion, known), h.abreast)
	line = fmt.Appendf(line, "\t%d\t%d", h.found.Sends, h.found.Spare)
	line = appendNumber(line, float32(h.found.Share))
	for _, pace := range h.paces {
		line = appendNumber(line, pace)
	}
	_, err := w.Write(append(line, '\n'))
	for i := range h.costs {
		c := &h.costs[i]
		if c.sends == 0 {
			continue
		}
		line = append(line[:0], h.name(i)...)
		line = appendNumber(appendNumber(line, c.median), c.spread)
		line = strconv.AppendUint(append(line, '\t'), uint64(c.sends), 10)
		line = strconv.AppendUint(append(line, '\t'), uint64(c.missed), 10)
		line = appendNumber(line, c.longest)
		if _, err = w.Write(append(line, '\n')); err != nil {
			break
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%s\t%08x\n", endMark, sum.Sum32())
	}
	return err
}

// appendNumber writes the shortest number that reads as x.
func appendNumber(line []byte, x float32) []byte {
	return strconv.AppendFloat(append(line, '\t'), float64(x), 'g', -1, 32)
}
