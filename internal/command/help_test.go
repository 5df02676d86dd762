package command

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/config"
)

func TestHelpHasNoLineThatIsWiderThanTheTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{80, 100, 132} {
		for _, p := range []Program{Senddigest(), Sendprofile()} {
			for _, name := range []string{"", "check", "demo", "report"} {
				for line := range strings.Lines(p.Manual().Help(cmp.Or(name, p.Name), columns)) {
					if line = strings.TrimSuffix(line, "\n"); len(line) > columns {
						t.Errorf("%s %s, %d columns: %q has %d", p.Name, name, columns, line, len(line))
					}
				}
			}
		}
	}
}

func TestHelpAndManualHaveTheOptionsInTheOrderOfNeed(t *testing.T) {
	t.Parallel()
	p := Senddigest()
	for name, text := range map[string]string{"help": p.Manual().Help(p.Name, 80), "manual": strings.ReplaceAll(p.Manual().Man("v1", time.Unix(0, 0)), ".SS \"", "  ")} {
		at := 0
		for _, category := range append(config.Categories(), catHelp) {
			if !slices.ContainsFunc(p.Flags, func(f config.Flag) bool { return f.Category == category }) && category != catHelp {
				continue // it has no such options
			}
			found := strings.Index(text[at:], "\n  "+category)
			if found < 0 {
				t.Errorf("%s: no %q behind the categories before it", name, category)
				continue
			}
			at += found
		}
	}
}
