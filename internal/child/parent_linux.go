package child

import "syscall"

// endWithParent has the kernel send the process a signal when this one dies, by SIGKILL too.
func endWithParent(a *syscall.SysProcAttr, last syscall.Signal) { a.Pdeathsig = last }
