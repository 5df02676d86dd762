package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/fleet/fleettest"
	"github.com/groupserver/senddigest/internal/standin"
)

// fleetName is how the scribe calls this process where it is to be senddigest-fleet.
const fleetName = "senddigest-fleet"

// queue is the PostgreSQL of the commands that need one.
var queue fleettest.Server

// fleet types a command of senddigest-fleet, with a site and a queue of its own, and a worker beside a run.
func (d *scribe) fleet(t *testing.T, command string, want int) error {
	t.Helper()
	words := strings.Fields(command)
	if words[1] == "demo" {
		return goTest(t, []string{"go", "test", "-run", "TestTheDemoMailsEachGroupOnce", "./internal/e2e/fleet"}) // it takes half a minute
	}
	site := standin.New(standin.Options{
		Token: program.Token, Threads: 4, People: []string{"up1", "up2"},
		Groups: []standin.Group{{Site: "council", Group: "chess"}, {Site: "main", Group: "choir"}},
	})
	defer site.Close()
	server, err := site.Start()
	if err != nil {
		return err
	}
	defer server.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	address := queue.DSN(t)
	// A command is written for this machine before any is started: that writes the files anew that they read.
	prepare := func(line string) (*exec.Cmd, *strings.Builder) {
		cmd := exec.Command(self, strings.Fields(d.here(t, line, server, ""))[1:]...)
		cmd.Args[0] = fleetName
		cmd.Env = append(program.Environ(), "XDG_STATE_HOME="+t.TempDir(), "SENDDIGEST_QUEUE_DSN="+address)
		output := new(strings.Builder)
		cmd.Stdout, cmd.Stderr = output, output
		return cmd, output
	}
	const config = " -c /opt/groupserver/etc/gsconfig.ini"
	if words[1] != "migrate" {
		for _, before := range []string{"migrate", "workers 2"} { // the second enters the installation, as a worker does
			cmd, output := prepare("senddigest-fleet " + before + config)
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s: %w: %s", before, err, output)
			}
		}
	}
	if !strings.Contains(command, " -c ") {
		command += config
	}
	worker, _ := prepare("senddigest-fleet work" + config + " http://groups.example.com/")
	cmd, output := prepare(command)
	if words[1] == "run" {
		if err := worker.Start(); err != nil {
			return err
		}
		defer func() {
			_ = worker.Process.Signal(os.Interrupt)
			_ = worker.Wait()
		}()
	}
	if got := program.ExitCode(cmd.Run()); got != want {
		return fmt.Errorf("%s ended with %d, want %d: %s", command, got, want, output)
	}
	return nil
}
