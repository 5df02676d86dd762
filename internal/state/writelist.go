package state

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/groupserver/senddigest/dispatcher"
)

// List writes the list: the groups that will be sent to, in dispatch order, those that are left out, and which of the
// former an earlier run left open. It is called once, before the first event.
func (w *Writer) List(groups []Group, skipped []Skip, opened ...LeftOpen) {
	w.change(func() error {
		if w.jobs != nil {
			return errors.New("a second list")
		}
		w.jobs = make(map[key]int, len(groups))
		w.outcomes = make([]dispatcher.Outcome, len(groups))
		w.skips = skipped
		w.add(record{List: new(len(groups)), Skipped: len(skipped)})
		for i, g := range groups {
			k := keyOf(g.Key())
			if _, twice := w.jobs[k]; twice {
				return fmt.Errorf("%q is in the list twice", g.Key())
			}
			w.jobs[k], w.outcomes[i] = i, dispatcher.NotAttempted
			if err := w.addGroup(g); err != nil {
				return err
			}
		}
		if err := w.addSkipped(skipped); err != nil {
			return err
		}
		for _, o := range opened {
			i, known := w.jobs[keyOf(o.Key())]
			if !known {
				return fmt.Errorf("%q is not in the list", o.Key())
			}
			w.outcomes[i] = dispatcher.Ambiguous
			r := record{Open: &i, Reason: clip(o.Lost.Reason)}
			if !o.At.IsZero() {
				r.At = w.since(o.At)
			}
			if !o.Lost.Start.IsZero() && !o.Lost.Start.Equal(o.At) {
				r.Since = w.since(o.Lost.Start)
			}
			w.add(r)
		}
		w.add(record{Listed: new(len(groups) + len(skipped))})
		w.addEarly()
		return w.flush()
	})
}

// addSkipped adds groups that are left out, each text behind which they stand before the first of them.
func (w *Writer) addSkipped(skipped []Skip) error {
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
			more = append(more, number(s.In), w.since(s.At))
		}
		if err := w.addGroup(s.Group, more...); err != nil {
			return err
		}
	}
	return nil
}

// listChunk is how much of the list is written at once. Unlike events it need not be there record by record: nothing
// is sent before it is whole.
const listChunk = 64 << 10

func (w *Writer) addGroup(g Group, more ...any) error {
	if name := g.Key(); !utf8.ValidString(name) || len(name) > maxText {
		return fmt.Errorf("%.40q is not UTF-8, or too long a name", name)
	}
	w.add(append([]any{g.Site, g.Group}, more...))
	if w.buf.Len() < listChunk {
		return nil
	}
	return w.flush()
}
