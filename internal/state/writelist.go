package state

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// List writes the list: the groups that will be sent to, in dispatch order, those that are left out, and which of the
// former an earlier run left open. It is called once, before the first event.
func (w *Writer) List(groups []Group, skipped []Skip, opened ...LeftOpen) {
	w.change(func() error {
		if w.listed || w.jobs != nil {
			return errors.New("a second list")
		}
		w.jobs = make(map[key]uint32, len(groups))
		w.states = make([]byte, len(groups))
		w.skipped = len(skipped)
		for i, g := range groups {
			k := keyOf(g.Key())
			if _, twice := w.jobs[k]; twice {
				return fmt.Errorf("%q is in the list twice", g.Key())
			}
			w.jobs[k] = uint32(i)
			w.states[i] = untried
		}
		if err := w.writeList(groups, skipped, opened); err != nil {
			return err
		}
		w.listed = true
		return nil
	})
}

// listChunk is how much of the list is written at once. Unlike events it need not be there record by record: nothing
// is sent before it is whole.
const listChunk = 64 << 10

func (w *Writer) writeList(groups []Group, skipped []Skip, opened []LeftOpen) error {
	w.buf.Reset()
	w.add(record{List: new(len(groups)), Skipped: len(skipped)})
	for _, g := range groups {
		if err := w.addGroup(g); err != nil {
			return err
		}
	}
	texts := map[string]int{}
	number := func(text string) int {
		n, seen := texts[text]
		if !seen {
			n = len(texts)
			texts[text] = n
			w.add(record{Text: new(clip(text))})
		}
		return n
	}
	for _, s := range skipped {
		more := []any{number(s.Reason)}
		if s.In != "" {
			more = append(more, number(s.In), seconds(s.At.Sub(w.started)))
		}
		if err := w.addGroup(s.Group, more...); err != nil {
			return err
		}
	}
	for _, o := range opened {
		i, known := w.jobs[keyOf(o.Key())]
		if !known {
			return fmt.Errorf("%q is not in the list", o.Key())
		}
		w.states[i] = open
		r := record{Open: new(int(i)), Reason: clip(o.Lost.Reason)}
		if !o.At.IsZero() {
			r.At = w.since(o.At)
		}
		if !o.Lost.Start.IsZero() && !o.Lost.Start.Equal(o.At) {
			r.Since = w.since(o.Lost.Start)
		}
		w.add(r)
	}
	w.add(record{Listed: new(len(groups) + len(skipped))})
	return w.flush()
}

func (w *Writer) addGroup(g Group, more ...any) error {
	if !utf8.ValidString(g.Site) || !utf8.ValidString(g.Group) {
		return fmt.Errorf("%q is not UTF-8", g.Key())
	}
	start := w.buf.Len()
	w.add(append([]any{g.Site, g.Group}, more...))
	if w.buf.Len()-start > maxRecord {
		return fmt.Errorf("%.40q… is too long a name", g.Key())
	}
	if w.buf.Len() < listChunk {
		return nil
	}
	return w.flush()
}
