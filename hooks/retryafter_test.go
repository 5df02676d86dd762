package hooks

import (
	"testing"
	"time"
)

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, text string
		want       time.Duration
	}{
		{"none", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"no seconds", "0", 0},
		{"blanks around", " 7\t", 7 * time.Second},
		{"a day", "86400", 24 * time.Hour},
		{"more than a day", "86401", 24 * time.Hour},
		{"more than a number holds", "99999999999999999999999999", 24 * time.Hour},
		{"a date", "Mon, 23 Nov 2026 02:01:30 GMT", 90 * time.Second},
		{"a date in RFC 850's form", "Monday, 23-Nov-26 02:01:30 GMT", 90 * time.Second},
		{"a date in asctime's form", "Mon Nov 23 02:01:30 2026", 90 * time.Second},
		{"this very moment", "Mon, 23 Nov 2026 02:00:00 GMT", 0},
		{"a date that has passed", "Mon, 23 Nov 2026 01:59:59 GMT", 0},
		{"a date long ago", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"a date far ahead", "Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour},
		{"negative", "-5", 0},
		{"with a sign", "+5", 0},
		{"a fraction", "1.5", 0},
		{"with a unit", "5s", 0},
		{"hexadecimal", "0x10", 0},
		{"words", "soon", 0},
		{"digits that are not ASCII", "５", 0},
		{"another zone", "Mon, 23 Nov 2026 02:01:30 CET", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := retryAfter(tt.text, now); got != tt.want {
				t.Errorf("%q: got %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "99999999999999999999", "-1", "soon", "Mon, 23 Nov 2026 02:01:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if got := retryAfter(text, now); got < 0 || got > longestRetryAfter {
			t.Errorf("%q: got %v, want from 0 to %v", text, got, longestRetryAfter)
		}
	})
}
