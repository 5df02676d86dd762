package command

import (
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/config"
)

func TestHelpHasNoLineThatIsWiderThanTheTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{80, 100, 132} {
		for _, name := range []string{program, "check", "demo", "report"} {
			for line := range strings.Lines(help(name, columns)) {
				if line = strings.TrimSuffix(line, "\n"); len(line) > columns {
					t.Errorf("%s, %d columns: %q has %d", name, columns, line, len(line))
				}
			}
		}
	}
}

func TestHelpAndManualHaveTheOptionsInTheOrderOfNeed(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"help": help(program, 80), "manual": strings.ReplaceAll(Manual().Man("v1", time.Unix(0, 0)), ".SS \"", "  ")} {
		at := 0
		for _, category := range append(config.Categories(), catHelp) {
			found := strings.Index(text[at:], "\n  "+category)
			if found < 0 {
				t.Errorf("%s: no %q behind the categories before it", name, category)
				continue
			}
			at += found
		}
	}
}
