package state_test

import (
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// Those that send for it keep their own record.
func TestAKilledRunThatOthersSendForLeavesNoDoubt(t *testing.T) {
	d := open(t)
	l, err := d.Lock(t.Context(), here, func(since time.Time) state.Holder {
		h := holder(run1)(since)
		h.Queue = true
		return h
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	end(t, d, l, true)
	next := lock(t, d, later)
	if doubt := next.Doubt(); !doubt.IsZero() {
		t.Errorf("since %v sends are in doubt", doubt)
	}
	_ = next.Unlock()
}
