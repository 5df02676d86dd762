package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
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
	case <-p.ended:
	case <-ctx.Done():
		p.end(syscall.SIGKILL)
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	}
	if p.err != nil {
		return fmt.Errorf("initdb: %w\n%s", p.err, c.log.tail())
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
	// A process group of its own: Ctrl-C is for us, and what becomes of the server is for our caller to say.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	// A child of the server keeps its log open. Wait returns when all are gone, so that the next server finds none of them.
	cmd.WaitDelay = patience
	return cmd
}

// A process is one run of a program. A nil process runs no more.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it and its children have ended
	err   error         // what Wait returned; valid once ended is closed
}

// run starts a program. A goroutine waits for it and then closes ended.
func run(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel takes the thread that started a process for its parent, and Go ends threads as it sees fit. So one
		// thread is kept for the process's whole life.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) runs() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal has no error: a process that has ended is past it, and was ours to signal before.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// end ends the process by a signal, and after some patience by force.
func (p *process) end(s os.Signal) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.signal(s)
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}

// failure is why the process has ended, of one that should not have.
func (p *process) failure() error {
	if p.err == nil {
		return errors.New("it ended at once")
	}
	return p.err
}
