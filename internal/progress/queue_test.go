package progress_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/groupserver/senddigest/internal/progress"
)

// blocked is a stream that takes nothing until it is let go.
type blocked struct {
	free chan struct{}
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.free
	return b.Buffer.Write(p)
}

func TestAQueueBeforeABlockedStreamKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &blocked{free: make(chan struct{})}
		q := progress.NewQueue(out)
		line := strings.Repeat("x", 1023) + "\n"
		for range 5000 {
			if n, err := q.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			synctest.Wait() // so that the stream has the first line alone
		}
		close(out.free)
		synctest.Wait()
		_, _ = q.Write([]byte("the end\n"))
		q.Close(t.Context())
		got := out.String()
		if kept := strings.Count(got, line); kept != 1025 {
			t.Errorf("%d lines were kept, want the first and as many as the queue holds", kept)
		}
		if !strings.HasSuffix(got, "(3975 messages could not be shown)\nthe end\n") {
			t.Errorf("the end is %q", got[len(got)-60:])
		}
	})
}

func TestAQueueWritesAllInOrderBeforeItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		q := progress.NewQueue(&out)
		var want strings.Builder
		for word := range strings.FieldsSeq("one two three four five six") {
			_, _ = q.Write([]byte(word + "\n"))
			want.WriteString(word + "\n")
		}
		q.Close(t.Context())
		if out.String() != want.String() {
			t.Errorf("got %q, want %q", out.String(), want.String())
		}
		if _, err := q.Write([]byte("late")); err != nil || out.String() != want.String() {
			t.Errorf("after Close: %v, %q", err, out.String())
		}
	})
}
