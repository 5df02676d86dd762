package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
)

// together is how far apart signals may come that are one event. systemd ends a log-in session with SIGTERM and SIGHUP at
// once, of which the process may see either first.
const together = 20 * time.Millisecond

// Stops makes the two contexts of a run. When ctx ends nothing more starts: at the first signal. When abort
// ends, at the second signal, what is in flight is cut. Both carry the cause. SIGHUP is never the second: it says that a
// terminal is gone, which a shell and the system both tell its programs. A third one ends the process, and so does each
// after end, which releases what watches for all this: nothing that is written then, to whoever does not read it, can keep
// the program from being ended. w must not block: a second signal is heard only after the word about the first. It is told
// why, and what follows.
func (p Process) Stops(w io.Writer, program, follows string) (ctx, abort context.Context, end func()) {
	abort, cut := context.WithCancelCause(context.Background())
	ctx, stop := context.WithCancelCause(abort)

	signals, unhear := p.signals()
	done, gone := make(chan struct{}), make(chan struct{})
	first := func(sig os.Signal) {
		why := &campaign.SignalError{Signal: sig}
		stop(why)
		if sig == syscall.SIGHUP {
			passBy(signals, together, done)
		}
		fmt.Fprintf(w, "%s: %v: %s\n", program, why, follows)
	}
	go func() {
		defer close(gone)
		for stopped := false; ; {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch {
				case !stopped:
					stopped = true
					first(sig)
				case sig != syscall.SIGHUP:
					cut(&campaign.SignalError{Signal: sig})
					unhear()
					return
				}
			}
		}
	}()
	return ctx, abort, func() {
		close(done)
		<-gone
		unhear()
		cut(nil)
	}
}

// signals begins to hear the signals that stop a run. unhear may be called more than once.
func (p Process) signals() (signals <-chan os.Signal, unhear func()) {
	if p.HearSignals == nil {
		return nil, func() {}
	}
	// Room for two, the first of which stops the run and the second cuts what is in flight, and for two hang-ups.
	c := make(chan os.Signal, 4)
	return c, p.HearSignals(c)
}

// passBy takes no notice of signals for a time, or until done.
func passBy(signals <-chan os.Signal, d time.Duration, done <-chan struct{}) {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case <-signals:
		case <-over.C:
			return
		case <-done:
			return
		}
	}
}
