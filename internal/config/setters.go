package config

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groupserver/senddigest/hooks"
	"github.com/groupserver/senddigest/internal/campaign"
)

// More workers, a longer burst or more tries than this are a slip of the hand.
const maxWorkers, maxBurst, maxRetries = campaign.MostWorkers, 1_000_000, 20

// problem is why a value does not do. It goes on where "--name VALUE" ends.
type problem string

func (p problem) Error() string { return string(p) }

func switchTo(field func(*Settings) *bool) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			*field(s) = true
		case "false", "no", "off", "0":
			*field(s) = false
		default:
			return problem("is neither yes nor no")
		}
		return nil
	}
}

func whole(least, most int, field func(*Settings) *int) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return problem(fmt.Sprintf("is not a whole number from %d to %d", least, most))
		}
		*field(s) = n
		return nil
	}
}

func duration(field func(*Settings) *time.Duration) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return problem("is not a length of time such as 90s, 4m or 1h30m")
		}
		*field(s) = d
		return nil
	}
}

// seconds takes a bare number, as sendprofile's -t does, or a length of time with its unit.
func seconds(field func(*Settings) *time.Duration) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		d, err := time.ParseDuration(v)
		if n, nerr := strconv.ParseFloat(v, 64); nerr == nil && n <= math.MaxInt32 {
			d, err = time.Duration(n*float64(time.Second)), nil
		}
		if err != nil || d < 0 {
			return problem("is neither a number of seconds nor a length of time such as 90s or 2h")
		}
		*field(s) = d
		return nil
	}
}

func patterns(field func(*Settings) *[]campaign.Pattern) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		p, err := campaign.ParsePattern(v)
		if err != nil {
			return err
		}
		*field(s) = append(*field(s), p)
		return nil
	}
}

func header(s *Settings, v string) error {
	name, value, err := hooks.ParseHeader(v)
	if e, ok := errors.AsType[*hooks.HeaderError](err); ok {
		return problem(e.Problem)
	}
	if s.clear && hooks.ClearCredentials(name) {
		return problem("names " + name + ", which is for https alone: here it would travel in the clear")
	}
	if s.Header == nil {
		s.Header = http.Header{}
	}
	s.Header[name] = append(s.Header[name], value)
	return nil
}

func pingURL(s *Settings, v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return problem("is not the URL of a monitor's check, such as https://hc-ping.com/UUID")
	}
	s.PingURL = u
	return nil
}

func oneOf(set func(*Settings, string), words ...string) func(*Settings, string) error {
	return func(s *Settings, v string) error {
		if !slices.Contains(words, v) {
			last := len(words) - 1
			return problem("is not " + strings.Join(words[:last], ", ") + " or " + words[last])
		}
		if set != nil {
			set(s, v)
		}
		return nil
	}
}
