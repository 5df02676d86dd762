package state

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/groupserver/senddigest/internal/printable"
)

// headerRecord is the first line of a journal. Besides its own fields it has those of the header that have a name in JSON.
type headerRecord struct {
	Journal int `json:"journal"`
	Header
	Token          string    `json:"installation"`
	Site           string    `json:"site"`
	Assumed        time.Time `json:"assumed,omitzero"`
	AssumedSeconds seconds   `json:"assumed_seconds,omitempty"`
}

// line returns the first line of a journal.
func (h *Header) line() ([]byte, error) {
	r := headerRecord{
		Version, *h, h.Installation.Token, h.Installation.Site, h.Assumed.Start.UTC(), seconds(h.Assumed.Length),
	}
	r.Started = h.Started.UTC()
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}

var errNoHeader = errors.New("not the header of a journal")

// parseHeader reads a header, and as much as it can of one with a newer version.
func parseHeader(line []byte) (h Header, version int, err error) {
	var r headerRecord
	err = json.Unmarshal(line, &r)
	switch newer := r.Journal > Version; {
	case r.Journal < 1, err != nil && !newer:
		return Header{}, 0, errNoHeader
	case !newer && !r.plausible():
		return Header{}, 0, errFigure
	}
	h = r.Header
	h.Installation = Installation{r.Token, r.Site}
	h.Assumed = Assumed{r.Assumed, time.Duration(r.AssumedSeconds)}
	for _, command := range []*string{&h.Resume, &h.RetryFailed} {
		if printable.Line(*command) != *command {
			*command = "" // a terminal would not show it as it is
		}
	}
	return h, r.Journal, nil
}
