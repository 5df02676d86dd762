package state

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/groupserver/senddigest/internal/ledger"
)

// summarize reads the first and the last record of a file. What it could learn before an error it gives with it.
func summarize(path string) (Summary, error) {
	var s Summary
	s.name(path)
	f, err := os.Open(path)
	if err != nil {
		return s, dirError(path, err)
	}
	defer func() { _ = f.Close() }()
	lines := wholeLines(f)
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return s, &DamagedError{path, 1, err}
		}
		return s, nil // killed at birth
	}
	head := lines.Bytes()
	if err := s.header(path, head); err != nil {
		return s, err
	}
	last, err := lastLine(f, int64(len(head)+1))
	if err != nil {
		return s, &DamagedError{path, 0, err}
	}
	if len(last) == 0 || last[0] == '[' {
		return s, nil // the list is not whole
	}
	var r record
	if err := parseRecord(last, &r); err != nil {
		return s, &DamagedError{path, 0, err}
	}
	s.end(&r)
	return s, nil
}

// name takes in what the file's name says.
func (s *Summary) name(path string) {
	n, _ := nameOf(filepath.Base(path))
	s.Campaign, s.Run, s.Aside, s.Overtaken = n.campaign, n.run, n.aside, n.overtaken
}

// header takes the first line in.
func (s *Summary) header(path string, line []byte) error {
	h, version, err := parseHeader(line)
	if err != nil {
		return &DamagedError{path, 1, err}
	}
	campaign, run := s.Campaign, s.Run
	s.Header = h
	s.Run = run // the file's name leads to it, whatever a newer header may say
	s.Last = h.Started
	if version > Version {
		return &VersionError{path, version}
	}
	if h.Campaign != "" && h.Campaign != campaign {
		return &DamagedError{path, 1, fmt.Errorf("it is of campaign %.40q", h.Campaign)}
	}
	if h.Run != run {
		return &DamagedError{path, 1, fmt.Errorf("it is of run %.40q", h.Run)}
	}
	return nil
}

// end takes a record in that may be the last.
func (s *Summary) end(r *record) {
	switch {
	case r.Listed != nil:
		s.Listed = true
	case r.Finished != nil:
		s.Last = s.time(r.At)
		s.Finished = s.Last
		s.StoppedBy, s.Error = r.StoppedBy, r.Error
		if r.Paused != nil {
			s.Paused = time.Duration(*r.Paused)
		}
		s.Judged = r.Mail != "" || r.LeftMail != ""
		for _, letters := range []string{r.Mail, r.LeftMail} {
			for i := range len(letters) {
				s.Mails[ledger.MailOf(letters[i])]++
			}
		}
		if len(r.Gaps) == 2 {
			s.GapGroups, s.GapPosts = r.Gaps[0], r.Gaps[1]
		}
		if s.Listed = r.counts != nil; s.Listed {
			s.Counts = *r.counts
		}
	case r.Start != nil, r.End != nil, r.Limit != nil:
		s.Listed = true
		s.Last = s.time(r.At)
	}
}

// time is a time as records have it; zero means not known.
func (s *Summary) time(at *seconds) time.Time {
	if at == nil {
		return time.Time{}
	}
	return s.Started.Add(time.Duration(*at))
}

// lastLine returns the last whole line of a file, or nothing if there is none after its first from bytes.
func lastLine(f *os.File, from int64) ([]byte, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	for chunk := int64(4 << 10); chunk <= longestLine; chunk *= 4 {
		start := max(size-chunk, from)
		tail := make([]byte, max(size-start, 0))
		if _, err := f.ReadAt(tail, start); err != nil && err != io.EOF {
			return nil, err
		}
		whole := bytes.TrimSuffix(tail[:bytes.LastIndexByte(tail, '\n')+1], []byte("\n"))
		if before := bytes.LastIndexByte(whole, '\n'); before >= 0 || start == from {
			return whole[before+1:], nil
		}
	}
	return nil, errTooLong
}
