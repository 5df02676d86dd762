package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
)

// stops makes the two contexts of a run. When ctx ends nothing more starts: at the first signal, at the deadline,
// or once the run has lasted long enough. When abort ends, at the second signal, what is in flight is cut. Both
// carry the cause. end releases what watches for all this. w must not block: a second signal is heard only after
// the word about the first.
func (p Process) stops(s *config.Settings, w io.Writer) (ctx, abort context.Context, end func()) {
	abort, cut := context.WithCancelCause(context.Background())
	ctx, stop := context.WithCancelCause(abort)

	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for signals := 0; ; signals++ {
			select {
			case <-done:
				return
			case sig := <-p.Signals:
				why := &campaign.SignalError{Signal: sig}
				if signals == 0 {
					stop(why)
					fmt.Fprintf(w, "%s: %v: nothing more starts; once more to cut what is in flight\n", program, why)
					continue
				}
				cut(why)
				if p.ResetSignals != nil {
					p.ResetSignals()
				}
				return
			}
		}
	}()

	var timers []*time.Timer
	at := func(t time.Time, option string) {
		timers = append(timers, time.AfterFunc(time.Until(t), func() { stop(&campaign.DeadlineError{At: t, Option: option}) }))
	}
	if s.MaxDuration > 0 {
		at(time.Now().Add(s.MaxDuration), fmt.Sprintf("--max-duration %v", s.MaxDuration))
	}
	if s.Deadline != nil {
		at(s.Deadline.Next(time.Now()), "--deadline "+s.Deadline.String())
	}
	return ctx, abort, func() {
		for _, t := range timers {
			t.Stop()
		}
		close(done)
		<-gone
		cut(nil)
	}
}
