package printable

import (
	"fmt"
	"strings"
)

// named is how many names a line has at most.
const named = 10

// Names is the beginning of a list of so many names, on one line: the first ten at most, and how many more there are.
func Names(names []string, of int) string {
	var parts []string
	for _, name := range names[:min(named, len(names))] {
		parts = append(parts, Line(name))
	}
	if more := of - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}
