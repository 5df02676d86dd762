package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/groupserver/senddigest/internal/e2e/program"
	"github.com/groupserver/senddigest/internal/standin"
)

// Whatever is said where no run is under way, to whoever does not read it: one signal ends the program.
func TestASignalEndsAProgramWhoseWordsNobodyReads(t *testing.T) {
	t.Parallel()
	const page = 4 << 10 // bytes: what the least pipe takes
	config := filepath.Join(t.TempDir(), "gsconfig.ini")
	if err := program.WriteConfig(config, standin.DefaultToken); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		args   []string
		signal syscall.Signal
	}{
		{"help", []string{"--help"}, syscall.SIGINT},
		{"a refused option", []string{"--" + strings.Repeat("x", 2*page), "http://127.0.0.1/"}, syscall.SIGTERM},
		{"a refused resume", []string{
			"--config", config, "--state-dir", filepath.Join(t.TempDir(), strings.Repeat("x", 2*page)), "--resume", "http://127.0.0.1/",
		}, syscall.SIGHUP},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, page); err != nil {
				t.Fatal(err)
			}
			cmd := program.Command(t, row.args...)
			cmd.Stdout, cmd.Stderr = w, w
			err = cmd.Start()
			_ = w.Close()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Read(make([]byte, 1)); err != nil { // there is more than the pipe takes
				t.Error(err)
			}
			if err := cmd.Process.Signal(row.signal); err != nil {
				t.Error(err)
			}
			ending(cmd)
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != row.signal {
				t.Errorf("it ended with %v, want %v", cmd.ProcessState, row.signal)
			}
		})
	}
}
