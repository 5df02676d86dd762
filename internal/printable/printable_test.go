package printable_test

import (
	"testing"

	"github.com/groupserver/senddigest/internal/printable"
)

func TestLineEscapesWhatATerminalWouldObey(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"main/announce", "main/announce"},
		{`back\slash "quoted" grüppe`, `back\slash "quoted" grüppe`},
		{"a\x1b[2Jb", `a\x1b[2Jb`},
		{"two\nlines", `two\nlines`},
		{"right\u202eleft", `right\u202eleft`},
		{"not\xffUTF-8", `not\xffUTF-8`},
	} {
		if got := printable.Line(row.text); got != row.want {
			t.Errorf("Line(%q) = %s, want %s", row.text, got, row.want)
		}
	}
}
