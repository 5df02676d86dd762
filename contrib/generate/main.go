// Generate writes what is packaged beside the programs, and made from the definitions that --help shows: the man pages and
// the shells' completions.
//
//	go run ./contrib/generate DIR VERSION
//
// A man page's date is that of SOURCE_DATE_EPOCH, which must be set: the same source makes the same files.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/fleet/program"
)

func main() {
	if err := generate(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: generate DIR VERSION")
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	for _, p := range []command.Program{command.Senddigest(), command.Sendprofile(), program.New()} {
		m := p.Manual()
		for name, text := range map[string]string{
			m.Name + ".8": m.Man(args[1], time.Unix(epoch, 0)), m.Name + ".bash": m.Bash(), "_" + m.Name: m.Zsh(), m.Name + ".fish": m.Fish(),
		} {
			if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
