package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
	"github.com/groupserver/senddigest/internal/config"
)

// deadline is when a run has to start nothing more by --deadline; nil: never. It is a time of day, so it counts from the
// beginning, also while the lock is waited for.
func deadline(s *config.Settings, now time.Time) *campaign.DeadlineError {
	if s.Deadline == nil {
		return nil
	}
	return &campaign.DeadlineError{At: s.Deadline.Next(now), Option: "--deadline " + s.Deadline.String()}
}

// maxDuration is the same by --max-duration, for a run that began at started: when it had the lock.
func maxDuration(s *config.Settings, started time.Time) *campaign.DeadlineError {
	if s.MaxDuration <= 0 {
		return nil
	}
	return &campaign.DeadlineError{At: started.Add(s.MaxDuration), Option: fmt.Sprintf("--max-duration %v", s.MaxDuration)}
}

// together is how far apart signals may come that are one event. systemd ends a log-in session with SIGTERM and SIGHUP at
// once, of which the process may see either first.
const together = 20 * time.Millisecond

// stops makes the two contexts of a run. When ctx ends nothing more starts: at the first signal, or by stop. When abort
// ends, at the second signal, what is in flight is cut. Both carry the cause. SIGHUP is never the second: it says that a
// terminal is gone, which a shell and the system both tell its programs. end releases what watches for all this. w must
// not block: a second signal is heard only after the word about the first.
func (p Process) stops(w io.Writer) (ctx, abort context.Context, stop context.CancelCauseFunc, end func()) {
	abort, cut := context.WithCancelCause(context.Background())
	ctx, stop = context.WithCancelCause(abort)

	done, gone := make(chan struct{}), make(chan struct{})
	first := func(sig os.Signal) {
		why := &campaign.SignalError{Signal: sig}
		stop(why)
		if sig == syscall.SIGHUP {
			p.passBy(together, done)
		}
		fmt.Fprintf(w, "%s: %v: nothing more starts; once more to cut what is in flight\n", program, why)
	}
	go func() {
		defer close(gone)
		for stopped := false; ; {
			select {
			case <-done:
				return
			case sig := <-p.Signals:
				switch {
				case !stopped:
					stopped = true
					first(sig)
				case sig != syscall.SIGHUP:
					cut(&campaign.SignalError{Signal: sig})
					if p.ResetSignals != nil {
						p.ResetSignals()
					}
					return
				}
			}
		}
	}()
	return ctx, abort, stop, func() {
		close(done)
		<-gone
		cut(nil)
	}
}

// passBy takes no notice of signals for a time, or until done.
func (p Process) passBy(d time.Duration, done <-chan struct{}) {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case <-p.Signals:
		case <-over.C:
			return
		case <-done:
			return
		}
	}
}
