package process

import (
	"fmt"

	"github.com/groupserver/senddigest/internal/progress"
)

// TellStatus prints one line of how far the run is at each signal that asks for it. What it returns ends that.
func (p Process) TellStatus(display *progress.Display, program string) (end func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-done:
				return
			case <-p.StatusSignals:
				fmt.Fprintf(display, "%s: %s\n", program, display.Status())
			}
		}
	}()
	return func() {
		close(done)
		<-gone
	}
}
