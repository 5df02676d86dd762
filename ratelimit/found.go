package ratelimit

import "time"

// Found is what a run found that the service bears, for the next run to begin with. The zero value is nothing.
type Found struct {
	Sends int // in flight at once; 0: not known
	// Spare is for how many more runs one more need not be tried in the first minutes, since it was found too many; 0: it may
	// be that the service bears more.
	Spare int
	Share float64 // by how much one send slows the light page, in units of what that takes; see [Controller]
}

// These are how many runs pass until one more send than the service bore is tried early again: the visitors of a short run
// would notice each such trial, and a service that got more threads is to be found out in about a week of nights.
const (
	spareRuns       = 7
	spareUnsureRuns = 2 // where pages were not very much slower: it may have been some visitor's fault
)

// Begin begins at now with what an earlier run found, to be checked at once. It comes after [Controller.Baseline] and before
// the first send; without a baseline there is nothing to check it by, and it does nothing.
func (c *Controller) Begin(now time.Time, f Found) {
	if f.Sends < 1 || c.pages.base == 0 {
		return
	}
	c.pages.share = min(max(f.Share, 0), sharedByTwo/2)
	if f.Spare > 0 {
		c.spare = f.Spare - 1
		c.failed[f.Sends+1] = failure{lastRetry, now.Add(lastRetry)}
	}
	if limit := min(f.Sends, c.ceiling); limit > 1 {
		c.set(now, limit, checking, "the last run found that the site bears as many")
	}
}

// check judges the limit that a run began with: the service may have become slower since.
func (c *Controller) check(now time.Time, slower float64) {
	switch p := &c.pages; {
	case p.slow >= provisionSlow:
		c.drop(now)
	case len(p.recent) < tryPages:
	case slower > sharedLeeway*shareLimit(c.limit):
		c.fall(now, c.shares(slower))
	default:
		c.state, c.provisional = holding, now.Add(provisional)
	}
}

// Found is what the run found, as far as it has; otherwise what it began with, or nothing.
func (c *Controller) Found() Found {
	f := Found{Sends: c.limit, Spare: c.spare, Share: c.pages.share}
	switch c.state {
	case learning:
		return Found{}
	case trying:
		f.Sends--
	}
	return f
}
