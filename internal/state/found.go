package state

// FoundLimit is what an adaptive limit found that the site bears, as ratelimit.Found has it, for the next run to begin with. The
// zero value is nothing.
type FoundLimit struct {
	Sends int
	Spare int
	Share float64
}

// The most that a file may say of it. What was found is never near them.
const (
	mostFound = 1e6
	mostSpare = 1e3
	mostShare = 1e3
)

// KeepFound keeps what the run found. If that is nothing, what was kept before stays.
func (h *History) KeepFound(f FoundLimit) {
	if f.Sends > 0 {
		share := min(max(float32(f.Share), 0), mostShare) // as the file has it
		h.found = FoundLimit{min(f.Sends, mostFound), min(max(f.Spare, 0), mostSpare), float64(share)}
	}
}

// Found returns what was kept last; nothing if none was.
func (h *History) Found() FoundLimit { return h.found }
