package manual_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/groupserver/senddigest/internal/manual"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ferry is a program with an option of each kind, and with every character that somebody takes for something else.
func ferry() manual.Program {
	help := manual.Option{Names: []string{"help", "h"}, Usage: "show this help", Category: "Help"}
	verbose := manual.Option{Names: []string{"verbose", "v"}, Usage: "say what's [really] going on: all of it", Category: "Output"}
	return manual.Program{
		Name: "ferry", Summary: "carry things across",
		Commands: []manual.Command{
			{Usage: "ferry [options] SHORE", Options: []manual.Option{
				{Names: []string{"load", "l", "cargo"}, Arg: "N", Default: "2", Usage: "carry `N` things; more would sink", Category: "Cargo"},
				{Names: []string{"order"}, Arg: "ORDER", Values: []string{"first", "last"}, Default: "first", Usage: "who goes first", Category: "Cargo"},
				{Names: []string{"list"}, Arg: "FILE", Repeat: true, Usage: "what to carry, from a FILE", Category: "Cargo"},
				{Names: []string{"at"}, Arg: "HH:MM", Usage: "when", Category: "Cargo"},
				{Names: []string{"dock"}, Arg: "DIR", Usage: `where C:\ is not`, Category: "Places"},
				verbose, help,
			}},
			{Name: "moor", Summary: "stay where it is; carries nothing", Usage: "ferry moor [options]", Options: []manual.Option{
				{Names: []string{"rope", "r"}, Arg: "LENGTH", Usage: "of the rope", Category: "Rope"}, verbose, help,
			}},
			{Name: "sink", Summary: "end it", Usage: "ferry sink", Options: []manual.Option{help}},
		},
		Codes:  []manual.Item{{"0", "across"}, {"1", "still here"}},
		Before: []manual.Section{{Title: "Description", Text: "Goes to and fro.\n\nIt's \"slow\" - a `boat` with \\ and ~ and ^,\n.and a line like a request\n'and another"}},
		After:  []manual.Section{{Title: "Files", Items: []manual.Item{{".ferryrc", ".what it reads"}}}},
	}
}

func TestTheFormatsAreTheGoldenFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"ferry.8":    ferry().Man("v1.2", time.Date(2026, 11, 23, 23, 59, 0, 0, time.FixedZone("", -3600))),
		"ferry.bash": ferry().Bash(), "_ferry": ferry().Zsh(), "ferry.fish": ferry().Fish(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, string(want)); diff != "" {
				t.Errorf("got -, want +; -update rewrites it:\n%s", diff)
			}
		})
	}
}
