package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// WriteJSON writes the document as JSON: the figures first, then the groups, one a line, so that a report can be
// read by eye and searched with grep. It holds one group in memory at a time.
func (d *Document) WriteJSON(w io.Writer) error {
	head, err := marshal(d, "  ")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	// The head is an object with at least one field; the list of groups goes in before its closing brace.
	_, _ = out.Write(bytes.TrimSuffix(head, []byte("\n}")))
	_, _ = out.WriteString(",\n  \"groups\": [")
	separator := "\n    "
	for g := range d.Groups() {
		row, err := marshal(g, "")
		if err != nil {
			return err
		}
		_, _ = out.WriteString(separator)
		_, _ = out.Write(row)
		separator = ",\n    "
	}
	if separator == ",\n    " {
		_, _ = out.WriteString("\n  ")
	}
	_, _ = out.WriteString("]\n}\n")
	return out.Flush() // gives the first error of all the writes
}

// marshal is json.Marshal that leaves <, > and & as they are: nobody puts this into a web page.
func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
