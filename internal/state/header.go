package state

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/groupserver/senddigest/internal/printable"
)

// headerRecord is the first line of a journal.
type headerRecord struct {
	Journal      int       `json:"journal"`
	Campaign     string    `json:"campaign"`
	Run          string    `json:"run"`
	URL          string    `json:"url"`
	Installation string    `json:"installation"`
	Site         string    `json:"site"`
	Started      time.Time `json:"started"`
	Workers      int       `json:"workers"`
	Rate         float64   `json:"rate"`
	Burst        int       `json:"burst"`
	Resumes      string    `json:"resumes"`

	Only           []string  `json:"only,omitempty"`
	Exclude        []string  `json:"exclude,omitempty"`
	Assumed        time.Time `json:"assumed,omitzero"`
	AssumedSeconds seconds   `json:"assumed_seconds,omitempty"`
	Resume         string    `json:"resume,omitempty"`
	RetryFailed    string    `json:"retry_failed,omitempty"`
}

// line returns the first line of a journal.
func (h *Header) line() ([]byte, error) {
	line, err := json.Marshal(headerRecord{
		Version, h.Campaign, h.Run, h.URL, h.Installation.Token, h.Installation.Site, h.Started.UTC(), h.Workers, h.Rate,
		h.Burst, h.Resumes, h.Only, h.Exclude, h.Assumed.Start.UTC(), seconds(h.Assumed.Length),
		h.Resume, h.RetryFailed,
	})
	return append(line, '\n'), err
}

var errNoHeader = errors.New("not the header of a journal")

// parseHeader reads a header, and as much as it can of one with a newer version.
func parseHeader(line []byte) (h Header, version int, err error) {
	var v struct{ Journal int }
	if err := json.Unmarshal(line, &v); err != nil || v.Journal < 1 {
		return Header{}, 0, errNoHeader
	}
	var r headerRecord
	if err := json.Unmarshal(line, &r); err != nil && v.Journal <= Version {
		return Header{}, 0, errNoHeader
	}
	if !r.plausible() && v.Journal <= Version {
		return Header{}, 0, errFigure
	}
	return Header{
		Campaign: r.Campaign, Run: r.Run, URL: r.URL, Installation: Installation{r.Installation, r.Site},
		Started: r.Started, Workers: r.Workers, Rate: r.Rate, Burst: r.Burst, Resumes: r.Resumes,
		Only: r.Only, Exclude: r.Exclude, Assumed: Assumed{r.Assumed, time.Duration(r.AssumedSeconds)},
		Resume: typable(r.Resume), RetryFailed: typable(r.RetryFailed),
	}, v.Journal, nil
}

// typable is a command, or nothing where a terminal would not show it as it is.
func typable(command string) string {
	if printable.Line(command) != command {
		return ""
	}
	return command
}
