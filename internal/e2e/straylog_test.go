package e2e_test

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/command"
	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/process"
	"github.com/groupserver/senddigest/internal/standin"
)

// net/http writes to package log what a server sends unasked, such as a page that repeats the token, and would do so
// past all that this program has to keep it from being printed.
func TestWhatALibraryLogsIsSeenForDebuggingAloneAndWithoutTheToken(t *testing.T) {
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for _, row := range []struct {
		level string
		want  string // a part of standard error; empty: there is none
	}{
		{"info", ""},
		{"debug", `msg=library said="Unsolicited response received on idle HTTP channel starting with \"value=[token]\"; err=<nil>"`},
	} {
		t.Run(row.level, func(t *testing.T) {
			site := standin.New(standin.Options{
				Groups: standin.Generate(1, 1),
				Cost: func(standin.Group) time.Duration {
					log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "value="+standin.DefaultToken, nil)
					return 0
				},
			})
			server, err := site.Start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close(); site.Close() })
			config := filepath.Join(t.TempDir(), "gsconfig.ini")
			if err := program.WriteConfig(config, standin.DefaultToken); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			code := command.Main(command.Senddigest(), process.Process{
				Args:   []string{"--config", config, "--no-state", "--workers", "1", "--log-level", row.level, server.URL},
				Stdout: &stdout, Stderr: &stderr,
				Getenv: func(string) (string, bool) { return "", false },
			})
			if said := stderr.String(); code != 0 || !strings.Contains(said, row.want) || row.want == "" && said != "" ||
				strings.Contains(said, standin.DefaultToken) || stdout.Len() > 0 {
				t.Errorf("exit code %d, standard error %q, standard output %q", code, said, &stdout)
			}
		})
	}
}
