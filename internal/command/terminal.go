package command

import (
	"context"
	"os"
	"time"

	"github.com/groupserver/senddigest/internal/progress"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the one that standard error is; nil if it is none, or one that can only print lines.
func (p Process) terminal() *progress.Terminal {
	f, ok := p.Stderr.(*os.File)
	if kind, _ := p.Getenv("TERM"); !ok || !term.IsTerminal(int(f.Fd())) || kind == "dumb" {
		return nil
	}
	noColor, _ := p.Getenv("NO_COLOR") // https://no-color.org: set to anything but nothing
	return &progress.Terminal{
		Size: func() (columns, rows int) {
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 0, 0
			}
			return columns, rows
		},
		Ours: func() bool {
			// Of a terminal that does not control us the system tells nothing, and 0 of a group that a container cannot see.
			group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
			return err != nil || group == 0 || group == unix.Getpgrp()
		},
		Color: noColor == "",
	}
}

// flushTime is how long standard error may take to show what was said before the program is suspended, or when it was
// told to cut what is in flight. A terminal that was stopped shows nothing.
const flushTime = time.Second

// suspend clears the terminal before the program is suspended, and goes on with the display afterwards. What it returns
// ends that.
func (p Process) suspend(c *session) (end func()) {
	if p.HearSuspend == nil || p.terminal() == nil {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	stop := p.HearSuspend(signals)
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-done:
				stop()
				return
			case <-signals:
				c.display.Suspend()
				soon, cancel := context.WithTimeout(context.Background(), flushTime)
				c.queue.Flush(soon)
				cancel()
				stop()
				p.Suspend()
				stop = p.HearSuspend(signals)
				c.display.Resume()
			}
		}
	}()
	return func() {
		close(done)
		<-gone
	}
}
