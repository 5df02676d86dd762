package e2e_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// A holder is a process that has the lock, and a send that is never answered.
type holder struct {
	*victim
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

// hold starts a run of a small site whose first group hangs, and returns when that send has come.
func hold(t *testing.T) *holder {
	t.Helper()
	dir := t.TempDir()
	h := &holder{ended: make(chan error, 1), victim: &victim{
		started: make(chan standin.Group, 100), config: filepath.Join(dir, "gsconfig.ini"), state: filepath.Join(dir, "state"),
	}}
	h.site = standin.New(standin.Options{
		Groups: []standin.Group{{Site: "main", Group: "a"}, {Site: "main", Group: "b"}},
		Cost:   func(g standin.Group) time.Duration { h.started <- g; return 0 },
		Faults: []standin.Fault{{Pattern: "main/a", Kind: standin.Hang}},
	})
	server, err := h.site.Start()
	if err != nil {
		t.Fatal(err)
	}
	h.url = server.URL
	h.always = []string{"--config", h.config, "--state-dir", h.state, "--workers", "1"}
	if err := program.WriteConfig(h.config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	h.cmd = program.Command(t, append(h.always, h.url)...)
	h.cmd.Stderr = &h.stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { h.ended <- h.cmd.Wait() }()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill() // it may have ended
		server.Close()
		h.site.Close()
	})
	select {
	case <-h.started:
	case err := <-h.ended:
		t.Fatalf("the first run ended with %v: %s", err, h.stderr.String())
	case <-time.After(program.Patience):
		t.Fatal("the first run sent nothing")
	}
	return h
}

// kill ends the holder as kill -9 does.
func (h *holder) kill() {
	_ = h.cmd.Process.Kill()
	<-h.ended
}

func TestASecondRunOfAnInstallationIsToldWhoHasTheLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	journals, err := filepath.Glob(filepath.Join(h.state, "*.jsonl"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals %v, %v, want one", journals, err)
	}
	run := strings.TrimSuffix(filepath.Base(journals[0]), ".jsonl")
	otherToken := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := program.WriteConfig(otherToken, "anotherToken"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, url string
		args      []string
	}{
		{"the same command", h.url, nil},
		{"another host name, the same token", strings.Replace(h.url, "127.0.0.1", "localhost", 1), nil},
		{"another prefix, the same token", h.url + "/other", nil},
		{"the same address, another token", h.url, []string{"--config", otherToken}},
		{"--resume", h.url, []string{"--resume"}},
		{"--lock-wait that is over", h.url, []string{"--lock-wait", "10ms"}},
	} {
		other := victim{always: h.always, url: test.url}
		_, code, said := other.run(t, nil, test.args...)
		want := fmt.Sprintf("another run holds the lock: %s for %s/, process %d, since ", run, h.url, h.cmd.Process.Pid)
		if code != 75 || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, %q, want 75 and %q", test.name, code, said, want)
		}
	}
	if n := len(h.site.Starts()); n != 1 {
		t.Errorf("%d sends came, want the one of the first run", n)
	}
}

func TestARunWithoutStateTakesNoLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	cmd := program.Command(t, "--config", h.config, "--no-state", "--only", "main/b", h.url)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("it ended with %v: %s", err, out)
	}
	if n := h.site.Mails()[standin.Group{Site: "main", Group: "b"}]; n != 1 {
		t.Errorf("its group was mailed %d times, want once", n)
	}
}

func TestAnotherInstallationIsNotLocked(t *testing.T) {
	t.Parallel()
	first, second := hold(t), standin.New(standin.Options{Token: "anotherToken", Groups: standin.Generate(3, 1)})
	server, err := second.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	defer server.Close()
	config := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := program.WriteConfig(config, "anotherToken"); err != nil {
		t.Fatal(err)
	}
	if out, err := program.Command(t, "--config", config, "--state-dir", first.state, server.URL).CombinedOutput(); err != nil {
		t.Errorf("it ended with %v: %s", err, out)
	}
}

func TestKillingTheHolderFreesTheLock(t *testing.T) {
	t.Parallel()
	h := hold(t)
	h.kill()
	h.site.SetFaults()
	if _, code, said := h.run(t, nil, "--resume", "--settle", settled.String()); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, said)
	}
	for g, n := range h.site.Mails() {
		if n != 1 {
			t.Errorf("%s was mailed %d times, want once", g.Group, n)
		}
	}
}

func TestLockWaitRunsWhenTheHolderIsGone(t *testing.T) {
	t.Parallel()
	h := hold(t)
	cmd := program.Command(t, append(slices.Concat(h.always, []string{"--lock-wait", "1m", "--settle", settled.String()}), h.url)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.site.SetFaults()
	if n := len(h.site.Starts()); n != 1 {
		t.Errorf("%d sends came while the lock was held, want 1", n)
	}
	h.kill()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, said.String())
	}
	if n := h.site.Mails()[standin.Group{Site: "main", Group: "b"}]; n != 1 {
		t.Errorf("the second group was mailed %d times, want once", n)
	}
}
