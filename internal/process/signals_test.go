package process

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/campaign"
)

// A closing terminal is told to a program by its shell and by the system, and the end of a log-in session by SIGTERM and
// SIGHUP: neither may cut what is in flight.
func TestASecondSignalCutsWhatIsInFlightAndAHangUpNeverDoes(t *testing.T) {
	const (
		hup, in, term = syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM
		later         = syscall.Signal(0) // a second passes
	)
	for _, row := range []struct {
		name    string
		signals []syscall.Signal
		stopped syscall.Signal // what stopped the run
		cut     syscall.Signal // what cut it; 0: nothing did
	}{
		{"once", []syscall.Signal{in}, in, 0},
		{"twice", []syscall.Signal{in, in}, in, in},
		{"another", []syscall.Signal{term, later, in}, term, in},
		{"a hang-up", []syscall.Signal{hup}, hup, 0},
		{"a hang-up from the shell and the system", []syscall.Signal{hup, hup}, hup, 0},
		{"a hang-up some time after another", []syscall.Signal{hup, later, hup}, hup, 0},
		{"the end of a session", []syscall.Signal{term, hup}, term, 0},
		{"the end of a session, seen the other way round", []syscall.Signal{hup, term}, hup, 0},
		{"a hang-up after Ctrl-C", []syscall.Signal{in, later, hup}, in, 0},
		{"a signal after a hang-up", []syscall.Signal{hup, later, term}, hup, term},
		{"a signal after several", []syscall.Signal{term, hup, later, hup, in}, term, in},
	} {
		synctest.Test(t, func(t *testing.T) {
			var signals chan<- os.Signal
			p := Process{HearSignals: func(c chan<- os.Signal) func() { signals = c; return func() {} }}
			ctx, abort, end := p.Stops(io.Discard, "senddigest", "")
			for _, s := range row.signals {
				if s == later {
					time.Sleep(time.Second)
					continue
				}
				signals <- s
			}
			synctest.Wait()
			if e, ok := errors.AsType[*campaign.SignalError](context.Cause(ctx)); !ok || e.Signal != row.stopped {
				t.Errorf("%s: stopped by %v, want %v", row.name, context.Cause(ctx), row.stopped)
			}
			e, ok := errors.AsType[*campaign.SignalError](context.Cause(abort))
			if ok != (row.cut != 0) || ok && e.Signal != row.cut {
				t.Errorf("%s: cut by %v, want %v", row.name, context.Cause(abort), row.cut)
			}
			end()
		})
	}
}
