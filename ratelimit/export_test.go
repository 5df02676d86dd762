package ratelimit

import "time"

// Ask takes a token if there is one; else it returns how long to wait before asking again.
func (b *Bucket) Ask() (wait time.Duration, err error) {
	permit, hold, err := b.ask()
	if permit != nil {
		return 0, err
	}
	return hold.wait, err
}
