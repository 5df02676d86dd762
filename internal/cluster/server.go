package cluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/groupserver/senddigest/internal/child"
)

// initdb fills the folder.
func (c *Cluster) initdb(ctx context.Context) error {
	// --no-sync and locale C: a cluster that is thrown away need not outlive the machine, and sorts alike on every one.
	args := []string{"-D", c.data(), "-U", Role, "--no-sync", "-E", "UTF8", "--locale", "C"}
	if c.options.Password == "" {
		args = append(args, "-A", "trust")
	} else {
		file := filepath.Join(c.dir, "password")
		defer func() { _ = os.Remove(file) }()
		if err := os.WriteFile(file, []byte(c.options.Password+"\n"), 0o600); err != nil {
			return err
		}
		if c.as != nil {
			if err := os.Chown(file, int(c.as.Uid), int(c.as.Gid)); err != nil {
				return err
			}
		}
		args = append(args, "-A", "scram-sha-256", "--pwfile", file)
	}
	p, err := run(c.command("initdb", args...))
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	select {
	case <-p.Ended():
	case <-ctx.Done():
		p.End(syscall.SIGKILL, patience)
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	}
	if p.Err() != nil {
		return fmt.Errorf("initdb: %w\n%s", p.Err(), c.log.tail())
	}
	return nil
}

// arguments are the server's. Of two settings of one name the later one counts.
func (c *Cluster) arguments() []string {
	args := []string{
		"-D", c.data(),
		// A crash of the server loses nothing all the same, only one of the machine does.
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_prepared_transactions=" + strconv.Itoa(max(c.options.MaxPrepared, 0)),
		"-c", "timezone=" + c.options.TimeZone, "-c", "log_timezone=" + c.options.TimeZone,
	}
	for _, name := range slices.Sorted(maps.Keys(c.options.Settings)) {
		args = append(args, "-c", name+"="+c.options.Settings[name])
	}
	listen := ""
	if c.options.TCP {
		listen = "127.0.0.1"
	}
	return append(
		args, "-k", c.dir, "-p", strconv.Itoa(c.port), "-c", "listen_addresses="+listen,
		"-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "lc_messages=C",
	)
}

// command is one of PostgreSQL's programs, not yet started.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.options.Binaries, name), args...)
	cmd.Dir = c.dir // the programs want one that they may enter
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &c.log, &c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as}
	// A child of the server keeps its log open. Wait returns when all are gone, so that the next server finds none of them.
	cmd.WaitDelay = patience
	return cmd
}

// run starts one of PostgreSQL's programs. When this process dies, by SIGKILL too, the server ends: SIGQUIT is its immediate
// mode, in which it takes its children and its shared memory along.
func run(cmd *exec.Cmd) (*child.Process, error) { return child.Start(cmd, syscall.SIGQUIT) }
