package process

import (
	"os"

	"github.com/groupserver/senddigest/internal/progress"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Terminal is the one that standard error is; nil if it is none, or one that can only print lines.
func (p Process) Terminal() *progress.Terminal {
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

// Columns is how wide the terminal is that standard output is; 0: it is none.
func (p Process) Columns() int {
	w := p.Stdout
	if o, ok := w.(*Output); ok {
		w = o.W
	}
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 0
}
