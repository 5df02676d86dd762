package e2e_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

func TestWhatControlChangesIsSeenByTheSite(t *testing.T) {
	program.SkipIfShort(t)
	t.Parallel()
	const cost, rate = 100 * time.Millisecond, 5
	site := standin.New(standin.Options{Groups: standin.Generate(5000, 1), Threads: 8, Cost: func(standin.Group) time.Duration { return cost }})
	server, err := site.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	defer server.Close()
	config, dir := filepath.Join(t.TempDir(), "gsconfig.ini"), t.TempDir()
	if err := program.WriteConfig(config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	run := program.Command(t, "--config", config, "--state-dir", dir, "--workers", "4", server.URL)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Process.Kill() }) // it may have ended
	control := func(action ...string) {
		t.Helper()
		args := append([]string{"control", "--config", config, "--state-dir", dir, server.URL}, action...)
		if out, err := program.Command(t, args...).CombinedOutput(); err != nil {
			t.Fatalf("control %v: %v: %s", action, err, out)
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	until := func(is func() bool) {
		t.Helper()
		for end := time.After(program.Patience); !is(); {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%d starts, and no more that matter", len(site.Starts()))
			}
		}
	}
	// next are the next n starts, without those that were under way when the order was answered.
	next := func(n int) (starts []time.Time) {
		t.Helper()
		from := time.Now().Add(jitter)
		until(func() bool {
			starts = nil
			for _, at := range site.Starts() {
				if at.After(from) {
					starts = append(starts, at)
				}
			}
			return len(starts) >= n
		})
		return starts[:n]
	}

	until(func() bool { return site.MaxInFlight() == 4 })
	control("workers", "1")
	starts := next(6)
	for i := range starts[1:] {
		if apart := starts[i+1].Sub(starts[i]); apart < cost {
			t.Errorf("one at a time: two starts were %v apart, and each takes %v", apart, cost)
		}
	}
	control("workers", "7")
	until(func() bool { return site.MaxInFlight() == 7 })
	control("rate", "5")
	starts = next(8)
	if took, least := starts[7].Sub(starts[0]), 7*time.Second/rate-jitter; took < least {
		t.Errorf("8 starts came within %v, at %d a second", took, rate)
	}
	control("stop")
	if code := program.ExitCode(run.Wait()); code != 75 {
		t.Errorf("exit code %d, want 75", code)
	}
}
