package printable

import "time"

// Instant is a time as an operator reads it: by the machine's clock, with the date where it is not today's.
func Instant(at time.Time) string {
	local := at.Local()
	if y, m, d := time.Now().Date(); local.Day() == d && local.Month() == m && local.Year() == y {
		return local.Format(time.TimeOnly)
	}
	return local.Format(time.DateTime)
}
