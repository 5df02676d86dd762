package standin

import (
	"testing"
	"unsafe"
)

// A run of 200,000 groups must fit in memory with its log.
func TestRecordIsSmall(t *testing.T) {
	if got := unsafe.Sizeof(record{}); got > 40 {
		t.Errorf("got %d bytes, want 40 or fewer", got)
	}
}

func TestQueueKeepsOrderAndForgets(t *testing.T) {
	var u queue
	in, out := 0, 0
	pop := func() {
		q := u.pop()
		if q == nil || int(q.group) != out {
			t.Fatalf("got %v, want %d", q, out)
		}
		out++
	}
	for range 10_000 {
		for range 3 {
			u.push(&request{group: int32(in)})
			in++
		}
		for range 3 {
			if in-out > 200 {
				pop()
			}
		}
	}
	if got := cap(u.items); got > 2048 {
		t.Errorf("room for %d, where 200 wait", got)
	}
	for out < in {
		pop()
	}
	if u.pop() != nil {
		t.Error("the queue is not empty")
	}
}
