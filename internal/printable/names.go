package printable

import (
	"fmt"
	"strings"
)

// named is how many names a line has.
const named = 10

// Names is a line of names, the first ten of them and how many more there are.
func Names(names []string) string {
	lines := make([]string, 0, named+1)
	for _, name := range names[:min(named, len(names))] {
		lines = append(lines, Line(name))
	}
	if more := len(names) - named; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, ", ")
}
