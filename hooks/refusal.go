package hooks

import (
	"encoding/json"
	"io"
	"strings"
)

// maxObject bounds an object, in bytes; the hooks' own have a few hundred.
const maxObject = 64 << 10

// An object is what a hook that speaks JSON answers, besides a list (docs/groupserver.md sections 3 and 11): what came
// of a send, why it refuses the form, or, where the action field did not arrive, what its form is.
type object struct {
	Status    *float64
	Message   any            // of a send a string, of a refused form a list of them
	Actions   map[string]any // of the form
	Arguments map[string]any // of the form
}

// The statuses of a refused form: of the released versions, and the one that the hooks' authors meant, which has other
// texts beside it (docs/groupserver.md section 4).
const (
	released = -1
	designed = 100
)

// errors is the list of a form's errors. found reports whether there is one.
func (o *object) errors() (texts []string, found bool) {
	list, found := o.Message.([]any)
	for _, entry := range list {
		text, ok := entry.(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, found
}

// unexpected makes an error of an object that is neither an outcome nor a refusal.
func (o *object) unexpected(h hook) error {
	if o.Status == nil && o.Actions != nil && o.Arguments != nil {
		return &UnexpectedPageError{h.String(), "the hook describes itself: the form did not reach it. " +
			"Does something between here and the site turn POST into GET?"}
	}
	return &UnexpectedPageError{h.String(), "an object that is not the hook's"}
}

// readRefusal judges an object where a list should be.
func (c *Client) readRefusal(h hook, r io.Reader, contentType string) error {
	body, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return err
	}
	if !json.Valid(body) && len(body) < maxObject && strings.Contains(contentType, "json") {
		// The hook does not escape what it repeats: a token with a backslash or a line end in it spoils the JSON.
		return &RejectedError{Hook: h.String(), Token: true}
	}
	var answer object
	if json.Unmarshal(body, &answer) != nil {
		return &UnexpectedPageError{h.String(), "neither the " + h.String() + " nor the hook's refusal"}
	}
	if texts, found := answer.errors(); answer.Status != nil && found {
		return c.refusal(h, *answer.Status, texts)
	}
	return answer.unexpected(h)
}

// refusal makes an error of a form's errors.
func (c *Client) refusal(h hook, status float64, texts []string) error {
	e := &RejectedError{Hook: h.String()}
	var others []string
	for _, text := range texts {
		switch {
		case strings.HasPrefix(text, tokenLabel), status == designed && strings.Contains(text, "'token'"):
			e.Token = true // the text repeats the token
		case !h.personal():
			others = append(others, c.quote(text))
		case strings.Contains(text, profileLabel):
			others = append(others, profileLabel)
		}
	}
	e.Message = strings.Join(others, "; ")
	return e
}
