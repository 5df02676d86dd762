package standin

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Fault makes requests go wrong.
type Fault struct {
	// Pattern reports which: "list" is the two list hooks, "SITE/GROUP" the send hook for those groups, each half with the
	// wildcards of path.Match. "people/ID" is the send hook for those profiles.
	Pattern string

	Kind Kind

	// Times is how many tries of a group (or of the list hook) go wrong before the fault is over for it; 0: all.
	Times int

	// URL is where a redirect kind leads, relative or absolute. $HOST stands for the host and port that was asked for,
	// $PATH for the path. A request that asks for this very URL, with scheme and host, has arrived: the fault lets
	// it pass. (A relative URL never counts as arrived, so one that names the request's own path makes a loop.)
	URL string

	// Delay is for Proxy502 and Proxy504 the time from the request to the proxy's answer, 0 means at once; for
	// SlowBody the time that the body takes, 0 means 3 s; for DatabaseRestart how long the database is away, 0 means
	// 5 s.
	Delay time.Duration

	// RetryAfter is the header's value with TooMany: seconds or a date; "" means 1.
	RetryAfter string

	// MiB is the length of the Huge list; 0 means 100.
	MiB int
}

// ListPattern is the Pattern of faults of the list hooks.
const ListPattern = "list"

const (
	defaultSlow    = 3 * time.Second
	defaultRestart = 5 * time.Second
	defaultMiB     = 100
	maxMiB         = 4096
)

// ParseFault reads PATTERN=KIND[:ARG][*TIMES], such as main/alpha=500, */big=hang, main/alpha=reset*2,
// list=wrong-token, main/*=redirect-307:https://$HOST$PATH or */*=too-many:30*1.
func ParseFault(s string) (Fault, error) {
	fail := func(format string, args ...any) (Fault, error) {
		return Fault{}, fmt.Errorf("fault %q: "+format, append([]any{s}, args...)...)
	}
	pattern, rest, ok := strings.Cut(s, "=")
	if !ok {
		return fail("want PATTERN=KIND")
	}
	f := Fault{Pattern: pattern}
	if pattern != ListPattern {
		site, group, ok := strings.Cut(pattern, "/")
		if !ok || site == "" || group == "" || strings.Contains(group, "/") {
			return fail("pattern is neither %s nor SITE/GROUP", ListPattern)
		}
		for _, half := range []string{site, group} {
			if _, err := path.Match(half, ""); err != nil {
				return fail("pattern: %w", err)
			}
		}
	}
	if at := strings.LastIndexByte(rest, '*'); at >= 0 && digits(rest[at+1:]) {
		n, err := strconv.Atoi(rest[at+1:])
		if err != nil || n < 1 {
			return fail("times must be 1 or more")
		}
		f.Times, rest = n, rest[:at]
	}
	name, arg, hasArg := strings.Cut(rest, ":")
	if f.Kind, ok = kindNamed(name); !ok {
		return fail("no kind %q; there are %s", name, kindNames())
	}
	kind := kinds[f.Kind]
	if kind.listOnly && pattern != ListPattern {
		return fail("%s is for the pattern %s only", name, ListPattern)
	}
	if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fail("argument must be printable ASCII: it goes into a header")
	}
	var err error
	switch kind.arg {
	case noArg:
		if hasArg {
			return fail("%s takes no argument", name)
		}
	case urlArg:
		if f.URL = arg; arg == "" {
			return fail("%s needs a URL: %s:URL", name, name)
		}
	case retryArg:
		f.RetryAfter = arg
	case delayArg:
		if !hasArg {
			break
		}
		if f.Delay, err = time.ParseDuration(arg); err != nil || f.Delay < 0 {
			return fail("want a duration such as 2s, not %q", arg)
		}
	case mibArg:
		if !hasArg {
			break
		}
		if f.MiB, err = strconv.Atoi(arg); err != nil || f.MiB < 1 || f.MiB > maxMiB {
			return fail("want 1 to %d MiB, not %q", maxMiB, arg)
		}
	}
	return f, nil
}

// String writes f so that ParseFault reads it back.
func (f Fault) String() string {
	s := f.Pattern + "=" + f.Kind.String()
	switch {
	case f.URL != "":
		s += ":" + f.URL
	case f.RetryAfter != "":
		s += ":" + f.RetryAfter
	case f.Delay != 0:
		s += ":" + f.Delay.String()
	case f.MiB != 0:
		s += ":" + strconv.Itoa(f.MiB)
	}
	if f.Times != 0 {
		s += "*" + strconv.Itoa(f.Times)
	}
	return s
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// armed is a fault in use.
type armed struct {
	Fault
	site, group string // the halves of the pattern
	used        map[int32]int
}

// SetFaults replaces the site's faults, and forgets how often the old ones were used. A database that one of them had
// taken away is back.
func (s *Site) SetFaults(faults ...Fault) {
	list := make([]*armed, len(faults))
	for i, f := range faults {
		list[i] = &armed{Fault: f, used: map[int32]int{}}
		list[i].site, list[i].group, _ = strings.Cut(f.Pattern, "/")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = list
	s.database.backAt = 0
}

// faultFor finds the fault for a request, and counts it as used. The caller holds s.mu.
func (s *Site) faultFor(q *request, r *http.Request) *armed {
	if !q.hook.lists() && !q.hook.sends() {
		return nil
	}
	for _, f := range s.faults {
		if !f.matches(q) || f.arrived(r) {
			continue
		}
		if f.Times > 0 {
			if f.used[q.group] == f.Times {
				continue
			}
			f.used[q.group]++
		}
		return f
	}
	return nil
}

func (f *armed) matches(q *request) bool {
	if f.Pattern == ListPattern {
		return q.hook.lists()
	}
	if !q.hook.sends() || kinds[f.Kind].listOnly {
		return false
	}
	site, _ := path.Match(f.site, q.id.Site)
	group, _ := path.Match(f.group, q.id.Group)
	return site && group
}

// location is where a redirect fault sends r.
func (f *armed) location(r *http.Request) string {
	return strings.NewReplacer("$HOST", r.Host, "$PATH", r.URL.Path).Replace(f.URL)
}

// arrived reports whether r asks for what the redirect leads to.
func (f *armed) arrived(r *http.Request) bool {
	if f.Kind.redirect() == 0 {
		return false
	}
	u, err := url.Parse(f.location(r))
	return err == nil && u.IsAbs() && u.Scheme+"://"+u.Host == siteURL(r) && u.Path == r.URL.Path
}

func (f *armed) kind() Kind {
	if f == nil {
		return noKind
	}
	return f.Kind
}

func (f *armed) stage() stage { return kinds[f.kind()].stage }
