package campaign_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/standin"
	"github.com/groupserver/senddigest/internal/state"
)

// changes are nights in which the clocks change, and others. The evening is that of the day before.
var changes = []struct {
	zone, evening string
	change        time.Duration // by which the clock is put forward
}{
	{"Europe/Berlin", "2026-10-24", -time.Hour},
	{"Europe/Berlin", "2026-03-28", time.Hour},
	{"America/New_York", "2026-10-31", -time.Hour},
	{"America/New_York", "2026-03-07", time.Hour},
	{"Pacific/Auckland", "2026-04-04", -time.Hour},
	{"Pacific/Auckland", "2026-09-26", time.Hour},
	{"Australia/Lord_Howe", "2026-04-04", -30 * time.Minute},
	{"Australia/Lord_Howe", "2026-10-03", 30 * time.Minute},
	{"Africa/Casablanca", "2026-02-14", -time.Hour},
	{"Africa/Casablanca", "2026-03-21", time.Hour},
	{"UTC", "2026-10-24", 0},
	{"Asia/Kolkata", "2026-03-28", 0},
}

// eachChange runs a test in each of these nights, on an installation that has its first midnight on the day before.
func eachChange(t *testing.T, groups int, test func(in *installation, change time.Duration)) {
	for _, tt := range changes {
		t.Run(fmt.Sprintf("%s %s", tt.zone, tt.evening), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := time.LoadLocation(tt.zone)
				if err != nil {
					t.Fatal(err)
				}
				first, err := time.ParseInLocation(time.DateOnly, tt.evening, zone)
				if err != nil {
					t.Fatal(err)
				}
				test(newInstallationAt(t, groups, first), tt.change)
			})
		})
	}
}

// A run a day before, and one that begins 20 real hours after it: who was sent to in the first is held back in the second
// until the server mails again, and no longer.
func TestNoDigestIsSwallowedWhenTheClocksChange(t *testing.T) {
	const guard = 21*time.Hour + 36*time.Minute
	for _, clock := range []string{"12:00", "05:00", "02:50"} { // the guard ends hours after the change, or in its hour, or before
		t.Run(clock, func(t *testing.T) {
			eachChange(t, 5, func(in *installation, change time.Duration) {
				in.until(0, clock)
				began := time.Now()
				in.run(1, &guarding{wait: guardWait}, nil)
				in.swallowed()

				time.Sleep(time.Until(began.Add(20 * time.Hour)))
				r := in.run(1, &guarding{wait: guardWait}, nil)
				if lost := in.swallowed(); len(lost) > 0 || r.Document.Counts.Guarded != 0 {
					in.Errorf("swallowed %v, guarded %d", lost, r.Document.Counts.Guarded)
				}
				if got, want := counted(r), fmt.Sprintf("5 %v", dispatcher.Accepted); got != want {
					in.Errorf("got %s, want %s", got, want)
				}
				if clock != "12:00" {
					return
				}
				// The first group was accepted a minute after the run began, and one more is for the server's row.
				want := began.Add(guard - change + 2*time.Minute)
				if got := in.site.Starts()[5]; !got.Equal(want) {
					in.Errorf("sent to again %v after the first run began, want %v", got.Sub(began), want.Sub(began))
				}
			})
		})
	}
}

// The same after another program, which began at 02:00 on the evening's day and took six hours.
func TestWhatIsAssumedOfTheNightBeforeAClockChangeSwallowsNoDigest(t *testing.T) {
	const groups = 24
	eachChange(t, groups, func(in *installation, _ time.Duration) {
		in.cost = 15 * time.Minute
		in.until(0, "02:00")
		began := time.Now()
		in.script()
		in.cost = time.Minute
		in.until(1, "04:00")
		r := in.run(4, &guarding{4 * time.Hour, state.Assumed{Start: began, Length: 6 * time.Hour}}, nil)
		if lost := in.swallowed(); len(lost) > 0 || r.Document.Counts.Guarded != 0 {
			in.Errorf("swallowed %v, guarded %d", lost, r.Document.Counts.Guarded)
		}
	})
}

// It is the guard that makes the repeat of an ambiguous send harmless, so one that may have to wait is made until three
// hours before the guard may be over.
func TestAnAmbiguousSendIsRepeatedOnlyWhileTheGuardStandsOnTheWall(t *testing.T) {
	const last = 18*time.Hour + 36*time.Minute
	for _, tt := range []struct {
		later   time.Duration
		outcome string
		sends   int
	}{{last, "accepted", 2}, {last + time.Second, "ambiguous", 1}} {
		t.Run(tt.outcome, func(t *testing.T) {
			eachChange(t, 1, func(in *installation, change time.Duration) {
				in.site.SetFaults(standin.Fault{Pattern: "main/*", Kind: standin.Proxy504, Times: 1}) // mailed, and nobody knows
				in.until(0, "12:00")
				began := time.Now()
				in.run(1, nil, nil)
				time.Sleep(time.Until(began.Add(tt.later - change)))
				r := in.run(1, nil, in.previous(10*time.Minute))
				if got := outcomes(r)["g0000"]; got != tt.outcome {
					in.Errorf("it is %s, want %s", got, tt.outcome)
				}
				if got := len(in.site.Starts()); got != tt.sends {
					in.Errorf("%d sends, want %d", got, tt.sends)
				}
				for g, n := range in.site.Mails() {
					if n != 1 {
						in.Errorf("%v was mailed %d times", g, n)
					}
				}
			})
		})
	}
}
