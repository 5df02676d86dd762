package worker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/groupserver/senddigest/internal/fleet"
)

// An outbox keeps the ends of attempts until the database has them: in memory, and one a line in a file that is written before
// the database is told, so that it outlives the process. It is put on the disk where the database does not answer: to wait for
// the disk after each send would keep the send's place for so long. A process has a file for itself, which it locks; those of
// processes that have died it takes over. What a torn last line was to say is lost, as it is without a file.
type outbox struct {
	mu      sync.Mutex
	pending map[int64]fleet.End
	file    *os.File // nil: in memory alone
	failed  error    // of the file; nil: none
}

// slots is how many workers of one machine and installation can have a file each.
const slots = 64

// openOutbox opens the outbox in a folder, which is made. The outbox works also where there is an error.
func openOutbox(dir string) (*outbox, error) {
	b := &outbox{pending: map[int64]fleet.End{}}
	if dir == "" {
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return b, err
	}
	for slot := range slots {
		path := filepath.Join(dir, fmt.Sprintf("worker-%d.jsonl", slot))
		if _, err := os.Stat(path); err != nil && b.file != nil {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return b, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil { // another one lives
			_ = f.Close()
			continue
		}
		left, err := read(f)
		if err != nil {
			_ = f.Close()
			return b, err
		}
		for _, e := range left {
			b.pending[e.Attempt] = e
		}
		if b.file == nil {
			b.file = f
			continue
		}
		// What it held goes to our own file first.
		if b.write(left...) == nil && b.file.Sync() == nil {
			_ = f.Truncate(0)
		}
		_ = f.Close()
	}
	if b.file == nil {
		return b, errors.New("too many workers keep files in " + dir)
	}
	return b, nil
}

func read(f *os.File) (ends []fleet.End, err error) {
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e fleet.End
		if len(bytes.TrimSpace(lines.Bytes())) > 0 && json.Unmarshal(lines.Bytes(), &e) == nil && e.Attempt != 0 {
			ends = append(ends, e)
		}
	}
	return ends, lines.Err()
}

// write puts ends into the file. A line break comes first: the line before may be torn.
func (b *outbox) write(ends ...fleet.End) error {
	if b.file == nil || b.failed != nil || len(ends) == 0 {
		return b.failed
	}
	var lines bytes.Buffer
	lines.WriteByte('\n')
	for _, e := range ends {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	_, b.failed = b.file.Write(lines.Bytes())
	return b.failed
}

// sync puts the file on the disk.
func (b *outbox) sync() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil && b.failed == nil {
		b.failed = b.file.Sync()
	}
}

// add keeps an end. Where the file cannot be written, that is in memory alone.
func (b *outbox) add(e fleet.End) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[e.Attempt] = e
	_ = b.write(e)
}

// done forgets an end that the database has.
func (b *outbox) done(attempt int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pending, attempt)
	if len(b.pending) == 0 && b.file != nil {
		b.failed = b.file.Truncate(0) // a full disk may have room again
	}
}

// left are the ends that the database does not have.
func (b *outbox) left() (ends []fleet.End) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.pending {
		ends = append(ends, e)
	}
	return ends
}

func (b *outbox) empty() bool { return len(b.left()) == 0 }

func (b *outbox) close() {
	if b.file != nil {
		_ = b.file.Close()
	}
}
