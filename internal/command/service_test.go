package command

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/config"
	"github.com/groupserver/senddigest/internal/observe"
)

// Without --grace the program asks for no time: the unit has to grant it.
func TestThePackagesUnitWaitsForTheDefaultGraceAndTheLastWords(t *testing.T) {
	unit, err := os.ReadFile("../../contrib/systemd/senddigest@.service")
	if err != nil {
		t.Fatal(err)
	}
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+m)in$`).FindSubmatch(unit)
	if stop == nil {
		t.Fatal("no TimeoutStopSec= in minutes")
	}
	waits, err := time.ParseDuration(string(stop[1]))
	if err != nil {
		t.Fatal(err)
	}
	flags := config.Senddigest().Flags
	timeout := flags[slices.IndexFunc(flags, func(f config.Flag) bool { return f.Name == "timeout" })].Default
	grace, err := time.ParseDuration(timeout)
	if err != nil {
		t.Fatal(err)
	}
	if waits < grace+observe.LastWords {
		t.Errorf("systemd waits for %v, and a run may need %v and %v", waits, grace, observe.LastWords)
	}
}
