package state_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/state"
)

// Older readers know no steer: to them it is the limit that holds from then on.
func TestWhatAnOperatorChangedIsOnRecordWithTheLimitThatHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		h := header(run1)
		h.Started, h.Workers = time.Now(), 4
		w := begin(t, d, h)
		steers := []state.Steer{
			{At: h.Started.Add(time.Second), What: "rate", From: "none", To: "2/s", Sends: 4},
			{At: h.Started.Add(2 * time.Second), What: "pause", Sends: 0},
			{At: h.Started.Add(3 * time.Second), What: "workers", From: "4", To: "1", Sends: 0},
			{At: h.Started.Add(4 * time.Second), What: "resume", Sends: 1},
		}
		w.Steer(steers[0]) // before there is a list
		w.List(groups(1), nil)
		for _, s := range steers[1:] {
			w.Steer(s)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run := load(t, d, run1)
		same := cmp.Comparer(time.Time.Equal)
		if diff := cmp.Diff(steers, run.Steers, same); diff != "" {
			t.Error(diff)
		}
		limits := []state.Limit{{At: steers[1].At}, {At: steers[3].At, Sends: 1}}
		if diff := cmp.Diff(limits, run.Limits, same); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatAnOperatorChangedIsOnRecordWithoutAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		h := header(run1)
		h.Started = time.Now()
		w := begin(t, d, h)
		steers := []state.Steer{{At: h.Started.Add(time.Second), What: "pause"}, {At: h.Started.Add(2 * time.Second), What: "stop"}}
		for _, s := range steers {
			w.Steer(s)
		}
		w.Finish(state.Ending{At: h.Started.Add(3 * time.Second), StoppedBy: "control", Error: "stopped by control", Paused: 2 * time.Second})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run := load(t, d, run1)
		if diff := cmp.Diff(steers, run.Steers, cmp.Comparer(time.Time.Equal)); diff != "" || run.Finished.IsZero() || run.StoppedBy != "control" || run.Paused != 2*time.Second {
			t.Errorf("finished at %v by %q after a pause of %v, %s", run.Finished, run.StoppedBy, run.Paused, diff)
		}
	})
}
