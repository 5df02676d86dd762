package campaign

import (
	"cmp"
	"context"
	"slices"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/report"
	"github.com/groupserver/senddigest/internal/state"
)

// Past lists the runs as [Archive.List] does, for a page, with what became of their mail.
func (a *Archive) Past() []report.PastRun {
	list := make([]report.PastRun, len(a.runs))
	for i := range a.runs {
		list[i] = a.past(i)
	}
	return list
}

func (a *Archive) past(at int) report.PastRun {
	k, s := a.kept(at), &a.runs[at]
	return report.PastRun{
		Run: k.Run, URL: k.URL, Started: s.Birth().UTC(), Finished: s.Finished.UTC(), Ended: k.Ended, Groups: k.Groups, Accepted: k.Accepted, Failed: k.Failed,
		Paused: s.Paused, Judged: s.Judged, Mails: s.Mails, GapPosts: s.GapPosts,
	}
}

// Trends sorts the runs of [Archive.Past] by installation, of each the last so many that had a list.
func (a *Archive) Trends(past []report.PastRun, most int) (trends []report.Trend) {
	var whose []state.Installation // of each trend
	for i := range past {
		s := &a.runs[i]
		if s.Err != nil || !s.Listed {
			continue
		}
		at := slices.IndexFunc(whose, s.Installation.Matches)
		if at < 0 {
			at = len(whose)
			whose, trends = append(whose, s.Installation), append(trends, report.Trend{URL: past[i].URL})
		}
		if t := &trends[at]; len(t.Runs) < most {
			t.Runs = append(t.Runs, past[i])
		}
	}
	for i := range trends {
		slices.Reverse(trends[i].Runs)
	}
	return trends
}

// slowest is how many of a run's sends count as its slowest, and slowGroups how many groups the page of them has.
const slowest, slowGroups = 10, 50

// Slowest finds the groups that were among the slowest of the last so many runs of the newest run's installation. known has
// those of runs that have ended, by their names, and is added to: to read a journal whole takes time. The end of ctx ends it
// before it reads another.
func (a *Archive) Slowest(ctx context.Context, most int, known map[string][]report.SlowGroup) (*report.Slowest, error) {
	page := &report.Slowest{Program: a.Program(), Things: a.campaign.Things, Of: slowest}
	newest := slices.IndexFunc(a.runs, func(s state.Summary) bool { return s.Err == nil && s.Listed })
	if newest < 0 {
		return page, nil
	}
	page.URL = a.runs[newest].URL
	places := append([]int{newest}, a.before(newest)...)
	places = places[:min(len(places), most)]
	page.Runs = len(places)
	index := map[string]int{}
	for _, at := range places {
		slow, ok := known[a.runs[at].Run]
		if !ok {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			run := a.other(at)
			if run == nil {
				page.Runs--
				page.Unread = append(page.Unread, a.runs[at].Run)
				continue
			}
			if slow = slowOf(run); !run.Finished.IsZero() {
				known[run.Run] = slow
			}
		}
		for _, g := range slow {
			i, seen := index[g.Name]
			if !seen {
				index[g.Name] = len(page.Groups)
				page.Groups = append(page.Groups, g)
				continue
			}
			page.Groups[i].Runs++
			page.Groups[i].Longest = max(page.Groups[i].Longest, g.Longest)
		}
	}
	slices.SortStableFunc(page.Groups, func(a, b report.SlowGroup) int {
		return cmp.Or(cmp.Compare(b.Runs, a.Runs), cmp.Compare(b.Longest, a.Longest))
	})
	page.Groups = page.Groups[:min(len(page.Groups), slowGroups)]
	return page, nil
}

// slowOf are the slowest of a run.
func slowOf(run *state.Run) (list []report.SlowGroup) {
	results := run.Report().Results
	slices.SortStableFunc(results, func(a, b dispatcher.Result) int { return cmp.Compare(b.Took, a.Took) })
	for _, r := range results[:min(len(results), slowest)] {
		if r.Took > 0 {
			list = append(list, report.SlowGroup{Name: r.Job.Key(), Runs: 1, Longest: r.Took, Newest: r.Took, When: run.Started})
		}
	}
	return list
}
