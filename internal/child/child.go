// Package child starts processes that do not outlive this one: on Linux the kernel ends them with it, however it ends.
// A goroutine waits for each and ends with it.
package child

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A Process is one run of a program. A nil Process has ended. Its methods may be called by several goroutines.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // what Wait returned; valid once ended is closed
}

// Start starts a program. It has a process group of its own: Ctrl-C is for this process, and what becomes of the child is for
// its owner to say. When this process dies, the kernel sends the child the signal last; elsewhere than on Linux it lives on.
func Start(cmd *exec.Cmd, last syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	endWithParent(cmd.SysProcAttr, last)
	p := &Process{cmd: cmd, ended: make(chan struct{})}
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

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended, and all that it wrote was taken.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err is what [exec.Cmd.Wait] returned. It is valid once the process has ended.
func (p *Process) Err() error { return p.err }

// Runs reports whether the process has not ended.
func (p *Process) Runs() bool {
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

// Signal has no error: a process that has ended is past it, and was ours to signal before.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// End ends the process by a signal, and after some patience by force. It returns when it has ended.
func (p *Process) End(s os.Signal, patience time.Duration) {
	if !p.Runs() {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	p.Signal(s)
	select {
	case <-p.ended:
	case <-timer.C:
		p.Signal(syscall.SIGKILL)
		<-p.ended
	}
}

// Failure is why the process has ended, of one that should not have.
func (p *Process) Failure() error {
	if p.err == nil {
		return errors.New("it ended at once")
	}
	return p.err
}
