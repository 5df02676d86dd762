package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
)

// ending is when a run has to start nothing more, by --max-duration or --deadline; nil: never.
func ending(s *config.Settings) *campaign.DeadlineError {
	var ends *campaign.DeadlineError
	now := time.Now()
	if s.MaxDuration > 0 {
		ends = &campaign.DeadlineError{At: now.Add(s.MaxDuration), Option: fmt.Sprintf("--max-duration %v", s.MaxDuration)}
	}
	if s.Deadline != nil {
		if at := s.Deadline.Next(now); ends == nil || at.Before(ends.At) {
			ends = &campaign.DeadlineError{At: at, Option: "--deadline " + s.Deadline.String()}
		}
	}
	return ends
}

// stops makes the two contexts of a run. When ctx ends nothing more starts: at the first signal, or when its time is
// over. When abort ends, at the second signal, what is in flight is cut. Both carry the cause. end releases what
// watches for all this. w must not block: a second signal is heard only after the word about the first.
func (p Process) stops(ends *campaign.DeadlineError, w io.Writer) (ctx, abort context.Context, end func()) {
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

	var timer *time.Timer
	if ends != nil {
		timer = time.AfterFunc(time.Until(ends.At), func() { stop(ends) })
	}
	return ctx, abort, func() {
		if timer != nil {
			timer.Stop()
		}
		close(done)
		<-gone
		cut(nil)
	}
}
