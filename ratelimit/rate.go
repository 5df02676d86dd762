package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a number of sends per second; 0 means no limit.
type Rate float64

// A RateError says why a text is no rate.
type RateError struct {
	Text    string
	Problem string // why, and what to write; it goes on where the text ends
}

func (e *RateError) Error() string { return fmt.Sprintf("%q %s", e.Text, e.Problem) }

func noRate(text, why string) *RateError {
	return &RateError{text, why + ": write a number, or one per second, minute or hour, such as 10, 600/m or 0.5/h"}
}

// One send in eleven days, or one a microsecond: beyond these a rate is a slip of the hand. A bucket holds a rate to a
// thousandth up to 5,000/s; above, what a start costs the machine may be more than the time between two.
const minRate, maxRate = 1e-6, 1e6

// unitSeconds are the units of time of a rate.
var unitSeconds = map[string]float64{"s": 1, "m": 60, "h": 3600}

// ParseRate reads a rate: a number that may have a fraction, and "/s", "/m" or "/h" behind it; a bare number is
// per second. 0 is no limit. The error is a [*RateError].
func ParseRate(text string) (Rate, error) {
	number, unit, slash := strings.Cut(text, "/")
	seconds := 1.0
	if slash {
		seconds = unitSeconds[unit]
	}
	if seconds == 0 {
		return 0, noRate(text, "has no unit of time that is s, m or h")
	}
	// Only digits and a point: ParseFloat would also take "inf", "0x1p4" and "1_000".
	if strings.Trim(number, "0123456789.") != "" {
		return 0, noRate(text, "is not a rate")
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, noRate(text, "is not a rate")
	}
	r := n / seconds
	if n > 0 && r < minRate || r > maxRate {
		return 0, noRate(text, "is out of range")
	}
	return Rate(r), nil
}

// String prints r as [ParseRate] reads it, in the shortest unit of time in which it is at least 1; "none" for 0.
func (r Rate) String() string {
	if r == 0 {
		return "none"
	}
	n, unit := float64(r), "s"
	if n < 1 {
		n, unit = n*60, "m"
	}
	if n < 1 {
		n, unit = float64(r)*3600, "h"
	}
	// Six decimals hide what the division by 60 or 3600 rounded.
	return strconv.FormatFloat(math.Round(n*1e6)/1e6, 'f', -1, 64) + "/" + unit
}
