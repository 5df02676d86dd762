package state

import "io"

// The constants that tests measure against.
const (
	ForgetAfter = forgetAfter
	KeptPaces   = keptPaces
	LeastPaced  = leastPaced
	UsualSpread = usualSpread
	MaxKey      = maxKey
)

// ReadHistory reads a history that was never a file.
func ReadHistory(text []byte) (*History, error) { return readHistory(text) }

// Write writes one that becomes no file.
func (h *History) Write(w io.Writer) error { return h.write(w) }

// Known is how many groups something is known of.
func (h *History) Known() (n int) {
	for i := range h.groups {
		if h.groups[i].sends > 0 {
			n++
		}
	}
	return n
}
