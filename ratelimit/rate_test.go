package ratelimit_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/ratelimit"
	"pgregory.net/rapid"
)

func TestParseRateReadsPerSecondMinuteAndHour(t *testing.T) {
	for _, row := range []struct {
		text string
		want float64 // sends per second
	}{
		{"10", 10},
		{"10/s", 10},
		{"600/m", 10},
		{"36000/h", 10},
		{"0.5/h", 0.5 / 3600},
		{"0.5", 0.5},
		{".5", 0.5},
		{"0", 0},
		{"0/h", 0},
	} {
		got, err := ratelimit.ParseRate(row.text)
		if err != nil || float64(got) != row.want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", row.text, float64(got), err, row.want)
		}
	}
}

func TestParseRateRefusesWhatIsNoRateAndSaysWhatToWrite(t *testing.T) {
	for _, text := range []string{
		"", "x", "-1", "+1", "10/", "/s", "10/d", "10/sec", "10 /s", " 10", "1e9", "inf", "NaN", "0x10", "1_000",
		"1.2.3", "0.0000001", "0.001/h", "99999999", "10/s/s", "10/S",
	} {
		got, err := ratelimit.ParseRate(text)
		if _, ok := errors.AsType[*ratelimit.RateError](err); !ok {
			t.Errorf("ParseRate(%q) = %v, %v; want a *RateError", text, got, err)
			continue
		}
		if !strings.Contains(err.Error(), "such as 10, 600/m or 0.5/h") {
			t.Errorf("ParseRate(%q): %q does not say what to write", text, err)
		}
	}
}

func TestRatePrintsAsItIsRead(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"10", "10/s"},
		{"600/m", "10/s"},
		{"10/m", "10/m"},
		{"7/h", "7/h"},
		{"0.5/h", "0.5/h"},
		{"0", "none"},
		{"1000000", "1000000/s"},
		{"0.3", "18/m"},
		{"1.5", "1.5/s"},
	} {
		r, err := ratelimit.ParseRate(row.text)
		if err != nil || r.String() != row.want {
			t.Errorf("ParseRate(%q) prints %q, %v; want %q", row.text, r, err, row.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := ratelimit.Rate(rapid.Float64Range(1e-5, 1e6).Draw(t, "rate"))
		again, err := ratelimit.ParseRate(r.String())
		if err != nil || math.Abs(float64(again-r)) > 1e-4*float64(r) {
			t.Fatalf("%v prints %q, read back as %v, %v", float64(r), r, float64(again), err)
		}
	})
}

func FuzzParseRate(f *testing.F) {
	for _, seed := range []string{"10", "10/s", "600/m", "0.5/h", "", "/", "-1", "1e309", "0.0/h", "9/9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ratelimit.ParseRate(text)
		if err == nil && !(r >= 0 && r <= 1e6) {
			t.Errorf("ParseRate(%q) = %v without an error", text, float64(r))
		}
		if err != nil && r != 0 {
			t.Errorf("ParseRate(%q) = %v with the error %v", text, float64(r), err)
		}
	})
}

func ExampleParseRate() {
	r, err := ratelimit.ParseRate("600/m")
	fmt.Println(r, err)
	// Output: 10/s <nil>
}
