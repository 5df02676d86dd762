package config

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Clock is a time of day.
type Clock struct{ Hour, Minute int }

func parseClock(text string) (Clock, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return Clock{}, problem("is not a time of day such as 05:30")
	}
	return Clock{at.Hour(), at.Minute()}, nil
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// Next is the first such time after now, in now's time zone. Where the clock is put forward over it, it is the
// time that the hour becomes.
func (c Clock) Next(now time.Time) time.Time {
	year, month, day := now.Date()
	at := time.Date(year, month, day, c.Hour, c.Minute, 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(year, month, day+1, c.Hour, c.Minute, 0, 0, now.Location())
	}
	return at
}

// A Limit is a number of groups, or a share of them. The zero value is no limit.
type Limit struct {
	N       int
	Percent float64
}

func parseLimit(text string) (Limit, error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Limit{}, problem("is not a share from above 0% to 100%")
		}
		return Limit{Percent: p}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Limit{}, problem("is neither a whole number above 0 nor a share such as 10%")
	}
	return Limit{N: n}, nil
}

// Of says how many of n groups the limit is, at least 1; 0 if there is no limit.
func (l Limit) Of(n int) int {
	if l.Percent > 0 {
		// Less a hair, or 10 % of 50 is 6 where the product comes out above 5.
		return max(1, int(math.Ceil(l.Percent/100*float64(n)-1e-9)))
	}
	return l.N
}

// A Pattern matches groups: SITE/GROUP, each half with the wildcards of [path.Match].
type Pattern struct{ site, group string }

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	site, group, ok := strings.Cut(text, "/")
	if !ok || site == "" || group == "" {
		return Pattern{}, problem("is not SITE/GROUP, such as main/announce or '*/announce'")
	}
	p := Pattern{site, flat(group)}
	if _, err := path.Match(p.site, ""); err != nil {
		return Pattern{}, problem("has a [ without its ]")
	}
	if _, err := path.Match(p.group, ""); err != nil {
		return Pattern{}, problem("has a [ without its ]")
	}
	return p, nil
}

// Match reports whether the pattern means this group.
func (p Pattern) Match(site, group string) bool {
	bySite, _ := path.Match(p.site, flat(site))
	byGroup, _ := path.Match(p.group, flat(group))
	return bySite && byGroup
}

func (p Pattern) String() string { return p.site + "/" + strings.ReplaceAll(p.group, flatSlash, "/") }

// flatSlash stands for a slash, which a wildcard of path.Match does not match.
const flatSlash = "\x00"

func flat(id string) string { return strings.ReplaceAll(id, "/", flatSlash) }

// Literal is the pattern's text that matches one group and no other.
func Literal(site, group string) string {
	escape := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)
	return escape.Replace(site) + "/" + escape.Replace(group)
}
