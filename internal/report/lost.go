package report

import (
	"fmt"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
)

// Lost is a try of a group whose answer was lost, so that it may have been mailed.
type Lost struct {
	Reason string  `json:"reason"`
	Start  float64 `json:"start"` // seconds since the run started; below 0: in an earlier run
}

// lost is the first such try of a group that was sent to again; nil: there is none.
func (d *Document) lost(r *dispatcher.Result) *Lost {
	if r.Lost == nil || r.Attempts == 0 {
		return nil
	}
	return &Lost{Reason: r.Lost.Reason, Start: seconds(r.Lost.Start.Sub(d.meta.Started))}
}

// settled says what became of a group whose first answer was lost, and that did not fail: it was sent to again, or the
// site's own tables told; empty for all others. The reason of one that failed has both tries.
func settled(r *dispatcher.Result) string {
	switch {
	case r.Lost == nil || r.Failed():
		return ""
	case r.Outcome == dispatcher.Accepted && (r.Attempts == 0 || r.Start.Equal(r.Lost.Start)):
		return fmt.Sprintf("its answer was lost (%s); the site's own tables tell what became of it", r.Lost.Reason)
	case r.Attempts == 0:
		return ""
	}
	after := r.Start.Sub(r.Lost.Start)
	if after = after.Round(time.Millisecond); after >= time.Second {
		after = after.Round(time.Second)
	}
	return fmt.Sprintf("its first answer was lost (%s); sent again after %s: %v", r.Lost.Reason, short(after), r.Outcome)
}

// settledNotes names the groups that were settled, a line each, or says how many there are.
func (d *Document) settledNotes(named bool) []string {
	var list []string
	more := 0
	for i := range d.results.Results {
		r := &d.results.Results[i]
		switch text := settled(r); {
		case text == "":
		case len(list) == namedGroups || !named:
			more++
		default:
			list = append(list, r.Job.Key()+": "+text)
		}
	}
	switch {
	case more > 0 && !named:
		list = append(list, "settled after the first answer was lost: "+d.meta.Things.Count(more))
	case more > 0:
		list = append(list, fmt.Sprintf("sent again because the first answer was lost: %s more; a report in JSON lists them all", d.meta.Things.Count(more)))
	}
	return list
}
