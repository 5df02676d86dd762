package command_test

import (
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/command"
)

func TestTheManualAndTheCompletionsHaveEveryOption(t *testing.T) {
	t.Parallel()
	for _, p := range []command.Program{command.Senddigest(), command.Sendprofile()} {
		m := p.Manual()
		page := m.Man("v1", time.Unix(0, 0))
		for _, f := range p.Flags {
			if dashed := `\fB\-\-` + strings.ReplaceAll(f.Name, "-", `\-`) + `\fR`; !strings.Contains(page, dashed) {
				t.Errorf("the man page has no --%s", f.Name)
			}
			if !strings.Contains(m.Bash(), " --"+f.Name) || !strings.Contains(m.Zsh(), "--"+f.Name) || !strings.Contains(m.Fish(), " -l "+f.Name+" ") {
				t.Errorf("a shell's completion has no --%s", f.Name)
			}
			if f.Default != "" && !strings.Contains(page, "(default: "+strings.ReplaceAll(f.Default, "-", `\-`)+")") {
				t.Errorf("the man page has not the default of --%s", f.Name)
			}
		}
		for _, text := range []string{`\fB78\fR`, `\fB143\fR`, p.EnvPrefix() + "NAME"} {
			if !strings.Contains(page, text) {
				t.Errorf("the man page has no %s", text)
			}
		}
	}
}
