package cluster

import "syscall"

// endWithParent has the kernel end the server when this process dies, by SIGKILL too: SIGQUIT is the server's immediate
// mode, in which it takes its children and its shared memory along.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
