package night

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groupserver/senddigest/internal/fleet"
)

func TestThatNoWorkerLivesIsSaidOnceAndAnewWhenOneHasLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		f := &follower{run: New(Options{Warn: func(text string) { said = append(said, text) }})}
		look := func(wait time.Duration, lives bool, want time.Duration, warnings int) {
			t.Helper()
			time.Sleep(wait)
			if got := f.nobody(lives); got != want || len(said) != warnings {
				t.Errorf("alone for %v, want %v; %d warnings, want %d", got, want, len(said), warnings)
			}
		}
		look(0, false, 0, 0)
		look(fleet.WorkerLost-time.Second, false, fleet.WorkerLost-time.Second, 0)
		look(time.Second, false, fleet.WorkerLost, 1)
		look(time.Hour, false, time.Hour+fleet.WorkerLost, 1)
		look(time.Second, true, 0, 1)
		look(time.Second, false, 0, 1)
		look(time.Minute, false, time.Minute, 2)
		if !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, "senddigest-fleet work") }) {
			t.Errorf("nobody is told what to do: %q", said)
		}
	})
}
