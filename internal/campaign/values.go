package campaign

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// A Clock is a time of day.
type Clock struct{ Hour, Minute int }

// ParseClock reads a time of day. Its error, as those of the other functions that read a value, is the end of a sentence
// about the value.
func ParseClock(text string) (Clock, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return Clock{}, errors.New("is not a time of day such as 05:30")
	}
	return Clock{at.Hour(), at.Minute()}, nil
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// Next is the first such time after now, in now's time zone. Where the clock is put forward over it, it is the
// time that the hour becomes.
func (c Clock) Next(now time.Time) time.Time {
	year, month, day := now.Date()
	for ; ; day++ {
		for _, at := range c.on(year, month, day, now.Location()) {
			if at.After(now) {
				return at
			}
		}
	}
}

// on lists when a clock shows c on a day: once, or twice where it is put back. time.Date alone would not do: it
// does not say which of two times it gives, nor on which side of a gap the one that it gives is.
func (c Clock) on(year int, month time.Month, day int, zone *time.Location) []time.Time {
	near := time.Date(year, month, day, c.Hour, c.Minute, 0, 0, zone)
	shown := time.Date(year, month, day, c.Hour, c.Minute, 0, 0, time.UTC)
	_, before := near.Add(-12 * time.Hour).Zone()
	_, after := near.Add(12 * time.Hour).Zone()
	first := shown.Add(-time.Duration(before) * time.Second).In(zone)
	second := shown.Add(-time.Duration(after) * time.Second).In(zone)
	switch {
	case first.Equal(second) || !c.is(second):
		return []time.Time{first} // in a gap both are wrong, and the first is what the hour becomes
	case !c.is(first):
		return []time.Time{second}
	}
	return []time.Time{first, second}
}

func (c Clock) is(at time.Time) bool { return at.Hour() == c.Hour && at.Minute() == c.Minute }

// A Share is a number of groups, or a share of them. The zero value is no limit.
type Share struct {
	N       int
	Percent float64
}

// ParseShare reads a share.
func ParseShare(text string) (Share, error) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Share{}, errors.New("is not a share from above 0% to 100%")
		}
		return Share{Percent: p}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return Share{}, errors.New("is neither a whole number above 0 nor a share such as 10%")
	}
	return Share{N: n}, nil
}

// Of returns how many of n groups the limit allows, at least 1; 0 if there is no limit.
func (l Share) Of(n int) int {
	if l.Percent > 0 {
		// Less a hair, or 10 % of 50 is 6 where the product comes out above 5.
		return max(1, int(math.Ceil(l.Percent/100*float64(n)-1e-9)))
	}
	return l.N
}

// A Pattern matches groups: SITE/GROUP, each half with the wildcards of a shell.
type Pattern struct {
	text        string
	site, group string // for path.Match
}

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	site, group, ok := strings.Cut(text, "/")
	if !ok || site == "" || group == "" {
		return Pattern{}, errors.New("is not SITE/GROUP, such as main/announce or '*/announce'")
	}
	p := Pattern{text, negated(site), negated(flat(group))}
	for _, half := range []string{p.site, p.group} {
		if _, err := path.Match(half, ""); err != nil {
			if strings.HasSuffix(half, `\`) {
				return Pattern{}, errors.New(`has a \ before nothing`)
			}
			return Pattern{}, errors.New("has a [ without its ]")
		}
	}
	return p, nil
}

// negated writes a shell's [!abc] as path.Match knows it, [^abc].
func negated(half string) string {
	b := []byte(half)
	inside := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++ // past what it escapes
		case inside:
			inside = b[i] != ']'
		case b[i] == '[':
			inside = true
			if i+1 < len(b) && b[i+1] == '!' {
				b[i+1] = '^'
			}
		}
	}
	return string(b)
}

// Match reports whether the pattern means this group.
func (p Pattern) Match(site, group string) bool {
	bySite, _ := path.Match(p.site, flat(site))
	byGroup, _ := path.Match(p.group, flat(group))
	return bySite && byGroup
}

func (p Pattern) String() string { return p.text }

// flatSlash stands for a slash, which a wildcard of path.Match does not match.
const flatSlash = "\x00"

func flat(id string) string { return strings.ReplaceAll(id, "/", flatSlash) }

// Literal is the pattern's text that matches one group and no other.
func Literal(site, group string) string {
	escape := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)
	return escape.Replace(site) + "/" + escape.Replace(group)
}

// An Assumption is when another program sent the last digests: from a time of day on, for so long.
type Assumption struct {
	From   Clock
	Length time.Duration
}

// ParseAssumption reads an assumption.
func ParseAssumption(text string) (Assumption, error) {
	at, length, ok := strings.Cut(text, "+")
	from, err := ParseClock(at)
	d, derr := time.ParseDuration(length)
	if !ok || err != nil || derr != nil || d <= 0 || d > 24*time.Hour {
		return Assumption{}, errors.New("is not a time of day and a length of time up to 24h, such as 02:00+6h")
	}
	return Assumption{from, d}, nil
}

// Began is when that began for the last time, as far as it is over by now, in now's time zone: at 02:00 the run of
// 02:00+6h that counts is yesterday's. Where the clock showed the time of day twice, the later one counts, and where it
// was put forward over it, the time that the hour became: the server's guard is up longer then.
func (a Assumption) Began(now time.Time) time.Time {
	over := now.Add(-a.Length)
	year, month, day := over.Date()
	for ; ; day-- {
		for _, at := range slices.Backward(a.From.on(year, month, day, now.Location())) {
			if !at.After(over) {
				return at
			}
		}
	}
}

// leftOut says why a group is not wanted; empty: it is.
func leftOut(only, exclude []Pattern, g state.Group) string {
	for _, pattern := range exclude {
		if pattern.Match(g.Site, g.Group) {
			return "left out by --exclude " + pattern.String()
		}
	}
	for _, pattern := range only {
		if pattern.Match(g.Site, g.Group) {
			return ""
		}
	}
	if only != nil {
		return "not among --only"
	}
	return ""
}

// patterns reads patterns that a journal has kept.
func patterns(texts []string) []Pattern {
	var list []Pattern
	for _, text := range texts {
		if p, err := ParsePattern(text); err == nil { // it was read before it was kept
			list = append(list, p)
		}
	}
	return list
}

func texts(patterns []Pattern) []string {
	var list []string
	for _, p := range patterns {
		list = append(list, p.String())
	}
	return list
}
