package hooks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter bounds what a Retry-After may ask for: whoever asks for more is not asked again today.
const longestRetryAfter = 24 * time.Hour

// retryAfter reads a Retry-After header in either form, seconds or a date; 0 if there is none, if it makes no
// sense, or if it has passed.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text != "" && strings.Trim(text, "0123456789") == "" {
		const most = uint64(longestRetryAfter / time.Second)
		seconds, err := strconv.ParseUint(text, 10, 64)
		if err != nil { // it has too many digits
			seconds = most
		}
		return time.Duration(min(seconds, most)) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestRetryAfter)
}
