package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// The server mails twice whoever it is asked for twice. So what was in flight when the process died is left to people, and
// all others are mailed once.
func TestProfilesKilledAtAnyPointAndResumedMailNobodyTwice(t *testing.T) {
	t.Parallel()
	program.SkipIfShort(t)
	for _, tt := range []struct {
		options []string
		workers int
	}{{[]string{"--workers", "4"}, 4}, {[]string{"-t1"}, 1}} {
		for _, sends := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s, after %d sends", strings.Join(tt.options, " "), sends), func(t *testing.T) {
				t.Parallel()
				var people []string
				for i := range 7 {
					people = append(people, fmt.Sprintf("person%d", i))
				}
				started := make(chan struct{}, 100)
				site := standin.New(standin.Options{People: people, Threads: 16, Cost: func(standin.Group) time.Duration {
					started <- struct{}{}
					return 50 * time.Millisecond
				}})
				server, err := site.Start()
				if err != nil {
					t.Fatal(err)
				}
				defer site.Close()
				defer server.Close()
				dir := t.TempDir()
				config, report := filepath.Join(dir, "gsconfig.ini"), filepath.Join(dir, "report.json")
				if err := program.WriteConfig(config, standin.DefaultToken); err != nil {
					t.Fatal(err)
				}
				options := append([]string{"--config", config, "--state-dir", filepath.Join(dir, "state"), "--report", report, server.URL}, tt.options...)
				cmd := program.Profile(t, options...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				for range sends {
					<-started
				}
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				said, err := program.Profile(t, append(options, "--resume")...).CombinedOutput()
				got := struct{ Counts map[string]int }{}
				text, _ := os.ReadFile(report)
				if err := json.Unmarshal(text, &got); err != nil {
					t.Fatalf("%v, %s", err, said)
				}
				c := got.Counts
				if code := program.ExitCode(err); code != 1 || c["ambiguous"] < 1 || c["ambiguous"] > tt.workers ||
					c["accepted"]+c["skipped"]+c["ambiguous"] != len(people) {
					t.Errorf("ended with %d and %v: %s", code, c, said)
				}
				mailed := 0
				for person, n := range site.Mails() {
					if mailed += n; n != 1 {
						t.Errorf("%v was mailed %d times", person, n)
					}
				}
				if mailed < len(people)-c["ambiguous"] {
					t.Errorf("%d of %d were mailed, %d of them perhaps", mailed, len(people), c["ambiguous"])
				}
				if strings.Contains(string(said), "person") {
					t.Errorf("names somebody: %s", said)
				}
			})
		}
	}
}
